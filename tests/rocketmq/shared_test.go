package rocketmq

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// crew is the members of a shared subscription, at several nodes.
type crew struct {
	t       *testing.T
	name    string
	qos     byte
	boxes   []*inbox
	at      []*broker.Broker // where each of them is
	clients []*client
	sent    int
}

func (c *crew) topic() string { return c.name + "/jobs" }

// join has a further member at a node.
func (c *crew) join(n *broker.Broker) {
	c.t.Helper()
	box := &inbox{}
	m := connect(c.t, n.TCP, fmt.Sprint(c.name, "-", len(c.boxes)), box, keep)
	must(c.t, m.subscribe(c.qos, "$share/g/"+c.topic()))
	c.boxes, c.at, c.clients = append(c.boxes, box), append(c.at, n), append(c.clients, m)
}

// publish publishes n messages more to the one topic.
func (c *crew) publish(by *client, n int) {
	c.t.Helper()
	for range n {
		must(c.t, by.publish(c.topic(), fmt.Sprint(c.name, " ", c.sent), c.qos))
		c.sent++
	}
}

// done waits until every message has come to a member, and returns how many have come more than once.
func (c *crew) done(what string) (again int) {
	c.t.Helper()
	times := func(i int) (n int) {
		for _, box := range c.boxes {
			n += box.times(fmt.Sprint(c.name, " ", i))
		}
		return n
	}
	first := 0
	eventually(c.t, what, func() bool {
		for first < c.sent && times(first) > 0 {
			first++
		}
		return first == c.sent
	}, func() string { return fmt.Sprintf("number %d of %d has not come; %s", first, c.sent, c.state()) })
	for i := range c.sent {
		if times(i) > 1 {
			again++
		}
	}
	return again
}

// move has the members at a node that is gone come back at another one: what had begun at QoS 2 is their sessions'.
func (c *crew) move(from, to *broker.Broker) {
	c.t.Helper()
	for i, at := range c.at {
		if at == from {
			c.at[i], c.clients[i] = to, connectSoon(c.t, to.TCP, fmt.Sprint(c.name, "-", i), c.boxes[i])
		}
	}
}

// sound fails for messages of QoS 2 that came again. Of QoS 1 those may of which an acknowledgement did not arrive, or was not yet written down.
func (c *crew) sound(again int) {
	c.t.Helper()
	c.t.Logf("%d of %d messages came again", again, c.sent)
	if c.qos == 2 && again > 0 {
		c.t.Errorf("%d messages of QoS 2 came more than once; %s", again, c.state())
	}
}

func (c *crew) state() (s string) {
	for i, box := range c.boxes {
		s += fmt.Sprintf("\nmember %d at %s: %s", i, c.at[i].TCP, box.state())
	}
	return s
}

// fed waits until members at every node have got something since there was so much in each box.
func (c *crew) fed(since []int) {
	c.t.Helper()
	eventually(c.t, "members at every node get something", func() bool {
		got := map[*broker.Broker]int{}
		for i, box := range c.boxes {
			got[c.at[i]] += box.size() - since[i]
		}
		for _, n := range got {
			if n == 0 {
				return false
			}
		}
		return true
	}, c.state)
}

func (c *crew) sizes() (list []int) {
	for _, box := range c.boxes {
		list = append(list, box.size())
	}
	return list
}

// Each message of a shared subscription goes to one member in the whole cluster, and members at all nodes are fed from one topic: while members come, and go.
func TestSharedOneMember(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	a, b := node(t, c), node(t, c)
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			w := &crew{t: t, name: fmt.Sprint("share", qos), qos: qos}
			publisher := connect(t, b.TCP, w.name+"-publisher", &inbox{})
			once := func(what string) {
				t.Helper()
				w.publish(publisher, 200)
				if again := w.done(what); again > 0 {
					t.Errorf("%s: %d messages came more than once; %s", what, again, w.state())
				}
			}
			w.join(a)
			once("one member")
			w.join(b)
			w.join(a)
			w.publish(publisher, 50) // while units move
			since := w.sizes()
			once("members at both nodes")
			once("later")
			w.fed(since)
			w.clients[0].leave()
			w.clients[2].leave()
			once("the members of one node have left")
			w.clients[1].leave()
			w.publish(publisher, 50)
			w.join(a)
			once("all were away")
			w.join(b)
			once("members at both nodes again")
			w.publish(publisher, 50)
			a.Stop()
			w.publish(publisher, 50)
			w.move(a, b)
			w.sound(w.done("a node was stopped"))
			a.Start()
		})
	}
}

// A node that is killed takes no message with it: QoS 1 comes again where it was not acknowledged, QoS 2 once.
func TestSharedNodeKilled(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			a, b := node(t, c), node(t, c)
			w := &crew{t: t, name: fmt.Sprint("killed", qos), qos: qos}
			publisher := connect(t, b.TCP, w.name+"-publisher", &inbox{})
			for range 2 {
				w.join(a)
				w.join(b)
			}
			w.publish(publisher, 300)
			since := w.sizes()
			w.publish(publisher, 200)
			w.fed(since)
			a.Kill()
			w.publish(publisher, 300)
			w.move(a, b)
			w.sound(w.done("the node was killed"))
		})
	}
}
