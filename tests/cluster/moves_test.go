package cluster

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const (
	movesEnv  = "ROCKETMQTT_CLUSTER_MOVES"
	movesMade = 25 // of each session, by default

	// Every step of a QoS 2 delivery is read by all nodes, and one that begins with nothing reads all that there was: that is much under the race detector.
	steady = 50 * time.Millisecond
)

func addresses(nodes []*broker.Broker) (all []string) {
	for _, n := range nodes {
		all = append(all, n.TCP)
	}
	return all
}

// Sessions move among three nodes while their topics are published to, those of the publishers too: in order, without a word, and while they are still
// connected elsewhere.
func TestMoves(t *testing.T) {
	cluster := shared.Cluster(t)
	if cluster == nil {
		return
	}
	c := newCrowd(t, addresses(startNodes(t, 3, nodeOptions(cluster.Namesrv()))))
	c.stable = true
	c.populate("moves", 4, 4)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)
	moves := check.Number(t, movesEnv, movesMade)
	var moving sync.WaitGroup
	for i, r := range c.roamers {
		dice := rand.New(rand.NewPCG(1, uint64(i)))
		moving.Go(func() {
			for range moves {
				to := (r.node() + 1 + dice.IntN(len(c.addrs)-1)) % len(c.addrs)
				if err := c.order(r, to, part(dice.IntN(int(parts)))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	moving.Wait()
	c.checked("after the moves")
	c.progress("in the end", 10)
	c.quiet()
	c.unrefused()
	c.report()
}
