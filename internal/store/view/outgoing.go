package view

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// exactlyOnce applies the steps of an outgoing QoS 2 message.
func (t *Txn) exactlyOnce(c *store.Change) error {
	in := c.Inflight[0]
	key := idKey(c.Client, partExactly, in.PacketID)
	switch c.Kind {
	case store.Send2:
		if err := t.begun(c.Client, &in); err != nil {
			return err
		}
		e := exactly{seq: t.rec.Offset, inflight: in}
		return t.Set(key, e.encode(nil))
	case store.Pubrec:
		value, err := t.Get(key)
		if err != nil || value == nil {
			return err
		}
		var e exactly
		if err := e.decode(value); err != nil || e.inflight.Released {
			return err
		}
		e.inflight.Released, e.seq = true, t.rec.Offset
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
