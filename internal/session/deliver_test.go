package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Overlapping filters give one copy: the highest QoS and every subscription identifier [MQTT-3.3.4-2 to -4].
func TestDeliverOverlap(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	subscribe := func(filter string, qos byte, id uint32) {
		sub.packet(&mqtt.Subscribe{PacketID: 1, SubscriptionID: id, Filters: []mqtt.SubscribeFilter{{Filter: []byte(filter), QoS: qos}}})
		sub.next(mqtt.SUBACK, &mqtt.Suback{Type: mqtt.SUBACK})
	}
	subscribe("a/#", 0, 11)
	subscribe("a/+", 2, 12)
	subscribe("a/b", 1, 13)
	pub, _ := b.connect(mqtt.V311, "pub")
	pub.send("a/b", "x", 1)
	p := sub.wantPublish("a/b", "x", 1)
	ids := slices.Sorted(slices.Values(p.SubscriptionIDs))
	if !slices.Equal(ids, []uint32{11, 12, 13}) {
		t.Fatalf("subscription identifiers %v", ids)
	}
	pub.send("a/c", "y", 2)
	if p := sub.wantPublish("a/c", "y", 2); len(p.SubscriptionIDs) != 2 {
		t.Fatalf("subscription identifiers %v", p.SubscriptionIDs)
	}
	sub.nothing()
}

// a/b, a/b/, /a/b are different topics, and wildcards at the first level do not match $ topics [MQTT-4.7.2-1] [MQTT-4.7.3-4].
func TestDeliverExactTopics(t *testing.T) {
	b := newBroker(t)
	for _, filter := range []string{"a/b", "a/b/", "/a/b", "a/b/#", "a/+/"} {
		sub, _ := b.connect(mqtt.V311, "sub")
		sub.subscribe(filter, 1)
		pub, _ := b.connect(mqtt.V311, "pub")
		var got []string
		for _, topic := range []string{"a/b", "a/b/", "/a/b", "A/b"} {
			pub.send(topic, topic, 1)
		}
		want := map[string][]string{"a/b": {"a/b"}, "a/b/": {"a/b/"}, "/a/b": {"/a/b"}, "a/b/#": {"a/b", "a/b/"}, "a/+/": {"a/b/"}}[filter]
		for range want {
			p := &mqtt.Publish{}
			sub.next(mqtt.PUBLISH, p)
			got = append(got, string(p.Topic))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %q, want %q", filter, got, want)
		}
		sub.nothing()
	}
}

// No Local [MQTT-3.8.3-3], Retain As Published [MQTT-3.3.1-12] [MQTT-3.3.1-13].
func TestDeliverOptions(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.caps.Retain = true })
	cl, _ := b.connect(mqtt.V5, "a")
	cl.subscribe("mine", 1, func(f *mqtt.SubscribeFilter) { f.NoLocal = true })
	cl.subscribe("kept", 1, func(f *mqtt.SubscribeFilter) { f.RetainAsPublished = true })
	cl.subscribe("cleared", 1)
	other, _ := b.connect(mqtt.V5, "b")
	cl.send("mine", "own", 1)
	other.send("mine", "other", 1)
	cl.accept(cl.wantPublish("mine", "other", 1))
	retain := func(p *mqtt.Publish) { p.Retain = true }
	for _, topic := range []string{"kept", "cleared"} {
		other.publish(topic, "r", 1, 4, retain)
		other.wantAck(mqtt.PUBACK, 4, mqtt.Success)
		if p := cl.wantPublish(topic, "r", 1); p.Retain != (topic == "kept") {
			t.Fatalf("%s: RETAIN %v", topic, p.Retain)
		}
	}
}

// Properties travel unaltered and in their order [MQTT-3.3.2-18]; the expiry is what is left of it [MQTT-3.3.2-6].
func TestDeliverProperties(t *testing.T) {
	b := newBroker(t)
	live, _ := b.connect(mqtt.V5, "live")
	live.subscribe("t", 1)
	later, _ := b.connect(mqtt.V5, "later", keep)
	later.subscribe("t", 1)
	later.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	users := []mqtt.UserProperty{{Key: []byte("k"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("2")}, {Key: []byte("k"), Value: []byte("1")}}
	pub.publish("t", "x", 1, 1, func(p *mqtt.Publish) {
		p.HasMessageExpiry, p.MessageExpiry = true, 100
		p.HasPayloadFormat, p.PayloadFormat = true, 1
		p.ContentType, p.ResponseTopic, p.CorrelationData = []byte("text/x"), []byte("answer/here"), []byte{0, 1, 2}
		p.User = users
	})
	pub.wantAck(mqtt.PUBACK, 1, mqtt.Success)
	check := func(p *mqtt.Publish, left uint32) {
		t.Helper()
		if !p.HasMessageExpiry || p.MessageExpiry != left {
			t.Fatalf("message expiry %v %d, want %d", p.HasMessageExpiry, p.MessageExpiry, left)
		}
		if !p.HasPayloadFormat || p.PayloadFormat != 1 || string(p.ContentType) != "text/x" || string(p.ResponseTopic) != "answer/here" || string(p.CorrelationData) != "\x00\x01\x02" {
			t.Fatalf("%+v", p)
		}
		if fmt.Sprint(p.User) != fmt.Sprint(users) {
			t.Fatalf("user properties %q, want %q", p.User, users)
		}
	}
	check(live.wantPublish("t", "x", 1), 100)
	b.clock.move(40 * time.Second)
	later, _ = b.connect(mqtt.V5, "later", keep)
	check(later.wantPublish("t", "x", 1), 60)
	later.gone()
	b.clock.move(61 * time.Second)
	later, _ = b.connect(mqtt.V5, "later", keep)
	later.nothing() // [MQTT-3.3.2-5]
	if n := b.m.Stats().Dropped[DropExpired].Load(); n != 1 {
		t.Fatalf("%d dropped as expired", n)
	}
}

// Topic aliases to a subscriber, as many as it allows.
func TestDeliverAliases(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", func(p *mqtt.Connect) { p.TopicAliasMaximum = 2 })
	sub.subscribe("#", 0)
	pub, _ := b.connect(mqtt.V5, "pub")
	for _, want := range []struct {
		publish, topic string
		alias          uint16
	}{{"one", "one", 1}, {"two", "two", 2}, {"one", "", 1}, {"three", "three", 0}, {"two", "", 2}, {"three", "three", 0}} {
		pub.send(want.publish, "", 0)
		p := sub.wantPublish(want.topic, "", 0)
		if p.TopicAlias != want.alias {
			t.Fatalf("%s: alias %d, want %d", want.publish, p.TopicAlias, want.alias)
		}
	}
}

// What is larger than a client's Maximum Packet Size is not sent to it, counted, and does not stand in the way [MQTT-3.1.2-24] [MQTT-3.1.2-25].
func TestDeliverMaximumPacketSize(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", func(p *mqtt.Connect) { p.MaximumPacketSize = 100 })
	sub.subscribe("#", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	for qos := range byte(3) {
		pub.send("t", strings.Repeat("x", 100), qos)
		pub.send("t", "small", qos)
		sub.accept(sub.wantPublish("t", "small", qos))
	}
	if n := b.m.Stats().Dropped[DropLarge].Load(); n != 3 {
		t.Fatalf("%d dropped as too large", n)
	}
}

// A client gets no more than its Receive Maximum before it acknowledges [MQTT-3.3.4-9]; the rest waits in the store and comes in order.
func TestDeliverReceiveMaximum(t *testing.T) {
	for _, window := range []uint16{1, 3, 20} {
		b := newBroker(t)
		sub, _ := b.connect(mqtt.V5, "sub", func(p *mqtt.Connect) { p.ReceiveMaximum = window })
		sub.subscribe("t", 2)
		pub, _ := b.connect(mqtt.V5, "pub")
		const n = 100
		for i := range n {
			pub.send("t", fmt.Sprint(i), 1+byte(i%2))
		}
		var open []*mqtt.Publish
		for i := range n {
			if len(open) == int(window) {
				sub.nothingMore()
				for _, p := range open {
					sub.ack(map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBCOMP}[p.QoS], p.PacketID)
				}
				open = nil
			}
			open = append(open, sub.wantPublish("t", fmt.Sprint(i), 1+byte(i%2)))
		}
		if b.m.Stats().Lagging.Load() == 0 {
			t.Fatal("the session never left the tail: the test shows nothing")
		}
	}
}

// nothingMore is a quick look for a packet that must not be there.
func (cl *client) nothingMore() {
	cl.t.Helper()
	if len(cl.got) > 0 {
		r := <-cl.got
		cl.t.Fatalf("got %v % x beyond the window", r.h.Type, r.body)
	}
}

// A connection that takes nothing costs no memory: QoS 0 is dropped and counted, QoS 1 and 2 wait in the store and come, in order,
// when there is room. Meanwhile others are served.
func TestDeliverSlowReader(t *testing.T) {
	b := newBroker(t)
	slow, _ := b.connect(mqtt.V311, "slow", keep)
	slow.subscribe("t/#", 2)
	fast, _ := b.connect(mqtt.V311, "fast")
	fast.subscribe("t/#", 2)
	slow.full.Store(true)
	pub, _ := b.connect(mqtt.V5, "pub")
	const n = 300
	for i := range n {
		pub.send(fmt.Sprint("t/", i%3), fmt.Sprint(i), byte(i%3))
		fast.accept(fast.wantPublish(fmt.Sprint("t/", i%3), fmt.Sprint(i), byte(i%3)))
	}
	if dropped := b.m.Stats().Dropped[DropFull].Load(); dropped != n/3 {
		t.Fatalf("%d QoS 0 messages dropped, want %d", dropped, n/3)
	}
	slow.full.Store(false)
	slow.c.Drained()
	slow.wantInOrder("t/", n)
	pub.send("t/x", "live again", 0)
	slow.wantPublish("t/x", "live again", 0)
}

// wantInOrder waits for messages numbered below n that were published with QoS number%3 to topics that begin with topic:
// QoS 1 and QoS 2 each in order (not between them: a QoS 2 delivery is recorded first), none with DUP.
func (cl *client) wantInOrder(topic string, n int) {
	cl.t.Helper()
	next := map[byte]int{1: 1, 2: 2}
	open := 0 // QoS 2 messages whose PUBREL has not come
	for next[1] < n || next[2] < n || open > 0 {
		var r received
		select {
		case r = <-cl.got:
		case <-time.After(patience):
			cl.t.Fatalf("nothing came; next are %v of %d", next, n)
		}
		if r.h.Type == mqtt.PUBREL {
			var a mqtt.Ack
			a.Type = mqtt.PUBREL
			if err := a.Decode(cl.version, r.h.Flags, r.body); err != nil {
				cl.t.Fatal(err)
			}
			cl.ack(mqtt.PUBCOMP, a.PacketID)
			open--
			continue
		}
		var p mqtt.Publish
		if err := p.Decode(cl.version, r.h.Flags, r.body); err != nil || r.h.Type != mqtt.PUBLISH {
			cl.t.Fatalf("%v: %v", r.h.Type, err)
		}
		if want := fmt.Sprint(next[p.QoS]); string(p.Payload) != want || p.Dup || !strings.HasPrefix(string(p.Topic), topic) {
			cl.t.Fatalf("got %q of QoS %d on %q, DUP %v, want %q", p.Payload, p.QoS, p.Topic, p.Dup, want)
		}
		next[p.QoS] += 3
		open += int(p.QoS) - 1
		cl.ack(map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC}[p.QoS], p.PacketID)
	}
}

// A subscription made while the session catches up gets what is published from then on, and nothing older.
func TestDeliverSubscribeWhileLagging(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", func(p *mqtt.Connect) { p.ReceiveMaximum = 1 })
	sub.subscribe("a", 1)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a", "1", 1)
	first := sub.wantPublish("a", "1", 1)
	pub.send("a", "2", 1)
	pub.send("b", "too early", 1)
	sub.subscribe("b", 1)
	pub.send("b", "3", 1)
	sub.accept(first)
	got := map[string]string{} // order holds for each topic only
	for range 2 {
		var p mqtt.Publish
		sub.next(mqtt.PUBLISH, &p)
		got[string(p.Topic)] = string(p.Payload)
		sub.accept(&p)
	}
	if got["a"] != "2" || got["b"] != "3" {
		t.Errorf("got %v", got)
	}
	sub.nothing()
}

// A message that is on its way while its subscription is replaced is delivered, and once [MQTT-3.8.4-3].
func TestSubscribeAgainOnTheWay(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	done := make(chan struct{})
	first := meanwhile(func() {
		defer close(done)
		sub.subscribe("a", 1)
	})
	before := router.Subscription{Target: &first, Filter: "a"}
	before.SetMany(true)
	b.m.opts.Router.Add(&before)
	sub.subscribe("a", 2)
	sub.subscribe("b", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a", "on its way", 1)
	wait(t, "the second SUBSCRIBE", done) // only one goroutine at a time reads what comes
	sub.accept(sub.wantPublish("a", "on its way", 1))
	sub.nothing()
	b.m.opts.Router.Remove(&before)
}

// While a session resumes, the router knows but some of its subscriptions: what one of them grants with QoS 0 and another with QoS 2 comes once, with QoS 2.
func TestDeliverWithSomeSubscriptions(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t/+", 0)
	sub.subscribe("t/a", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t/a", "once", 2)
	sub.accept(sub.wantPublish("t/a", "once", 2))
	var recs []store.Record
	for _, q := range b.m.opts.Store.Queues("#") {
		some, _, _, err := b.m.opts.Store.Read(store.Position{Queue: q}, &store.Query{Filters: []string{"#"}, Match: func(string) bool { return true }}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, some...)
	}
	if len(recs) != 1 {
		t.Fatal(recs)
	}
	sub.c.Deliver(&recs[0], []*router.Subscription{&sub.c.subs["t/+"].Subscription})
	sub.nothing()
}

// meanwhile is a target that does something between the router's match and the delivery to the targets after it.
type meanwhile func()

func (m *meanwhile) Deliver(*store.Record, []*router.Subscription) { (*m)() }

// UNSUBSCRIBE ends delivery, answers per filter, and a second one says that there was none.
func TestUnsubscribe(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("a", 1)
	sub.packet(&mqtt.Unsubscribe{PacketID: 8, Filters: [][]byte{[]byte("a"), []byte("b")}})
	ack := mqtt.Suback{Type: mqtt.UNSUBACK}
	sub.next(mqtt.UNSUBACK, &ack)
	if ack.PacketID != 8 || !slices.Equal(ack.Codes, []mqtt.ReasonCode{mqtt.Success, mqtt.NoSubscriptionExisted}) {
		t.Fatalf("%+v", ack)
	}
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("a", "x", 1)
	sub.nothing()
	b.restart()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	pub, _ = b.connect(mqtt.V5, "pub")
	pub.send("a", "x", 1)
	sub.nothing()
}

// Filters that cannot be are refused one by one.
func TestSubscribeRefused(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.Subscriptions = 2 })
	sub, _ := b.connect(mqtt.V5, "sub")
	for _, filter := range []string{"a/#/b", "a+", "$share/g", "$share//x", "$share/g+/x", "$share/g/", "%RETRY%x", "MQTT_SYS_SESSION/#", "$internal/x"} {
		if code := sub.subscribe(filter, 1); code != mqtt.TopicFilterInvalid {
			t.Errorf("%s: %v", filter, code)
		}
	}
	for i, want := range []mqtt.ReasonCode{0, 0, mqtt.QuotaExceeded} {
		if code := sub.subscribe(fmt.Sprint("ok/", i), 0); code != want {
			t.Errorf("subscription %d: %v, want %v", i, code, want)
		}
	}
	if code := sub.subscribe("ok/1", 2); code != mqtt.GrantedQoS2 {
		t.Errorf("the same filter again: %v", code)
	}
	if code := sub.subscribe("$SYS/#", 0); code != mqtt.QuotaExceeded {
		t.Errorf("$SYS/#: %v", code)
	}
}
