package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// The two ways in which a broker goes down and comes back.
type outage struct {
	name string
	down func(*broker.Broker)
}

func outages() []outage {
	return []outage{{"restart", (*broker.Broker).Stop}, {"kill", (*broker.Broker).Kill}}
}

// mosquitto writes its sessions when it stops; to be compared after a kill it must write them at each change.
func durable() broker.Options {
	return broker.Options{Conf: []string{"log_type error", "autosave_on_changes true", "autosave_interval 1"}}
}

// What was published to a session while its client was away waits for it through a restart and a kill -9, in order,
// once, and the subscriptions are still there.
func TestOfflineSession(t *testing.T) { onStores(t, testOfflineSession) }

func testOfflineSession(t *testing.T, start starter) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, l library, v mqtt.Version) {
				b := start(t, durable())
				open := l.open(t, b)
				away := connectOptions{version: v, id: prefix(t) + "-away", keep: true}
				sub := open()
				if got := mustConnect(t, sub, away); got.present {
					t.Error("a session is present before the first connection")
				}
				one, two := prefix(t)+"-one", prefix(t)+"-two"
				mustSubscribe(t, sub, one+"/#", 1)
				mustSubscribe(t, sub, two+"/+", 2)
				mustDisconnect(t, sub)
				both := pair{{one + "/topic", 1}, {two + "/topic", 2}}
				both.publish(t, open(), v, 0, 5)

				o.down(b)
				b.Start()

				sub = open()
				if got := mustConnect(t, sub, away); got.present != away.toldPresent() {
					t.Errorf("session present %t after the outage", got.present)
				}
				both.want(t, sub, 0, 5)
				both.publish(t, open(), v, 5, 6)
				both.want(t, sub, 5, 6)
				mustDisconnect(t, sub)
				if m, ok := sub.inbox().messages.take(); ok {
					t.Errorf("one message too many: %q on %q", m.Payload, m.Topic)
				}
				cleanStartEnds(t, open, away)
			})
		})
	}
}

// pair is two topics, each with its QoS.
type pair [2]struct {
	topic string
	qos   byte
}

// publish publishes the numbers from first to end-1 on both.
func (p pair) publish(t *testing.T, pub client, v mqtt.Version, first, end int) {
	t.Helper()
	mustConnect(t, pub, connectOptions{version: v, id: prefix(t) + "-publisher"})
	for i := first; i < end; i++ {
		for _, one := range p {
			mustPublish(t, pub, message{Topic: one.topic, QoS: one.qos, Payload: fmt.Append(nil, i)})
		}
	}
	mustDisconnect(t, pub)
}

// want takes them, those of each topic in order.
func (p pair) want(t *testing.T, sub client, first, end int) {
	t.Helper()
	next, qos := map[string]int{}, map[string]byte{}
	for _, one := range p {
		next[one.topic], qos[one.topic] = first, one.qos
	}
	for range len(p) * (end - first) {
		m := sub.inbox().messages.next(t, fmt.Sprintf("message; next are %v", next))
		if want := fmt.Sprint(next[m.Topic]); string(m.Payload) != want || m.QoS != qos[m.Topic] {
			t.Fatalf("got %q on %s with QoS %d, want %q with QoS %d", m.Payload, m.Topic, m.QoS, want, qos[m.Topic])
		}
		next[m.Topic]++
	}
}

// cleanStartEnds shows that a clean start ends the session.
func cleanStartEnds(t *testing.T, open func() client, o connectOptions) {
	t.Helper()
	clean := o
	clean.keep = false
	for _, o := range []connectOptions{clean, o} {
		c := open()
		if got := mustConnect(t, c, o); got.present {
			t.Errorf("keep %t: a session is present after a clean start", o.keep)
		}
		mustDisconnect(t, c)
	}
}

// A publisher and a subscriber that connect again by themselves get through a restart and a kill -9 in the middle:
// everything arrives in order, and with QoS 2 once.
func TestReconnect(t *testing.T) { onStores(t, testReconnect) }

func testReconnect(t *testing.T, start starter) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, l library, v mqtt.Version) {
				b := start(t, durable())
				open := l.open(t, b)
				pub, sub := open(), open()
				stays := connectOptions{version: v, id: prefix(t) + "-sub", keep: true, reconnect: true}
				mustConnect(t, pub, connectOptions{version: v, id: prefix(t) + "-pub", keep: true, reconnect: true})
				mustConnect(t, sub, stays)
				mustSubscribe(t, sub, "#", 2)

				const total, before = 40, 10
				progress := make(chan int, total)
				failed := make(chan error, 1)
				go func() { failed <- publishAll(pub, prefix(t), total, progress) }()
				for n := range progress {
					if n == before {
						o.down(b)
						b.Start()
					}
				}
				if err := <-failed; err != nil {
					t.Fatal(err)
				}
				if up := sub.inbox().ups.next(t, "reconnection"); up.present != stays.toldPresent() {
					t.Errorf("session present %t for the subscriber after the outage", up.present)
				}
				wantAll(t, sub, prefix(t), total)
			})
		})
	}
}

// publishAll publishes the numbers up to total below a first level, QoS 1 and QoS 2 by turns, and tells each one's acknowledgement.
func publishAll(pub client, first string, total int, progress chan<- int) error {
	defer close(progress)
	for i := range total {
		qos := byte(1 + i%2)
		m := message{Topic: fmt.Sprintf("%s/%d", first, qos), QoS: qos, Payload: fmt.Append(nil, i)}
		code, err := pub.publish(m)
		if qos == 2 && mqtt.ReasonCode(code) == mqtt.PacketIDNotFound { // the broker ended the exchange just before the outage: PUBCOMP to the PUBREL that is sent again
			code = 0
		}
		if err != nil {
			return fmt.Errorf("publish %d: %w", i, err)
		}
		if code >= 0x80 {
			return fmt.Errorf("publish %d: code %#x", i, code)
		}
		progress <- i
	}
	return nil
}

// wantAll takes them; what is below other first levels belongs to other brokers on the same RocketMQ.
func wantAll(t *testing.T, sub client, first string, total int) {
	t.Helper()
	highest := map[byte]int{1: -2, 2: -1} // of the numbers seen; each QoS has every second one
	for highest[1] < total-2 || highest[2] < total-1 {
		m := sub.inbox().messages.next(t, fmt.Sprintf("message; highest of each QoS so far: %v", highest))
		if !strings.HasPrefix(m.Topic, first+"/") {
			continue
		}
		var n int
		if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
			t.Fatal(err)
		}
		switch {
		case n == highest[m.QoS]+2:
			highest[m.QoS] = n
		case n > highest[m.QoS]:
			t.Errorf("QoS %d: %d came after %d", m.QoS, n, highest[m.QoS])
			highest[m.QoS] = n
		case m.QoS == 2:
			t.Errorf("QoS 2: %d came again", n)
		}
	}
}
