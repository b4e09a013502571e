package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func publishTests() []test {
	return []test{
		{"3.3.1-1 3.3.1-3", "3.3.1-1 3.3.1-3", redelivered},
		{"3.3.1-2", "3.3.1-2", dupAtQoS0},
		{"3.3.1-3", "3.3.1-3", dupIsNotPassedOn},
		{"3.3.1-4", "3.3.1-4", qos3},
		{"3.3.2-1", "3.3.2-1", topicFirst},
		{"3.3.2-2 4.7.1-1", "3.3.2-2 4.7.0-1", wildcardInName},
		{"3.3.2-3", "3.3.2-3", topicMatches},
		{"3.3.4-1", "3.3.4-1", answersByQoS},
		{"3.3.5-1", "3.3.4-2", highestQoS},
		{"3.3.5-2", "", notAuthorized},
		{"", "3.3.4-3 3.3.4-4", subscriptionIdentifiers},
		{"", "3.3.4-5", subscriptionIdentifiersOfCopies},
		{"", "3.3.4-6", subscriptionIdentifierFromClient},
	}
}

// The first time without DUP, the second time with it.
func redelivered(r *run) {
	for qos := byte(1); qos <= 2; qos++ {
		sub := r.connect("sub", kept)
		sub.subscribe(r.topic, 2)
		r.connect("pub").publish(r.topic, "m", qos)
		if p := sub.want(r.topic, "m", qos); p.Dup {
			r.Errorf("QoS %d: DUP at first", qos)
		}
		sub.leave()
		sub = r.connect("sub", kept)
		if p := sub.take(r.topic, "m", qos); !p.Dup {
			r.Errorf("QoS %d: no DUP at the second time", qos)
		}
		sub.leave()
	}
}

func dupAtQoS0(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 0)
	for qos := range byte(3) {
		p := pub.message(r.topic, "m", qos)
		p.Dup = qos > 0
		pub.publishAs(p)
		if p := sub.want(r.topic, "m", 0); p.Dup {
			r.Errorf("published with QoS %d: DUP is set", qos)
		}
	}
	r.throwsOut(mqtt.MalformedPacket, packet(0x38, str(r.topic), r.props()))
}

func dupIsNotPassedOn(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	for qos := byte(1); qos <= 2; qos++ {
		p := pub.message(r.topic, "m", qos)
		p.Dup = true
		pub.publishAs(p)
		if p := sub.take(r.topic, "m", qos); p.Dup {
			r.Errorf("QoS %d: DUP is set", qos)
		}
	}
}

func qos3(r *run) {
	r.throwsOut(mqtt.MalformedPacket,
		packet(0x36, str(r.topic), []byte{0, 1}, r.props()), packet(0x3E, str(r.topic), []byte{0, 1}, r.props()))
}

func topicFirst(r *run) {
	sub := r.connectRaw("sub")
	sub.bytes(packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{0}))
	sub.firsts(0x90)
	r.connect("pub").publish(r.topic, "m", 1)
	if _, body := sub.frame(); !bytes.HasPrefix(body, str(r.topic)) {
		r.Errorf("PUBLISH is % x", body)
	}
	r.throwsOut(mqtt.MalformedPacket, packet(0x30), packet(0x30, []byte{0}), packet(0x30, []byte{0, 9}, []byte("short")))
}

func wildcardInName(r *run) {
	for _, name := range []string{"#", "+", r.topic + "/#", r.topic + "/+/x", r.topic + "/a#", r.topic + "+"} {
		r.throwsOut(mqtt.TopicNameInvalid, packet(0x30, str(name), r.props()), packet(0x34, str(name), []byte{0, 1}, r.props()))
	}
}

// The topics are each filter's own: a message of QoS 0 may still be on its way when the next filter is subscribed to.
func topicMatches(r *run) {
	pub := r.connect("pub")
	for i, c := range []struct {
		filter string
		wanted []string
	}{
		{"", []string{""}},
		{"/a/b", []string{"/a/b"}},
		{"/+", []string{"/a", "/"}},
		{"/a/#", []string{"/a", "/a/b", "/a/b/c"}},
		{"/+/b", []string{"/a/b"}},
		{"/a/+", []string{"/a/b"}},
		{"/#", []string{"", "/a", "/", "/a/b", "/a/b/c", "/A/b/"}},
		{"/A/+/", []string{"/A/b/"}},
	} {
		sub, topic := r.connect("sub"), fmt.Sprint(r.topic, "-", i)
		sub.subscribe(topic+c.filter, 0)
		for _, name := range []string{"", "/a", "/", "/a/b", "/a/b/c", "/A/b/"} {
			pub.publish(topic+name, "m", 0)
		}
		got := map[string]bool{}
		for range c.wanted { // the order of topics is open
			p := read[mqtt.Publish](sub)
			got[strings.TrimPrefix(string(p.Topic), topic)] = true
		}
		for _, name := range c.wanted {
			if !got[name] {
				r.Errorf("filter %q: got %v, want %q", c.filter, got, c.wanted)
			}
		}
		sub.subscribe(topic+"-end", 0)
		pub.publish(topic+"-end", "end", 0)
		sub.take(topic+"-end", "end", 0)
	}
}

func answersByQoS(r *run) {
	c := r.connect("")
	c.publish(r.topic, "m", 0)
	c.pong()
	c.publish(r.topic, "m", 1)
	c.pong()
	c.publish(r.topic, "m", 2)
	c.pong()
}

// One copy comes, with the highest QoS of all, bounded by that of the message.
func highestQoS(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic+"/a", 0)
	sub.subscribe(r.topic+"/#", 2)
	sub.subscribe(r.topic+"/+", 1)
	for qos := range byte(3) {
		pub.publish(r.topic+"/a", "m", qos)
		pub.publish(r.topic+"/a", "end", qos)
		sub.take(r.topic+"/a", "m", qos)
		sub.take(r.topic+"/a", "end", qos)
	}
}

// A topic that nobody may use stands for one that this client may not.
func notAuthorized(r *run) {
	for qos := range byte(3) {
		c := r.connect("")
		c.send(c.message("$"+r.topic+"/a", "m", qos))
		c.thrownOut()
	}
}

func identified(id uint32) func(p *mqtt.Subscribe) {
	return func(p *mqtt.Subscribe) { p.SubscriptionID = id }
}

func wantIDs(r *run, p *mqtt.Publish, ids ...uint32) {
	r.Helper()
	got := map[uint32]bool{}
	for _, id := range p.SubscriptionIDs {
		got[id] = true
	}
	for _, id := range ids {
		if !got[id] {
			r.Errorf("subscription identifiers are %v, want %v", p.SubscriptionIDs, ids)
		}
	}
	if len(p.SubscriptionIDs) != len(ids) {
		r.Errorf("subscription identifiers are %v, want %v", p.SubscriptionIDs, ids)
	}
}

func subscriptionIdentifiers(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic+"/a", 0, identified(1))
	sub.subscribe(r.topic+"/#", 2, identified(268_435_455))
	sub.subscribe(r.topic+"/+", 1)
	sub.subscribe(r.topic+"/b", 1, identified(3))
	for qos := range byte(3) {
		pub.publish(r.topic+"/a", "m", qos)
		wantIDs(r, sub.take(r.topic+"/a", "m", qos), 1, 268_435_455)
		pub.publish(r.topic+"/b", "m", qos)
		wantIDs(r, sub.take(r.topic+"/b", "m", qos), 3, 268_435_455)
		pub.publish(r.topic, "m", qos)
		wantIDs(r, sub.take(r.topic, "m", qos), 268_435_455)
	}
}

// What a client is sent through a shared subscription comes as a copy of its own.
func subscriptionIdentifiersOfCopies(r *run) {
	sub := r.connect("sub")
	sub.subscribe(r.topic, 1, identified(1))
	sub.subscribe("$share/g/"+r.topic, 1, identified(2))
	r.connect("pub").publish(r.topic, "m", 1)
	got := map[uint32]bool{}
	for range 2 {
		p := sub.take(r.topic, "m", 1)
		if len(p.SubscriptionIDs) != 1 {
			r.Fatalf("subscription identifiers are %v", p.SubscriptionIDs)
		}
		got[p.SubscriptionIDs[0]] = true
	}
	if !got[1] || !got[2] {
		r.Errorf("subscription identifiers are %v", got)
	}
}

func subscriptionIdentifierFromClient(r *run) {
	r.throwsOut(mqtt.ProtocolError,
		packet(0x30, str(r.topic), r.props([]byte{0x0B, 1})),
		packet(0x32, str(r.topic), []byte{0, 1}, r.props([]byte{0x0B, 1})),
		packet(0x34, str(r.topic), []byte{0, 1}, r.props([]byte{0x0B, 1})),
	)
}
