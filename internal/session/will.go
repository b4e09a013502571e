package session

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// A will is durable before CONNACK, with the session, also when that ends with its connection. It is published once: the
// very record that is the message removes it (store.Message.Will). When it is published:
//
//   - at the end of the connection, when it has no delay or the session ends with the connection;
//   - else when its delay is over, or the session, by sweep; not if the client is back by then [MQTT-3.1.3-9];
//   - after a crash, by sweep: the delay counts from the start;
//   - not after DISCONNECT with code 0 [MQTT-3.14.4-3], and not when this server stops.
//
// Where several processes share the store, that settles at each change of the session which wills are owed, and this package publishes those that it is told
// of (owed.go): what a process believes of a session whose client may be at another one by now decides nothing.

// willOf is what the store keeps of the will in CONNECT; nil: there is none.
func willOf(p *mqtt.Connect) *store.Will {
	if !p.HasWill {
		return nil
	}
	w := &p.Will
	return &store.Will{
		ID:        rand.Uint64(),
		Topic:     string(w.Topic),
		Payload:   append([]byte(nil), w.Payload...),
		QoS:       w.QoS,
		Retain:    w.Retain,
		Delay:     w.Delay,
		HasExpiry: w.HasMessageExpiry,
		Expiry:    w.MessageExpiry,
		Forward:   append([]byte(nil), w.Forward...),
	}
}

// admitWill checks the will of a CONNECT.
func (c *Client) admitWill(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	switch {
	case !p.HasWill:
		return mqtt.Success, ""
	case !c.m.opts.Capabilities.Will || p.Will.Retain && !c.m.opts.Capabilities.Retain:
		return c.refusedWill(p)
	case !topic.ValidName(p.Will.Topic) || !c.m.mayPublish(string(p.Will.Topic)):
		return mqtt.TopicNameInvalid, "the topic of the will is not valid, or its first level is reserved"
	}
	return mqtt.Success, ""
}

// refusedWill is protocols 9: a server that cannot keep a will refuses the connection instead of forgetting it.
func (c *Client) refusedWill(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	c.m.log.Error("connection with a will refused: this server has no wills; they are turned off (enableMetaModule=false)",
		"client", c.id, "topic", string(p.Will.Topic))
	switch {
	case p.Version != mqtt.V5:
		return mqtt.NotAuthorized, "wills are not available" // 3 would make clients try for ever
	case p.Will.Retain:
		return mqtt.RetainNotSupported, "retained messages are not available" // [MQTT-3.2.2-13]
	}
	return mqtt.ImplementationSpecific, "wills are not available"
}

// willDelay is how long after its connection a session's will is due, in seconds.
func willDelay(w *store.Will, expiry uint32) uint32 { return min(w.Delay, expiry) }

// willMessage is the message that the will of client is.
func (m *Manager) willMessage(client string, w *store.Will) *store.Message {
	msg := &store.Message{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain, Origin: xxhash.Sum64String(client), Forward: w.Forward}
	if w.HasExpiry {
		msg.Expires = m.now() + 1000*int64(w.Expiry)
	}
	return msg
}

// publishWill publishes the will of client and removes it from the session. An error means that it is still there.
func (m *Manager) publishWill(client string, w *store.Will) error {
	msg := m.willMessage(client, w)
	if msg.QoS > 0 {
		msg.Client, msg.Will, msg.WillID = client, true, w.ID
	} else if err := m.change(&store.Change{Kind: store.WillDone, Client: client}); err != nil {
		return err
	}
	err := m.appendWill(client, msg)
	if errors.Is(err, store.ErrTooLarge) {
		m.log.Error("a will cannot be published", "client", client, "topic", w.Topic, "err", err)
		return m.change(&store.Change{Kind: store.WillDone, Client: client})
	}
	return err
}

// appendWill publishes msg, which is the will of client; without RETAIN where it cannot be retained.
func (m *Manager) appendWill(client string, msg *store.Message) error {
	err := m.append(msg)
	if errors.Is(err, store.ErrQuota) { // nobody is there to be told; those who are subscribed shall know
		m.stats.Dropped[DropRetained].Add(1)
		m.log.Warn("a will is published, but not retained", "client", client, "topic", msg.Topic, "err", err)
		msg.Retain = false
		err = m.append(msg)
	}
	return err
}

// looseWill publishes a will that is in no session any more.
func (m *Manager) looseWill(client string, w *store.Will) {
	if err := m.appendWill(client, m.willMessage(client, w)); err != nil {
		m.log.Error("a will could not be published, and is lost", "client", client, "topic", w.Topic, "err", err)
	}
}

// lateWill publishes the will of a session whose time was over between settleWill and Connect.
func (m *Manager) lateWill(old *store.Session) {
	if m.opts.Capabilities.Will && !m.owed.shared && old.Will != nil && old.WillAt != 0 && m.over(old) {
		m.looseWill(old.Client, old.Will)
	}
}

// append appends msg and waits until it is durable, or this process stops.
func (m *Manager) append(msg *store.Message) error {
	w := waiter{make(chan error, 1)}
	m.opts.Store.Append(msg, w, 0)
	select {
	case err := <-w.err:
		return err
	case <-m.stop:
		return errStopping
	}
}

// errStopping says that what became of a message was not waited for.
var errStopping = errors.New("the server stops")

// willAtEnd publishes the will at the end of the connection, when that is the time for it. due is when it is to be
// published otherwise, in Unix milliseconds; 0: there is none any more.
func (c *Client) willAtEnd() (due int64) {
	c.mu.Lock()
	w, expiry := c.will, c.expiry
	c.mu.Unlock()
	if w == nil {
		return 0
	}
	if delay := willDelay(w, expiry); delay > 0 {
		return c.m.opts.Now().Add(time.Duration(delay) * time.Second).UnixMilli()
	}
	if c.m.owed.shared {
		return store.AtOnce
	}
	if err := c.m.publishWill(c.id, w); err != nil {
		c.m.log.Error("a will could not be published; it is tried again", "client", c.id, "topic", w.Topic, "err", err)
		return c.m.now()
	}
	return 0
}

// settleWill publishes the will of a session that is not connected, when it is due or the session ends, and takes it off old.
func (m *Manager) settleWill(old *store.Session, ends bool) error {
	if !m.opts.Capabilities.Will || m.owed.shared || old.Will == nil || old.WillAt == 0 || !ends && old.WillAt > m.now() {
		return nil
	}
	if err := m.publishWill(old.Client, old.Will); err != nil {
		return err
	}
	old.Will = nil
	return nil
}

// sweepWills publishes the wills that are due, a bounded number at a time.
func (m *Manager) sweepWills() {
	if !m.opts.Capabilities.Will || m.owed.shared {
		return
	}
	ids, err := m.opts.Store.WillsDue(m.opts.Now(), sweepMost)
	if err != nil {
		m.log.Error("listing the wills that are due failed", "err", err)
		return
	}
	for _, id := range ids {
		m.alone(id, func(old *store.Session) {
			if err := m.settleWill(old, false); err != nil && !errors.Is(err, errStopping) {
				m.log.Error("a will could not be published; it is tried again", "client", id, "topic", old.Will.Topic, "err", err)
			}
		})
	}
}
