package local

import (
	"bytes"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const neverExpires = 0xFFFFFFFF

// change applies c. A change of a session or group that does not exist (any more) does nothing: its writer lost a
// race against Remove.
func (t *txn) change(c *store.Change) error {
	if err := sound(c); err != nil {
		return err
	}
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
	case store.Note:
		return t.note(c.Cursor[0].Queue, c.Value)
	}
	head, err := t.head(c.Client)
	if err != nil || head == nil {
		return err
	}
	if c.Kind == store.Detach {
		return t.detach(c, head)
	}
	return t.changeSession(c)
}

// changeSession applies a change of a session that is there.
func (t *txn) changeSession(c *store.Change) error {
	switch c.Kind {
	case store.Subscribe:
		return t.subscribe(c)
	case store.Unsubscribe:
		return t.unsubscribe(c.Client, c.Subscription.Filter)
	case store.WillDone:
		return t.willDone(c.Client)
	case store.Progress:
		p := progress{cursor: c.Cursor, follows: c.Follows, at: t.rec.offset, inflight: lazily(c.Inflight)}
		return t.set(sessionKey(c.Client, partProgress), p.encode(nil))
	case store.Send2, store.Pubrec, store.Done2:
		return t.exactlyOnce(c)
	default:
		return t.incoming(c)
	}
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
