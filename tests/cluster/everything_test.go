package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const (
	sessionsEnv  = "ROCKETMQTT_CLUSTER_SESSIONS"
	sessionsMade = 100
	messagesEnv  = "ROCKETMQTT_CLUSTER_MESSAGES" // that each session gets
	messagesMade = 20
	writersOfAll = 10
	stepTime     = 3 * time.Second // that publishing goes on while one thing is down
)

// Everything is down in turn, each node and then the broker, while many sessions are published to.
func TestEverythingDown(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	sessions, messages := check.Number(t, sessionsEnv, sessionsMade), check.Number(t, messagesEnv, messagesMade)
	began := time.Now()
	cluster := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, SyncFlush: true})
	o := nodeOptions(cluster.Namesrv(), "queueFailover=2m")
	o.Errors = true
	o.NoRace = sessions > sessionsMade
	nodes := startNodes(t, 3, o)
	c := newCrowd(t, addresses(nodes))
	var streams []*stream
	for i := range writersOfAll {
		streams = append(streams, c.stream(fmt.Sprint("down/", i), byte(1+i%2)))
	}
	c.readMany(sessions, func(i int) *reader {
		s := streams[i%writersOfAll]
		return newReader(fmt.Sprint("down-reader-", i), version(i/2), 2, s.topic, []*stream{s})
	}, func(i int) int { return i % len(nodes) })
	for i, s := range streams {
		c.write(newWriter(fmt.Sprint("down-writer-", i), version(i/2), s), i)
	}
	steps := []func(){func() {}}
	for i, n := range nodes {
		steps = append(steps, func() {
			n.Kill()
			c.leftNode(i)
			n.Start()
		})
	}
	steps = append(steps, func() {
		must(t, cluster.Broker(0).Kill())
		must(t, cluster.Broker(0).Start())
	})
	for i, down := range steps {
		upTo := messages * (i + 1) / len(steps)
		c.publish(stepTime*time.Duration(len(steps))/time.Duration(messages), upTo)
		down()
		c.takes(fmt.Sprint("step ", i), upTo)
	}
	c.quiet()
	c.unrefused()
	c.report()
	t.Logf("%d sessions with %d messages each: %v", sessions, messages, time.Since(began).Round(time.Second))
}

// takes waits until so many messages of each stream are taken.
func (c *crowd) takes(what string, n int) {
	c.t.Helper()
	eventually(c.t, what+": all is taken", func() bool {
		for _, s := range c.streams {
			if _, taken, _ := s.count(); taken < n {
				return c.broken()
			}
		}
		return true
	}, c.state)
	c.checked(what)
}
