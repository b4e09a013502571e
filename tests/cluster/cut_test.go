package cluster

import (
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/cutter"
)

const tooLong = 7 * time.Second // after which other nodes have taken one for dead that cannot reach RocketMQ

// The connections of one node to RocketMQ are slow, cut, and held up, for a moment or until other nodes take it for dead. Some of its clients go on
// elsewhere, others wait. The RocketMQ is its own: every node that starts later would read what a crowd leaves there.
func TestCut(t *testing.T) {
	if !rocketmqtest.Have(t, shared.Options.Version) {
		return
	}
	cluster := rocketmqtest.Start(t, shared.Options)
	cut := cutter.New(t, cluster.Namesrv(), cluster.Broker(0).Addr)
	options := func(namesrv string) broker.Options {
		o := nodeOptions(namesrv, "queueFailover=2m")
		o.Errors = true // it says that it was taken for dead
		return o
	}
	nodes := append(startNodes(t, 1, options(cut.Namesrv)), startNodes(t, 2, options(cluster.Namesrv()))...)
	c := newCrowd(t, addresses(nodes))
	c.populate("cut", 4, 4)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)

	cut.Delay(100 * time.Millisecond)
	c.progress("slow", 10)
	c.spread(1)
	c.spread(0)
	c.progress("slow, and back", 10)
	cut.Mend()

	for _, is := range []struct {
		what string
		cut  func()
		d    time.Duration
	}{
		{"cut for a moment", cut.Cut, time.Second},
		{"cut", cut.Cut, tooLong},
		{"held up", cut.Stall, tooLong},
	} {
		is.cut()
		began := time.Now()
		c.flee(0)
		c.progress(is.what, 10)
		eventually(t, "it is time", func() bool { return time.Since(began) >= is.d })
		cut.Mend()
		c.progress(is.what+", and mended", 10)
		c.spread(0)
		c.progress(is.what+", and back", 10)
	}
	c.quiet()
	c.unrefused()
	c.report()
}

// flee has the writers at a node and every second reader go elsewhere, leaving their connections as they are.
func (c *crowd) flee(from int) {
	c.t.Helper()
	var some []*roamer
	for i, r := range c.roamers {
		if _, reads := r.role.(*reader); r.node() == from && (!reads || i%2 == 0) {
			some = append(some, r)
		}
	}
	var to []int
	for i := range c.addrs {
		if i != from {
			to = append(to, i)
		}
	}
	c.goAll(some, to)
}
