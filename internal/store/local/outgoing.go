package local

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

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
