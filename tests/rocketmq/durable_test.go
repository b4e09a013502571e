package rocketmq

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What a persistent session has subscribed to waits for it while its client is away, and while its node is stopped or was killed; and for
// one of the members of a group.
func TestDurable(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	home, other := node(t, c), node(t, c)
	const first = "durable"
	var one, two, group inbox
	join := func() (clients []*client) {
		for _, s := range []struct {
			id     string
			box    *inbox
			qos    byte
			filter string
		}{
			{"durable-1", &one, 1, first + "/#"},
			{"durable-2", &two, 2, first + "/+"},
			{"durable-group", &group, 2, "$share/g/" + first + "/#"},
		} {
			had := s.box.size() > 0
			c := connect(t, home.TCP, s.id, s.box, keep)
			if had && !c.present {
				t.Errorf("the session of %s is gone", s.id)
			}
			if !had {
				must(t, c.subscribe(s.qos, s.filter))
			}
			clients = append(clients, c)
		}
		return clients
	}
	var l load
	defer l.end()
	clients := join()
	for i := range 4 {
		name := fmt.Sprint("durable-", i)
		l.start(connect(t, other.TCP, "p"+name, &inbox{}), &stream{topic: first + "/" + name, name: name, qos: byte(1 + i%2), pace: steady})
	}
	all := func(what string) {
		t.Helper()
		l.progress(t, what, 30)
		l.arrives(t, what+": QoS 1", &one, 1, true)
		l.arrives(t, what+": QoS 2", &two, 2, true)
		l.arrives(t, what+": the group", &group, 2, false)
	}
	all("connected")
	for _, c := range clients {
		c.leave()
	}
	l.progress(t, "away", 100)
	join()
	all("the clients were away")
	home.Stop()
	l.progress(t, "node stopped", 100)
	home.Start()
	join()
	all("their node was stopped")
	home.Kill()
	l.progress(t, "node killed", 100)
	home.Start()
	join()
	all("their node was killed")
	l.end()
	l.unrefused(t)
	must(t, once(&two))
	must(t, once(&group))
}

// steady is a pace that subscribers of QoS 2 on a busy machine keep up with, under the race detector too: what they missed has to come while the streams
// go on.
const steady = 20 * time.Millisecond

// A session that has missed much, among more that it does not want, gets all of it, in order.
func TestManyMissed(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	home, other := node(t, c), node(t, c)
	const missed, writers = 20_000, 4
	var box inbox
	away := connect(t, home.TCP, "many", &box, keep)
	must(t, away.subscribe(1, "many/+/wanted"))
	away.leave()

	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		p := connect(t, other.TCP, fmt.Sprint("many-", w), &inbox{})
		wg.Go(func() { errs[w] = flood(p, w, missed/writers) })
	}
	wg.Wait()
	for _, err := range errs {
		must(t, err)
	}
	began := time.Now()
	connect(t, home.TCP, "many", &box, keep)
	eventually(t, "all that was missed arrives", func() bool { return box.size() >= missed }, func() string { return fmt.Sprint(box.size()) })
	t.Logf("%d missed messages came in %v", missed, time.Since(began).Round(time.Millisecond))
	next := make([]int, writers)
	for _, d := range box.deliveries() {
		var w, n int
		if _, err := fmt.Sscanf(d.payload, "%d %d", &w, &n); err != nil || n != next[w] {
			t.Fatalf("%q came, not number %d: %v", d.payload, next[w], err)
		}
		next[w]++
	}
}

// flood publishes n messages to the topic of writer w that is wanted, and half as many to another one.
func flood(c *client, w, n int) error {
	const together = 200
	var waits []<-chan answer
	put := func(topic, payload string) {
		waits = append(waits, c.send(&mqtt.Publish{QoS: 1, Topic: []byte(topic), Payload: []byte(payload)}))
	}
	for i := range n {
		put(fmt.Sprintf("many/%d/wanted", w), fmt.Sprint(w, " ", i))
		if i%2 == 0 {
			put(fmt.Sprintf("many/%d/other", w), "not wanted")
		}
		for len(waits) > together {
			if err := within(waits[0], "publish"); err != nil {
				return err
			}
			waits = waits[1:]
		}
	}
	for _, wait := range waits {
		if err := within(wait, "publish"); err != nil {
			return err
		}
	}
	return nil
}
