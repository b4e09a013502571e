package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func withP2P(b *broker) { b.p2p = true }

// What is published to first/p2p/client id, or below, reaches that client without SUBSCRIBE at the QoS that it was published with, beside those who subscribe to it;
// who does both gets it once.
func TestP2P(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for name, change := range map[string]func(*mqtt.Connect){"kept": keep, "not kept": func(*mqtt.Connect) {}} {
			t.Run(fmt.Sprint(v, " ", name), func(t *testing.T) {
				b := newBroker(t, withP2P)
				me, _ := b.connect(v, "me", change)
				other, _ := b.connect(v, "other", change)
				watch, _ := b.connect(mqtt.V5, "watch")
				watch.subscribe("a/#", 2)
				pub, _ := b.connect(mqtt.V5, "pub")
				n := 0
				says := func(topic string, to ...*client) {
					t.Helper()
					n++
					payload, qos := fmt.Sprint(n), byte(n%3)
					pub.send(topic, payload, qos)
					for _, cl := range to {
						cl.accept(cl.wantPublish(topic, payload, qos))
					}
				}
				for range 3 { // each QoS
					says("a/p2p/me", me, watch)
					says("a/p2p/me/x/y", me, watch)
					says("b/p2p/other/", other)
					says("/a/p2p/me", me)
					says("/p2p/me/", me)
					says("a/p2p/nobody", watch)
					says("a/p2p", watch)
					says("a/x/p2p/me", watch)
				}
				me.subscribe("a/+/me", 1)
				me.subscribe("a/p2p/#", 0)
				for range 3 {
					says("a/p2p/me", me, watch)
				}
				me.nothing()
				other.nothing()
				watch.nothing()
			})
		}
	}
}

// It is off unless it is said, and for clients whose ids are no level of a topic.
func TestP2POff(t *testing.T) {
	b := newBroker(t)
	me, _ := b.connect(mqtt.V5, "me", keep)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "x", 1)
	me.nothing()
	b = newBroker(t, withP2P)
	odd, _ := b.connect(mqtt.V5, "a/b", keep)
	plus, _ := b.connect(mqtt.V5, "+", keep)
	pub, _ = b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/a/b", "x", 1)
	pub.send("a/p2p/x", "x", 1)
	odd.nothing()
	plus.nothing()
}

// A session that is kept gets what was addressed to its client while it was away: from its first CONNACK on, nothing older, and nothing twice.
func TestP2POffline(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, withP2P)
			pub, _ := b.connect(mqtt.V5, "pub")
			pub.send("a/p2p/me", "older", 1)
			b.connect(mqtt.V5, "me", keep)
			end(b) // at once
			pub, _ = b.connect(mqtt.V5, "pub")
			for i := range 30 {
				pub.send("a/p2p/me", fmt.Sprint(i), byte(i%3))
			}
			me, ack := b.connect(mqtt.V5, "me", keep)
			if !ack.SessionPresent {
				t.Fatal("no session")
			}
			me.wantInOrder("a/p2p/me", 30)
			pub.send("a/p2p/me", "live", 2)
			me.accept(me.wantPublish("a/p2p/me", "live", 2))
			me.gone()
			end(b)
			me, _ = b.connect(mqtt.V5, "me", keep)
			me.nothing()
		})
	}
}

// A session that ends with its connection has nothing left of it.
func TestP2PEnds(t *testing.T) {
	b := newBroker(t, withP2P)
	me, _ := b.connect(mqtt.V5, "me")
	me.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "x", 1)
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.nothing()
	me.gone()
	me, _ = b.connect(mqtt.V5, "me") // clean start
	me.nothing()
}

// The subscription is not the client's: it cannot make or end it, and it counts for no limit and no number.
func TestP2PIsNotASubscriptionOfTheClient(t *testing.T) {
	b := newBroker(t, withP2P, func(b *broker) { b.limits.Subscriptions = 1 })
	me, _ := b.connect(mqtt.V5, "me", keep)
	if code := me.subscribe(store.P2P, 1); code != mqtt.TopicFilterInvalid {
		t.Errorf("SUBSCRIBE: %v", code)
	}
	me.packet(&mqtt.Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte(store.P2P)}})
	ack := mqtt.Suback{Type: mqtt.UNSUBACK}
	me.next(mqtt.UNSUBACK, &ack)
	if len(ack.Codes) != 1 || ack.Codes[0] != mqtt.NoSubscriptionExisted {
		t.Errorf("UNSUBSCRIBE: %v", ack.Codes)
	}
	if code := me.subscribe("t", 1); code != 1 {
		t.Errorf("the first filter: %v", code)
	}
	if n := b.m.Survey().Subscriptions; n != 1 {
		t.Errorf("%d subscriptions", n)
	}
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "x", 1)
	me.accept(me.wantPublish("a/p2p/me", "x", 1))
}

// A retained message that is addressed to a client comes as it is published, and not again with each connection.
func TestP2PRetained(t *testing.T) {
	b := newBroker(t, withP2P, func(b *broker) { b.caps.Retain = true })
	me, _ := b.connect(mqtt.V5, "me", keep)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "x", 1, func(p *mqtt.Publish) { p.Retain = true })
	p := me.wantPublish("a/p2p/me", "x", 1)
	if p.Retain {
		t.Error("RETAIN is set")
	}
	me.accept(p)
	me.gone()
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.nothing()
}

// Where it was turned off and on again, sessions that were kept go on from their next connection, without what came meanwhile.
func TestP2PTurnedOff(t *testing.T) {
	b := newBroker(t, withP2P)
	says := func(payload string) {
		t.Helper()
		pub, _ := b.connect(mqtt.V5, "pub")
		pub.send("a/p2p/me", payload, 1)
	}
	comes := func() *client {
		t.Helper()
		me, ack := b.connect(mqtt.V5, "me", keep)
		if !ack.SessionPresent {
			t.Fatal("no session")
		}
		return me
	}
	b.connect(mqtt.V5, "me", keep)
	b.p2p = false
	b.restart()
	me := comes()
	says("off")
	me.nothing()
	me.gone()
	b.p2p = true
	b.restart()
	says("before the session is back")
	me = comes()
	me.nothing()
	says("on")
	me.accept(me.wantPublish("a/p2p/me", "on", 1))
}

// In a cluster it reaches the client wherever it is, and the session wherever it comes back.
func TestP2PInACluster(t *testing.T) {
	c := newCluster(t, 2)
	for _, p := range c.nodes {
		p.m.opts.P2P = true
	}
	a, b := c.nodes[0], c.nodes[1]
	me, _ := a.connect(mqtt.V5, "me", keep)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "live", 2)
	me.accept(me.wantPublish("a/p2p/me", "live", 2))
	me.gone()
	pub.send("a/p2p/me", "away", 2)
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.accept(me.wantPublish("a/p2p/me", "away", 2))
	pub.send("a/p2p/me", "moved", 1)
	me.accept(me.wantPublish("a/p2p/me", "moved", 1))
	again, _ := a.connect(mqtt.V5, "me", keep)
	me.wantDisconnect(mqtt.SessionTakenOver)
	pub.send("a/p2p/me", "taken over", 1)
	again.accept(again.wantPublish("a/p2p/me", "taken over", 1))
	again.nothing()
}

// listing is a store that follows, for what is addressed to clients, the queue of one topic.
type listing struct {
	store.Store
	queue store.Queue
}

// Watch implements store.Store.
func (l *listing) Watch(filter string) ([]store.Position, error) {
	v, err := l.Store.Watch(filter)
	if filter == store.P2P {
		v = slices.DeleteFunc(v, func(p store.Position) bool { return p.Queue != l.queue })
	}
	return v, err
}

// Queues implements store.Store.
func (l *listing) Queues(filter string) []store.Queue {
	if filter == store.P2P {
		return []store.Queue{l.queue}
	}
	return l.Store.Queues(filter)
}

// What is addressed to a client in a queue that is not followed for that comes while others have it followed. Then it is the first one: nothing that was there before
// is looked for.
func TestP2PElsewhere(t *testing.T) {
	other := "b"
	for i := 0; queues > 1 && queueOf(other+"/p2p/me") == queueOf("a/p2p/me"); i++ {
		other = fmt.Sprint("b", i)
	}
	b := newBroker(t, withP2P, func(b *broker) {
		b.wrap = func(s store.Store) store.Store { return &listing{s, queueOf("a/p2p/me")} }
	})
	me, _ := b.connect(mqtt.V5, "me", keep)
	me.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a/p2p/me", "listed", 1)
	if queues > 1 {
		pub.send(other+"/p2p/me", "not listed", 1)
	}
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.accept(me.wantPublish("a/p2p/me", "listed", 1))
	pub.send(other+"/p2p/me", "live", 1)
	me.accept(me.wantPublish(other+"/p2p/me", "live", 1))
	me.nothing()
}
