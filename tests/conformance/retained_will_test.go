package conformance

import (
	"fmt"
	"reflect"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// metaTests are of retained messages and wills.
func metaTests() []test {
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

		{"3.1.2-8 3.1.2-9", "3.1.2-7 3.1.2-8 3.1.2-9", willPublished},
		{"", "3.1.2-8", willAfterDelay},
		{"", "3.1.2-8", willAtEndOfSession},
		{"", "3.1.2-8", willAfterOtherDisconnects},
		{"3.1.2-10", "3.1.2-10", willPublishedOnce},
		{"3.1.2-10 3.14.4-3", "3.1.2-10 3.14.4-3", willDiscarded},
		{"3.1.2-12", "", noWillWithoutFlag},
		{"3.1.2-16", "3.1.2-14", willNotRetained},
		{"3.1.2-17", "3.1.2-15", willRetained},
		{"3.1.3-1", "3.1.3-1", payloadOrderWithWill},
		{"", "3.1.3-9", willOfClientThatCameBack},
		{"", "3.1.3-10", willProperties},
	}
}

// retain publishes a retained message; an empty one removes what is retained.
func (c *client) retain(name, payload string, qos byte) {
	c.r.Helper()
	p := c.message(name, payload, qos)
	p.Retain = true
	c.publishAs(p)
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
	pub.pong()
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

func will(name, payload string, qos byte, edits ...func(w *mqtt.Will)) edit {
	return func(p *mqtt.Connect) {
		p.HasWill, p.Will = true, mqtt.Will{Topic: []byte(name), Payload: []byte(payload), QoS: qos}
		for _, e := range edits {
			e(&p.Will)
		}
	}
}

func delayed(seconds uint32) func(w *mqtt.Will) { return func(w *mqtt.Will) { w.Delay = seconds } }

// drop ends the connection as a failure would.
func (c *client) drop() { _ = c.Close() }

// noWill says that no will is on its way to sub, which has subscribed to r.topic: that of a client that goes now comes first.
func (r *run) noWill(sub *client) {
	r.Helper()
	r.connect("mark", will(r.topic, "mark", 1)).drop()
	sub.take(r.topic, "mark", 1)
}

// watch is a subscriber of the run's topic.
func (r *run) watch() *client {
	r.Helper()
	c := r.connect("watch")
	c.subscribe(r.topic, 2)
	return c
}

// Of every QoS, empty too, for a session that ends with its connection and for one that goes on; not before the end.
func willPublished(r *run) {
	sub := r.watch()
	for qos := range byte(3) {
		for _, e := range []edit{clean, kept} {
			for _, payload := range []string{"will", ""} {
				c := r.connect("", e, will(r.topic, payload, qos))
				r.connect("pub").publish(r.topic, "before", qos)
				sub.take(r.topic, "before", qos)
				c.drop()
				sub.take(r.topic, payload, qos)
			}
		}
	}
}

func willAfterDelay(r *run) {
	sub := r.watch()
	c := r.connect("", kept, will(r.topic, "will", 1, delayed(1)))
	gone := time.Now()
	c.drop()
	sub.take(r.topic, "will", 1)
	if d := time.Since(gone); d < 950*time.Millisecond {
		r.Errorf("the will came after %s", d)
	}
}

// The delay is longer than the session.
func willAtEndOfSession(r *run) {
	sub := r.watch()
	r.connect("", will(r.topic, "ends with its connection", 1, delayed(3600))).drop()
	sub.take(r.topic, "ends with its connection", 1)
	r.connect("", kept, expiry(1), will(r.topic, "expires", 1, delayed(3600))).drop()
	sub.take(r.topic, "expires", 1)
	c := r.connect("", kept, will(r.topic, "is begun anew", 1, delayed(3600)))
	c.drop()
	r.connect("")
	sub.take(r.topic, "is begun anew", 1)
}

func willAfterOtherDisconnects(r *run) {
	sub := r.watch()
	c := r.connect("", will(r.topic, "asked for", 1))
	c.send(&mqtt.Disconnect{Code: mqtt.DisconnectWithWill})
	sub.take(r.topic, "asked for", 1)
	c = r.connect("", will(r.topic, "broke the protocol", 1))
	c.bytes([]byte{0xC1, 0})
	sub.take(r.topic, "broke the protocol", 1)
	c = r.connect("", will(r.topic, "was silent", 1), func(p *mqtt.Connect) { p.KeepAlive = 1 })
	sub.take(r.topic, "was silent", 1)
	c.thrownOut(mqtt.KeepAliveTimeout)
}

// The next connection of the session has no will, and none comes at its end.
func willPublishedOnce(r *run) {
	sub := r.watch()
	r.connect("", kept, will(r.topic, "will", 2)).drop()
	sub.take(r.topic, "will", 2)
	for range 2 {
		r.connect("", kept).drop()
		r.noWill(sub)
	}
}

func willDiscarded(r *run) {
	sub := r.watch()
	for _, e := range []edit{clean, kept} {
		r.connect("", e, will(r.topic, "will", 1)).leave()
		r.noWill(sub)
		r.connect("", e).drop()
		r.noWill(sub)
	}
}

func noWillWithoutFlag(r *run) {
	sub := r.watch()
	r.connect("").drop()
	r.noWill(sub)
}

func willNotRetained(r *run) {
	sub := r.watch()
	r.connect("", will(r.topic, "will", 1)).drop()
	if p := sub.take(r.topic, "will", 1); p.Retain {
		r.Error("RETAIN is set")
	}
	late := r.connect("late")
	late.subscribe(r.topic, 1)
	r.noRetained(late)
}

func willRetained(r *run) {
	sub := r.watch()
	r.connect("", will(r.topic, "will", 1, func(w *mqtt.Will) { w.Retain = true })).drop()
	sub.take(r.topic, "will", 1)
	late := r.connect("late")
	late.subscribe(r.topic, 1)
	late.takeRetained(r.topic, "will", 1)
}

// The login is a signature of the client identifier, and the will says itself whether it was read right.
func payloadOrderWithWill(r *run) {
	sub := r.dialTo(r.login)
	sub.send(r.hello("sub", login))
	read[mqtt.Connack](sub)
	sub.subscribe(r.topic, 1)
	c := r.dialTo(r.login)
	c.send(r.hello("", will(r.topic, "will", 1), login))
	if a := read[mqtt.Connack](c); a.Code != mqtt.Success {
		r.Fatalf("CONNACK has %s", a.Code)
	}
	c.drop()
	sub.take(r.topic, "will", 1)
}

// Twice before the delay has passed, the second time without a will.
func willOfClientThatCameBack(r *run) {
	sub := r.watch()
	r.connect("", kept, will(r.topic, "first", 1, delayed(2))).drop()
	r.connect("", kept, will(r.topic, "second", 1, delayed(2))).drop()
	c := r.connect("", kept)
	r.until(time.Now().Add(2500 * time.Millisecond))
	r.noWill(sub)
	c.pong()
}

func willProperties(r *run) {
	sub := r.watch()
	want := user("b", "2", "a", "1", "b", "1", "b", "1")
	var forward []byte
	for _, u := range want {
		forward = append(append(append(forward, 0x26), str(string(u.Key))...), str(string(u.Value))...)
	}
	r.connect("", will(r.topic, "will", 1, func(w *mqtt.Will) { w.Forward = forward })).drop()
	if p := sub.take(r.topic, "will", 1); !reflect.DeepEqual(p.User, want) {
		r.Errorf("user properties are %q, want %q", p.User, want)
	}
}
