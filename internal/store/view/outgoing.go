package view

import (
	"cmp"
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// exactly is the value of an outgoing QoS 2 message's key.
type exactly struct {
	store.Inflight
	step step // of its last change: the order of sending, or of releasing
}

// step is the place of a change among all about its client: that of its record, and one record may carry several.
type step struct {
	offset int64
	n      uint64
}

func (s step) compare(o step) int {
	return cmp.Or(cmp.Compare(s.offset, o.offset), cmp.Compare(s.n, o.n))
}

// step returns the next one of the record that is being applied. They are counted through the transaction, which has the whole of a record.
func (t *Txn) step() step {
	t.steps++
	return step{t.rec.Offset, t.steps}
}

func (e *exactly) encode(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendVarint(b, e.step.offset), e.step.n)
	return appendMessage(b, &e.Inflight)
}

func (d *Decoder) exactly() exactly {
	return exactly{step: step{d.Int(), d.Uint()}, Inflight: d.message()}
}

// compare puts what was released first.
func (e exactly) compare(o exactly) int {
	return cmp.Or(cmp.Compare(bit(o.Released, 1), bit(e.Released, 1)), e.step.compare(o.step))
}

// exactlyOnce applies the steps of an outgoing QoS 2 message.
func (t *Txn) exactlyOnce(c *store.Change) error {
	in := c.Inflight[0]
	key := idKey(c.Client, partExactly, in.PacketID)
	switch c.Kind {
	case store.Send2:
		if err := t.begun(c.Client, &in); err != nil {
			return err
		}
		e := exactly{Inflight: in, step: t.step()}
		return t.Set(key, e.encode(nil))
	case store.Pubrec:
		value, err := t.Get(key)
		if err != nil || value == nil {
			return err
		}
		d := Decoder{B: value}
		e := d.exactly()
		if err := d.end(); err != nil || e.Released {
			return err
		}
		e.Released, e.step = true, t.step()
		return t.Set(key, e.encode(nil))
	default: // Done2
		return t.Delete(key)
	}
}

// begun notes that the delivery of a QoS 2 message has begun: with the session, or with the group that it came through.
func (t *Txn) begun(client string, in *store.Inflight) error {
	if in.Group != "" {
		g, err := t.group(in.Group)
		if err != nil || g == nil {
			return err
		}
		return t.Set(exactKey(in.Group, in.At), nil)
	}
	if in.Retained {
		return nil
	}
	key := sent2Key(client, in.At.Queue)
	value, err := t.Get(key)
	if err != nil {
		return err
	}
	if value != nil {
		if d := (Decoder{B: value}); d.Int() >= in.At.Offset {
			return nil
		}
	}
	return t.Set(key, binary.AppendVarint(nil, in.At.Offset))
}
