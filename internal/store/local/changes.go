package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const neverExpires = 0xFFFFFFFF

// isShared says that a filter names a group.
func isShared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// change applies c. A change of a session or group that does not exist (any more) does nothing: its writer lost a
// race against Remove.
func (t *txn) change(c *store.Change) error {
	switch c.Kind {
	case store.Connect:
		return t.connect(c)
	case store.Remove:
		return t.removeSession(c.Client)
	case store.GroupProgress:
		return t.groupProgress(c)
	case store.Checkpoint:
		p := checkpoint{at: t.rec.offset, cursor: c.Cursor}
		return t.set(numberKey(keyCheckpoint, t.state.run, ""), p.encode(nil))
	}
	head, err := t.head(c.Client)
	if err != nil || head == nil {
		return err
	}
	switch c.Kind {
	case store.Detach:
		return t.detach(c, head)
	case store.Subscribe:
		return t.subscribe(c)
	case store.Unsubscribe:
		return t.unsubscribe(c.Client, c.Subscription.Filter)
	case store.WillDone:
		return t.willDone(c.Client)
	case store.Release:
		return t.delete(idKey(c.Client, partReceived, c.PacketID))
	case store.Progress:
		p := progress{cursor: c.Cursor, follows: c.Follows, at: t.rec.offset, inflight: lazily(c.Inflight)}
		return t.set(sessionKey(c.Client, partProgress), p.encode(nil))
	case store.Send2, store.Pubrec, store.Done2:
		if len(c.Inflight) == 0 {
			return errors.New("it names no message")
		}
		return t.exactlyOnce(c)
	}
	return errors.New("its kind is unknown: use the version that wrote it")
}

// head returns the head of a session, nil when there is none.
func (t *txn) head(client string) (*sessionHead, error) {
	value, err := t.get(sessionKey(client, partHead))
	if err != nil || value == nil {
		return nil, err
	}
	h := new(sessionHead)
	return h, h.decode(value)
}

func (t *txn) putHead(client string, h *sessionHead) error {
	return t.set(sessionKey(client, partHead), h.encode(nil))
}

// received notes an incoming QoS 2 message.
func (t *txn) received(client string, id uint16) error {
	head, err := t.head(client)
	if err != nil || head == nil {
		return err
	}
	return t.set(idKey(client, partReceived, id), nil)
}

// connect begins or resumes a session.
func (t *txn) connect(c *store.Change) error {
	if c.Clean {
		if err := t.removeSession(c.Client); err != nil {
			return err
		}
	}
	head, err := t.head(c.Client)
	if err != nil {
		return err
	}
	if head == nil {
		head = &sessionHead{created: t.rec.time}
		t.state.sessions++
	} else if err := t.endFollowing(c.Client, head); err != nil {
		return err
	}
	if err := t.unindex(c.Client, head); err != nil {
		return err
	}
	if err := t.setWill(c.Client, c.Will); err != nil {
		return err
	}
	head.principal, head.expiry, head.expiresAt = c.Principal, c.Expiry, 0
	head.connected, head.run = true, t.state.run
	if err := t.set(numberKey(keyConnected, head.run, c.Client), nil); err != nil {
		return err
	}
	return t.putHead(c.Client, head)
}

// endFollowing settles where a session stands whose former connection ended without Detach: at the last checkpoint
// of the run that it belonged to. Checkpoints of this run are not about what it did there.
func (t *txn) endFollowing(client string, head *sessionHead) error {
	key := sessionKey(client, partProgress)
	value, err := t.get(key)
	if err != nil || value == nil {
		return err
	}
	var p progress
	if err := p.decode(value); err != nil || !p.follows {
		return err
	}
	if head.connected {
		value, err := t.get(numberKey(keyCheckpoint, head.run, ""))
		if err != nil {
			return err
		}
		if value != nil {
			var c checkpoint
			if err := c.decode(value); err != nil {
				return err
			}
			p.fold(&c)
		}
	}
	p.follows = false
	return t.set(key, p.encode(nil))
}

// unindex removes a session from the indexes of connections, of expiry and of wills.
func (t *txn) unindex(client string, h *sessionHead) error {
	if h.connected {
		if err := t.delete(numberKey(keyConnected, h.run, client)); err != nil {
			return err
		}
	}
	if h.due != 0 {
		if err := t.delete(numberKey(keyExpiry, h.due, client)); err != nil {
			return err
		}
	}
	if h.willDue != 0 {
		if err := t.delete(numberKey(keyWill, h.willDue, client)); err != nil {
			return err
		}
	}
	h.due, h.willDue = 0, 0
	return nil
}

// setWill makes w the session's will; nil: none.
func (t *txn) setWill(client string, w *store.Will) error {
	key := sessionKey(client, partWill)
	if w == nil {
		return t.delete(key)
	}
	return t.set(key, appendWill(nil, w))
}

// will returns the session's will; nil: none.
func (t *txn) will(client string) (*store.Will, error) {
	value, err := t.get(sessionKey(client, partWill))
	if err != nil || value == nil {
		return nil, err
	}
	d := decoder{b: value}
	w := d.will()
	return w, d.err
}

// willDone ends a will.
func (t *txn) willDone(client string) error {
	head, err := t.head(client)
	if err != nil || head == nil {
		return err
	}
	if head.willDue != 0 {
		if err := t.delete(numberKey(keyWill, head.willDue, client)); err != nil {
			return err
		}
		head.willDue = 0
		if err := t.putHead(client, head); err != nil {
			return err
		}
	}
	return t.setWill(client, nil)
}

// willFrom notes that the session's will is due at a time, or with 0 that it has none any more. head is to be put.
func (t *txn) willFrom(client string, head *sessionHead, due int64) error {
	if due == 0 {
		return t.setWill(client, nil)
	}
	if has, err := t.has(sessionKey(client, partWill)); err != nil || !has {
		return err
	}
	head.willDue = due
	return t.set(numberKey(keyWill, due, client), nil)
}

func (t *txn) detach(c *store.Change, head *sessionHead) error {
	if err := t.unindex(c.Client, head); err != nil {
		return err
	}
	head.connected, head.expiry, head.expiresAt, head.due = false, c.Expiry, c.ExpiresAt, c.ExpiresAt
	if head.due != 0 {
		if err := t.set(numberKey(keyExpiry, head.due, c.Client), nil); err != nil {
			return err
		}
	}
	if err := t.willFrom(c.Client, head, c.WillAt); err != nil {
		return err
	}
	p := progress{cursor: c.Cursor, sentUpTo: c.SentUpTo, at: t.rec.offset, inflight: lazily(c.Inflight)}
	if err := t.set(sessionKey(c.Client, partProgress), p.encode(nil)); err != nil {
		return err
	}
	return t.putHead(c.Client, head)
}

// lazily returns the part of list that Progress replaces. What is known of QoS 2 comes from its own changes alone.
func lazily(list []store.Inflight) []store.Inflight {
	return slices.DeleteFunc(list, func(in store.Inflight) bool { return in.QoS == 2 })
}

// removeSession deletes a session and everything about it.
func (t *txn) removeSession(client string) error {
	head, err := t.head(client)
	if err != nil || head == nil {
		return err
	}
	var shared []string
	filters := sessionKey(client, partFilter)
	err = t.each(filters, func(key, _ []byte) error {
		if filter := string(key[len(filters):]); isShared(filter) {
			shared = append(shared, filter)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, filter := range shared {
		if err := t.leave(client, filter); err != nil {
			return err
		}
	}
	if err := t.unindex(client, head); err != nil {
		return err
	}
	t.state.sessions--
	return t.deleteAll(namePrefix(nil, keySession, client))
}

// deleteAll deletes every key with prefix. One by one: they are few, and range deletions slow down every reader.
func (t *txn) deleteAll(prefix []byte) error {
	var keys [][]byte
	err := t.each(prefix, func(key, _ []byte) error {
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = t.delete(key)
		}
	}
	return err
}

func (t *txn) subscribe(c *store.Change) error {
	sub := &c.Subscription
	if isShared(sub.Filter) {
		if err := t.join(c.Client, sub); err != nil {
			return err
		}
	}
	return t.set(filterKey(c.Client, sub.Filter), appendSubscription(nil, sub))
}

func (t *txn) unsubscribe(client, filter string) error {
	if isShared(filter) {
		if err := t.leave(client, filter); err != nil {
			return err
		}
	}
	return t.delete(filterKey(client, filter))
}

// group returns the head of a group, nil when there is none.
func (t *txn) group(filter string) (*groupHead, error) {
	value, err := t.get(groupKey(filter, partHead))
	if err != nil || value == nil {
		return nil, err
	}
	g := new(groupHead)
	return g, g.decode(value)
}

func (t *txn) putGroup(filter string, g *groupHead) error {
	return t.set(groupKey(filter, partHead), g.encode(nil))
}

// join makes client a member of the group, founding it when it is the first.
func (t *txn) join(client string, sub *store.Subscription) error {
	g, err := t.group(sub.Filter)
	if err != nil {
		return err
	}
	if g == nil {
		g = &groupHead{founded: sub.Start, cursor: sub.Start}
	}
	key := memberKey(sub.Filter, client)
	if was, err := t.has(key); err != nil || was {
		return err
	}
	g.members++
	if err := t.set(key, nil); err != nil {
		return err
	}
	return t.putGroup(sub.Filter, g)
}

// leave ends a membership, and the group with its last one.
func (t *txn) leave(client, filter string) error {
	g, err := t.group(filter)
	if err != nil || g == nil {
		return err
	}
	key := memberKey(filter, client)
	if was, err := t.has(key); err != nil || !was {
		return err
	}
	if g.members--; g.members <= 0 {
		return t.deleteAll(namePrefix(nil, keyGroup, filter))
	}
	if err := t.delete(key); err != nil {
		return err
	}
	return t.putGroup(filter, g)
}

// has says whether key exists, whatever its value.
func (t *txn) has(key []byte) (bool, error) {
	value, err := t.get(key)
	return value != nil, err
}

// isBelow says that p is below the position of its queue in cursor.
func isBelow(p store.Position, cursor []store.Position) bool {
	i := slices.IndexFunc(cursor, func(q store.Position) bool { return q.Queue == p.Queue })
	return i >= 0 && p.Offset < cursor[i].Offset
}

func (t *txn) groupProgress(c *store.Change) error {
	filter := c.Subscription.Filter
	g, err := t.group(filter)
	if err != nil || g == nil || !slices.Equal(g.founded, c.Subscription.Start) {
		return err
	}
	g.cursor, g.outstanding = c.Cursor, c.Outstanding
	prefix := groupKey(filter, partExact)
	var passed [][]byte
	err = t.each(prefix, func(key, _ []byte) error {
		p, ok := splitExact(key[len(prefix):])
		if ok && isBelow(p, c.Cursor) && !slices.Contains(c.Outstanding, p) {
			passed = append(passed, bytes.Clone(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range passed {
		if err := t.delete(key); err != nil {
			return err
		}
	}
	return t.putGroup(filter, g)
}

// exactlyOnce applies the steps of an outgoing QoS 2 message.
func (t *txn) exactlyOnce(c *store.Change) error {
	in := c.Inflight[0]
	key := idKey(c.Client, partExactly, in.PacketID)
	switch c.Kind {
	case store.Send2:
		if err := t.begun(c.Client, &in); err != nil {
			return err
		}
		e := exactly{seq: t.rec.offset, inflight: in}
		return t.set(key, e.encode(nil))
	case store.Pubrec:
		value, err := t.get(key)
		if err != nil || value == nil {
			return err
		}
		var e exactly
		if err := e.decode(value); err != nil || e.inflight.Released {
			return err
		}
		e.inflight.Released, e.seq = true, t.rec.offset
		return t.set(key, e.encode(nil))
	default: // Done2
		return t.delete(key)
	}
}

// begun notes that the delivery of a QoS 2 message has begun: with the session, or with the group that it came through.
func (t *txn) begun(client string, in *store.Inflight) error {
	if in.Group != "" {
		g, err := t.group(in.Group)
		if err != nil || g == nil {
			return err
		}
		return t.set(exactKey(in.Group, in.At), nil)
	}
	if in.Retained {
		return nil
	}
	key := sent2Key(client, in.At.Queue)
	value, err := t.get(key)
	if err != nil {
		return err
	}
	if value != nil {
		if d := (decoder{b: value}); d.int() >= in.At.Offset {
			return nil
		}
	}
	return t.set(key, binary.AppendVarint(nil, in.At.Offset))
}

// startChunk bounds the memory of a start after a crash with many connected sessions.
const startChunk = 10000

// start begins a run: sessions that the former one left connected have lost their connection, and their expiry
// counts from now, the first moment that is known not to be earlier than the end of the connection.
func (t *txn) start() error {
	t.state.run = t.rec.offset
	for {
		type left struct {
			client string
			key    []byte
		}
		var list []left
		err := t.each([]byte{keyConnected}, func(key, _ []byte) error {
			run, client := splitNumber(key)
			if run >= t.state.run || len(list) == startChunk {
				return errStop
			}
			list = append(list, left{string(client), bytes.Clone(key)})
			return nil
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, l := range list {
			if err := t.abandon(l.client); err != nil {
				return err
			}
			if err := t.delete(l.key); err != nil {
				return err
			}
		}
		if len(list) < startChunk {
			return nil
		}
		// Without the state: a crash in between begins again from the state before, where these steps find
		// nothing left to do.
		if err := t.apply(); err != nil {
			return err
		}
	}
}

// abandon notes when a session whose process died ends, and when its will is due.
func (t *txn) abandon(client string) error {
	head, err := t.head(client)
	if err != nil || head == nil || !head.connected || head.due != 0 || head.willDue != 0 {
		return err
	}
	w, err := t.will(client)
	if err != nil {
		return err
	}
	if w != nil {
		if err := t.willFrom(client, head, t.rec.time+1000*int64(min(w.Delay, head.expiry))); err != nil {
			return err
		}
	}
	if head.expiry != neverExpires {
		head.due = t.rec.time + int64(head.expiry)*1000
		if err := t.set(numberKey(keyExpiry, head.due, client), nil); err != nil {
			return err
		}
	}
	return t.putHead(client, head)
}
