package conformance

import (
	"strconv"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func qosTests() []test {
	return []test{
		{"4.3.1-1", "4.3.1-1", sentAtQoS0},
		{"4.3.2-1 4.3.3-1", "4.3.2-2 4.3.3-2", sentAtFirst},
		{"4.3.2-1", "4.3.2-3", unacknowledgedQoS1},
		{"4.3.2-2", "4.3.2-4", takenAtQoS1},
		{"4.3.2-2", "4.3.2-5", identifierAfterPuback},
		{"4.3.3-1", "4.3.3-3", unacknowledgedQoS2},
		{"4.3.3-1", "4.3.3-4", pubrelAfterPubrec},
		{"4.3.3-1 4.4.0-1", "4.3.3-5 4.3.3-6 4.4.0-1", unacknowledgedPubrel},
		{"", "4.3.3-7", sentBeforeExpiry},
		{"4.3.3-2", "4.3.3-8", takenAtQoS2},
		{"", "4.3.3-9", identifierAfterRefusal},
		{"4.3.3-2", "4.3.3-10", repeatedBeforePubrel},
		{"4.3.3-2", "4.3.3-11 4.3.3-12", identifierAfterPubcomp},
		{"", "4.3.3-13", expiredBeforePubrel},
		{"4.4.0-1", "4.4.0-1", sentAgain},
		{"", "4.4.0-2", refusedBySubscriber},
	}
}

func sentAtQoS0(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 0)
	for qos := range byte(3) {
		pub.publish(r.topic, "m", qos)
		if p := sub.want(r.topic, "m", 0); p.Dup || p.PacketID != 0 {
			r.Errorf("DUP %t and identifier %d", p.Dup, p.PacketID)
		}
	}
}

func sentAtFirst(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	for qos := byte(1); qos <= 2; qos++ {
		pub.publish(r.topic, "m", qos)
		if p := sub.take(r.topic, "m", qos); p.Dup || p.PacketID == 0 {
			r.Errorf("QoS %d: DUP %t and identifier %d", qos, p.Dup, p.PacketID)
		}
	}
}

// away is a client with a session that has been sent one message and has not answered, and is away.
func (r *run) away(qos byte) (id uint16) {
	r.Helper()
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic, 2)
	r.connect("pub").publish(r.topic, "m", qos)
	p := sub.want(r.topic, "m", qos)
	sub.leave()
	return p.PacketID
}

// quiet says that nothing is owed to the client any more: what is published now comes first. Then the client leaves.
func (r *run) quiet(sub *client) {
	r.Helper()
	pub := r.connect("pub")
	for qos := byte(1); qos <= 2; qos++ {
		pub.publish(r.topic, "end", qos)
		sub.take(r.topic, "end", qos)
	}
	sub.leave()
}

// The message comes in each connection until it was acknowledged, then no more; and once in each.
func unacknowledgedQoS1(r *run) {
	id := r.away(1)
	for range 2 {
		sub := r.connect("sub", kept)
		if p := sub.want(r.topic, "m", 1); p.PacketID != id || !p.Dup {
			r.Errorf("identifier %d, DUP %t, want %d with DUP", p.PacketID, p.Dup, id)
		}
		sub.pong()
		sub.leave()
	}
	sub := r.connect("sub", kept)
	sub.take(r.topic, "m", 1)
	sub.leave()
	r.quiet(r.connect("sub", kept))
}

func takenAtQoS1(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 1)
	pub.send(&mqtt.Publish{Topic: []byte(r.topic), QoS: 1, PacketID: 300, Payload: []byte("m")})
	pub.ack(mqtt.PUBACK, 300)
	sub.take(r.topic, "m", 1)
}

func identifierAfterPuback(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 1)
	for i, dup := range []bool{false, true, false, true} {
		payload := strconv.Itoa(i)
		pub.publishAs(&mqtt.Publish{Topic: []byte(r.topic), QoS: 1, PacketID: 300, Dup: dup, Payload: []byte(payload)})
		sub.take(r.topic, payload, 1)
	}
}

func unacknowledgedQoS2(r *run) {
	id := r.away(2)
	for range 2 {
		sub := r.connect("sub", kept)
		if p := sub.want(r.topic, "m", 2); p.PacketID != id || !p.Dup {
			r.Errorf("identifier %d, DUP %t, want %d with DUP", p.PacketID, p.Dup, id)
		}
		sub.pong()
		sub.leave()
	}
	sub := r.connect("sub", kept)
	sub.take(r.topic, "m", 2)
	sub.leave()
	r.quiet(r.connect("sub", kept))
}

func pubrelAfterPubrec(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	pub.publish(r.topic, "m", 2)
	sub.take(r.topic, "m", 2)
	if !r.isV5() {
		return
	}
	pub.publish(r.topic, "refused", 2)
	p := sub.want(r.topic, "refused", 2)
	sub.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID, Code: mqtt.UnspecifiedError})
	sub.pong()
}

// After PUBREC, PUBREL comes in each connection until PUBCOMP, and the PUBLISH in none.
func unacknowledgedPubrel(r *run) {
	id := r.away(2)
	sub := r.connect("sub", kept)
	sub.want(r.topic, "m", 2)
	sub.sendAck(mqtt.PUBREC, id)
	sub.ack(mqtt.PUBREL, id)
	sub.leave()
	for range 2 {
		sub = r.connect("sub", kept)
		sub.ack(mqtt.PUBREL, id)
		sub.pong()
		sub.leave()
	}
	sub = r.connect("sub", kept)
	sub.ack(mqtt.PUBREL, id)
	sub.sendAck(mqtt.PUBCOMP, id)
	sub.leave()
	r.quiet(r.connect("sub", kept))
}

func sentBeforeExpiry(r *run) {
	sub, pub := r.connect("sub", kept), r.connect("pub")
	sub.subscribe(r.topic, 2)
	pub.publishAs(expiring(pub.message(r.topic, "m", 2), 1))
	expires := time.Now().Add(1200 * time.Millisecond)
	id := sub.want(r.topic, "m", 2).PacketID
	sub.leave()
	r.until(expires)
	sub = r.connect("sub", kept)
	if p := sub.take(r.topic, "m", 2); p.PacketID != id || !p.Dup {
		r.Errorf("identifier %d, DUP %t, want %d with DUP", p.PacketID, p.Dup, id)
	}
}

func takenAtQoS2(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	pub.publishAs(&mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: 300, Payload: []byte("m")})
	sub.take(r.topic, "m", 2)
}

// The topic is refused, or there is no room; the identifier is not: it stands for the next message at once.
func identifierAfterRefusal(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	pub.send(&mqtt.Publish{Topic: []byte("$" + r.topic + "/a"), QoS: 2, PacketID: 300, Payload: []byte("refused")})
	if a := pub.ack(mqtt.PUBREC, 300); a.Code < mqtt.UnspecifiedError {
		r.Fatalf("PUBREC has %s", a.Code)
	}
	pub.publishAs(&mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: 300, Payload: []byte("m")})
	sub.take(r.topic, "m", 2)
	if r.full == nil { // see leftOut: there the store is never without room
		return
	}
	pub = r.dialTo(r.full)
	pub.send(r.hello("pub"))
	read[mqtt.Connack](pub)
	for range 2 {
		pub.send(&mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: 300})
		if a := pub.ack(mqtt.PUBREC, 300); a.Code != mqtt.QuotaExceeded {
			r.Errorf("no room: PUBREC has %s", a.Code)
		}
	}
}

// In the same connection and in the next one of the session.
func repeatedBeforePubrel(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub", kept)
	sub.subscribe(r.topic, 2)
	p := &mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: 300, Payload: []byte("m")}
	pub.send(p)
	pub.ack(mqtt.PUBREC, 300)
	p.Dup = true
	for range 2 {
		pub.send(p)
		pub.ack(mqtt.PUBREC, 300)
		pub.leave()
		pub = r.connect("pub", kept)
	}
	pub.send(p)
	pub.ack(mqtt.PUBREC, 300)
	pub.sendAck(mqtt.PUBREL, 300)
	pub.ack(mqtt.PUBCOMP, 300)
	pub.publish(r.topic, "end", 2)
	sub.take(r.topic, "m", 2)
	sub.take(r.topic, "end", 2)
}

func identifierAfterPubcomp(r *run) {
	sub := r.connect("sub")
	sub.subscribe(r.topic, 2)
	for _, e := range []edit{func(*mqtt.Connect) {}, kept} {
		pub := r.connect("pub", e)
		for i, dup := range []bool{false, true, false} {
			payload := strconv.Itoa(i)
			pub.publishAs(&mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: 300, Dup: dup, Payload: []byte(payload)})
			sub.take(r.topic, payload, 2)
		}
	}
}

func expiredBeforePubrel(r *run) {
	pub := r.connect("pub")
	p := expiring(pub.message(r.topic, "m", 2), 1)
	pub.send(p)
	pub.ack(mqtt.PUBREC, p.PacketID)
	r.until(time.Now().Add(1200 * time.Millisecond))
	pub.send(p)
	pub.ack(mqtt.PUBREC, p.PacketID)
	pub.sendAck(mqtt.PUBREL, p.PacketID)
	pub.ack(mqtt.PUBCOMP, p.PacketID)
}

// Several of both QoS are sent again with their identifiers, after a connection that broke; without one they are not.
func sentAgain(r *run) {
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic, 2)
	pub := r.connect("pub")
	const n = 6
	ids := map[string]uint16{}
	for i := range n {
		pub.publish(r.topic, strconv.Itoa(i), byte(1+i%2))
	}
	for range n {
		p := read[mqtt.Publish](sub)
		ids[string(p.Payload)] = p.PacketID
	}
	sub.pong()
	_ = sub.Close()
	sub = r.connect("sub", kept)
	for range n {
		p := read[mqtt.Publish](sub)
		if p.PacketID != ids[string(p.Payload)] || !p.Dup {
			r.Errorf("message %s: identifier %d, DUP %t, want %d with DUP", p.Payload, p.PacketID, p.Dup, ids[string(p.Payload)])
		}
		sub.accept(p)
	}
	r.quiet(sub)
}

func refusedBySubscriber(r *run) {
	for qos, typ := range map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		id := r.away(qos)
		sub := r.connect("sub", kept)
		sub.want(r.topic, "m", qos)
		sub.send(&mqtt.Ack{Type: typ, PacketID: id, Code: mqtt.QuotaExceeded})
		sub.pong()
		sub.leave()
		r.quiet(r.connect("sub", kept))
	}
}
