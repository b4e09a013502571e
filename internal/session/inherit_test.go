package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// elsewhere is where clients stood at another broker.
type elsewhere struct {
	mu    sync.Mutex
	at    map[string][]store.Position // by client and filter
	asked []string

	unacked []store.Position
}

func (e *elsewhere) unacknowledged(string) []store.Position {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.unacked
}

func (e *elsewhere) missed(client, filter string) []store.Position {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, client+" "+filter)
	return slices.Clone(e.at[client+" "+filter])
}

// end is where the queue of a topic ends.
func (b *broker) end(topic string) store.Position {
	b.t.Helper()
	v, err := b.m.opts.Store.Watch(topic)
	if err != nil {
		b.t.Fatal(err)
	}
	b.m.opts.Store.Unwatch(topic)
	for _, p := range v {
		if p.Queue == queueOf(topic) || queues == 1 {
			return p
		}
	}
	b.t.Fatal("no queue of " + topic)
	return store.Position{}
}

// placeOf is the place of a message that pub publishes now.
func (b *broker) placeOf(pub *client, topic, payload string) store.Position {
	b.t.Helper()
	at := b.end(topic)
	pub.send(topic, payload, 2)
	recs, _, _, err := b.m.opts.Store.Read(at, &store.Query{Filters: []string{topic}, Match: func(string) bool { return true }}, 1)
	if err != nil || len(recs) != 1 {
		b.t.Fatal(recs, err)
	}
	return recs[0].Position
}

// leaves has a client stand in the queue of a topic where that ends now.
func (e *elsewhere) leaves(b *broker, client, filter, topic string) {
	at := b.end(topic)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.at[client+" "+filter] = append(e.at[client+" "+filter], at)
}

func newElsewhere(t *testing.T, change ...func(*broker)) (*elsewhere, *broker) {
	e := &elsewhere{at: map[string][]store.Position{}}
	return e, newBroker(t, append(change, func(b *broker) { b.missed, b.unacked = e.missed, e.unacknowledged })...)
}

// inOneQueue is n topics below first that are in one queue.
func inOneQueue(first string, n int) (topics []string) {
	for i := 0; len(topics) < n; i++ {
		if topic := fmt.Sprint(first, "/", i); len(topics) == 0 || queueOf(topic) == queueOf(topics[0]) || queues == 1 {
			topics = append(topics, topic)
		}
	}
	return topics
}

// says publishes payloads at QoS 1 and 2 by turns.
func (b *broker) says(topic string, from, to int) {
	b.t.Helper()
	pub, _ := b.connect(mqtt.V5, "pub")
	for i := from; i < to; i++ {
		pub.send(topic, fmt.Sprint(topic, " ", i), byte(1+i%2))
	}
	pub.gone()
}

// heard takes what says has published, each QoS in order, and nothing else.
func (cl *client) heard(topic string, from, to int) {
	cl.t.Helper()
	next := map[byte]int{1: from + from%2, 2: from + 1 - from%2}
	for range to - from {
		p := cl.take1()
		if want := fmt.Sprint(topic, " ", next[p.QoS]); string(p.Topic) != topic || string(p.Payload) != want {
			cl.t.Fatalf("%q at QoS %d, want %q", p.Payload, p.QoS, want)
		}
		next[p.QoS] += 2
	}
}

// inherits subscribes. Messages may come before SUBACK; they stay.
func (cl *client) inherits(filter string, qos byte) mqtt.ReasonCode {
	cl.t.Helper()
	cl.packet(&mqtt.Subscribe{PacketID: 77, Filters: []mqtt.SubscribeFilter{{Filter: []byte(filter), QoS: qos}}})
	for deadline := time.After(patience); ; {
		select {
		case r := <-cl.got:
			if r.h.Type != mqtt.SUBACK {
				cl.ahead = append(cl.ahead, r)
				continue
			}
			ack := mqtt.Suback{Type: mqtt.SUBACK}
			if err := ack.Decode(cl.version, r.h.Flags, r.body); err != nil {
				cl.t.Fatal(err)
			}
			return ack.Codes[0]
		case <-deadline:
			cl.t.Fatal("no SUBACK")
		}
	}
}

// take1 takes one message and acknowledges it.
func (cl *client) take1() *mqtt.Publish {
	cl.t.Helper()
	p := &mqtt.Publish{}
	cl.next(mqtt.PUBLISH, p)
	cl.acceptAny(p)
	return p
}

// again takes messages until it has all of a topic from from to to, counting how often each came. Those that were under way come again.
func (cl *client) again(count map[string]int, topic string, from, to int) {
	cl.t.Helper()
	left := to - from
	for i := from; i < to; i++ {
		if count[fmt.Sprint(topic, " ", i)] > 0 {
			left--
		}
	}
	for left > 0 {
		p := cl.take1()
		if count[string(p.Payload)]++; count[string(p.Payload)] == 1 && string(p.Topic) == topic {
			left--
		}
	}
}

// A client that comes from elsewhere gets with its first subscription what it has missed there, in order, once, and then what is new; also when the broker or the connection ends
// in the middle.
func TestInherit(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			const topic = "t/a"
			e, b := newElsewhere(t)
			b.says(topic, 0, 10)
			e.leaves(b, "me", "t/+", topic)
			b.says(topic, 10, 40)
			me, _ := b.connect(mqtt.V5, "me", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 4 })
			if code := me.inherits("t/+", 2); code != 2 {
				t.Fatalf("SUBACK %v", code)
			}
			me.heard(topic, 10, 14)
			b.ticks(2) // it is written down
			me.gone()
			end(b)
			b.says(topic, 40, 50)
			me, ack := b.connect(mqtt.V5, "me", keep)
			if !ack.SessionPresent {
				t.Fatal("no session")
			}
			me.again(map[string]int{}, topic, 14, 50)
			me.nothing()
			b.says(topic, 50, 52)
			me.heard(topic, 50, 52)
		})
	}
}

// It is asked for the first subscription to a filter of a session that begins and is kept, and never again.
func TestInheritOnce(t *testing.T) {
	const topic = "t/a"
	e, b := newElsewhere(t)
	for _, client := range []string{"clean", "me", "late"} {
		for _, filter := range []string{"t/a", "t/b"} {
			e.leaves(b, client, filter, topic)
		}
	}
	b.says(topic, 0, 2)
	clean, _ := b.connect(mqtt.V5, "clean")
	clean.subscribe("t/a", 2)
	clean.nothing()
	me, _ := b.connect(mqtt.V5, "me", keep)
	me.subscribe("$share/g/t/a", 2)
	me.nothing()
	me.gone()
	b.clock.move(inheritFor)
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.subscribe("t/a", 2) // of an old session
	me.nothing()

	late, _ := b.connect(mqtt.V5, "late", keep) // and loses its connection before it can subscribe
	late.gone()
	late, _ = b.connect(mqtt.V5, "late", keep)
	late.inherits("t/a", 2)
	late.heard(topic, 0, 2)
	late.subscribe("t/a", 2)
	late.packet(&mqtt.Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte("t/a")}})
	late.next(mqtt.UNSUBACK, &mqtt.Suback{Type: mqtt.UNSUBACK})
	late.subscribe("t/a", 2)
	late.nothing()
	late.gone()
	late, _ = b.connect(mqtt.V5, "late", keep)
	late.subscribe("t/b", 2)
	late.nothing()
	if want := []string{"late t/a"}; !slices.Equal(e.asked, want) {
		t.Errorf("asked for %q, want %q", e.asked, want)
	}
}

// A second filter that goes back brings nothing of the first one again, live or after the end of the broker; nothing of either is lost. Where a QoS 2 delivery has begun above, it is granted QoS 1.
func TestInheritBehindAnother(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			topics := inOneQueue("t", 2)
			one, two := topics[0], topics[1]
			e, b := newElsewhere(t)
			e.leaves(b, "me", two, two)
			b.says(two, 0, 20)
			e.leaves(b, "me", one, one)
			b.says(one, 0, 4)
			me, _ := b.connect(mqtt.V5, "me", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 4 })
			me.inherits(one, 2)
			me.heard(one, 0, 4)
			eventually(t, "the checkpoint is about the session", func() bool {
				b.ticks(1)
				s, err := b.m.opts.Store.Load("me")
				return err == nil && s != nil && s.Follows
			})
			if code := me.inherits(two, 2); code != 1 {
				t.Errorf("SUBACK %v, want QoS 1: QoS 2 deliveries have begun above", code)
			}
			came := map[string]int{}
			me.again(came, two, 0, 4)
			me.gone()
			end(b)
			b.says(one, 4, 6)
			me, _ = b.connect(mqtt.V5, "me", keep)
			me.again(came, two, 0, 20)
			me.again(came, one, 4, 6)
			me.nothing()
			for i := range 4 {
				if n := came[fmt.Sprint(one, " ", i)]; n != 0 {
					t.Errorf("%s %d came again", one, i)
				}
			}
		})
	}
}

// That the session stands lower than a checkpoint says is in the store before SUBACK.
func TestInheritBelowTheCheckpoint(t *testing.T) {
	topics := inOneQueue("t", 2)
	one, two := topics[0], topics[1]
	e, b := newElsewhere(t)
	e.leaves(b, "me", two, two)
	b.says(two, 0, 10)
	me, _ := b.connect(mqtt.V5, "me", keep)
	me.subscribe(one, 1)
	b.says(one, 0, 1)
	me.accept(me.wantPublish(one, one+" 0", 1))
	eventually(t, "the checkpoint is about the session", func() bool {
		b.ticks(1)
		s, err := b.m.opts.Store.Load("me")
		return err == nil && s != nil && s.Follows
	})
	me.full.Store(true) // nothing is sent
	me.inherits(two, 2)
	b.crash()
	me, _ = b.connect(mqtt.V5, "me", keep)
	me.heard(two, 0, 10)
	me.nothing()
}

// What was addressed to it comes with CONNECT.
func TestInheritP2P(t *testing.T) {
	const topic = "t/p2p/me"
	e, b := newElsewhere(t, withP2P)
	b.says(topic, 0, 3)
	e.leaves(b, "me", store.P2P, topic)
	b.says(topic, 3, 9)
	me, _ := b.connect(mqtt.V311, "me", keep)
	me.heard(topic, 3, 9)
	b.says(topic, 9, 11)
	me.heard(topic, 9, 11)
	me.nothing()
}

// Where a session that is kept stands is told when its connection ends: what it has acknowledged, and what not. Of others nothing is told.
func TestLeft(t *testing.T) {
	type told struct {
		client       string
		filters      []string
		cursor, open []store.Position
	}
	left := make(chan told, 10)
	b := newBroker(t, func(b *broker) {
		b.left = func(client string, filters []string, cursor, open []store.Position) {
			left <- told{client, slices.Sorted(slices.Values(filters)), cursor, open}
		}
	})
	clean, _ := b.connect(mqtt.V5, "clean")
	clean.subscribe("t/a", 1)
	clean.gone()
	me, _ := b.connect(mqtt.V5, "me", keep)
	me.subscribe("t/a", 2)
	me.subscribe("u/#", 2)
	me.subscribe("$share/g/v", 1)
	b.says("t/a", 0, 4)
	var open []uint16
	for range 4 {
		p := &mqtt.Publish{}
		me.next(mqtt.PUBLISH, p)
		switch string(p.Payload) {
		case "t/a 0", "t/a 2":
			open = append(open, p.PacketID)
		case "t/a 1": // QoS 2: the client has it
			me.ack(mqtt.PUBREC, p.PacketID)
			me.awaitPubrel(p.PacketID)
		case "t/a 3":
			open = append(open, p.PacketID)
		}
	}
	me.gone()
	got := <-left
	for _, p := range got.open {
		if !below(p, got.cursor) {
			t.Errorf("%v is open, and not below %v", p, got.cursor)
		}
	}
	if got.client != "me" || !slices.Equal(got.filters, []string{"t/a", "u/#"}) || len(got.open) != len(open) {
		t.Errorf("%+v, want %d at open", got, len(open))
	}
	select {
	case more := <-left:
		t.Errorf("%+v", more)
	default:
	}
}

// What a client was sent elsewhere and has not acknowledged comes first, with DUP, at QoS 1; also when the connection or the broker ends before it is acknowledged here. More
// than may be under way at once comes as it is acknowledged.
func TestTakeOver(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			const topic = "t/a"
			e, b := newElsewhere(t)
			pub, _ := b.connect(mqtt.V5, "pub")
			for i := range 10 {
				e.unacked = append(e.unacked, b.placeOf(pub, topic, fmt.Sprint(i)))
			}
			me, _ := b.connect(mqtt.V311, "me", keep)
			want := func(me *client, from int) {
				t.Helper()
				for i := from; i < 10; i++ {
					p := me.wantPublish(topic, fmt.Sprint(i), 1)
					if !p.Dup {
						t.Errorf("%d without DUP", i)
					}
					if i < 2 || from > 0 {
						me.accept(p)
					}
				}
			}
			want(me, 0)
			me.gone()
			end(b)
			me, _ = b.connect(mqtt.V5, "me", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 3 })
			want(me, 2)
			me.inherits(topic, 1)
			me.nothing()
			clean, _ := b.connect(mqtt.V5, "clean")
			clean.nothing()
		})
	}
}

// It is in the store before CONNACK.
func TestTakeOverIsDurable(t *testing.T) {
	e, b := newElsewhere(t)
	pub, _ := b.connect(mqtt.V5, "pub")
	e.unacked = append(e.unacked, b.placeOf(pub, "t/a", "x"))
	b.connect(mqtt.V5, "me", keep)
	b.crash()
	me, _ := b.connect(mqtt.V5, "me", keep)
	me.accept(me.wantPublish("t/a", "x", 1))
}
