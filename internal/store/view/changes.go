package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

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
		return t.putProgress(c.Client, &progress{cursor: c.Cursor, follows: c.Follows, inflight: c.Inflight})
	case store.Send2, store.Pubrec, store.Done2:
		return t.exactlyOnce(c)
	default:
		return t.incoming(c)
	}
}
