package rocketmq

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// mixed has a Java proxy and nodes serve clients at the same time: whoever publishes, at either side, subscribers at both have it once. And clients move.
func (s *lmqSite) mixed(java *javaNode) {
	t := s.t
	for _, topic := range []string{"mixed", "mqtt_client_retry"} {
		must(t, s.rmq.CreateTopic(t.Context(), s.addr, remoting.TopicConfig{Topic: topic, ReadQueues: 4, WriteQueues: 4, Perm: remoting.PermRead | remoting.PermWrite}))
		eventually(t, "the topic has a route", func() bool { _, err := s.rmq.Route(t.Context(), topic); return err == nil })
	}
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "mixed", "mixed/+,mixed/#"))
	set := []string{"staticFirstTopics=mixed", "clientRetryTopic=mqtt_client_retry"}
	m := &mixedSite{lmqSite: s, java: java, nodes: [2]*broker.Broker{node(t, s.c, set...), node(t, s.c, set...)}}
	m.pub = connect(t, m.nodes[1].TCP, "mixed-pub", &inbox{})
	m.live()
	m.stranger()
	m.moves("mover", "mixed/m", "%LMQ%mixed%m%")
	m.moves("wild", "mixed/+", "%LMQ%mixed%+%")
	for _, n := range m.nodes {
		n.Stop()
	}
}

// mixedSite is a Java proxy and nodes on one cluster.
type mixedSite struct {
	*lmqSite
	java  *javaNode
	nodes [2]*broker.Broker
	pub   *client
	n     int
}

// says has n messages published to a topic, at either side by turns, and returns them.
func (m *mixedSite) says(topic string, n int) []string {
	m.t.Helper()
	var said []string
	for range n {
		m.n++
		payload := fmt.Sprint(topic, " ", m.n)
		if m.n%2 == 0 {
			m.java.do("publish", topic, fmt.Sprint(1+m.n/2%2), payload)
		} else {
			must(m.t, m.pub.publish(topic, payload, byte(1+m.n/2%2)))
		}
		said = append(said, payload)
	}
	return said
}

// live has both sides subscribe to a topic, a filter, and what is addressed to a client.
func (m *mixedSite) live() {
	m.java.do("subscribe", "jc", "mixed/a")
	m.java.do("subscribe", "jc", "mixed/+")
	var boxes [2]inbox
	for i, n := range m.nodes {
		must(m.t, connect(m.t, n.TCP, fmt.Sprint("gc", i), &boxes[i]).subscribe(2, []string{"mixed/a", "mixed/+"}[i]))
	}
	said := m.says("mixed/a", 12)
	m.java.await("jc mixed/a", said)
	m.java.await("jc mixed/+", said)
	m.java.await("jc /p2p/jc/", m.says("mixed/p2p/jc", 4))
	for i := range boxes {
		hasOnce(m.t, &boxes[i], slices.Concat(said, m.says(fmt.Sprint("mixed/p2p/gc", i), 4)))
	}
	m.java.do("disconnect", "jc")
}

// stranger subscribes at a node, and was never at a Java proxy: it gets nothing that is older, and brokers have nothing new because of it.
func (m *mixedSite) stranger() {
	t := m.t
	var box inbox
	c := connect(t, m.nodes[0].TCP, "stranger", &box, keep)
	must(t, c.subscribe(1, "mixed/a", "mixed/silent"))
	hasOnce(t, &box, m.says("mixed/a", 2))
	for _, lmq := range []string{"%LMQ%mixed%silent%", "%LMQ%%p2p%stranger%", "%LMQ%%retry%stranger%"} {
		if _, err := os.Stat(filepath.Join(m.c.Broker(0).StoreDir(), "consumequeue", lmq)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that it is not there", lmq, err)
		}
		if at, err := m.rmq.ConsumerOffset(t.Context(), m.addr, "%LMQ%stranger", lmq, 0); at != 0 || err != nil && !errors.Is(err, remoting.ErrNoOffset) {
			t.Errorf("%s: offset %d, %v", lmq, at, err)
		}
	}
	if _, err := os.Stat(filepath.Join(m.c.Broker(0).StoreDir(), "consumequeue", "%LMQ%mixed%a%")); err != nil {
		t.Errorf("light queues are somewhere else: %v", err)
	}
}

// moves has a client go from the Java proxy to a node and back. At each it gets what it has not had at the other, once, and then what is new; so with what is
// addressed to it, and with what it has not acknowledged.
func (m *mixedSite) moves(id, filter, lmq string) {
	t := m.t
	own, p2p := "mixed/m", "mixed/p2p/"+id
	m.java.do("subscribe", id, filter)
	had := m.says(own, 6)
	eventually(t, "it has had the first ones", func() bool { return slices.Contains(m.java.of(id+" "+filter), had[5]) })
	m.java.await(id+" /p2p/"+id+"/", m.says(p2p, 3))
	m.java.do("park", id, own, "acknowledged there")
	m.java.await(id+" /retry/"+id+"/", []string{"acknowledged there"})
	m.java.do("disconnect", id)
	m.java.do("park", id, own, id+" has not acknowledged it")
	missed := slices.Concat([]string{id + " has not acknowledged it"}, m.says(p2p, 5), m.says(own, 70))

	var box inbox
	c := connect(t, m.nodes[0].TCP, id, &box, keep)
	must(t, c.subscribe(2, filter))
	hasOnce(t, &box, missed)
	news := slices.Concat(m.says(own, 4), m.says(p2p, 2))
	hasOnce(t, &box, slices.Concat(missed, news))
	if all := box.deliveries(); len(all) > len(missed) && !slices.Contains(news, all[len(missed)].payload) || all[0].payload != missed[0] {
		t.Errorf("%q came first, and %q behind what was new", all[0].payload, all[len(missed)].payload)
	}
	must(t, c.publish("mixed/p2p/nobody", "", 1)) // before the answer it has acknowledged all that came
	c.leave()
	for _, name := range []string{lmq, "%LMQ%%p2p%" + id + "%"} {
		eventually(t, "its offset has followed it", func() bool {
			at, err := m.rmq.ConsumerOffset(t.Context(), m.addr, "%LMQ%"+id, name, 0)
			return err == nil && at == m.max(name)
		})
	}

	before := len(m.java.of(id + " " + filter))
	back := m.says(own, 6)
	m.java.do("subscribe", id, filter)
	back = append(back, m.says(own, 2)...)
	eventually(t, "it has what came meanwhile", func() bool { return len(m.java.of(id+" "+filter)) >= before+8 }, m.java.state)
	if got := m.java.of(id + " " + filter)[before:]; !slices.Equal(got, back) {
		t.Errorf("back at the Java proxy it got %q, want %q", got, back)
	}
	m.java.do("disconnect", id)
}

// hasOnce waits until an inbox has these messages: each once, and no others.
func hasOnce(t *testing.T, box *inbox, want []string) {
	t.Helper()
	eventually(t, fmt.Sprint(len(want), " messages come"), func() bool {
		return !slices.ContainsFunc(want, func(payload string) bool { return box.times(payload) == 0 })
	}, box.state)
	var got []string
	for _, d := range box.deliveries() {
		got = append(got, d.payload)
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%d messages came, %q, want %d, %q", len(got), got, len(want), want)
	}
}
