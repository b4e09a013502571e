package conformance

import (
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func disconnectTests() []test {
	return []test{
		{"", "3.14.0-1", noDisconnectBeforeConnack},
		{"", "3.14.2-1", disconnectCodes},
		{"", "3.14.2-2", noSessionExpiryFromServer},
		{"", "3.14.2-3", disconnectFits},
		{"", "3.14.4-1 3.14.4-2 4.13.2-1", nothingAfterDisconnect},
		{"4.8.0-1", "4.13.1-1", protocolViolations},
		{"4.8.0-2", "", transientError},
	}
}

// Connections that are refused with CONNACK, and some that end without.
func noDisconnectBeforeConnack(r *run) {
	for _, b := range [][]byte{
		{0xC0, 0},
		{0xE0, 0},
		packet(0x30, str(r.topic), r.props()),
		r.connectBytes(0x03, str(r.topic)),
		r.connectBytes(0x02, str("\xff")),
		packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x15}, str("X")), str(r.topic)),
		packet(0x10, str("MQTT"), []byte{9, 2, 0, 0}, r.props(), str(r.topic)),
	} {
		c := r.dial()
		c.bytes(b)
		for _, p := range c.ended() {
			if _, ok := p.(*mqtt.Disconnect); ok {
				r.Errorf("% x was answered with DISCONNECT", b)
			}
		}
	}
}

// serverDisconnects makes the broker send DISCONNECT with each code it has for what a client can do.
func (r *run) serverDisconnects(edits ...edit) []*mqtt.Disconnect {
	r.Helper()
	var all []*mqtt.Disconnect
	end := func(c *client) {
		r.Helper()
		got := c.ended()
		if len(got) != 1 {
			r.Fatalf("read %+v, want DISCONNECT", got)
		}
		d, ok := got[0].(*mqtt.Disconnect)
		if !ok || d.Code < mqtt.UnspecifiedError {
			r.Fatalf("read %+v, want a DISCONNECT that says what is wrong", got[0])
		}
		all = append(all, d)
	}
	for _, b := range [][]byte{
		packet(0xC1),
		packet(0x10),
		packet(0x30, str("a/#"), r.props()),
		packet(0x30, str(r.topic), r.props([]byte{0x23, 0, 0})),
		packet(0x30, str(r.topic), r.props(), make([]byte, 2<<20))[:64],
		packet(0xF0, []byte{0x19}, r.props([]byte{0x15}, str("X"))),
		packet(0xE0, []byte{0}, r.props([]byte{0x11, 0, 0, 0, 1})),
	} {
		c := r.connect("bad", edits...)
		c.bytes(b)
		end(c)
	}
	old := r.connect("same", append(edits, kept)...)
	r.connect("same", edits...)
	end(old)
	return all
}

// The decoder takes the codes of the table only.
func disconnectCodes(r *run) {
	codes := map[mqtt.ReasonCode]bool{}
	for _, d := range r.serverDisconnects() {
		codes[d.Code] = true
	}
	if len(codes) < 5 {
		r.Errorf("only %v came", codes)
	}
}

func noSessionExpiryFromServer(r *run) {
	for _, d := range r.serverDisconnects() {
		if d.HasSessionExpiry {
			r.Errorf("DISCONNECT %s has a session expiry", d.Code)
		}
	}
}

func disconnectFits(r *run) {
	for _, d := range r.serverDisconnects(packetSize(19)) {
		if d.Reason != "" {
			r.Errorf("DISCONNECT %s has the reason %q", d.Code, d.Reason)
		}
	}
	some := false
	for _, d := range r.serverDisconnects() {
		some = some || d.Reason != ""
	}
	if !some {
		r.Error("no DISCONNECT has a reason, with room for it")
	}
}

// A flow of messages to a client stops with its DISCONNECT.
func nothingAfterDisconnect(r *run) {
	c, pub := r.connect(""), r.connect("pub")
	c.subscribe(r.topic, 0)
	for range 200 {
		pub.publish(r.topic, "m", 0)
	}
	r.connect("")
	for range 200 {
		pub.publish(r.topic, "m", 0)
	}
	got := c.ended()
	for i, p := range got {
		if _, ok := p.(*mqtt.Disconnect); ok != (i == len(got)-1) {
			r.Errorf("packet %d of %d is %T", i+1, len(got), p)
		}
	}
}

// Packets that only a server sends, a request that does not fit the exchange, and what no packet is.
func protocolViolations(r *run) {
	violations := [][]byte{
		packet(0x20, []byte{0, 0}, r.props()),
		packet(0x90, []byte{0, 1}, r.props(), []byte{0}),
		packet(0xB0, []byte{0, 1}, r.props()),
		packet(0xD0),
	}
	r.throwsOut(mqtt.ProtocolError, violations...)
	r.throwsOut(mqtt.MalformedPacket, packet(0x00), []byte{0xC0, 0x80, 0x80, 0x80, 0x80, 0x01}, packet(0x40, []byte{0}))
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 1)
	pub.publish(r.topic, "m", 1)
	sub.sendAck(mqtt.PUBREC, sub.want(r.topic, "m", 1).PacketID)
	sub.thrownOut(mqtt.ProtocolError)
}

// There is no room for the message: MQTT 3.1.1 can say that in no other way.
func transientError(r *run) {
	for qos := byte(1); qos <= 2; qos++ {
		c := r.dialTo(r.full)
		c.send(r.hello(""))
		read[mqtt.Connack](c)
		c.pong()
		c.send(c.message(r.topic, "m", qos))
		c.thrownOut()
	}
}
