package local

import (
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// txn applies records of the log to the view: all of a batch, or none.
type txn struct {
	*view.Txn
	v     *sessionView
	state viewState
}

func (v *sessionView) txn() *txn { return &txn{Txn: view.Begin(v.db), v: v, state: v.state} }

// commit makes what was applied visible and notes that everything below next is; below durable it was synced.
func (t *txn) commit(next, durable int64) error {
	t.state.next, t.state.durable = next, durable
	t.state.sessions = t.v.state.sessions + t.Sessions()
	if t.Empty() {
		t.v.state = t.state
		return nil
	}
	if err := t.Set([]byte{keyState}, t.state.encode()); err != nil {
		return err
	}
	if err := t.Apply(); err != nil {
		return err
	}
	t.v.state = t.state
	t.v.publish()
	return nil
}

// record applies one record that stands at pos of its segment.
func (t *txn) record(h *header, body []byte, pos int64) error {
	if err := t.v.index.record(t, h, body, pos); err != nil {
		return err
	}
	switch h.kind {
	case kindMessage:
		return t.message(h, body)
	case kindRetained:
		return t.retain(h, body)
	case kindRetainedOver:
		return t.retainedOver(h, body)
	case kindChange:
		c, err := view.ParseChange(body)
		if err != nil {
			return fmt.Errorf("offset %d: %w", h.offset, err)
		}
		if err := t.Change(t.at(h), &c); err != nil {
			return fmt.Errorf("apply the change at offset %d: %w", h.offset, err)
		}
		return nil
	case kindStart:
		t.state.run = h.offset
		return t.EndRunsBelow(t.at(h))
	}
	return fmt.Errorf("record at offset %d is of unknown kind %d; use the version that wrote it: %w", h.offset, h.kind, store.ErrCorrupt)
}

// at is where the record with header h stands.
func (t *txn) at(h *header) *view.Record {
	return &view.Record{Offset: h.offset, Time: h.time, Run: t.state.run}
}

// message applies what a message says beside itself.
func (t *txn) message(h *header, body []byte) error {
	if h.flags&flagRetain != 0 {
		if err := t.retain(h, body); err != nil {
			return err
		}
	}
	if h.flags&flagClient == 0 {
		return nil
	}
	p, err := parseMessage(h, body)
	if err != nil {
		return err
	}
	if h.flags&flagWill != 0 {
		return t.WillDone(p.client)
	}
	return t.Received(p.client, p.packetID)
}
