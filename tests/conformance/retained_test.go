package conformance

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func retainedTests() []test {
	return []test{
		{"3.1.2-7", "", retainedOutlivesSession},
		{"3.3.1-5 3.3.1-6 3.3.1-8", "3.3.1-9", retainedForNewSubscription},
		{"3.3.1-5", "3.3.1-5", retainedIsReplaced},
		{"3.3.1-7", "", retainedAtQoS0},
		{"3.3.1-9", "3.3.1-12", retainClearedWhenForwarded},
		{"", "3.3.1-13", retainAsPublished},
		{"3.3.1-10 3.3.1-11", "3.3.1-6 3.3.1-7", retainedIsRemoved},
		{"3.3.1-12", "3.3.1-8", notRetained},
		{"", "3.3.1-10", retainHandling1},
		{"", "3.3.1-11", retainHandling2},
		{"3.8.4-3", "3.8.4-4", retainedSentAgain},
		{"", "3.3.2-5 3.3.2-6", retainedExpires},
		{"", "3.3.4-3 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20", retainedProperties},
		{"", "3.1.2-24 3.1.2-25", retainedTooLarge},
		{"", "3.3.4-9 4.9.0-2", retainedInWindow},
		{"3.3.1-1 4.4.0-1", "3.3.1-1 4.4.0-1", retainedRedelivered},
	}
}

// retain publishes a retained message; an empty one removes what is retained. It has happened when retain returns: nobody is told that of QoS 0, which a
// subscriber has to see.
func (c *client) retain(name, payload string, qos byte) {
	c.r.Helper()
	p := c.message(name, payload, qos)
	p.Retain = true
	if qos > 0 {
		c.publishAs(p)
		return
	}
	seen := c.r.connect("seen")
	seen.subscribe(name, 0)
	c.publishAs(p)
	for {
		if got := read[mqtt.Publish](seen); !got.Retain && string(got.Payload) == payload {
			break
		}
	}
	seen.leave()
}

// handling sets the Retain Handling of a subscription; below MQTT 5 there is none, and it is as 0.
func handling(how byte) func(p *mqtt.Subscribe) {
	return func(p *mqtt.Subscribe) { p.Filters[0].RetainHandling = how }
}

// takeRetained is take of a message that is sent because of a new subscription.
func (c *client) takeRetained(name, payload string, qos byte) {
	c.r.Helper()
	if p := c.take(name, payload, qos); !p.Retain {
		c.r.Errorf("message %q of %q has RETAIN 0", payload, name)
	}
}

// noRetained says that no retained message is on its way to c: that of a subscription made now comes first.
func (r *run) noRetained(c *client) {
	r.Helper()
	mark := r.topic + "-mark"
	r.connect("mark").retain(mark, "mark", 1)
	c.subscribe(mark, 1)
	c.takeRetained(mark, "mark", 1)
	c.unsubscribe(mark)
}

func retainedOutlivesSession(r *run) {
	for _, e := range []edit{clean, kept} {
		pub := r.connect("pub", e)
		pub.retain(r.topic, "m", 1)
		pub.leave()
		r.connect("pub", clean).leave()
		sub := r.connect("sub")
		sub.subscribe(r.topic, 1)
		sub.takeRetained(r.topic, "m", 1)
	}
}

// Each topic that matches has its message, with the lower QoS, by a filter with wildcards and by a plain one.
func retainedForNewSubscription(r *run) {
	pub := r.connect("pub")
	for qos := range byte(3) {
		pub.retain(fmt.Sprint(r.topic, "/", qos), fmt.Sprint("old ", qos), 1)
		pub.retain(fmt.Sprint(r.topic, "/", qos), fmt.Sprint(qos), qos)
	}
	pub.retain(r.topic+"/other/x", "no", 1)
	for granted := range byte(3) {
		sub := r.connect("sub")
		sub.subscribe(r.topic+"/+", granted)
		want := map[string]byte{}
		for qos := range byte(3) {
			want[fmt.Sprint(r.topic, "/", qos, " ", qos)] = min(granted, qos)
		}
		got := map[string]byte{}
		for range want {
			p := read[mqtt.Publish](sub)
			if !p.Retain {
				r.Errorf("message of %q has RETAIN 0", p.Topic)
			}
			got[fmt.Sprintf("%s %s", p.Topic, p.Payload)] = p.QoS
			sub.accept(p)
		}
		if !reflect.DeepEqual(got, want) {
			r.Errorf("granted %d: read %v, want %v", granted, got, want)
		}
		r.noRetained(sub)
		sub.subscribe(r.topic+"/1", granted)
		sub.takeRetained(r.topic+"/1", "1", min(granted, 1))
	}
}

func retainedIsReplaced(r *run) {
	pub := r.connect("pub")
	for i := range 5 {
		qos := byte(i % 3)
		pub.retain(r.topic, fmt.Sprint(i), qos)
		sub := r.connect("sub")
		sub.subscribe(r.topic, 2)
		sub.takeRetained(r.topic, fmt.Sprint(i), qos)
		r.noRetained(sub)
	}
}

// What was retained before is gone. That the new message is retained is a SHOULD, and this broker does it.
func retainedAtQoS0(r *run) {
	pub := r.connect("pub")
	pub.retain(r.topic, "before", 2)
	pub.retain(r.topic, "after", 0)
	sub := r.connect("sub")
	sub.subscribe(r.topic, 2)
	sub.takeRetained(r.topic, "after", 0)
	r.noRetained(sub)
}

func retainClearedWhenForwarded(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	for qos := range byte(3) {
		pub.retain(r.topic, "m", qos)
		if p := sub.take(r.topic, "m", qos); p.Retain {
			r.Errorf("QoS %d: RETAIN is set", qos)
		}
	}
}

func retainAsPublished(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2, func(p *mqtt.Subscribe) { p.Filters[0].RetainAsPublished = true })
	for qos := range byte(3) {
		pub.retain(r.topic, "retained", qos)
		if p := sub.take(r.topic, "retained", qos); !p.Retain {
			r.Errorf("QoS %d: RETAIN is cleared", qos)
		}
		pub.publish(r.topic, "not", qos)
		if p := sub.take(r.topic, "not", qos); p.Retain {
			r.Errorf("QoS %d: RETAIN is set", qos)
		}
	}
}

// Those who have subscribed get the empty message; it is not kept, and nothing else is any more.
func retainedIsRemoved(r *run) {
	live, pub := r.connect("live"), r.connect("pub")
	live.subscribe(r.topic, 2)
	for qos := range byte(3) {
		pub.retain(r.topic, "m", 2)
		live.take(r.topic, "m", 2)
		pub.retain(r.topic, "", qos)
		live.take(r.topic, "", qos)
		sub := r.connect("sub")
		sub.subscribe(r.topic, 2)
		r.noRetained(sub)
	}
}

func notRetained(r *run) {
	pub := r.connect("pub")
	pub.publish(r.topic+"/none", "m", 1)
	pub.retain(r.topic+"/some", "first", 1)
	for qos := range byte(3) {
		pub.publish(r.topic+"/some", "m", qos)
		pub.publish(r.topic+"/some", "", qos)
	}
	sub := r.connect("sub")
	sub.subscribe(r.topic+"/#", 2)
	sub.takeRetained(r.topic+"/some", "first", 1)
	r.noRetained(sub)
}

func retainHandling1(r *run) {
	r.connect("pub").retain(r.topic, "m", 1)
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic, 1, handling(1))
	sub.takeRetained(r.topic, "m", 1)
	sub.subscribe(r.topic, 1, handling(1))
	r.noRetained(sub)
	sub.leave()
	sub = r.connect("sub", kept)
	sub.subscribe(r.topic, 1, handling(1))
	r.noRetained(sub)
	sub.unsubscribe(r.topic)
	sub.subscribe(r.topic, 1, handling(1))
	sub.takeRetained(r.topic, "m", 1)
}

func retainHandling2(r *run) {
	r.connect("pub").retain(r.topic, "m", 1)
	sub := r.connect("sub")
	sub.subscribe(r.topic, 1, handling(2))
	r.noRetained(sub)
	sub.subscribe(r.topic, 1, handling(2))
	r.noRetained(sub)
}

// The retained message comes with every SUBSCRIBE, and those that are published meanwhile come all.
func retainedSentAgain(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	pub.retain(r.topic, "retained", 1)
	const n = 20
	for i := range n {
		sub.subscribe(r.topic, 1)
		pub.publish(r.topic, fmt.Sprint(i), 1)
		got := map[string]bool{}
		for range 2 {
			p := read[mqtt.Publish](sub)
			got[fmt.Sprintf("%s %t", p.Payload, p.Retain)] = true
			sub.accept(p)
		}
		if !got["retained true"] || !got[fmt.Sprint(i, " false")] {
			r.Fatalf("read %v, want the retained message and number %d", got, i)
		}
	}
}

func retainedExpires(r *run) {
	pub := r.connect("pub")
	for name, seconds := range map[string]uint32{"/short": 1, "/long": 100} {
		p := expiring(pub.message(r.topic+name, "m", 1), seconds)
		p.Retain = true
		pub.publishAs(p)
	}
	r.until(time.Now().Add(1200 * time.Millisecond))
	sub := r.connect("sub")
	sub.subscribe(r.topic+"/#", 1)
	if p := sub.take(r.topic+"/long", "m", 1); !p.HasMessageExpiry || p.MessageExpiry > 99 || p.MessageExpiry < 99-uint32(patience/time.Second) {
		r.Errorf("after more than a second: %d s are left", p.MessageExpiry)
	}
	r.noRetained(sub)
}

func retainedProperties(r *run) {
	pub := r.connect("pub")
	want := mqtt.Publish{
		HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("c"), ResponseTopic: []byte("r"),
		CorrelationData: []byte{0, 1}, User: user("b", "2", "a", "1", "b", "2"),
	}
	for qos := range byte(3) {
		p := want
		p.Topic, p.Payload, p.QoS, p.Retain = []byte(r.topic), []byte("m"), qos, true
		if qos > 0 {
			p.PacketID = pub.id()
		}
		pub.publishAs(&p)
		pub.publish(r.topic+"-after", "", 1)
		sub := r.connect("sub")
		sub.subscribe(r.topic, 2, identified(7))
		got := sub.take(r.topic, "m", qos)
		wantIDs(r, got, 7)
		got = &mqtt.Publish{
			HasPayloadFormat: got.HasPayloadFormat, PayloadFormat: got.PayloadFormat, ContentType: got.ContentType,
			ResponseTopic: got.ResponseTopic, CorrelationData: got.CorrelationData, User: got.User,
		}
		if !reflect.DeepEqual(*got, want) {
			r.Errorf("QoS %d: read %+v, want %+v", qos, *got, want)
		}
	}
}

func retainedTooLarge(r *run) {
	pub := r.connect("pub")
	pub.retain(r.topic+"/a", strings.Repeat("x", 100), 1)
	pub.retain(r.topic+"/b", "small", 1)
	sub := r.connect("sub", packetSize(100), receiveMaximum(1))
	sub.subscribe(r.topic+"/#", 1)
	sub.takeRetained(r.topic+"/b", "small", 1)
	r.noRetained(sub)
}

// One at a time, and no more than one of each.
func retainedInWindow(r *run) {
	const n = 12
	pub := r.connect("pub")
	for i := range n {
		pub.retain(fmt.Sprint(r.topic, "/", i), "m", byte(1+i%2))
	}
	sub := r.connect("sub", receiveMaximum(1))
	sub.subscribe(r.topic+"/#", 2)
	got := map[string]bool{}
	for range n {
		p := read[mqtt.Publish](sub)
		sub.pong()
		if got[string(p.Topic)] = true; !p.Retain {
			r.Errorf("message of %q has RETAIN 0", p.Topic)
		}
		sub.accept(p)
	}
	if len(got) != n {
		r.Errorf("%d of %d came: %v", len(got), n, got)
	}
	r.noRetained(sub)
}

// What was sent because of a subscription and not acknowledged is owed to the session as any message is.
func retainedRedelivered(r *run) {
	pub := r.connect("other")
	for qos := byte(1); qos <= 2; qos++ {
		pub.retain(r.topic, "m", qos)
		name := fmt.Sprint("sub", qos)
		sub := r.connect(name, kept)
		sub.subscribe(r.topic, 2)
		id := sub.want(r.topic, "m", qos).PacketID
		sub.leave()
		sub = r.connect(name, kept)
		if p := sub.take(r.topic, "m", qos); !p.Dup || p.PacketID != id {
			r.Errorf("QoS %d: identifier %d, DUP %t, want %d with DUP", qos, p.PacketID, p.Dup, id)
		}
		r.quiet(sub)
	}
}
