package conformance

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func propertyTests() []test {
	return []test{
		{"", "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20", propertiesPassedOn},
		{"", "3.3.2-5", expiredBeforeDelivery},
		{"", "3.3.2-6", expiryThatIsLeft},
		{"", "3.3.2-7", aliasesEndWithConnection},
		{"", "3.3.2-8", aliasZero},
		{"", "3.2.2-17 3.3.2-9", aliasTooHigh},
		{"", "3.1.2-26 3.3.2-8 3.3.2-11", aliasesOfServer},
		{"", "3.1.2-27", noAliasesUnasked},
		{"", "3.3.2-12", everyAlias},
		{"", "3.3.2-13", responseTopicIllFormed},
		{"", "3.3.2-14", responseTopicWithWildcard},
		{"", "3.3.2-19", contentTypeIllFormed},
		{"", "3.1.2-24 3.1.2-25", messageTooLarge},
		{"", "3.1.2-28", noResponseInformation},
		{"", "3.1.2-29", noProblemInformation},
	}
}

func user(pairs ...string) []mqtt.UserProperty {
	var all []mqtt.UserProperty
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, mqtt.UserProperty{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	return all
}

// Live and from the store, at every QoS, with and without each property; the values include empty and odd ones.
func propertiesPassedOn(r *run) {
	sub, pub := r.connect("sub", kept), r.connect("pub")
	sub.subscribe(r.topic, 2)
	sent := []mqtt.Publish{
		{},
		{HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("text/plain; charset=\u00fctf-8")},
		{HasPayloadFormat: true, PayloadFormat: 0, ContentType: []byte{}, CorrelationData: []byte{}},
		{ResponseTopic: []byte("answers/" + r.topic), CorrelationData: []byte{0, 0xFF, 0, 1}},
		{User: user("b", "2", "a", "1", "b", "1", "b", "1", "", "", "\ufeff", "\u00e9")},
		{
			HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("c"), ResponseTopic: []byte("r"),
			CorrelationData: []byte("d"), User: user("k", "v", "k", "v"),
		},
	}
	publish := func() {
		for i := range sent {
			for qos := range byte(3) {
				p := sent[i]
				p.Topic, p.Payload, p.QoS = []byte(r.topic), fmt.Append(nil, i), qos
				if qos > 0 {
					p.PacketID = pub.id()
				}
				pub.publishAs(&p)
			}
		}
	}
	check := func(n int) {
		for range n {
			p := read[mqtt.Publish](sub)
			sub.accept(p)
			var i int
			_, _ = fmt.Sscan(string(p.Payload), &i)
			want := sent[i]
			got := mqtt.Publish{
				HasPayloadFormat: p.HasPayloadFormat, PayloadFormat: p.PayloadFormat, ContentType: p.ContentType,
				ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, User: p.User,
			}
			if len(got.User) == 0 {
				got.User = nil
			}
			if !reflect.DeepEqual(got, want) {
				r.Errorf("QoS %d: read %+v, want %+v", p.QoS, got, want)
			}
		}
	}
	publish()
	check(3 * len(sent))
	sub.leave()
	publish()
	sub = r.connect("sub", kept)
	check(2 * len(sent)) // QoS 0 is not kept
}

func expiring(p *mqtt.Publish, seconds uint32) *mqtt.Publish {
	p.HasMessageExpiry, p.MessageExpiry = true, seconds
	return p
}

// Expired is what waits for a session without connection, and what waits for a client with a full window.
func expiredBeforeDelivery(r *run) {
	away, full, pub := r.connect("away", kept), r.connect("full", receiveMaximum(1)), r.connect("pub")
	away.subscribe(r.topic, 1)
	full.subscribe(r.topic, 1)
	away.leave()
	pub.publish(r.topic, "first", 1)
	pub.publishAs(expiring(pub.message(r.topic, "expires", 1), 1))
	expires := time.Now().Add(1200 * time.Millisecond)
	pub.publishAs(expiring(pub.message(r.topic, "end", 1), 3600))
	first := full.want(r.topic, "first", 1)
	r.until(expires)
	full.accept(first)
	full.take(r.topic, "end", 1)
	away = r.connect("away", kept)
	away.take(r.topic, "first", 1)
	away.take(r.topic, "end", 1)
}

func expiryThatIsLeft(r *run) {
	away, live, pub := r.connect("away", kept), r.connect("live"), r.connect("pub")
	away.subscribe(r.topic, 1)
	live.subscribe(r.topic, 1)
	away.leave()
	pub.publishAs(expiring(pub.message(r.topic, "m", 1), 100))
	if p := live.take(r.topic, "m", 1); !p.HasMessageExpiry || p.MessageExpiry > 100 || p.MessageExpiry < 100-uint32(patience/time.Second) {
		r.Errorf("at once: %d s are left", p.MessageExpiry)
	}
	r.until(time.Now().Add(1200 * time.Millisecond))
	away = r.connect("away", kept)
	if p := away.take(r.topic, "m", 1); !p.HasMessageExpiry || p.MessageExpiry > 99 || p.MessageExpiry < 99-uint32(patience/time.Second) {
		r.Errorf("after more than a second: %d s are left", p.MessageExpiry)
	}
	pub.publish(r.topic, "for ever", 1)
	if p := live.take(r.topic, "for ever", 1); p.HasMessageExpiry {
		r.Errorf("%d s are left of no expiry", p.MessageExpiry)
	}
}

func aliased(p *mqtt.Publish, alias uint16) *mqtt.Publish {
	p.TopicAlias = alias
	return p
}

func aliases(most uint16) edit { return func(p *mqtt.Connect) { p.TopicAliasMaximum = most } }

// In both directions, for a session that goes on.
func aliasesEndWithConnection(r *run) {
	c := r.connect("", kept, aliases(5))
	c.subscribe(r.topic, 1)
	c.publishAs(aliased(c.message(r.topic, "m", 0), 1))
	c.want(r.topic, "m", 0)
	c.publishAs(aliased(c.message("", "m", 0), 1))
	c.want("", "m", 0) // by the alias that the broker chose
	c.leave()
	c = r.connect("", kept, aliases(5))
	c.publish(r.topic, "n", 0)
	c.want(r.topic, "n", 0)
	c.publishAs(aliased(c.message("", "m", 0), 1))
	c.thrownOut(mqtt.ProtocolError)
}

func aliasZero(r *run) {
	r.throwsOut(mqtt.TopicAliasInvalid,
		packet(0x30, str(r.topic), r.props([]byte{0x23, 0, 0})),
		packet(0x32, str(r.topic), []byte{0, 1}, r.props([]byte{0x23, 0, 0})),
	)
}

func aliasTooHigh(r *run) {
	c, a := r.connack("")
	if a.TopicAliasMaximum == nil {
		r.Fatal("CONNACK has no Topic Alias Maximum")
	}
	c.publishAs(aliased(c.message(r.topic, "m", 0), *a.TopicAliasMaximum+1))
	c.thrownOut(mqtt.TopicAliasInvalid)
}

func aliasesOfServer(r *run) {
	const most = 2
	sub, pub := r.connect("sub", aliases(most)), r.connect("pub")
	sub.subscribe(r.topic+"/#", 1)
	known := map[uint16]string{}
	for i := range 20 {
		name := fmt.Sprint(r.topic, "/", i%4)
		pub.publish(name, fmt.Sprint(i), byte(i%2))
	}
	for range 20 {
		p := read[mqtt.Publish](sub)
		sub.accept(p)
		if p.TopicAlias > most {
			r.Errorf("topic alias %d", p.TopicAlias)
		}
		name := string(p.Topic)
		if name == "" {
			name = known[p.TopicAlias]
		} else if p.TopicAlias != 0 {
			known[p.TopicAlias] = name
		}
		var i int
		_, _ = fmt.Sscan(string(p.Payload), &i)
		if want := fmt.Sprint(r.topic, "/", i%4); name != want {
			r.Errorf("message %d came with %q and alias %d, which means %q, want %q", i, p.Topic, p.TopicAlias, name, want)
		}
	}
}

func noAliasesUnasked(r *run) {
	for _, e := range []edit{func(*mqtt.Connect) {}, aliases(0)} {
		c := r.connect("", e)
		c.subscribe(r.topic, 1)
		for range 3 {
			c.publish(r.topic, "m", 0)
			if p := c.want(r.topic, "m", 0); p.TopicAlias != 0 {
				r.Errorf("topic alias %d", p.TopicAlias)
			}
		}
	}
}

// Each alias is set, used, set anew and used again.
func everyAlias(r *run) {
	c, a := r.connack("")
	c.subscribe(r.topic+"/#", 0)
	most := *a.TopicAliasMaximum
	for round := range 2 {
		for i := uint16(1); i <= most; i++ {
			name := fmt.Sprint(r.topic, "/", round, "/", i)
			c.publishAs(aliased(c.message(name, "set", 0), i))
			c.want(name, "set", 0)
		}
		for i := uint16(1); i <= most; i++ {
			c.publishAs(aliased(c.message("", "used", 0), i))
			c.want(fmt.Sprint(r.topic, "/", round, "/", i), "used", 0)
		}
	}
}

// inPublish is a PUBLISH of QoS 0 and one of QoS 1 with a property of one string.
func (r *run) inPublish(id byte, value string) [][]byte {
	p := r.props([]byte{id}, str(value))
	return [][]byte{packet(0x30, str(r.topic), p), packet(0x32, str(r.topic), []byte{0, 1}, p)}
}

func responseTopicIllFormed(r *run) {
	r.throwsOut(mqtt.MalformedPacket, r.inPublish(0x08, "\xff")...)
	r.throwsOut(mqtt.MalformedPacket, r.inPublish(0x08, "a\x00")...)
}

func responseTopicWithWildcard(r *run) {
	r.throwsOut(mqtt.ProtocolError, r.inPublish(0x08, "a/#")...)
	r.throwsOut(mqtt.ProtocolError, r.inPublish(0x08, "+/a")...)
}

func contentTypeIllFormed(r *run) {
	r.throwsOut(mqtt.MalformedPacket, r.inPublish(0x03, "\xff")...)
	r.throwsOut(mqtt.MalformedPacket, r.inPublish(0x03, "a\x00")...)
}

// A message that is one byte too large is left out and takes no place in the window; the one that just fits comes. Nor is
// it sent when the session goes on.
func messageTooLarge(r *run) {
	const most = 100
	sub, pub := r.connect("sub", kept, packetSize(most), receiveMaximum(1)), r.connect("pub")
	sub.subscribe(r.topic, 2)
	fits := most - 2 - len(r.topic) - 2 - 2 - 1 // headers, identifier and no properties
	for qos := byte(1); qos <= 2; qos++ {
		pub.publish(r.topic, strings.Repeat("x", fits+1), qos)
		pub.publish(r.topic, strings.Repeat("y", fits), qos)
		sub.take(r.topic, strings.Repeat("y", fits), qos)
	}
	pub.publish(r.topic, strings.Repeat("x", fits+3), 0)
	pub.publish(r.topic, "end", 0)
	sub.want(r.topic, "end", 0)
	sub.leave()
	sub = r.connect("sub", kept)
	pub.publish(r.topic, "again", 1)
	sub.take(r.topic, "again", 1)
}

func noResponseInformation(r *run) {
	if _, a := r.connack(""); a.ResponseInformation != "" {
		r.Errorf("Response Information is %q", a.ResponseInformation)
	}
}

// Everything that can be refused by a packet other than CONNACK and DISCONNECT.
func noProblemInformation(r *run) {
	c := r.connect("", func(p *mqtt.Connect) { p.RequestProblem = false })
	bare := func(typ mqtt.Type, code mqtt.ReasonCode, reason string, users []mqtt.UserProperty) {
		r.Helper()
		if code < mqtt.NoMatchingSubscribers || reason != "" || len(users) != 0 {
			r.Errorf("%s has %s, reason %q and user properties %v", typ, code, reason, users)
		}
	}
	for qos, typ := range map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		p := c.message("$"+r.topic+"/a", "m", qos)
		c.send(p)
		a := c.ack(typ, p.PacketID)
		bare(typ, a.Code, a.Reason, a.User)
	}
	c.sendAck(mqtt.PUBREL, 77)
	a := c.ack(mqtt.PUBCOMP, 77)
	bare(a.Type, a.Code, a.Reason, a.User)
	c.sendAck(mqtt.PUBREC, 78)
	a = c.ack(mqtt.PUBREL, 78)
	bare(a.Type, a.Code, a.Reason, a.User)
	c.send(&mqtt.Subscribe{PacketID: 79, Filters: []mqtt.SubscribeFilter{filter("a#", 0)}})
	s := read[mqtt.Suback](c)
	bare(s.Type, s.Codes[0], s.Reason, s.User)
	c.send(&mqtt.Unsubscribe{PacketID: 80, Filters: [][]byte{[]byte("none")}})
	s = read[mqtt.Suback](c)
	bare(s.Type, s.Codes[0], s.Reason, s.User)
}
