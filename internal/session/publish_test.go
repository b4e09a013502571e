package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// All QoS of publisher and subscriber, all versions: what arrives has the lower QoS [MQTT-3.8.4-8].
func TestPublishMatrix(t *testing.T) {
	for _, from := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for _, to := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
			b := newBroker(t)
			pub, _ := b.connect(from, "pub")
			for sq := range byte(3) {
				sub, _ := b.connect(to, fmt.Sprint("sub", sq))
				sub.subscribe("a/+", sq)
				for pq := range byte(3) {
					payload := fmt.Sprint(sq, pq)
					pub.send("a/b", payload, pq)
					got := sub.wantPublish("a/b", payload, min(sq, pq))
					if got.Dup {
						t.Fatal("DUP on a first delivery")
					}
					sub.accept(got)
				}
				sub.packet(&mqtt.Disconnect{})
				sub.wantClosed()
			}
		}
	}
}

// send publishes and goes through the acknowledgements.
func (cl *client) send(topic, payload string, qos byte, change ...func(*mqtt.Publish)) {
	cl.t.Helper()
	switch qos {
	case 0:
		cl.publish(topic, payload, 0, 0, change...)
	case 1:
		cl.publish(topic, payload, 1, 9, change...)
		cl.wantAck(mqtt.PUBACK, 9, mqtt.Success)
	case 2:
		cl.publish(topic, payload, 2, 9, change...)
		cl.wantAck(mqtt.PUBREC, 9, mqtt.Success)
		cl.ack(mqtt.PUBREL, 9)
		cl.wantAck(mqtt.PUBCOMP, 9, mqtt.Success)
	}
}

// accept acknowledges a message.
func (cl *client) accept(p *mqtt.Publish) {
	cl.t.Helper()
	switch p.QoS {
	case 1:
		cl.ack(mqtt.PUBACK, p.PacketID)
	case 2:
		cl.ack(mqtt.PUBREC, p.PacketID)
		cl.wantAck(mqtt.PUBREL, p.PacketID, mqtt.Success)
		cl.ack(mqtt.PUBCOMP, p.PacketID)
	}
}

// A QoS 2 message that is sent again before PUBREL is not stored again [MQTT-4.3.3-10], over a restart neither.
func TestPublishQoS2Once(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V311, "sub", keep)
	sub.subscribe("x", 2)
	pub, _ := b.connect(mqtt.V311, "pub", keep)
	pub.publish("x", "1", 2, 5)
	pub.wantAck(mqtt.PUBREC, 5, mqtt.Success)
	pub.publish("x", "1", 2, 5, func(p *mqtt.Publish) { p.Dup = true })
	pub.wantAck(mqtt.PUBREC, 5, mqtt.Success)
	sub.accept(sub.wantPublish("x", "1", 2))
	b.restart()

	pub, ack := b.connect(mqtt.V311, "pub", keep)
	if !ack.SessionPresent {
		t.Fatal("no session")
	}
	sub, _ = b.connect(mqtt.V311, "sub", keep)
	pub.publish("x", "1", 2, 5, func(p *mqtt.Publish) { p.Dup = true })
	pub.wantAck(mqtt.PUBREC, 5, mqtt.Success)
	pub.ack(mqtt.PUBREL, 5)
	pub.wantAck(mqtt.PUBCOMP, 5, mqtt.Success)
	pub.ack(mqtt.PUBREL, 5)
	pub.wantAck(mqtt.PUBCOMP, 5, mqtt.Success)
	pub.send("x", "2", 2)
	sub.accept(sub.wantPublish("x", "2", 2))
	sub.nothing()
}

// PUBREL for an id that is not under way: 0x92 in MQTT 5.
func TestPubrelUnknown(t *testing.T) {
	b := newBroker(t)
	cl, _ := b.connect(mqtt.V5, "a")
	cl.ack(mqtt.PUBREL, 3)
	cl.wantAck(mqtt.PUBCOMP, 3, mqtt.PacketIDNotFound)
	cl.ack(mqtt.PUBREC, 3)
	cl.wantAck(mqtt.PUBREL, 3, mqtt.PacketIDNotFound)
	cl.ack(mqtt.PUBACK, 3)
	cl.nothing()
}

// Topic aliases of a publisher [MQTT-3.3.2-7 to -12].
func TestPublishAliases(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.TopicAliases = 2 })
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("#", 0)
	alias := func(n uint16) func(*mqtt.Publish) { return func(p *mqtt.Publish) { p.TopicAlias = n } }
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.publish("one", "1", 0, 0, alias(1))
	pub.publish("two", "2", 0, 0, alias(2))
	pub.publish("", "3", 0, 0, alias(1))
	pub.publish("three", "4", 0, 0, alias(1))
	pub.publish("", "5", 0, 0, alias(1))
	for i, topic := range []string{"one", "two", "one", "three", "three"} {
		sub.wantPublish(topic, fmt.Sprint(i+1), 0)
	}
	pub.publish("x", "6", 0, 0, alias(3))
	pub.wantDisconnect(mqtt.TopicAliasInvalid)
	pub, _ = b.connect(mqtt.V5, "pub") // aliases end with the connection [MQTT-3.3.2-7]
	pub.publish("", "7", 0, 0, alias(1))
	pub.wantDisconnect(mqtt.ProtocolError)
}

// Topics that belong to the server or to RocketMQ are refused, and MQTT 3.1.1 closes.
func TestPublishReserved(t *testing.T) {
	b := newBroker(t)
	for _, topic := range []string{"$SYS/x", "$share/g/x", "%RETRY%g", "MQTT_SYS_SESSION", "RMQ_SYS_TRACE_TOPIC/x", "rmq_sys_wheel_timer", "TBW102"} {
		five, _ := b.connect(mqtt.V5, "five")
		five.publish(topic, "", 1, 1)
		five.wantAck(mqtt.PUBACK, 1, mqtt.TopicNameInvalid)
		five.publish(topic, "", 2, 2)
		five.wantAck(mqtt.PUBREC, 2, mqtt.TopicNameInvalid)
		three, _ := b.connect(mqtt.V311, "three")
		three.publish(topic, "", 1, 1)
		three.wantClosed()
		three.nothing()
	}
}

// RETAIN is refused at every QoS while there are no retained messages, an empty payload included [MQTT-3.2.2-14].
func TestPublishRetainRefused(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("#", 2)
	for qos := range byte(3) {
		for _, payload := range []string{"x", ""} {
			five, _ := b.connect(mqtt.V5, "five")
			retain := func(p *mqtt.Publish) { p.Retain = true }
			five.publish("t", payload, qos, uint16(qos), retain)
			five.wantDisconnect(mqtt.RetainNotSupported)
			three, _ := b.connect(mqtt.V311, "three")
			three.publish("t", payload, qos, uint16(qos), retain)
			three.wantClosed()
		}
	}
	sub.nothing()
}

// More under way than the Receive Maximum allows [MQTT-3.3.4-9] is answered 0x93.
func TestPublishReceiveMaximum(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ReceiveMaximum = 2 })
	cl, _ := b.connect(mqtt.V5, "a")
	for id := range uint16(2) {
		cl.publish("x", "", 2, id+1)
		cl.wantAck(mqtt.PUBREC, id+1, mqtt.Success)
	}
	cl.publish("x", "", 2, 3)
	cl.wantDisconnect(mqtt.ReceiveMaximumExceeded)
}

// Acknowledgements come in the order of the publishes [MQTT-4.6.0-2] [MQTT-4.6.0-3]; an MQTT 3.1.1 client may send more than the
// limit and waits for it.
func TestPublishAckOrder(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ReceiveMaximum = 8 })
	cl, _ := b.connect(mqtt.V311, "a")
	const n = 500
	for id := uint16(1); id <= n; id++ {
		cl.publish("x", "", 1+byte(id%2), id)
	}
	next1, next2 := uint16(2), uint16(1)
	for range n {
		var r received
		select {
		case r = <-cl.got:
		case <-time.After(patience):
			t.Fatal("acknowledgements are missing")
		}
		a := mqtt.Ack{Type: r.h.Type}
		if err := a.Decode(mqtt.V311, r.h.Flags, r.body); err != nil {
			t.Fatal(err)
		}
		next := &next1
		if r.h.Type == mqtt.PUBREC {
			next = &next2
		}
		if a.PacketID != *next {
			t.Fatalf("%v %d, want %d", a.Type, a.PacketID, *next)
		}
		*next += 2
	}
}

// A client that sends PUBREL twice may use the packet id again as soon as PUBCOMP came; that message is received once as well.
func TestPubrelTwice(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V311, "sub")
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V311, "pub", keep)
	pub.publish("t", "first", 2, 7)
	pub.wantAck(mqtt.PUBREC, 7, mqtt.Success)
	releases := 0
	h.on(store.Release, func(*store.Change) { releases++ })
	pub.ack(mqtt.PUBREL, 7)
	pub.ack(mqtt.PUBREL, 7)
	pub.wantAck(mqtt.PUBCOMP, 7, mqtt.Success)
	if releases != 1 {
		t.Errorf("the id was released %d times", releases)
	}
	for range 2 {
		pub.publish("t", "second", 2, 7)
		pub.wantAck(mqtt.PUBREC, 7, mqtt.Success)
	}
	first, second := sub.wantPublish("t", "first", 2), sub.wantPublish("t", "second", 2)
	sub.accept(first)
	sub.accept(second)
	sub.nothing()
}

// A subscription identifier is the server's to send [MQTT-3.3.4-6].
func TestPublishSubscriptionIdentifier(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("t", 2)
	for qos := range byte(3) {
		pub, _ := b.connect(mqtt.V5, "pub")
		pub.publish("t", "m", qos, uint16(qos), func(p *mqtt.Publish) { p.SubscriptionIDs = []uint32{1} })
		pub.wantDisconnect(mqtt.ProtocolError)
	}
	sub.nothing()
}

// A reason for which the client has no room is left out, and the packet comes nevertheless.
func TestAnswersFit(t *testing.T) {
	b := newBroker(t)
	small := func(p *mqtt.Connect) { p.MaximumPacketSize = 32 }
	_, ack := b.tryConnect(mqtt.V5, "refused", small, func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("X") })
	if ack.Code != mqtt.BadAuthMethod || ack.Reason != "" {
		t.Errorf("CONNACK %s, reason %q", ack.Code, ack.Reason)
	}
	tiny := func(p *mqtt.Connect) { p.MaximumPacketSize = 10 }
	if _, ack = b.tryConnect(mqtt.V5, "tiny", tiny); ack.Code != mqtt.PacketTooLarge || ack.Reason != "" {
		t.Errorf("CONNACK %s, reason %q", ack.Code, ack.Reason)
	}
	cl, _ := b.connect(mqtt.V5, "cl", small)
	cl.publish("$SYS/x", "", 1, 1)
	cl.wantAck(mqtt.PUBACK, 1, mqtt.TopicNameInvalid)
	cl.publish("$SYS/x", "", 2, 2)
	cl.wantAck(mqtt.PUBREC, 2, mqtt.TopicNameInvalid)
	cl.ack(mqtt.PUBREC, 3)
	cl.wantAck(mqtt.PUBREL, 3, mqtt.PacketIDNotFound)
	cl.ack(mqtt.PUBREL, 4)
	cl.wantAck(mqtt.PUBCOMP, 4, mqtt.PacketIDNotFound)
	cl.packet(&mqtt.Auth{Code: mqtt.ReAuthenticate, Method: []byte("X")})
	cl.wantDisconnect(mqtt.ProtocolError)
}
