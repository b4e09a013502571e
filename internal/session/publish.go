package session

import (
	"errors"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// publishing is the memory of one incoming PUBLISH.
type publishing struct {
	p mqtt.Publish
	m store.Message
}

var publishings = sync.Pool{New: func() any { return new(publishing) }}

// publish handles PUBLISH: the message goes to the store, its acknowledgement into the ring of its QoS.
func (c *Client) publish(h mqtt.Header, body []byte) error {
	pub := publishings.Get().(*publishing)
	defer func() {
		pub.m = store.Message{}
		publishings.Put(pub)
	}()
	p := &pub.p
	if err := p.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	if len(p.SubscriptionIDs) > 0 {
		return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "PUBLISH of a client with a subscription identifier"} // [MQTT-3.3.4-6]
	}
	name, err := c.topicOf(p)
	if err != nil {
		return err
	}
	c.m.stats.In.publish(p.QoS, len(p.Payload))
	if p.Retain && !c.m.opts.Capabilities.Retain {
		c.m.stats.Rejected[RejectedRetain].Add(1)
		c.m.log.Error("retained publish refused and connection closed: this server keeps no retained messages; they are turned off (enableMetaModule=false)",
			"client", c.id, "topic", name)
		return &mqtt.Error{Code: mqtt.RetainNotSupported, Reason: "retained messages are not available"} // [MQTT-3.2.2-14]
	}
	if !c.m.mayPublish(name) {
		return c.reject(p, mqtt.TopicNameInvalid, "the first level of this topic is reserved")
	}
	c.message(&pub.m, p, name)
	switch p.QoS {
	case 0:
		c.m.opts.Store.Append(&pub.m, appended0{c}, 0)
		return nil
	case 1:
		return c.publish1(&pub.m, p)
	}
	return c.publish2(&pub.m, p)
}

// topicOf is the topic name, by alias where one is used [MQTT-3.3.2-7 to -12].
func (c *Client) topicOf(p *mqtt.Publish) (string, error) {
	if p.TopicAlias == 0 {
		return c.intern(p.Topic), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := int(p.TopicAlias) - 1
	if i >= c.m.opts.Limits.TopicAliases {
		return "", &mqtt.Error{Code: mqtt.TopicAliasInvalid, Reason: "topic alias above the Topic Alias Maximum"}
	}
	if len(p.Topic) == 0 {
		if i >= len(c.in.aliases) || c.in.aliases[i] == "" {
			return "", &mqtt.Error{Code: mqtt.ProtocolError, Reason: "topic alias without a topic"}
		}
		return c.in.aliases[i], nil
	}
	for len(c.in.aliases) <= i {
		c.in.aliases = append(c.in.aliases, "")
	}
	c.in.aliases[i] = string(p.Topic)
	return c.in.aliases[i], nil
}

// intern spares a publisher that stays with one topic an allocation per message. Only the reading goroutine calls it.
func (c *Client) intern(name []byte) string {
	if string(name) != c.in.lastTopic {
		c.in.lastTopic = string(name)
	}
	return c.in.lastTopic
}

func (c *Client) message(m *store.Message, p *mqtt.Publish, name string) {
	*m = store.Message{Topic: name, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Origin: c.origin, Forward: p.Forward}
	if p.HasMessageExpiry {
		m.Expires = c.m.now() + 1000*int64(p.MessageExpiry)
	}
}

func (c *Client) publish1(m *store.Message, p *mqtt.Publish) error {
	c.mu.Lock()
	if err := c.quota(); err != nil {
		c.mu.Unlock()
		return err
	}
	token := c.in.qos1.Push(p.PacketID)
	c.mu.Unlock()
	c.m.opts.Store.Append(m, appended1{c}, token)
	return nil
}

func (c *Client) publish2(m *store.Message, p *mqtt.Publish) error {
	c.mu.Lock()
	how, again := c.in.received[p.PacketID]
	if again { // the message is there: only the answer is repeated [MQTT-4.3.3-10]; while it is on its way to the store, the answer is too
		if how != storing {
			c.in.qos2.Complete(c.in.qos2.Push(p.PacketID), mqtt.Success)
			c.acknowledge2()
		}
		c.mu.Unlock()
		return nil
	}
	if err := c.quota(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.in.receive(p.PacketID, storing)
	token := c.in.qos2.Push(p.PacketID)
	if c.expiry != 0 { // the packet id is as durable as the message (protocols 6)
		m.Client, m.PacketID = c.id, p.PacketID
	}
	c.mu.Unlock()
	c.m.opts.Store.Append(m, appended2{c}, token)
	return nil
}

// quota keeps what a client has under way within the Receive Maximum: who was told it must respect it
// [MQTT-3.3.4-9], others wait. c.mu is held.
func (c *Client) quota() error {
	most := c.m.opts.Limits.ReceiveMaximum
	if c.version == mqtt.V5 {
		if c.in.sent() >= most {
			return &mqtt.Error{Code: mqtt.ReceiveMaximumExceeded, Reason: "more messages under way than the Receive Maximum allows"}
		}
		return nil
	}
	if c.in.space.L == nil {
		c.in.space.L = &c.mu
	}
	for c.in.qos1.Len()+c.in.qos2.Len() >= most && !c.ended {
		c.in.space.Wait()
	}
	return nil
}

// reject answers a publish that is not taken: with a reason code where there is one, else by closing: a client below MQTT 5
// must not believe that the message arrived.
func (c *Client) reject(p *mqtt.Publish, code mqtt.ReasonCode, reason string) error {
	c.m.stats.Rejected[RejectedTopic].Add(1)
	if c.version != mqtt.V5 || p.QoS == 0 {
		return &mqtt.Error{Code: code, Reason: reason}
	}
	c.m.log.Warn("publish refused", "client", c.id, "code", byte(code), "reason", reason)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.QoS == 1 {
		c.in.qos1.Complete(c.in.qos1.Push(p.PacketID), code)
		c.acknowledge1()
		return nil
	}
	c.in.qos2.Complete(c.in.qos2.Push(p.PacketID), code)
	c.acknowledge2()
	return nil
}

// appended0 is told of QoS 0 publishes; the client is not.
type appended0 struct{ c *Client }

// Appended implements store.Completion.
func (a appended0) Appended(_ uint64, _ store.Position, err error) { a.c.publishCode(err) }

// appended1 completes QoS 1 publishes.
type appended1 struct{ c *Client }

// Appended implements store.Completion.
func (a appended1) Appended(token uint64, _ store.Position, err error) {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	a.c.in.qos1.Complete(token, a.c.publishCode(err))
	a.c.acknowledge1()
}

// appended2 completes QoS 2 publishes.
type appended2 struct{ c *Client }

// Appended implements store.Completion.
func (a appended2) Appended(token uint64, _ store.Position, err error) {
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	a.c.in.qos2.Complete(token, a.c.publishCode(err))
	a.c.acknowledge2()
}

// publishCode is the answer to a publish, by what the store said of it.
func (c *Client) publishCode(err error) mqtt.ReasonCode {
	if err == nil {
		return mqtt.Success
	}
	if errors.Is(err, store.ErrTaken) {
		return mqtt.SessionTakenOver
	}
	c.m.stats.Rejected[rejection(err)].Add(1)
	return c.storeCode(err, "publish not stored")
}

// storeCode is what a client is told when the store did not take something; event says what it was. SessionTakenOver is told by ending the
// connection alone.
func (c *Client) storeCode(err error, event string) mqtt.ReasonCode {
	if errors.Is(err, store.ErrTaken) {
		return mqtt.SessionTakenOver
	}
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrQuota) { // a limit does what it is for
		c.m.log.Warn(event, "client", c.id, "err", err)
		return mqtt.QuotaExceeded
	}
	if errors.Is(err, store.ErrAway) { // it says so by itself, and what to do
		c.m.log.Warn(event, "client", c.id, "err", err)
		return mqtt.UnspecifiedError
	}
	if errors.Is(err, store.ErrTopic) {
		c.m.log.Warn(event, "client", c.id, "err", err)
		return mqtt.TopicNameInvalid
	}
	c.m.log.Error(event, "client", c.id, "err", err)
	return mqtt.UnspecifiedError
}

// acknowledge1 sends the PUBACKs that are due. c.mu is held.
func (c *Client) acknowledge1() {
	for {
		id, code, ok := c.in.qos1.Take()
		if !ok {
			break
		}
		c.answer(mqtt.PUBACK, id, code)
	}
	c.in.wake()
}

// acknowledge2 sends the PUBRECs that are due. c.mu is held.
func (c *Client) acknowledge2() {
	for {
		id, code, ok := c.in.qos2.Take()
		if !ok {
			break
		}
		if code >= mqtt.UnspecifiedError {
			c.in.forget(id) // [MQTT-4.3.3-9]: the exchange is over
		} else if how, open := c.in.received[id]; open && how == storing {
			c.in.received[id] = stored
		}
		c.answer(mqtt.PUBREC, id, code)
	}
	c.in.wake()
}

// endFor ends the connection since the store did not take a step of it; event says which. Nothing was acknowledged: the client
// repeats it when it comes back. c.mu is held.
func (c *Client) endFor(err error, event string) {
	if c.storeCode(err, event) == mqtt.SessionTakenOver {
		c.endLocked(mqtt.SessionTakenOver, takenElsewhere)
		return
	}
	c.endLocked(mqtt.UnspecifiedError, "the store is not available")
}

// answer sends an acknowledgement; below MQTT 5 a failure can only be said by closing. c.mu is held.
func (c *Client) answer(t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	if c.ended {
		return
	}
	if code == mqtt.SessionTakenOver {
		c.endLocked(code, takenElsewhere)
		return
	}
	if code >= mqtt.UnspecifiedError && c.version != mqtt.V5 {
		c.endLocked(code, "")
		return
	}
	c.sendAck(c.ackPacket(t, id, code))
}

// sendAck is sendSmall for PUBACK, PUBREC, PUBREL and PUBCOMP. c.mu is held.
func (c *Client) sendAck(a *mqtt.Ack) {
	c.m.stats.Out.ack(a.Type)
	c.sendSmall(a)
}

func (c *Client) ackPacket(t mqtt.Type, id uint16, code mqtt.ReasonCode) *mqtt.Ack {
	a := &mqtt.Ack{Type: t, PacketID: id, Code: code}
	if code >= mqtt.UnspecifiedError && c.problem {
		a.Reason = reasonOf[code]
	}
	return a
}

var reasonOf = map[mqtt.ReasonCode]string{
	mqtt.QuotaExceeded:    "the store is full, the message too large, or there are too many retained messages",
	mqtt.TopicNameInvalid: "the first level of this topic is reserved, or has no place in the store",
	mqtt.UnspecifiedError: "the store is not available",
	mqtt.PacketIDNotFound: "no such packet id under way",
}
