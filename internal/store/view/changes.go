package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const neverExpires = 0xFFFFFFFF

// Change applies c, which stands in r. A change of a session or group that does not exist (any more) does nothing: its writer lost a
// race against Remove.
func (t *Txn) Change(r *Record, c *store.Change) error {
	t.rec = r
	if err := Sound(c); err != nil {
		return err
	}
	switch c.Kind {
	case store.Connect:
		return t.connect(c)
	case store.Remove:
		return t.makeWay(c.Client, nil)
	case store.GroupProgress:
		return t.groupProgress(c)
	case store.Checkpoint:
		return t.putCheckpoint(c.Cursor)
	case store.Note:
		return t.note(c.Cursor[0].Queue, c.Value)
	}
	head, err := t.Head(c.Client)
	if err != nil || head == nil {
		return err
	}
	if c.Kind == store.Detach {
		return t.detach(c, head)
	}
	return t.changeSession(c)
}

// changeSession applies a change of a session that is there.
func (t *Txn) changeSession(c *store.Change) error {
	switch c.Kind {
	case store.Subscribe:
		return t.subscribe(c)
	case store.Unsubscribe:
		return t.unsubscribe(c.Client, c.Subscription.Filter)
	case store.WillDone:
		return t.WillDone(c.Client)
	case store.Progress:
		p := progress{cursor: c.Cursor, follows: c.Follows, at: t.rec.Offset, inflight: lazily(c.Inflight)}
		return t.Set(sessionKey(c.Client, partProgress), p.encode(nil))
	case store.Send2, store.Pubrec, store.Done2:
		return t.exactlyOnce(c)
	default:
		return t.incoming(c)
	}
}

// Head returns the head of a session; nil when there is none.
func (t *Txn) Head(client string) (*Head, error) {
	value, err := t.Get(sessionKey(client, partHead))
	if err != nil || value == nil {
		return nil, err
	}
	h, d := new(Head), Decoder{B: value}
	h.read(&d)
	return h, d.end()
}

func (t *Txn) putHead(client string, h *Head) error {
	return t.Set(sessionKey(client, partHead), h.encode(nil))
}

// connect begins or resumes a session.
func (t *Txn) connect(c *store.Change) error {
	if c.Clean {
		if err := t.makeWay(c.Client, nil); err != nil {
			return err
		}
	}
	head, err := t.Head(c.Client)
	if err != nil {
		return err
	}
	if head == nil {
		head = &Head{Created: t.rec.Time}
		t.sessions++
	} else if err := t.endFollowing(c.Client, head); err != nil {
		return err
	}
	if err := t.unindex(c.Client, head); err != nil {
		return err
	}
	if err := t.setWill(c.Client, c.Will); err != nil {
		return err
	}
	head.Principal, head.Expiry, head.ExpiresAt = c.Principal, c.Expiry, 0
	head.Connected, head.Run = true, t.rec.Run
	if err := t.Set(NumberKey(keyConnected, head.Run, c.Client), nil); err != nil {
		return err
	}
	return t.putHead(c.Client, head)
}

// endFollowing settles where a session stands whose former connection ended without Detach: at the last checkpoint
// of the run that it belonged to. Checkpoints of this run are not about what it did there.
func (t *Txn) endFollowing(client string, head *Head) error {
	key := sessionKey(client, partProgress)
	value, err := t.Get(key)
	if err != nil || value == nil {
		return err
	}
	p, d := progress{}, Decoder{B: value}
	p.read(&d)
	if err := d.end(); err != nil || !p.follows {
		return err
	}
	if err := p.resolve(t.reader(), head); err != nil {
		return err
	}
	p.follows = false
	return t.Set(key, p.encode(nil))
}

// unindex removes a session from the indexes of connections, of expiry and of wills.
func (t *Txn) unindex(client string, h *Head) error {
	if h.Connected {
		if err := t.Delete(NumberKey(keyConnected, h.Run, client)); err != nil {
			return err
		}
	}
	if h.Due != 0 {
		if err := t.Delete(NumberKey(keyExpiry, h.Due, client)); err != nil {
			return err
		}
	}
	if h.WillDue != 0 {
		if err := t.Delete(NumberKey(keyWill, h.WillDue, client)); err != nil {
			return err
		}
	}
	h.Due, h.WillDue = 0, 0
	return nil
}

// setWill makes w the session's will; nil: none.
func (t *Txn) setWill(client string, w *store.Will) error {
	key := sessionKey(client, partWill)
	if w == nil {
		return t.Delete(key)
	}
	return t.Set(key, appendWill(nil, w))
}

// will returns the session's will; nil: none.
func (t *Txn) will(client string) (*store.Will, error) {
	value, err := t.Get(sessionKey(client, partWill))
	if err != nil || value == nil {
		return nil, err
	}
	d := Decoder{B: value}
	return d.will(), d.end()
}

// WillDone ends a will.
func (t *Txn) WillDone(client string) error {
	head, err := t.Head(client)
	if err != nil || head == nil {
		return err
	}
	if head.WillDue != 0 {
		if err := t.Delete(NumberKey(keyWill, head.WillDue, client)); err != nil {
			return err
		}
		head.WillDue = 0
		if err := t.putHead(client, head); err != nil {
			return err
		}
	}
	return t.setWill(client, nil)
}

// willFrom notes that the session's will is due at a time, or with 0 that it has none any more. head is to be put.
func (t *Txn) willFrom(client string, head *Head, due int64) error {
	if due == 0 {
		return t.setWill(client, nil)
	}
	if has, err := t.Has(sessionKey(client, partWill)); err != nil || !has {
		return err
	}
	head.WillDue = due
	return t.Set(NumberKey(keyWill, due, client), nil)
}

func (t *Txn) detach(c *store.Change, head *Head) error {
	if err := t.unindex(c.Client, head); err != nil {
		return err
	}
	head.Connected, head.Expiry, head.ExpiresAt, head.Due = false, c.Expiry, c.ExpiresAt, c.ExpiresAt
	if head.Due != 0 {
		if err := t.Set(NumberKey(keyExpiry, head.Due, c.Client), nil); err != nil {
			return err
		}
	}
	if err := t.willFrom(c.Client, head, c.WillAt); err != nil {
		return err
	}
	p := progress{cursor: c.Cursor, sentUpTo: c.SentUpTo, at: t.rec.Offset, inflight: lazily(c.Inflight)}
	if err := t.Set(sessionKey(c.Client, partProgress), p.encode(nil)); err != nil {
		return err
	}
	return t.putHead(c.Client, head)
}

// lazily returns the part of list that Progress replaces, in a list of its own. What is known of QoS 2 comes from its own changes alone.
func lazily(list []store.Inflight) []store.Inflight {
	var out []store.Inflight
	for i := range list {
		if list[i].QoS == 1 {
			out = append(out, list[i])
		}
	}
	return out
}

func (t *Txn) subscribe(c *store.Change) error {
	sub := &c.Subscription
	if isShared(sub.Filter) {
		if err := t.join(c.Client, sub); err != nil {
			return err
		}
	}
	return t.Set(filterKey(c.Client, sub.Filter), appendSubscription(nil, sub))
}

func (t *Txn) unsubscribe(client, filter string) error {
	if isShared(filter) {
		if err := t.leave(client, filter); err != nil {
			return err
		}
	}
	return t.Delete(filterKey(client, filter))
}
