package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const (
	stormEnv  = "ROCKETMQTT_CLUSTER_STORM"
	stormMade = 500 // clients
	together  = 32  // that connect side by side at first
)

// All clients of a node that is killed come to the others at once, and are served.
func TestStorm(t *testing.T) {
	cluster := shared.Cluster(t)
	if cluster == nil {
		return
	}
	o := nodeOptions(cluster.Namesrv())
	o.NoRace = true // times are logged
	nodes := startNodes(t, 3, o)
	c := newCrowd(t, addresses(nodes))
	s := c.stream("storm", 1)
	c.write(newWriter("storm-writer", version(0), s), 1)
	c.readMany(check.Number(t, stormEnv, stormMade), func(i int) *reader {
		return newReader(fmt.Sprint("storm-", i), version(i), 1, "storm", []*stream{s})
	}, func(int) int { return 0 })
	c.writers[0].publishOne()
	eventually(t, "all get a message", func() bool { return c.missing() == "" }, c.missing)

	began := time.Now()
	nodes[0].Kill()
	c.leftNode(0)
	t.Logf("%d clients are served by other nodes %v after their node was killed", len(c.readers), time.Since(began).Round(time.Millisecond))
	c.writers[0].publishOne()
	c.quiet()
	c.report()
	nodes[0].Start()
}

// readMany has many readers subscribe, some side by side. A node that is too busy refuses some of them: they try the next, as any client does.
func (c *crowd) readMany(n int, make_ func(i int) *reader, at func(i int) int) {
	c.t.Helper()
	type one struct {
		r  *reader
		ro *roamer
		l  *link
	}
	all := make([]one, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range together {
		wg.Go(func() {
			for i := range next {
				r := make_(i)
				ro := newRoamer(r.session, c.addrs, at(i))
				l, err := ro.come(c.t.Context(), at(i))
				if err == nil {
					err = r.subscribe()
				}
				if err != nil {
					c.t.Errorf("%s: %v", r.id, err)
					continue
				}
				all[i] = one{r, ro, l}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	for _, o := range all {
		c.readers = append(c.readers, o.r)
		c.roamers = append(c.roamers, o.ro)
		o.r.forgetTimes()
		c.keep(o.l)
	}
}

// forgetTimes has the times of connections count from now on.
func (s *session) forgetTimes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = nil
}
