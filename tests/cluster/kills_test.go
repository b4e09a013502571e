package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const (
	killsEnv  = "ROCKETMQTT_CLUSTER_KILLS"
	killsMade = 6
)

// Nodes are killed by turns while their clients publish and receive: these go on at the others. The node comes back on its data directory, or on an
// empty one. The RocketMQ is its own: every node that starts later would read what a crowd leaves there.
func TestKills(t *testing.T) {
	if !rocketmqtest.Have(t, shared.Options.Version) {
		return
	}
	cluster := rocketmqtest.Start(t, shared.Options)
	kills := check.Number(t, killsEnv, killsMade)
	var nodes []*broker.Broker
	var dirs []string
	for range 3 {
		o := nodeOptions(cluster.Namesrv())
		o.NoRace = kills > killsMade // who begins with nothing reads all that there was, which becomes too much under the race detector
		o.Dir = t.TempDir()
		nodes, dirs = append(nodes, broker.Start(t, o)), append(dirs, o.Dir)
	}
	c := newCrowd(t, addresses(nodes))
	c.populate("kills", 4, 4)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)
	for i := range kills {
		at := i % len(nodes)
		nodes[at].Kill()
		c.leftNode(at)
		c.progress(fmt.Sprint("kill ", i), 10)
		if i%2 == 1 {
			must(t, empty(dirs[at]))
		}
		nodes[at].Start()
		c.spread(at)
		c.progress(fmt.Sprint("back after kill ", i), 5)
	}
	c.quiet()
	c.unrefused()
	c.report()
}

// leftNode waits until no session is at a node, and all are connected.
func (c *crowd) leftNode(at int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("all have left node %d", at), func() bool {
		for _, r := range c.roamers {
			if r.current() == nil || r.node() == at {
				return c.broken()
			}
		}
		return true
	}, c.state)
}

// spread has every second session go to a node: in order, without a word, and by being taken over, by turns. A node that refuses a session is asked again.
func (c *crowd) spread(to int) {
	c.t.Helper()
	for i, r := range c.roamers {
		if i%2 == 0 {
			eventually(c.t, fmt.Sprintf("%s is at node %d", r.id, to), func() bool {
				if r.node() != to {
					must(c.t, c.order(r, to, part(i/2%int(parts))))
				}
				return r.node() == to
			}, c.state)
		}
	}
}

// empty removes all that is in a directory.
func empty(dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range all {
		if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
