package session

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// meta turns on what enableMetaModule does.
func meta(b *broker) { b.caps = Capabilities{Retain: true, Will: true} }

func retain(p *mqtt.Publish) { p.Retain = true }

func handling(n byte) func(*mqtt.SubscribeFilter) {
	return func(f *mqtt.SubscribeFilter) { f.RetainHandling = n }
}

// wantRetained is wantPublish for what a new subscription begins with.
func (cl *client) wantRetained(topic, payload string, qos byte) *mqtt.Publish {
	cl.t.Helper()
	p := cl.wantPublish(topic, payload, qos)
	if !p.Retain || p.Dup {
		cl.t.Fatalf("RETAIN %v, DUP %v", p.Retain, p.Dup)
	}
	return p
}

// The last retained message of each topic that matches comes with RETAIN, at the lower QoS; an empty one ends it [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8].
func TestRetained(t *testing.T) {
	for name, end := range map[string]func(*broker){"at once": func(*broker) {}, "restart": (*broker).restart, "power loss": (*broker).crash} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, meta)
			pub, _ := b.connect(mqtt.V5, "pub")
			pub.send("a/0", "old", 0, retain)
			for qos := range byte(3) {
				pub.send(fmt.Sprint("a/", qos), fmt.Sprint("new ", qos), qos, retain)
			}
			pub.send("a/gone", "x", 1, retain)
			pub.send("a/gone", "", 1, retain)
			pub.send("a/1", "not retained", 1)
			end(b)
			for qos := range byte(3) {
				sub, _ := b.connect(mqtt.V5, fmt.Sprint("sub", qos))
				sub.subscribe("a/+", qos)
				for i := range byte(3) {
					sub.accept(sub.wantRetained(fmt.Sprint("a/", i), fmt.Sprint("new ", i), min(i, qos)))
				}
				sub.nothing()
			}
		})
	}
}

// between is a store in which something happens right after a Watch.
type between struct {
	store.Store
	then   func()       // after the next Watch; nil: nothing
	waited atomic.Int64 // the highest offset that Retained was to wait for
}

// Watch implements store.Store.
func (s *between) Watch(filter string) ([]store.Position, error) {
	at, err := s.Store.Watch(filter)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return at, err
}

// Retained implements store.Store.
func (s *between) Retained(filter, after string, at []store.Position, most int) ([]store.Record, string, error) {
	for _, p := range at {
		s.waited.Store(max(s.waited.Load(), p.Offset))
	}
	return s.Store.Retained(filter, after, at, most)
}

// What is retained, at QoS 0 too, between the start of a subscription and the moment at which it is routed is waited for: nobody handed it over.
func TestRetainedWhileSubscribing(t *testing.T) {
	var s *between
	b := newBroker(t, meta, func(b *broker) {
		b.wrap = func(under store.Store) store.Store {
			s = &between{Store: under}
			return s
		}
	})
	pub, _ := b.connect(mqtt.V5, "pub")
	sub, _ := b.connect(mqtt.V5, "sub")
	var end int64
	s.then = func() {
		pub.send("t", "x", 0, retain)
		at, err := b.store.Watch("t")
		if err != nil {
			t.Error(err)
		}
		end = at[0].Offset
	}
	sub.subscribe("t", 0)
	sub.wantRetained("t", "x", 0)
	if waited := s.waited.Load(); waited < end {
		t.Errorf("it was waited for what is below %d, and the message may be at %d", waited, end-1)
	}
}

// Those who are subscribed get it as any message: RETAIN is 0, or as published when they asked for that [MQTT-3.3.1-12] [MQTT-3.3.1-13].
func TestRetainedLive(t *testing.T) {
	b := newBroker(t, meta)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("t", 1)
	rap, _ := b.connect(mqtt.V5, "rap")
	rap.subscribe("t", 1, func(f *mqtt.SubscribeFilter) { f.RetainAsPublished = true })
	pub, _ := b.connect(mqtt.V5, "pub")
	for _, payload := range []string{"x", ""} {
		pub.send("t", payload, 1, retain)
		if sub.wantPublish("t", payload, 1).Retain || !rap.wantPublish("t", payload, 1).Retain {
			t.Error("RETAIN is wrong")
		}
	}
}

// Retain Handling: always, if the subscription is new, never [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]; shared subscriptions never.
func TestRetainHandling(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "x", 1, retain)
	for h, want := range [][2]bool{{true, true}, {true, false}, {false, false}} {
		sub, _ := b.connect(mqtt.V5, fmt.Sprint("sub", h))
		for again := range 2 {
			sub.subscribe("t", 1, handling(byte(h)))
			if want[again] {
				sub.accept(sub.wantRetained("t", "x", 1))
			}
			sub.packet(&pingreq{})
			sub.next(mqtt.PINGRESP, &pingreq{})
			sub.nothing()
		}
	}
	sub, _ := b.connect(mqtt.V5, "shared")
	sub.subscribe("$share/g/t", 1)
	sub.nothing()
}

type pingreq struct{}

func (*pingreq) Append(dst []byte, _ mqtt.Version) []byte { return mqtt.AppendPingreq(dst) }
func (*pingreq) Decode(mqtt.Version, byte, []byte) error  { return nil }

// A subscription identifier, No Local, properties and what is left of the expiry hold for retained messages as well.
func TestRetainedOptions(t *testing.T) {
	b := newBroker(t, meta)
	cl, _ := b.connect(mqtt.V5, "c")
	cl.send("t", "mine", 1, retain)
	other, _ := b.connect(mqtt.V5, "other")
	other.send("u", "x", 1, retain, func(p *mqtt.Publish) {
		p.HasMessageExpiry, p.MessageExpiry = true, 100
		p.ContentType = []byte("text/x")
	})
	b.clock.move(40 * time.Second)
	cl.packet(&mqtt.Subscribe{PacketID: 1, SubscriptionID: 9, Filters: []mqtt.SubscribeFilter{{Filter: []byte("#"), QoS: 1, NoLocal: true}}})
	cl.next(mqtt.SUBACK, &mqtt.Suback{Type: mqtt.SUBACK})
	p := cl.wantRetained("u", "x", 1)
	if p.MessageExpiry != 60 || string(p.ContentType) != "text/x" || fmt.Sprint(p.SubscriptionIDs) != "[9]" {
		t.Errorf("%+v", p)
	}
	cl.nothing()
	b.clock.move(61 * time.Second)
	late, _ := b.connect(mqtt.V5, "late")
	late.subscribe("u", 1)
	late.nothing()
}

// More than the window holds comes in its steps, every message once, and nothing that was retained before is sent after something newer.
func TestRetainedMany(t *testing.T) {
	const topics = 500
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	for i := range topics {
		pub.send(fmt.Sprintf("t/%03d", i), "old", byte(i%3), retain)
	}
	sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 7 })
	sub.subscribe("t/#", 2)
	const updates = 50
	last := map[string]string{}
	for sent, updated := 0, 0; len(last) < topics || updated < updates; {
		if len(last)%10 == 0 && sent < updates {
			pub.send(fmt.Sprintf("t/%03d", topics-1-3*sent), "new", byte(sent%3), retain)
			sent++
		}
		p := &mqtt.Publish{}
		sub.next(mqtt.PUBLISH, p)
		name := string(p.Topic)
		switch string(p.Payload) {
		case "old":
			if last[name] != "" {
				t.Fatalf("%s: old after %q", name, last[name])
			}
		case "new":
			updated++
		}
		last[name] = string(p.Payload)
		sub.acceptAny(p)
	}
}

// acceptAny is accept while other messages may come in between.
func (cl *client) acceptAny(p *mqtt.Publish) {
	cl.t.Helper()
	switch p.QoS {
	case 1:
		cl.ack(mqtt.PUBACK, p.PacketID)
	case 2: // PUBREL need not be seen before PUBCOMP: the server has recorded PUBREC when it takes that
		cl.ack(mqtt.PUBREC, p.PacketID)
		cl.awaitPubrel(p.PacketID)
		cl.ack(mqtt.PUBCOMP, p.PacketID)
	}
}

// awaitPubrel takes PUBREL out of what has come; what else there is stays.
func (cl *client) awaitPubrel(id uint16) {
	cl.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case r := <-cl.got:
			if r.h.Type == mqtt.PUBREL && r.body[0] == byte(id>>8) && r.body[1] == byte(id) {
				return
			}
			cl.ahead = append(cl.ahead, r)
		case <-deadline:
			cl.t.Fatal("no PUBREL came")
		}
	}
}

// A persistent session is owed what its subscription began with: over the end of the connection, a restart, a power loss.
func TestRetainedIsOwed(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, meta)
			pub, _ := b.connect(mqtt.V5, "pub")
			for i := range 6 {
				pub.send(fmt.Sprint("t/", i), "x", byte(1+i%2), retain)
			}
			sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
			sub.subscribe("t/+", 2)
			first := map[string]bool{}
			for range 2 {
				p := &mqtt.Publish{}
				sub.next(mqtt.PUBLISH, p)
				first[string(p.Topic)] = true
			}
			end(b)
			sub, ack := b.connect(mqtt.V5, "sub", keep)
			if !ack.SessionPresent {
				t.Fatal("no session")
			}
			seen := map[string]bool{}
			for len(seen) < 6 {
				p := &mqtt.Publish{}
				sub.next(mqtt.PUBLISH, p)
				if seen[string(p.Topic)] = true; !p.Retain {
					t.Errorf("%s came without RETAIN", p.Topic)
				}
				sub.acceptAny(p)
			}
		})
	}
}

// Once all of it was sent, it is not owed any more.
func TestRetainedIsOwedOnce(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, meta, with)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "x", 1, retain)
	settled := make(chan struct{})
	h.on(store.Subscribe, func(c *store.Change) {
		if !c.Subscription.Replay {
			close(settled)
		}
	})
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	p := sub.wantRetained("t", "x", 1)
	wait(t, "the store is told that it was sent", settled)
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	again := sub.wantPublish("t", "x", 1)
	if !again.Dup || !again.Retain || again.PacketID != p.PacketID {
		t.Errorf("%+v", again)
	}
	sub.accept(again)
	sub.gone()
	b.crash()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.nothing()
}

// A retained message of QoS 0 that was published before SUBSCRIBE is there for it, and one that comes later is the last that is sent.
func TestRetainedQoS0AgainstSubscribe(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	for i := range 200 {
		pub.publish("t", fmt.Sprint(i), 0, 0, retain)
		sub, _ := b.connect(mqtt.V5, "sub")
		sub.subscribe("t", 0)
		sub.wantRetained("t", fmt.Sprint(i), 0)
		sub.gone()
	}
}

// Without the module nothing of it happens, also not to what was stored with it.
func TestMetaOffAndOn(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "x", 1, retain)
	will, _ := b.connect(mqtt.V5, "dies", withWill(0))
	_ = will
	b.caps = Capabilities{}
	b.crash()
	sub, ack := b.connect(mqtt.V5, "sub")
	if ack.RetainAvailable == nil || *ack.RetainAvailable {
		t.Error("CONNACK does not say that there are no retained messages")
	}
	sub.subscribe("#", 1)
	sub.nothing()
	b.caps = Capabilities{Retain: true, Will: true}
	b.restart()
	sub, ack = b.connect(mqtt.V5, "sub")
	if ack.RetainAvailable != nil {
		t.Error("CONNACK says something about retained messages")
	}
	sub.subscribe("t", 1)
	sub.accept(sub.wantRetained("t", "x", 1))
}

// A client that subscribes over and over and does not read makes nothing grow.
func TestRetainedSubscribeFlood(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "x", 0, retain)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.full.Store(true)
	for range 1000 {
		sub.subscribe("t", 0)
	}
	sub.c.mu.Lock()
	n := len(sub.c.out.replays)
	sub.c.mu.Unlock()
	if n > 2 {
		t.Errorf("%d replays are owed", n)
	}
	sub.full.Store(false)
	sub.c.Drained()
	sub.wantRetained("t", "x", 0)
}

// A retained message that is published while SUBSCRIBE is handled comes in any case, also when the router has seen it before the subscription.
func TestRetainedAgainstSubscribe(t *testing.T) {
	for qos := range byte(3) {
		h, with := hooked()
		b := newBroker(t, meta, with)
		pub, _ := b.connect(mqtt.V5, "pub")
		other, _ := b.connect(mqtt.V5, "other")
		other.subscribe("t", 0)
		pub.send("t", "old", qos, retain)
		other.wantPublish("t", "old", 0)
		sub, _ := b.connect(mqtt.V5, "sub")
		h.mu.Lock()
		h.end = func() {
			pub.send("t", "new", qos, retain)
			other.wantPublish("t", "new", 0) // so the router has dealt with it
		}
		h.mu.Unlock()
		sub.subscribe("t", 2)
		sub.accept(sub.wantRetained("t", "new", qos))
		sub.nothing()
	}
}

// What was sent live through another subscription before SUBSCRIBE is sent as retained for the new one all the same.
func TestRetainedForSecondSubscription(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/old", "x", 1, retain)
	sub, _ := b.connect(mqtt.V5, "sub", func(p *mqtt.Connect) { p.ReceiveMaximum = 1 })
	pub.send("a/other", "x", 1, retain)
	sub.subscribe("a/+", 1) // its retained messages need two windows
	first := &mqtt.Publish{}
	sub.next(mqtt.PUBLISH, first)
	pub.send("a/new", "live", 0, retain)
	if p := sub.wantPublish("a/new", "live", 0); p.Retain {
		t.Error("RETAIN of a live message")
	}
	sub.subscribe("a/new", 1)
	sub.accept(first)
	got := map[string]bool{}
	for range 2 {
		p := &mqtt.Publish{}
		sub.next(mqtt.PUBLISH, p)
		got[string(p.Topic)] = p.Retain
		sub.accept(p)
	}
	if !got["a/new"] {
		t.Errorf("came with RETAIN: %v", got)
	}
	sub.nothing()
}

// QoS 0 that became the retained message while a session that is owed retained messages was away is among them.
func TestRetainedIsOwedQoS0(t *testing.T) {
	b := newBroker(t, meta)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t/1", "x", 1, retain)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.full.Store(true)
	sub.subscribe("t/+", 1)
	sub.gone()
	pub.send("t/0", "while away", 0, retain)
	pub.send("t/2", "while away", 1, retain)
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.wantRetained("t/0", "while away", 0)
	sub.accept(sub.wantRetained("t/1", "x", 1))
	if p := sub.wantPublish("t/2", "while away", 1); p.Retain {
		t.Error("what comes through the log has RETAIN")
	}
}
