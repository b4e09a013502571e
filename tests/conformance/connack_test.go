package conformance

import (
	"bytes"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

func connackTests() []test {
	return []test{
		{"3.1.4-4", "3.1.4-5", accepted},
		{"3.1.4-5", "3.1.4-6", nothingAfterRefusal},
		{"3.2.0-1", "3.2.0-1", connackFirst},
		{"", "3.2.2-1", acknowledgeFlags},
		{"3.2.2-4 3.2.2-5", "3.1.4-2 3.2.2-6 3.2.2-7 4.13.2-1", badLogin},
		{"", "3.2.2-8", connackCodes},
		{"", "3.2.2-9 3.2.2-10", everyQoS},
		{"", "3.2.2-13", willRetainRefused},
		{"", "3.2.2-14", retainRefused},
		{"", "3.2.2-15", packetTooLarge},
		{"", "3.2.2-19", connackFits},
		{"", "3.2.0-1", noRoomForConnack},
	}
}

func accepted(r *run) {
	for _, edits := range [][]edit{{}, {kept}, {noClientID}} {
		if _, a := r.connack("", edits...); a.Code != mqtt.Success {
			r.Errorf("CONNACK has %s", a.Code)
		}
	}
}

// What comes in the same breath as a CONNECT that is refused is not done.
func nothingAfterRefusal(r *run) {
	sub := r.connect("sub")
	sub.subscribe(r.topic, 1)
	refused := r.hello("refused", noClientID, kept)
	if r.isV5() {
		refused = r.hello("refused")
		refused.HasAuthMethod, refused.AuthMethod = true, []byte("X")
	}
	c := r.dial()
	c.send(refused, c.message(r.topic, "0", 0), c.message(r.topic, "1", 1), wire.Ping{})
	got := c.ended()
	if len(got) != 1 || got[0].(*mqtt.Connack).Code < mqtt.UnspecifiedError {
		r.Errorf("read %+v, want a CONNACK that refuses", got)
	}
	r.connect("pub").publish(r.topic, "end", 1)
	sub.take(r.topic, "end", 1)
}

// Requests that come with CONNECT, and messages that wait, are answered and sent after it.
func connackFirst(r *run) {
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic, 1)
	sub.leave()
	r.connect("pub").publish(r.topic, "waits", 1)
	sub = r.dial()
	sub.send(r.hello("sub", kept), wire.Ping{}, &mqtt.Subscribe{PacketID: 7, Filters: []mqtt.SubscribeFilter{filter(r.topic+"/x", 0)}})
	if a := read[mqtt.Connack](sub); a.Code != mqtt.Success || !a.SessionPresent {
		r.Errorf("CONNACK is %+v", a)
	}
	for range 3 { // PINGRESP, SUBACK and the message
		if p, ok := sub.next().(*mqtt.Connack); ok {
			r.Errorf("another CONNACK: %+v", p)
		}
	}
}

func acknowledgeFlags(r *run) {
	for _, want := range []byte{0, 1} {
		c := r.rawClient()
		c.send(r.hello("", kept))
		if first, body := c.frame(); first != 0x20 || body[0] != want || body[1] != 0 {
			r.Errorf("CONNACK is %#x % x, want the flags %d", first, body, want)
		}
		c.send(&mqtt.Disconnect{})
		c.end()
	}
}

// The client has a session, so that session present could be 1.
func badLogin(r *run) {
	c := r.dialTo(r.login)
	c.send(r.hello("", login, kept))
	read[mqtt.Connack](c)
	c.leave()
	raw := r.rawTo(r.login)
	raw.send(r.hello("", login, kept, func(p *mqtt.Connect) { p.Password = []byte("wrong") }))
	want := []byte{0, 4}
	if r.isV5() {
		want = []byte{0, byte(mqtt.BadUserNameOrPassword)}
	}
	if first, body := raw.frame(); first != 0x20 || !bytes.HasPrefix(body, want) {
		r.Errorf("CONNACK is %#x % x, want % x", first, body, want)
	}
	raw.end()
}

// The decoder takes the codes of the table only.
func connackCodes(r *run) {
	for _, e := range []edit{
		func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("X") },
		func(p *mqtt.Connect) { p.ClientID = []byte("\xff") },
		func(p *mqtt.Connect) { p.HasWill, p.Will.Topic = true, []byte("a/#") },
		func(p *mqtt.Connect) { p.Version = 6 },
	} {
		c := r.dial()
		c.send(r.hello("", e))
		if got := c.ended(); len(got) != 1 || got[0].(*mqtt.Connack).Code < mqtt.UnspecifiedError {
			r.Errorf("read %+v, want a CONNACK that refuses", got)
		}
	}
	r.connect("")
}

func everyQoS(r *run) {
	c, a := r.connack("")
	if a.MaximumQoS != nil {
		r.Errorf("Maximum QoS is %d", *a.MaximumQoS)
	}
	for qos := range byte(3) {
		c.subscribe(r.topic, qos)
		r.connect("pub").publish(r.topic, "m", qos)
		c.take(r.topic, "m", qos)
	}
}

func willRetainRefused(r *run) {
	c := r.dialTo(r.bare)
	c.send(r.hello("", func(p *mqtt.Connect) {
		p.HasWill, p.Will = true, mqtt.Will{Topic: []byte(r.topic), Retain: true}
	}))
	got := c.ended()
	if len(got) != 1 || got[0].(*mqtt.Connack).Code != mqtt.RetainNotSupported {
		r.Errorf("read %+v, want CONNACK 0x9A", got)
	}
}

func retainRefused(r *run) {
	c := r.dialTo(r.bare)
	c.send(r.hello(""))
	if a := read[mqtt.Connack](c); a.RetainAvailable == nil || *a.RetainAvailable {
		r.Errorf("CONNACK is %+v, want Retain Available 0", a)
	}
	c.send(&mqtt.Publish{Topic: []byte(r.topic), Retain: true})
	c.thrownOut(mqtt.RetainNotSupported)
}

func packetTooLarge(r *run) {
	c, a := r.connack("")
	if a.MaximumPacketSize == nil {
		r.Fatal("CONNACK has no Maximum Packet Size")
	}
	c.bytes(packet(0x30, str(r.topic), r.props(), make([]byte, *a.MaximumPacketSize))[:64])
	c.thrownOut(mqtt.PacketTooLarge)
}

// A refusal with its reason would be too large: it comes without.
func connackFits(r *run) {
	const most = 12
	c := r.rawClient()
	c.send(r.hello("", packetSize(most), func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("X") }))
	if first, body := c.frame(); first != 0x20 || !bytes.Equal(body, []byte{0, byte(mqtt.BadAuthMethod), 0}) {
		r.Errorf("CONNACK is %#x % x", first, body)
	}
}

// A client that has no room for the CONNACK of an accepted connection is refused: nothing else may be sent before it.
func noRoomForConnack(r *run) {
	for most := uint32(1); most <= 8; most++ {
		c := r.dial()
		c.send(r.hello("", packetSize(most)), wire.Ping{})
		for _, p := range c.ended() {
			if a, ok := p.(*mqtt.Connack); !ok || a.Code != mqtt.PacketTooLarge || most < 5 {
				r.Errorf("Maximum Packet Size %d: read %T: %+v", most, p, p)
			}
		}
	}
}
