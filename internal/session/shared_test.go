package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// drain takes every message that comes until want have come, acknowledges them, and returns the payloads.
func drain(t *testing.T, want int, from ...*client) map[string]int {
	t.Helper()
	seen := map[string]int{}
	eventually(t, fmt.Sprintf("%d messages", want), func() bool {
		for _, cl := range from {
			for len(cl.got) > 0 {
				cl.takeOne(seen)
			}
		}
		return len(seen) >= want
	})
	return seen
}

func (cl *client) takeOne(seen map[string]int) { cl.takes(<-cl.got, seen) }

func (cl *client) takes(r received, seen map[string]int) {
	switch r.h.Type {
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(cl.version, r.h.Flags, r.body); err != nil {
			cl.t.Fatal(err)
		}
		seen[string(p.Payload)]++
		if p.QoS > 0 {
			cl.ack(map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC}[p.QoS], p.PacketID)
		}
	case mqtt.PUBREL:
		a := mqtt.Ack{Type: mqtt.PUBREL}
		if err := a.Decode(cl.version, r.h.Flags, r.body); err != nil {
			cl.t.Fatal(err)
		}
		cl.ack(mqtt.PUBCOMP, a.PacketID)
	default:
		cl.t.Fatalf("got %v", r.h.Type)
	}
}

// Every message goes to one member, each member gets some [MQTT-4.8.2-4], and ordinary subscriptions are not touched.
func TestSharedOneMember(t *testing.T) {
	b := newBroker(t)
	var members []*client
	for i := range 3 {
		cl, _ := b.connect(mqtt.V5, fmt.Sprint("m", i))
		cl.subscribe("$share/g/jobs/#", 2)
		members = append(members, cl)
	}
	plain, _ := b.connect(mqtt.V5, "plain")
	plain.subscribe("jobs/+", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	const n = 90
	for i := range n {
		pub.send("jobs/x", fmt.Sprint(i), byte(i%3))
		plain.accept(plain.wantPublish("jobs/x", fmt.Sprint(i), byte(i%3)))
	}
	for i, m := range members {
		if got := len(m.got); got < n/6 {
			t.Errorf("member %d got %d of %d", i, got, n)
		}
	}
	for payload, times := range drain(t, n, members...) {
		if times != 1 {
			t.Errorf("message %s came %d times", payload, times)
		}
	}
	for _, m := range members {
		m.nothing()
	}
}

// QoS 1 of a member that leaves goes to another at once; QoS 2 that began stays with the session it began with.
func TestSharedMemberLeaves(t *testing.T) {
	b := newBroker(t)
	one, _ := b.connect(mqtt.V5, "one", keep)
	one.subscribe("$share/g/jobs", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("jobs", "q1", 1)
	pub.send("jobs", "q2", 2)
	one.wantPublish("jobs", "q1", 1)
	p2 := one.wantPublish("jobs", "q2", 2)
	two, _ := b.connect(mqtt.V5, "two", keep)
	two.subscribe("$share/g/jobs", 2)
	one.gone()
	two.accept(two.wantPublish("jobs", "q1", 1))
	two.nothing()
	one, _ = b.connect(mqtt.V5, "one", keep)
	again := one.wantPublish("jobs", "q2", 2)
	if !again.Dup || again.PacketID != p2.PacketID {
		t.Fatalf("DUP %v id %d, want id %d", again.Dup, again.PacketID, p2.PacketID)
	}
	one.accept(again)
	one.nothing()
	two.nothing()
}

// What came through a shared subscription is sent again with that subscription's identifier [MQTT-3.3.4-3].
func TestSharedAgain(t *testing.T) {
	b := newBroker(t)
	one, _ := b.connect(mqtt.V5, "one", keep)
	one.packet(&mqtt.Subscribe{PacketID: 1, SubscriptionID: 7, Filters: []mqtt.SubscribeFilter{{Filter: []byte("$share/g/jobs"), QoS: 2}}})
	one.next(mqtt.SUBACK, &mqtt.Suback{Type: mqtt.SUBACK})
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("jobs", "work", 2)
	first := one.wantPublish("jobs", "work", 2)
	one.gone()
	one, _ = b.connect(mqtt.V5, "one", keep)
	again := one.wantPublish("jobs", "work", 2)
	if want := []uint32{7}; !slices.Equal(first.SubscriptionIDs, want) || !slices.Equal(again.SubscriptionIDs, want) {
		t.Errorf("subscription identifiers %v, then %v, want %v", first.SubscriptionIDs, again.SubscriptionIDs, want)
	}
	one.accept(again)
}

// Without a connected member, or one that has room, messages wait; also over a restart and a power loss.
func TestSharedWaits(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			one, _ := b.connect(mqtt.V5, "one", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
			one.subscribe("$share/g/jobs", 1)
			pub, _ := b.connect(mqtt.V5, "pub")
			const n = 20
			for i := range n / 2 {
				pub.send("jobs", fmt.Sprint(i), 1)
			}
			one.wantPublish("jobs", "0", 1)
			one.wantPublish("jobs", "1", 1)
			one.nothingMore()
			one.gone()
			for i := n / 2; i < n; i++ {
				pub.send("jobs", fmt.Sprint(i), 1)
			}
			end(b)
			two, _ := b.connect(mqtt.V5, "two")
			early := map[string]int{}
			two.join("$share/g/jobs", 1, early)
			seen := drain(t, n-len(early), two)
			for i := range n {
				if times := early[fmt.Sprint(i)] + seen[fmt.Sprint(i)]; times != 1 {
					t.Errorf("message %d came %d times", i, times)
				}
			}
			two.nothing()
		})
	}
}

// A group ends with its last member: who founds it anew does not get what came in between.
func TestSharedEnds(t *testing.T) {
	b := newBroker(t)
	one, _ := b.connect(mqtt.V5, "one", keep)
	one.subscribe("$share/g/jobs", 1)
	one.packet(&mqtt.Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte("$share/g/jobs")}})
	one.next(mqtt.UNSUBACK, &mqtt.Suback{Type: mqtt.UNSUBACK})
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("jobs", "in between", 1)
	one.subscribe("$share/g/jobs", 1)
	pub.send("jobs", "new", 1)
	one.accept(one.wantPublish("jobs", "new", 1))
	one.nothing()
}

// No Local on a shared subscription is a protocol error [MQTT-3.8.3-4].
func TestSharedNoLocal(t *testing.T) {
	b := newBroker(t)
	one, _ := b.connect(mqtt.V5, "one")
	one.packet(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte("$share/g/x"), NoLocal: true}}})
	one.wantDisconnect(mqtt.ProtocolError)
}

// What the last member of a group has not acknowledged when it unsubscribes comes again, after a crash too [MQTT-3.10.4-3].
func TestSharedLastMemberUnsubscribes(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			sub, _ := b.connect(mqtt.V5, "sub", keep)
			sub.subscribe("$share/g/t", 1)
			pub, _ := b.connect(mqtt.V5, "pub")
			pub.send("t", "x", 1)
			sub.wantPublish("t", "x", 1)
			sub.packet(&mqtt.Unsubscribe{PacketID: 5, Filters: [][]byte{[]byte("$share/g/t")}})
			sub.next(mqtt.UNSUBACK, &mqtt.Suback{Type: mqtt.UNSUBACK})
			end(b)
			sub, _ = b.connect(mqtt.V5, "sub", keep)
			p := sub.wantPublish("t", "x", 1)
			if !p.Dup {
				t.Error("came again without DUP")
			}
			sub.accept(p)
			sub.gone()
			end(b)
			sub, _ = b.connect(mqtt.V5, "sub", keep)
			sub.nothing()
		})
	}
}

// readsZero is a store that, as RocketMQ's, reads messages of QoS 0 again: those whose payload is "0".
type readsZero struct{ store.Store }

func (z readsZero) Read(from store.Position, q *store.Query, most int) ([]store.Record, int64, int64, error) {
	recs, next, missed, err := z.Store.Read(from, q, most)
	recs = slices.Clone(recs)
	for i := range recs {
		if string(recs[i].Payload) == "0" {
			recs[i].QoS = 0
		}
	}
	return recs, next, missed, err
}

// Messages of QoS 0 are for who is there when they come: a group that catches up is not given them, some for the second time.
func TestSharedCatchesUpWithoutQoS0(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.wrap = func(s store.Store) store.Store { return readsZero{s} } })
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("$share/g/t", 1)
	sub.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	for _, payload := range []string{"0", "1", "0", "2"} {
		pub.send("t", payload, 1)
	}
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	for _, payload := range []string{"1", "2"} {
		sub.accept(sub.wantPublish("t", payload, 1))
	}
	sub.nothing()
}

// A message of QoS 0 that the group reads and is handed is given to one member once, whichever is first: a group that has just begun is given it when it reads on.
func TestSharedQoS0Once(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("$share/g/t", 1)
	b.m.groups.mu.Lock()
	g := b.m.groups.byName["$share/g/t"]
	b.m.groups.mu.Unlock()
	for i, readFirst := range []bool{true, false} {
		rec := store.Record{Position: store.Position{Offset: int64(1000 + i)}, Topic: "t", Payload: fmt.Append(nil, i)}
		read := func() { g.caughtUp(store.Position{Offset: rec.Offset}, []store.Record{rec}, rec.Offset+1) }
		if readFirst {
			read()
		}
		g.Deliver(&rec, []*router.Subscription{&g.sub})
		read()
		sub.wantPublish("t", string(rec.Payload), 0)
		sub.nothing()
	}
}
