package session

import (
	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// ack handles PUBACK, PUBREC, PUBREL and PUBCOMP.
func (c *Client) ack(h mqtt.Header, body []byte) error {
	a := mqtt.Ack{Type: h.Type}
	if err := a.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	c.m.stats.In.ack(h.Type)
	switch h.Type {
	case mqtt.PUBACK:
		return c.puback(a.PacketID)
	case mqtt.PUBREC:
		return c.pubrec(a.PacketID, a.Code)
	case mqtt.PUBREL:
		return c.pubrel(a.PacketID)
	}
	return c.pubcomp(a.PacketID)
}

// puback ends a QoS 1 delivery, whatever its code says [MQTT-4.4.0-2]. An id that is not under way is ignored.
func (c *Client) puback(id uint16) error {
	c.mu.Lock()
	e := c.out.window.Get(id)
	if e == nil {
		c.mu.Unlock()
		return nil
	}
	if e.QoS != 1 {
		c.mu.Unlock()
		return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "PUBACK for a message of QoS 2"}
	}
	done, _ := c.out.window.Remove(id)
	c.out.stale = c.out.stale || done.Recorded
	c.room()
	c.mu.Unlock()
	c.settledInGroup(&done)
	return nil
}

// pubrec: the client has the message; that is recorded before it is told PUBREL (protocols 6). A code of 0x80 and above ends the delivery [MQTT-4.3.3-4].
func (c *Client) pubrec(id uint16, code mqtt.ReasonCode) error {
	c.mu.Lock()
	e := c.out.window.Get(id)
	if e == nil {
		c.sendAck(c.ackPacket(mqtt.PUBREL, id, mqtt.PacketIDNotFound))
		c.mu.Unlock()
		return nil
	}
	if e.QoS != 2 {
		c.mu.Unlock()
		return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "PUBREC for a message of QoS 1"}
	}
	if code >= mqtt.UnspecifiedError {
		c.mu.Unlock()
		return c.pubcomp(id)
	}
	e.Released = true
	if !e.Recorded {
		c.sendAck(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: id})
		c.mu.Unlock()
		return nil
	}
	ch := store.Change{Kind: store.Pubrec, Client: c.id, Inflight: []store.Inflight{e.Inflight}}
	c.mu.Unlock()
	c.m.opts.Store.Change(&ch, answered{c}, token(mqtt.PUBREL, id))
	return nil
}

// pubcomp ends a QoS 2 delivery. With order held, that is in the log before what its id is used for next: else it would end that.
func (c *Client) pubcomp(id uint16) error {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	e := c.out.window.Get(id)
	if e == nil {
		c.mu.Unlock()
		return nil
	}
	if e.QoS != 2 {
		c.mu.Unlock()
		return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "PUBCOMP for a message of QoS 1"}
	}
	done, _ := c.out.window.Remove(id)
	c.room()
	c.mu.Unlock()
	if done.Recorded {
		c.m.opts.Store.Change(&store.Change{Kind: store.Done2, Client: c.id, Inflight: []store.Inflight{done.Inflight}}, nil, 0)
	}
	c.settledInGroup(&done)
	return nil
}

// pubrel ends the receipt of a QoS 2 message; the id is forgotten durably before PUBCOMP (protocols 6).
func (c *Client) pubrel(id uint16) error {
	durably, err := c.release(id)
	if err != nil || !durably {
		return err
	}
	c.m.opts.Store.Change(&store.Change{Kind: store.Release, Client: c.id, PacketID: id}, answered{c}, token(mqtt.PUBCOMP, id))
	return nil
}

// release answers PUBREL at once, unless the store must forget the id first.
func (c *Client) release(id uint16) (durably bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how, open := c.in.received[id]
	switch {
	case !open:
		c.sendAck(c.ackPacket(mqtt.PUBCOMP, id, mqtt.PacketIDNotFound)) // below MQTT 5 it has no code
	case how == storing:
		return false, &mqtt.Error{Code: mqtt.ProtocolError, Reason: "PUBREL before PUBREC"}
	case how == releasing: // it came twice: the answer to the first is on its way
	case c.expiry == 0:
		c.in.forget(id)
		c.sendAck(&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: id})
	default:
		c.in.received[id] = releasing
		return true, nil
	}
	return false, nil
}

// answered sends the packet that a token names once the step before it is durable.
type answered struct{ c *Client }

func token(t mqtt.Type, id uint16) uint64 { return uint64(t)<<16 | uint64(id) }

// Appended implements store.Completion.
func (a answered) Appended(token uint64, _ store.Position, err error) {
	t, id := mqtt.Type(token>>16), uint16(token)
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	if a.c.ended {
		return
	}
	if err != nil {
		a.c.endFor(err, "progress of a QoS 2 exchange not stored")
		return
	}
	if t == mqtt.PUBCOMP {
		a.c.in.forget(id)
	}
	a.c.sendAck(&mqtt.Ack{Type: t, PacketID: id})
}

// settledInGroup tells a shared subscription's group that a message is done with.
func (c *Client) settledInGroup(e *inflight.Entry) {
	if e.Group != "" {
		c.m.groups.acked(&e.Inflight)
	}
}
