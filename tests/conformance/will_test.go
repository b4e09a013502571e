package conformance

import (
	"reflect"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func willTests() []test {
	return []test{
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
		{"", "3.1.3-10 3.3.2-4 3.3.2-6 3.3.2-15 3.3.2-16 3.3.2-20", willProperties},
		{"3.1.4-2", "3.1.4-3", willAtTakeover},
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

// Those of the message travel with it; its expiry begins when it is published.
func willProperties(r *run) {
	sub := r.watch()
	want := user("b", "2", "a", "1", "b", "1", "b", "1")
	forward := slices.Concat([]byte{0x01, 1, 0x03}, str("c"), []byte{0x08}, str("r"), []byte{0x09}, str("d"))
	for _, u := range want {
		forward = slices.Concat(forward, []byte{0x26}, str(string(u.Key)), str(string(u.Value)))
	}
	r.connect("", will(r.topic, "will", 1, func(w *mqtt.Will) {
		w.Forward, w.HasMessageExpiry, w.MessageExpiry = forward, true, 100
	})).drop()
	p := sub.take(r.topic, "will", 1)
	if !reflect.DeepEqual(p.User, want) {
		r.Errorf("user properties are %q, want %q", p.User, want)
	}
	if !p.HasPayloadFormat || p.PayloadFormat != 1 || string(p.ContentType) != "c" || string(p.ResponseTopic) != "r" || string(p.CorrelationData) != "d" {
		r.Errorf("read %+v", p)
	}
	if !p.HasMessageExpiry || p.MessageExpiry > 100 || p.MessageExpiry < 100-uint32(patience/time.Second) {
		r.Errorf("%d s are left of 100", p.MessageExpiry)
	}
}

// Who takes over without going on with the session ends it, and so its will is sent.
func willAtTakeover(r *run) {
	sub := r.watch()
	old := r.connect("", will(r.topic, "will", 1))
	r.connect("")
	old.thrownOut(mqtt.SessionTakenOver)
	sub.take(r.topic, "will", 1)
	r.noWill(sub)
}
