package rocketmq

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// firstLevels is maxFirstTopics of the nodes in front of each version.
const firstLevels = 12

// site is a cluster of one version with two nodes.
type site struct {
	t    *testing.T
	c    *rocketmqtest.Cluster
	a, b *broker.Broker
}

// What must work on every version of RocketMQ that is supported.
func TestVersions(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t) {
		return
	}
	for _, v := range rocketmqtest.Versions() {
		t.Run(v, func(t *testing.T) {
			c := rocketmqtest.Start(t, rocketmqtest.Options{Version: v, SyncFlush: true})
			o := nodeOptions(c, fmt.Sprint("maxFirstTopics=", firstLevels), "queueFailover=60s")
			o.Errors = v == rocketmqtest.V497 // while its disk is full none can say that it lives, and who can first takes the others for dead
			s := &site{t: t, c: c, a: broker.Start(t, o), b: broker.Start(t, o)}
			s.foundLate()
			s.across()
			s.persistent()
			foreign(t, c, s.b)
			s.legal()
			if v == rocketmqtest.V497 {
				s.full()
			}
		})
	}
}

// A filter with a wildcard as first level gets all of a topic that comes to be after it, also when somebody subscribes to the topic itself on
// the same node before that knows of it. Nothing was registered in this cluster before, so it takes the node a while.
func (s *site) foundLate() {
	t := s.t
	var all inbox
	must(t, connect(t, s.b.TCP, "late-all", &all).subscribe(1, "#"))
	must(t, connect(t, s.a.TCP, "late-publisher", &inbox{}).publish("late/x", "late", 1))
	must(t, connect(t, s.b.TCP, "late-exact", &inbox{}).subscribe(1, "late/x"))
	_, err := all.await("late")
	must(t, err)
}

// across publishes at each QoS on one node and receives at each on both.
func (s *site) across() {
	t := s.t
	var boxes [2][3]inbox
	for i, n := range []*broker.Broker{s.a, s.b} {
		for granted := range byte(3) {
			c := connect(t, n.TCP, fmt.Sprintf("across-%d-%d", i, granted), &boxes[i][granted])
			must(t, c.subscribe(granted, "across/+/x"))
		}
	}
	publisher := connect(t, s.a.TCP, "across-publisher", &inbox{}, v3)
	for qos := range byte(3) {
		payload := fmt.Sprint("across ", qos)
		must(t, publisher.publish("across/1/x", payload, qos))
		for i := range boxes {
			for granted := range byte(3) {
				d, err := boxes[i][granted].await(payload)
				must(t, err)
				if d.qos != min(qos, granted) || d.topic != "across/1/x" {
					t.Errorf("%s came on node %d as %+v", payload, i, d)
				}
			}
		}
	}
}

// persistent has a session miss messages while its node is down.
func (s *site) persistent() {
	t := s.t
	var box inbox
	c := connect(t, s.a.TCP, "persistent", &box, keep)
	must(t, c.subscribe(2, "persistent/#"))
	c.leave()
	publisher := connect(t, s.b.TCP, "persistent-publisher", &inbox{})
	const each = 100
	for n := range 2 * each {
		if n == each {
			s.a.Kill()
		}
		must(t, publisher.publish("persistent/x", fmt.Sprint("missed ", n), byte(1+n%2)))
	}
	s.a.Start()
	c = connect(t, s.a.TCP, "persistent", &box, keep)
	if !c.present {
		t.Error("the session is gone")
	}
	eventually(t, "all that was missed arrives", func() bool { return box.size() >= 2*each }, func() string { return fmt.Sprint(box.size()) })
	for _, qos := range []byte{1, 2} { // order is kept among messages of one QoS
		next := int(qos) - 1
		for _, d := range box.deliveries() {
			if d.qos == qos && d.payload != fmt.Sprint("missed ", next) {
				t.Fatalf("QoS %d: %s came, not %d", qos, d.payload, next)
			} else if d.qos == qos {
				next += 2
			}
		}
	}
	c.leave()
}
