package crash

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// step is where the broker is killed: in an exchange of id 1, whose message says "one".
type step struct {
	name   string
	before func(*talk) // the exchange up to the kill
	after  func(*talk) // what is left of it
}

// fromPublisher are the steps of a publish.
func fromPublisher() []step {
	return []step{
		{"PUBLISH 1", func(k *talk) { k.publish(1, 1, false, "one") }, func(k *talk) { k.publish(1, 1, true, "one"); k.want(mqtt.PUBACK, 1) }},
		{"PUBACK", func(k *talk) { k.publish(1, 1, false, "one"); k.want(mqtt.PUBACK, 1) }, func(*talk) {}},
		{"PUBLISH 2", func(k *talk) { k.publish(2, 1, false, "one") }, func(k *talk) { k.publish(2, 1, true, "one"); k.want(mqtt.PUBREC, 1); k.release(1) }},
		{
			"PUBREC, which did not arrive",
			func(k *talk) { k.publish(2, 1, false, "one"); k.want(mqtt.PUBREC, 1) },
			func(k *talk) { k.publish(2, 1, true, "one"); k.want(mqtt.PUBREC, 1); k.release(1) },
		},
		{"PUBREC", func(k *talk) { k.publish(2, 1, false, "one"); k.want(mqtt.PUBREC, 1) }, func(k *talk) { k.release(1) }},
		{
			"PUBREL",
			func(k *talk) { k.publish(2, 1, false, "one"); k.want(mqtt.PUBREC, 1); k.ack(mqtt.PUBREL, 1) },
			func(k *talk) { k.release(1) },
		},
		{"PUBCOMP", func(k *talk) { k.publish(2, 1, false, "one"); k.want(mqtt.PUBREC, 1); k.release(1) }, func(*talk) {}},
	}
}

// A publisher completes what the kill interrupted, then uses the packet id again for another message: both are delivered, QoS 2 once.
func TestKillBetweenStepsOfPublisher(t *testing.T) { onStores(t, testKillBetweenStepsOfPublisher) }

func testKillBetweenStepsOfPublisher(t *testing.T, namesrv string) {
	tr := newTrial(t, namesrv)
	forEachStep(t, fromPublisher(), func(t *testing.T, id string, v mqtt.Version, s step) {
		sub := tr.talk(t, "s-"+id, v)
		sub.subscribe()
		sub.leave(sub.link)
		pub := tr.talk(t, "p-"+id, v)
		s.before(pub)
		pub.kill()
		s.after(pub)
		pub.publish(2, 1, false, "two")
		pub.want(mqtt.PUBREC, 1)
		pub.release(1)
		pub.leave(pub.link)
		sub.connect()
		got := sub.takeUntil("two")
		if s.name == "PUBLISH 1" { // the broker may have stored it, and not have known it again
			got = slices.Compact(got)
		}
		if want := []string{"one", "two"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		sub.leave(sub.link)
	})
}

// fromSubscriber are the steps of a delivery, which the subscriber has received when it is killed. after must leave nothing under way.
func fromSubscriber() []step {
	var id uint16
	received := func(qos byte) func(*talk) {
		return func(k *talk) { id = k.wantPublish(qos, false).PacketID }
	}
	return []step{
		{"PUBLISH 1", received(1), func(k *talk) { k.ack(mqtt.PUBACK, k.wantPublish(1, true).PacketID) }},
		{"PUBLISH 2", received(2), func(k *talk) {
			k.wantAgain(id)
			k.ack(mqtt.PUBREC, id)
			k.want(mqtt.PUBREL, id)
			k.ack(mqtt.PUBCOMP, id)
		}},
		{
			"PUBREC", func(k *talk) { received(2)(k); k.ack(mqtt.PUBREC, id) },
			func(k *talk) {
				if p, again := k.next().(*mqtt.Publish); again { // PUBREC was not stored
					k.checkAgain(p, id)
					k.ack(mqtt.PUBREC, id)
					k.want(mqtt.PUBREL, id)
				}
				k.ack(mqtt.PUBCOMP, id)
			},
		},
		{"PUBREL", func(k *talk) { received(2)(k); k.ack(mqtt.PUBREC, id); k.want(mqtt.PUBREL, id) }, func(k *talk) { k.want(mqtt.PUBREL, id); k.ack(mqtt.PUBCOMP, id) }},
		{
			"PUBCOMP", func(k *talk) {
				received(2)(k)
				k.ack(mqtt.PUBREC, id)
				k.want(mqtt.PUBREL, id)
				k.ack(mqtt.PUBCOMP, id)
			},
			func(k *talk) { k.releases = append(k.releases, id) }, // PUBCOMP may not have been stored
		},
	}
}

// A subscriber gets again what it had not completed, with DUP and for QoS 2 under the same packet id, and nothing that it had.
func TestKillBetweenStepsOfSubscriber(t *testing.T) { onStores(t, testKillBetweenStepsOfSubscriber) }

func testKillBetweenStepsOfSubscriber(t *testing.T, namesrv string) {
	tr := newTrial(t, namesrv)
	forEachStep(t, fromSubscriber(), func(t *testing.T, id string, v mqtt.Version, s step) {
		sub := tr.talk(t, "s-"+id, v)
		sub.subscribe()
		pub := tr.talk(t, "p-"+id, v)
		if s.name == "PUBLISH 1" {
			pub.publish(1, 1, false, "one")
			pub.want(mqtt.PUBACK, 1)
		} else {
			pub.publish(2, 1, false, "one")
			pub.want(mqtt.PUBREC, 1)
			pub.release(1)
		}
		pub.leave(pub.link)
		s.before(sub)
		sub.kill()
		s.after(sub)
		pub.connect()
		pub.publish(2, 1, false, "two")
		pub.want(mqtt.PUBREC, 1)
		pub.release(1)
		pub.leave(pub.link)
		if got, want := sub.takeUntil("two"), []string{"two"}; !slices.Equal(got, want) {
			t.Errorf("got %v after the exchange was over, want %v", got, want)
		}
		sub.leave(sub.link)
	})
}

func forEachStep(t *testing.T, steps []step, run func(*testing.T, string, mqtt.Version, step)) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for i, s := range steps {
			t.Run(fmt.Sprintf("MQTT %d %s", v, s.name), func(t *testing.T) { run(t, fmt.Sprintf("%d-%d", v, i), v, s) })
		}
	}
}

// talk is a client that a test leads step by step.
type talk struct {
	peer
	*link
	t        *testing.T
	topic    string
	releases []uint16 // packet ids of which PUBREL may come
}

func (tr *trial) talk(t *testing.T, id string, v mqtt.Version) *talk {
	k := &talk{peer: peer{tr: tr, id: id, version: v}, t: t, topic: tr.level + "/" + id[2:]}
	k.connect()
	return k
}

func (k *talk) connect() {
	k.t.Helper()
	l, _, err := k.peer.connect(keep())
	if err != nil {
		k.t.Fatal(err)
	}
	k.link = l
	k.t.Cleanup(func() { _ = l.conn.Close() }) // its goroutine then ends; twice does no harm
}

// kill kills the broker and connects again.
func (k *talk) kill() { k.t.Helper(); k.killAnd(func() {}) }

// killAnd is kill; more is done while the broker is down.
func (k *talk) killAnd(more func()) {
	k.t.Helper()
	k.tr.outage(func() { k.tr.b.Kill(); more() })
	k.close()
	k.connect()
}

func (k *talk) send(p wire.Packet) {
	k.t.Helper()
	if err := k.conn.Send(p); err != nil {
		k.t.Fatal(err)
	}
}

func (k *talk) ack(t mqtt.Type, id uint16) {
	k.t.Helper()
	k.send(&mqtt.Ack{Type: t, PacketID: id})
}

func (k *talk) publish(qos byte, id uint16, dup bool, payload string) {
	k.t.Helper()
	k.send(&mqtt.Publish{Dup: dup, QoS: qos, Topic: []byte(k.topic), PacketID: id, Payload: []byte(payload)})
}

// release ends the publish of a QoS 2 message.
func (k *talk) release(id uint16) {
	k.t.Helper()
	k.ack(mqtt.PUBREL, id)
	k.want(mqtt.PUBCOMP, id)
}

func (k *talk) subscribe() {
	k.t.Helper()
	k.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(k.topic), QoS: 2}}})
	if a, ok := k.next().(*mqtt.Suback); !ok || !slices.Equal(a.Codes, []mqtt.ReasonCode{mqtt.GrantedQoS2}) {
		k.t.Fatalf("SUBSCRIBE was answered with %+v", a)
	}
}

// next is the next packet that comes.
func (k *talk) next() any {
	k.t.Helper()
	select {
	case p, ok := <-k.in:
		if !ok {
			k.t.Fatalf("the connection ended: %v", k.err)
		}
		return p
	case <-time.After(answerTimeout):
		k.t.Fatal("nothing came")
	}
	return nil
}

func (k *talk) want(t mqtt.Type, id uint16) {
	k.t.Helper()
	got := k.next()
	a, ok := got.(*mqtt.Ack)
	if !ok || a.Type != t || a.PacketID != id || a.Code >= mqtt.UnspecifiedError && (t != mqtt.PUBCOMP || a.Code != mqtt.PacketIDNotFound) {
		k.t.Fatalf("got %T %+v, want %s %d", got, got, t, id)
	}
}

func (k *talk) wantPublish(qos byte, dup bool) *mqtt.Publish {
	k.t.Helper()
	got := k.next()
	p, ok := got.(*mqtt.Publish)
	if !ok || p.QoS != qos || p.Dup != dup || string(p.Payload) != "one" {
		k.t.Fatalf("got %T %+v, want the message with QoS %d, DUP %t", got, got, qos, dup)
	}
	return p
}

func (k *talk) wantAgain(id uint16) {
	k.t.Helper()
	k.checkAgain(k.wantPublish(2, true), id)
}

func (k *talk) checkAgain(p *mqtt.Publish, id uint16) {
	k.t.Helper()
	if p.PacketID != id || !p.Dup || p.QoS != 2 {
		k.t.Fatalf("the message came again under packet id %d with DUP %t, want %d", p.PacketID, p.Dup, id)
	}
}

// takeUntil completes deliveries up to that of last and returns what they said.
func (k *talk) takeUntil(last string) (got []string) {
	k.t.Helper()
	for {
		switch p := k.next().(type) {
		case *mqtt.Publish:
			got = append(got, string(p.Payload))
			k.ack(map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC}[p.QoS], p.PacketID)
			if p.QoS == 2 {
				k.releases = append(k.releases, p.PacketID)
			}
		case *mqtt.Ack:
			if p.Type != mqtt.PUBREL || !slices.Contains(k.releases, p.PacketID) {
				k.t.Fatalf("got %+v", p)
			}
			k.ack(mqtt.PUBCOMP, p.PacketID)
			if len(got) > 0 && got[len(got)-1] == last && p.PacketID == k.releases[len(k.releases)-1] {
				return got
			}
		default:
			k.t.Fatalf("got %T %+v", p, p)
		}
	}
}
