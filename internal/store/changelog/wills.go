package changelog

import (
	"encoding/binary"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// A will that is due leaves its session and is owed by the name (head.owed) until its message is in the log; so it is published whatever becomes of the session
// and of nodes meanwhile, and once:
//
//	the end of a connection, of its delay, or of the session -> owed
//	claim: a node is about to send it, to that place         -> no other one does while that node lives
//	sent: its message is in the log                          -> over
//
// The claim decides: of a client that comes back before it, a will with a delay is not published, of one that comes back later it is. Whoever claims after a node that
// has died looks for that one's message first, where its claim says. Any node that lives may write these records (kindWill), whoever owns the client id; the base rule
// holds for them as for all.
//
// When a client is taken over from a node that lives, whether its will is owed is for that node to say, in its final: the client may have said DISCONNECT there a
// moment ago. A node that does not answer has not read one.

// owedMost is how many wills of one client may wait; beyond it the oldest one is dropped, and counted.
const owedMost = 8

// owedWill is a will that left its session.
type owedWill struct {
	will store.Will
	due  int64  // since when, Unix milliseconds
	asks bool   // whether it is owed the former owner is to say
	by   uint64 // node that sends it; 0: none yet
	Claim
}

// Claim is where the message of a will is, if it is in the log: in the queue of At, there or above, and not stored before Since, Unix milliseconds; Since 0: it is not.
type Claim struct {
	At    store.Position
	Since int64
}

// willOp is what a record says of an owed will.
type willOp byte

const (
	willClaim   willOp = iota + 1 // the writer sends it, as claim says, if what was claimed before is as old as before says
	willSent                      // its message is in the log
	willRelease                   // the writer has not sent it, and what before says holds no more
)

// willStep is one element of the body of a kindWill record.
type willStep struct {
	op     willOp
	id     uint64 // store.Will.ID
	before int64  // Claim.Since
	claim  Claim
}

func (s *willStep) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, byte(s.op)), s.id)
	b = binary.AppendVarint(b, s.before)
	return s.claim.append(b)
}

func (s *willStep) read(d *decoder) {
	s.op, d.B = willOp(d.B[0]), d.B[1:]
	s.id, s.before = d.Uint(), d.Int()
	s.claim.read(d)
}

func (c *Claim) append(b []byte) []byte {
	b = binary.AppendVarint(binary.AppendUvarint(b, uint64(c.At.Queue)), c.At.Offset)
	return binary.AppendVarint(b, c.Since)
}

func (c *Claim) read(d *decoder) {
	c.At = store.Position{Queue: store.Queue(d.Uint()), Offset: d.Int()}
	c.Since = d.Int()
}

func appendOwed(b []byte, list []owedWill) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		w := &list[i]
		b = view.AppendWill(b, &w.will)
		b = binary.AppendVarint(b, w.due)
		b = append(b, 0)
		if w.asks {
			b[len(b)-1] = 1
		}
		b = binary.BigEndian.AppendUint64(b, w.by)
		b = w.append(b)
	}
	return b
}

func (d *decoder) owed() (list []owedWill) {
	for n := d.Uint(); n > 0 && d.Err == nil; n-- {
		var w owedWill
		if will := d.Will(); will != nil {
			w.will = *will
		}
		w.due, w.asks, w.by = d.Int(), d.Uint() != 0, d.uint64()
		w.read(d)
		list = append(list, w)
	}
	return list
}

// claimedBy says whether a node has claimed a will of a name.
func (h *head) claimedBy(node uint64) bool {
	return h != nil && slices.ContainsFunc(h.owed, func(w owedWill) bool { return w.by == node })
}

// owes says that a name has a will that somebody is to publish.
func (h *head) owes() bool {
	return h != nil && slices.ContainsFunc(h.owed, func(w owedWill) bool { return !w.asks })
}

// asks says that the former owner is to tell of a will.
func (h *head) asks() bool {
	return slices.ContainsFunc(h.owed, func(w owedWill) bool { return w.asks })
}

// owe has the will of a name be owed. The list of h may be that of another head: it is not changed.
func (x *txn) owe(h *head, w *store.Will, asks bool) {
	list := slices.Clone(h.owed)
	if len(list) == owedMost {
		list = list[1:]
		x.dropped++
	}
	h.moved = w.ID
	list = append(list, owedWill{will: *w, due: x.rec.Time, asks: asks})
	h.owed = list
}

// answer is what the former owner says of the wills that it was asked for.
func (x *txn) answer(h *head, owed bool) {
	if !h.asks() {
		return
	}
	list := slices.Clone(h.owed)
	for i := range list {
		if list[i].asks && owed {
			list[i].asks, list[i].due = false, x.rec.Time
		}
	}
	h.owed = slices.DeleteFunc(list, func(w owedWill) bool { return w.asks })
}

// oweOwn has the will of the session be owed, if it has one.
func (x *txn) oweOwn(name string, h *head, asks bool) error {
	w, err := x.Will(name)
	if err != nil || w == nil {
		return err
	}
	x.owe(h, w, asks)
	return x.WillDone(name)
}

// oweAtConnect settles the will that a session has when its client connects; ends: the session ends with that [MQTT-3.1.2-8] [MQTT-3.1.3-9]. h is as it was.
func (x *txn) oweAtConnect(r *record, h *head, session *view.Head, ends bool) error {
	h.moved = 0
	w, err := x.Will(r.name)
	if err != nil || w == nil {
		return err
	}
	switch {
	case session.WillDue != 0: // its connection has ended
		if !ends && session.WillDue > x.rec.Time {
			return nil // the client is back in time
		}
		return x.oweOwn(r.name, h, false)
	case h.former != 0: // of a connection that has not got CONNACK
		return nil
	case !ends && w.Delay > 0:
		return nil
	}
	return x.oweOwn(r.name, h, x.lives(h.owner) && h.owner != r.node)
}

// oweAtChange settles the will of a session at a change.
func (x *txn) oweAtChange(c *store.Change, h *head) error {
	switch c.Kind {
	case store.Connect: // it may give back a will that was taken off by the connect before
		if c.Will != nil && c.Will.ID != 0 && c.Will.ID == h.moved {
			c.Will = nil
		}
	case store.Detach:
		if c.WillAt == store.AtOnce {
			return x.oweOwn(c.Client, h, false)
		}
	case store.Remove:
		session, err := x.Head(c.Client)
		if err != nil || session == nil || session.WillDue == 0 && c.WillAt == 0 {
			return err
		}
		return x.oweOwn(c.Client, h, false)
	}
	return nil
}

// wills applies what nodes do about owed wills.
func (x *txn) wills(r *record, h *head, o *outcome) error {
	if o.was == nil {
		return nil // nothing is owed
	}
	o.valid = true
	d := newDecoder(r.body)
	for len(d.B) > 0 {
		var s willStep
		if s.read(&d); d.Err != nil {
			return nil
		}
		if err := x.willStep(r, h, &s); err != nil {
			return err
		}
	}
	return nil
}

func (x *txn) willStep(r *record, h *head, s *willStep) error {
	i := h.owing(s.id)
	if i < 0 && s.op == willClaim && s.before == 0 {
		w, err := x.Will(r.name)
		if err != nil || w == nil || w.ID != s.id {
			return err
		}
		if err := x.oweOwn(r.name, h, false); err != nil {
			return err
		}
		i = h.owing(s.id)
	}
	if i < 0 {
		return nil
	}
	list := slices.Clone(h.owed)
	switch w := &list[i]; {
	case s.op == willSent:
		list = slices.Delete(list, i, i+1)
	case w.Since != s.before || w.by != r.node && mayPublish(x.peers, w.by):
	case s.op == willClaim:
		w.by, w.Claim = r.node, s.claim
	case s.op == willRelease:
		w.by, w.Claim = 0, Claim{}
	}
	h.owed = list
	return nil
}

// owing is the index of an owed will that somebody is to publish; -1: there is none with this id.
func (h *head) owing(id uint64) int {
	return slices.IndexFunc(h.owed, func(w owedWill) bool { return !w.asks && w.will.ID == id })
}
