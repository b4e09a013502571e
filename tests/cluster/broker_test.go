package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// The broker is killed and started again while sessions are published to and move; with SYNC_FLUSH it has all that it has acknowledged.
func TestBrokerKilled(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	cluster := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, SyncFlush: true})
	o := nodeOptions(cluster.Namesrv(), "queueFailover=2m")
	o.Errors = true
	c := newCrowd(t, addresses(startNodes(t, 3, o)))
	c.populate("broker", 4, 4)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)
	settle := c.restless(time.Second, c.roamers)
	for i := range 2 {
		must(t, cluster.Broker(0).Kill())
		must(t, cluster.Broker(0).Start())
		c.progress(fmt.Sprint("back after kill ", i), 10)
	}
	settle()
	c.quiet()
	c.unrefused()
	c.report()
}

// Of two brokers one is killed and comes back. Topics move to the other one, in no order from there on; sessions that stand on it wait for it.
func TestOneBrokerKilled(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	cluster := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, SyncFlush: true, Brokers: 2})
	o := nodeOptions(cluster.Namesrv(), "queueFailover=3s")
	o.Errors = true // what was under way to the killed broker is refused, since it may be there
	c := newCrowd(t, addresses(startNodes(t, 3, o)))
	c.ordered = false
	c.populate("brokers", 4, 4)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)
	served := c.standOn(0) // sessions that stand on the other broker cannot begin a connection while it is away, and QoS 2 waits there
	settle := c.restless(time.Second, served)
	must(t, cluster.Broker(1).Kill())
	c.progressOf(streamsOf(served), "with one broker", 20)
	must(t, cluster.Broker(1).Start())
	c.progress("with both", 10)
	settle()
	c.quiet()
	refused := 0
	for _, s := range c.streams {
		_, _, n := s.count()
		refused += n
	}
	t.Logf("%d messages were refused while their topics moved", refused)
	c.report()
}

// standOn is the sessions that stand on a broker: of two, each has eight queues of the sessions' changelog, the first one's come first.
func (c *crowd) standOn(broker int) (some []*roamer) {
	for _, r := range c.roamers {
		if changelog.QueueOf(r.id, 16)/8 == broker {
			some = append(some, r)
		}
	}
	return some
}

// streamsOf is what those of some sessions publish that do.
func streamsOf(some []*roamer) (all []*stream) {
	for _, r := range some {
		if w, ok := r.role.(*writer); ok {
			all = append(all, w.stream)
		}
	}
	return all
}

// restless has sessions move once in about pace until the function that it returns is called.
func (c *crowd) restless(pace time.Duration, some []*roamer) (settle func()) {
	ctx, stop := context.WithCancel(c.ctx)
	var moving sync.WaitGroup
	for i, r := range some {
		dice := rand.New(rand.NewPCG(2, uint64(i)))
		moving.Go(func() {
			for {
				timer := time.NewTimer(time.Duration(dice.Int64N(2 * int64(pace))))
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
					return
				}
				to := (r.node() + 1 + dice.IntN(len(c.addrs)-1)) % len(c.addrs)
				if err := c.order(r, to, part(dice.IntN(int(parts)))); err != nil {
					return // roam says why
				}
			}
		})
	}
	return func() {
		stop()
		moving.Wait()
	}
}
