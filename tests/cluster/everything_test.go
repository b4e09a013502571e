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
	const steps = 5
	pace := 10 * time.Second / time.Duration(messages)
	c.publish(pace, messages)
	c.progress("at first", messages/steps)
	for i, n := range nodes {
		n.Kill()
		c.leftNode(i)
		n.Start()
		c.progress(fmt.Sprint("node ", i, " was down"), messages/(2*steps))
	}
	must(t, cluster.Broker(0).Kill())
	must(t, cluster.Broker(0).Start())
	c.writing.Wait()
	c.quiet()
	c.unrefused()
	for _, s := range streams {
		if _, taken, _ := s.count(); taken != messages {
			t.Errorf("%s: %d messages were taken, want %d", s.name, taken, messages)
		}
	}
	c.report()
	t.Logf("%d sessions with %d messages each: %v", sessions, messages, time.Since(began).Round(time.Second))
}
