package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// acknowledge acknowledges all that has come to cl, and counts it.
func (cl *client) acknowledge(seen map[string]int) {
	for len(cl.got) > 0 {
		cl.takeOne(seen)
	}
}

// join subscribes cl, which may get messages before SUBACK.
func (cl *client) join(filter string, qos byte, seen map[string]int) {
	cl.t.Helper()
	cl.packet(&mqtt.Subscribe{PacketID: 77, Filters: []mqtt.SubscribeFilter{{Filter: []byte(filter), QoS: qos}}})
	for {
		r := cl.packetOf(mqtt.SUBACK)
		if r.h.Type == mqtt.SUBACK {
			if code := mqtt.ReasonCode(r.body[len(r.body)-1]); code != mqtt.ReasonCode(qos) {
				cl.t.Fatalf("SUBACK %v", code)
			}
			return
		}
		cl.takes(r, seen)
	}
}

// Whatever members of whatever processes come and go, each message is acknowledged by one of them, once: what one that leaves had not acknowledged goes to
// another, and nothing else does.
func TestClusterSharedOnce(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	c := newCluster(t, 3)
	pub, _ := c.nodes[0].connect(mqtt.V5, "pub")
	anchor, _ := c.nodes[0].connect(mqtt.V5, "anchor", keep) // the group goes on while nobody is there
	anchor.subscribe("$share/g/jobs/#", 1)
	seen, sent := map[string]int{}, 0
	members := []*client{anchor}
	for step := range 150 {
		switch n := r.IntN(10); {
		case n < 2 && len(members) < 8:
			cl, _ := c.nodes[r.IntN(3)].connect(mqtt.V5, fmt.Sprint("m", step), func(p *mqtt.Connect) {
				p.ReceiveMaximum = uint16(1 + r.IntN(20))
				if r.IntN(2) == 0 {
					keep(p)
				}
			})
			cl.join("$share/g/jobs/#", 1, seen)
			members = append(members, cl)
		case n < 4 && len(members) > 0:
			i := r.IntN(len(members))
			members[i].gone()
			members = append(members[:i], members[i+1:]...)
		case n < 8:
			for range r.IntN(30) {
				pub.send(fmt.Sprint("jobs/", r.IntN(3)), fmt.Sprint(sent), 1)
				sent++
			}
		default:
			for _, m := range members {
				m.acknowledge(seen)
			}
		}
	}
	last, _ := c.nodes[1].connect(mqtt.V5, "last")
	last.join("$share/g/jobs/#", 1, seen)
	members = append(members, last)
	eventually(t, "every message is acknowledged", func() bool {
		for _, m := range members {
			m.acknowledge(seen)
		}
		return len(seen) >= sent
	})
	for payload, times := range seen {
		if times != 1 {
			t.Errorf("message %s was acknowledged %d times", payload, times)
		}
	}
}

// When a process dies, what its members had not acknowledged, or not long before, goes to others; of QoS 2 nothing comes twice, and what had begun stays with its
// session.
func TestClusterSharedDies(t *testing.T) {
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			c := newCluster(t, 2)
			pub, _ := c.nodes[0].connect(mqtt.V5, "pub")
			stays, _ := c.nodes[0].connect(mqtt.V5, "stays", keep)
			stays.subscribe("$share/g/jobs/#", qos)
			dies, _ := c.nodes[1].connect(mqtt.V5, "dies", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 10 })
			dies.subscribe("$share/g/jobs/#", qos)
			seen, lost := map[string]int{}, map[string]int{}
			const n = 200
			for i := range n {
				pub.send("jobs/x", fmt.Sprint(i), qos)
			}
			eventually(t, "members of both are fed", func() bool { return len(dies.got) == 10 && len(stays.got) > 0 })
			c.nodes[1].kill()
			for len(dies.got) > 0 {
				if r := <-dies.got; r.h.Type == mqtt.PUBLISH {
					var p mqtt.Publish
					if err := p.Decode(mqtt.V5, r.h.Flags, r.body); err != nil {
						t.Fatal(err)
					}
					lost[string(p.Payload)]++
				}
			}
			if qos == 2 {
				dies, _ = c.nodes[0].connect(mqtt.V5, "dies", keep)
			}
			eventually(t, "every message comes", func() bool {
				stays.acknowledge(seen)
				if qos == 2 {
					dies.acknowledge(seen)
				}
				return len(seen) == n
			})
			for payload, times := range seen {
				if times != 1 {
					t.Errorf("message %s came %d times", payload, times)
				}
			}
			if len(lost) != 10 {
				t.Errorf("the dead process had sent %d", len(lost))
			}
		})
	}
}

// Processes die while members come and go, unsubscribe, and do not acknowledge: no message is lost.
func TestClusterSharedNoneLost(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	const processes, filter = 4, "$share/g/jobs/#"
	c := newCluster(t, processes)
	alive := processes
	pub, _ := c.nodes[0].connect(mqtt.V5, "pub")
	anchor, _ := c.nodes[0].connect(mqtt.V5, "anchor", keep)
	anchor.subscribe(filter, 1)
	anchor.gone()
	seen, sent := map[string]int{}, 0
	var members []*client
	for step := range 200 {
		switch n := r.IntN(100); {
		case n < 2 && alive > 2:
			alive-- // the last ones die first, which nobody publishes to
			c.nodes[alive].kill()
			members = slices.DeleteFunc(members, func(m *client) bool { return m.b == c.nodes[alive].broker })
		case n < 20 && len(members) < 8:
			cl, _ := c.nodes[r.IntN(alive)].connect(mqtt.V5, fmt.Sprint("m", step), func(p *mqtt.Connect) { p.ReceiveMaximum = uint16(1 + r.IntN(20)) })
			cl.join(filter, 1, seen)
			members = append(members, cl)
		case n < 40 && len(members) > 0:
			i := r.IntN(len(members))
			if n < 30 {
				members[i].packet(&mqtt.Unsubscribe{PacketID: 9, Filters: [][]byte{[]byte(filter)}})
			}
			members[i].gone()
			members = slices.Delete(members, i, i+1)
		case n < 80:
			for range r.IntN(20) {
				pub.send(fmt.Sprint("jobs/", r.IntN(3)), fmt.Sprint(sent), 1)
				sent++
			}
		default:
			for _, m := range members {
				m.acknowledge(seen)
			}
		}
	}
	last, _ := c.nodes[1].connect(mqtt.V5, "last")
	last.join(filter, 1, seen)
	members = append(members, last)
	eventually(t, "every message is acknowledged", func() bool {
		for _, m := range members {
			m.acknowledge(seen)
		}
		return len(seen) >= sent
	})
}
