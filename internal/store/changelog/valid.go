package changelog

import (
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// txn applies the records of one queue to the view. What it decides depends on the records alone: all nodes decide the same.
type txn struct {
	*view.Txn
	q      uint16
	origin int64 // reading this queue began there: what stood below is not known
	since  int64 // when what stands there was stored, Unix milliseconds
	peers  map[uint64]*peer
	now    time.Time // of this process's clock: when the records were read
	rec    *view.Record
	shares []shareNote // groups that have changed, with the record that is being applied

	dropped int64 // wills, since a client had too many
	unsound error // not nil: something of that record was passed over
}

// outcome is what became of a record.
type outcome struct {
	valid   bool
	was, is *head // of its name; was nil: none. Of a record that is void, is is nil
	present bool  // of a connect: there was a session, and it goes on
	refused bool  // of a connect: the client id belongs to somebody else
}

// apply judges a record and applies what is valid. An error is the view's.
func (x *txn) apply(r *record) (o outcome, err error) {
	switch r.kind {
	case kindBeat:
		o.valid, err = x.beat(r)
		return o, err
	case kindFence:
		o.valid, err = x.fence(r)
		return o, err
	}
	if o.was, err = x.head(r.name, x.rec.Time); err != nil {
		return o, err
	}
	h := x.unknown()
	if o.was == nil {
		x.Absent(r.name)
	} else {
		h = *o.was
	}
	if x.isLost(r, o.was) {
		if h, err = x.unknown(), x.removeAll(r.name); err != nil {
			return o, err
		}
	}
	judge := h.isBase(r) // the base rule
	if !x.isOld(r, o.was) {
		h.old, h.seen = false, nil
	} else if judge, err = x.judgeOld(r, &h); err != nil || !judge {
		return o, errors.Join(err, x.putOld(r.name, o.was, &h))
	}
	if !judge || !x.lives(r.node) {
		return o, nil
	}
	h.last, h.time = x.rec.Offset, x.rec.Time
	switch r.kind {
	case kindConnect:
		err = x.connect(r, &h, &o)
	case kindState:
		err = x.state(r, &h, &o)
	case kindWill:
		err = x.wills(r, &h, &o)
	default:
		err = x.owned(r, &h, &o)
	}
	if err != nil || !o.valid {
		return o, err
	}
	if err := x.mark(r.name, &h); err != nil {
		return o, err
	}
	o.is = &h
	return o, x.put(r.name, o.was, &h)
}

// unknown is the head of a name that a record begins.
func (x *txn) unknown() head { return head{last: none, below: none, since: x.rec.Time} }

// mark notes whether anything is left of a name.
func (x *txn) mark(name string, h *head) error {
	if h.gone = false; h.owner != 0 {
		return nil
	}
	if filter, ok := shareFilter(name); ok {
		s, err := x.share(filter)
		h.gone = s == nil
		return err
	}
	session, err := x.Head(name)
	h.gone = session == nil && len(h.owed) == 0
	return err
}

// owned applies what only the owner, or the one that hands over to it, may write.
func (x *txn) owned(r *record, h *head, o *outcome) error {
	switch mine := h.owner == r.node; {
	case r.kind == kindFinal && h.former == r.node && h.former != 0:
		o.valid = true
		return x.final(r, h)
	case r.kind == kindTake && mine && h.former != 0:
		o.valid = true
		h.former = 0
		x.answer(h, true)
	case r.kind == kindChanges && mine && h.former == 0, r.kind == kindChanges && !x.lives(h.owner):
		o.valid = true
		return x.changes(r, h)
	case r.kind == kindLeft && mine:
		o.valid = true
		return x.left(r.name, h)
	}
	return nil
}

// connect makes the writer the owner.
func (x *txn) connect(r *record, h *head, o *outcome) error {
	c, ok := x.parse(r.body, r.name, store.Connect)
	if !ok {
		return nil // nobody can act on it: void
	}
	session, err := x.Head(r.name)
	if err != nil {
		return err
	}
	over := session != nil && x.isOver(session)
	if session != nil && !over && session.Principal != c.Principal || session == nil && x.lives(h.owner) && h.principal != c.Principal {
		o.refused = true
		return nil
	}
	o.valid = true
	o.present = session != nil && !over && !c.Clean
	torn := session != nil && session.Connected
	if err := x.oweAtConnect(r, h, session, !o.present); err != nil {
		return err
	}
	x.setFormer(r, h, o.present)
	if !o.present {
		if err := x.remove(r.name, session); err != nil {
			return err
		}
		h.sentUpTo, h.torn, torn = nil, false, false
	}
	if torn {
		h.torn = true
	}
	h.owner, h.principal, h.gone = r.node, c.Principal, false
	if !o.present && c.Expiry == 0 && c.Will == nil {
		return nil // it ends with its connection
	}
	c.Clean = false
	return x.Change(x.rec, &c)
}

// setFormer says who is to hand over to the writer of a connect.
func (x *txn) setFormer(r *record, h *head, present bool) {
	switch {
	case !present:
		h.anew = true
		if !h.asks() {
			h.former = 0
		} else if h.former == 0 {
			h.former = h.owner
		}
	case h.former == 0 && x.lives(h.owner) && h.owner != r.node:
		h.former, h.anew = h.owner, false
	}
	if h.former != 0 && (!x.lives(h.former) || h.former == r.node) {
		h.former = 0
		x.answer(h, true)
	}
}

// isOver says that the time of a session has passed. One without expiry ended with its connection, whether that was written or not [MQTT-3.1.2-23].
func (x *txn) isOver(s *view.Head) bool {
	return s.Expiry == 0 || s.Due != 0 && s.Due <= x.rec.Time
}

// removeAll removes the session or group of a name.
func (x *txn) removeAll(name string) error {
	session, err := x.Head(name)
	if err != nil {
		return err
	}
	return x.remove(name, session)
}

func (x *txn) remove(name string, session *view.Head) error {
	if filter, ok := shareFilter(name); ok {
		return x.putShare(filter, nil)
	}
	if session == nil {
		return nil
	}
	return x.Change(x.rec, &store.Change{Kind: store.Remove, Client: name})
}

// final takes over from the former owner where the session stands, and whether its will is owed: a Detach, or a Remove, which does not tell the former.
func (x *txn) final(r *record, h *head) error {
	h.former = 0
	c, ok := x.parse(r.body, r.name, 0)
	x.answer(h, ok && c.WillAt != 0)
	if !ok || c.Kind != store.Detach || h.anew {
		return nil
	}
	h.torn, h.sentUpTo = false, c.SentUpTo
	c.Kind, c.Follows = store.Progress, false
	return x.Change(x.rec, &c)
}

// errMisplaced says that a change is of another client, or of a kind that does not belong where it stands.
var errMisplaced = errors.New("a change does not belong there")

// parse decodes a change of a client that must be of kind k; 0: of any that may stand among others. What a later version has written, or was damaged, is passed over, by all
// nodes: whoever wrote it must not stop them.
func (x *txn) parse(b []byte, client string, k store.ChangeKind) (c store.Change, ok bool) {
	c, err := view.ParseChange(b)
	if err == nil && (c.Client != client || k != 0 && c.Kind != k || k == 0 && !amongOthers(c.Kind)) {
		err = errMisplaced
	}
	if err == nil {
		err = view.Sound(&c)
	}
	if err != nil {
		x.unsound = fmt.Errorf("change of kind %d of client %.200q: %w", c.Kind, client, err)
	}
	return c, err == nil
}

// amongOthers says whether a change of this kind may stand in a kindChanges record: the others have records of their own, or concern one node alone.
func amongOthers(k store.ChangeKind) bool {
	switch k {
	case store.Checkpoint, store.Note, store.GroupProgress:
		return false
	}
	return true
}

// changes applies the changes of a session, one after the other.
func (x *txn) changes(r *record, h *head) error {
	if filter, ok := shareFilter(r.name); ok {
		return x.shareChanges(r, filter)
	}
	d := newDecoder(r.body)
	for len(d.B) > 0 {
		b := d.Bytes()
		if d.Err != nil {
			return nil
		}
		if c, ok := x.parse(b, r.name, 0); ok {
			if err := x.changeOne(&c, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *txn) changeOne(c *store.Change, h *head) error {
	if err := x.oweAtChange(c, h); err != nil {
		return err
	}
	if err := x.Change(x.rec, c); err != nil {
		return err
	}
	switch c.Kind {
	case store.Detach:
		h.owner, h.former = 0, 0
		h.torn, h.sentUpTo = false, c.SentUpTo
	case store.Remove:
		h.owner, h.former, h.sentUpTo = 0, 0, nil
		h.torn = false
	}
	return nil
}

// left ends the ownership of a node that knows nothing of the session.
func (x *txn) left(name string, h *head) error {
	return x.orphaned(name, h)
}

// state puts all of a name in the place of what is known of it.
func (x *txn) state(r *record, h *head, o *outcome) error {
	d := newDecoder(r.body)
	var then head
	if err := then.decode(d.Bytes()); err != nil {
		return nil
	}
	dump := d.Bytes()
	if d.Err != nil {
		return nil
	}
	if err := x.replace(r.name, dump); err != nil {
		if errors.Is(err, store.ErrCorrupt) {
			return nil
		}
		return err
	}
	then.last, then.below, then.seen, then.old, then.time, then.since = h.last, h.below, h.seen, h.old, h.time, h.time
	*h = then
	o.valid = true
	if h.owner == 0 || x.lives(h.owner) {
		return nil
	}
	return x.orphaned(r.name, h)
}

// replace puts what a name is in the place of what there is of it.
func (x *txn) replace(name string, dump []byte) error {
	if filter, ok := shareFilter(name); ok {
		return x.replaceShare(filter, dump)
	}
	return x.Replace(x.rec, name, dump)
}
