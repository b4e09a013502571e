package conformance

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func sessionTests() []test {
	return []test{
		{"3.1.2-4 3.2.2-2", "3.1.2-5 3.1.2-23 3.2.2-3", sessionGoesOn},
		{"3.1.2-4 3.2.2-3", "3.1.2-6 3.2.2-3", newSession},
		{"3.1.2-6 3.1.4-3 3.2.2-1", "3.1.2-4 3.1.4-4 3.2.2-2", cleanSession},
		{"3.1.2-6", "", cleanSessionEnds},
		{"3.1.2-5 4.1.0-1 4.5.0-1", "4.5.0-1", messagesAreKept},
		{"4.1.0-2", "4.1.0-1", sessionLastsWithConnection},
		{"", "4.1.0-2", sessionExpires},
	}
}

func sessionGoesOn(r *run) {
	c := r.connect("", kept)
	c.subscribe(r.topic, 1)
	c.leave()
	c, a := r.connack("", kept)
	if !a.SessionPresent {
		r.Error("no session present")
	}
	r.connect("pub").publish(r.topic, "m", 1)
	c.take(r.topic, "m", 1)
}

func newSession(r *run) {
	if _, a := r.connack("", kept); a.SessionPresent {
		r.Error("session present")
	}
}

func clean(p *mqtt.Connect) { p.CleanStart = true }

// The session was kept, and in MQTT 5 the new one is to be kept too: Clean Start says how it begins, not how it ends.
func cleanSession(r *run) {
	c := r.connect("", kept)
	c.subscribe(r.topic, 1)
	c.leave()
	pub := r.connect("pub")
	pub.publish(r.topic, "before", 1)
	c, a := r.connack("", kept, clean)
	if a.SessionPresent {
		r.Error("session present")
	}
	c.subscribe(r.topic+"/end", 1)
	pub.publish(r.topic, "after", 1)
	pub.publish(r.topic+"/end", "end", 1)
	c.take(r.topic+"/end", "end", 1)
	c.leave()
	if _, a := r.connack("", kept); a.SessionPresent != r.isV5() {
		r.Errorf("session present is %t", a.SessionPresent)
	}
}

func cleanSessionEnds(r *run) {
	c := r.connect("")
	c.subscribe(r.topic, 1)
	c.leave()
	if _, a := r.connack("", kept); a.SessionPresent {
		r.Error("session present")
	}
}

// Messages of QoS 1 and 2 wait for a session whose connection ended with and without DISCONNECT.
func messagesAreKept(r *run) {
	pub := r.connect("pub")
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic+"/#", 2)
	for _, drop := range []func(){sub.leave, func() { _ = sub.Close() }} {
		drop()
		pub.publish(r.topic+"/1", "one", 1)
		pub.publish(r.topic+"/2", "two", 2)
		sub = r.connect("sub", kept)
		got := map[string]byte{}
		for range 2 {
			p := read[mqtt.Publish](sub)
			got[string(p.Payload)] = p.QoS
			sub.accept(p)
		}
		if got["one"] != 1 || got["two"] != 2 {
			r.Errorf("read %v", got)
		}
	}
}

// The session would expire after a second without its connection.
func sessionLastsWithConnection(r *run) {
	c := r.connect("", kept, expiry(1))
	c.subscribe(r.topic, 1)
	r.until(time.Now().Add(1500 * time.Millisecond))
	r.connect("pub").publish(r.topic, "m", 1)
	c.take(r.topic, "m", 1)
}

func expiry(seconds uint32) edit {
	return func(p *mqtt.Connect) {
		if p.Version == mqtt.V5 {
			p.SessionExpiry = seconds
		}
	}
}

// When a client finds that its session is still there it has begun it anew, and must be away again, longer.
func sessionExpires(r *run) {
	c := r.connect("", kept, expiry(1))
	c.subscribe(r.topic, 1)
	for away := 1200 * time.Millisecond; away < patience; away *= 2 {
		c.leave()
		r.until(time.Now().Add(away))
		var a *mqtt.Connack
		if c, a = r.connack("", kept, expiry(1)); !a.SessionPresent {
			return
		}
	}
	r.Error("the session does not expire")
}
