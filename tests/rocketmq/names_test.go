package rocketmq

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

// manyNames has clients come and go, each with a client id, a topic and a filter that were never there before, some with a session: with lmqDispatch=never a broker that has light queues
// has no more names after that than before.
func (s *lmqSite) manyNames(n *broker.Broker) {
	t := s.t
	many := check.Number(t, "ROCKETMQTT_NAMES", 500)
	s.pass(n, 0, many/4)
	before := s.names()
	began := time.Now()
	s.pass(n, many/4, many)
	after := s.names()
	t.Logf("%d clients came and went in %v; what the broker has by name before and after: %v, %v", many, time.Since(began), before, after)
	if after != before {
		t.Errorf("the broker has %+v by name, and before the last %d clients it had %+v", after, many-many/4, before)
	}
}

// pass has clients from to below to come and go.
func (s *lmqSite) pass(n *broker.Broker, from, to int) {
	const together = 32
	ids := make(chan int)
	var wg sync.WaitGroup
	for range together {
		wg.Go(func() {
			again := time.NewTicker(100 * time.Millisecond)
			defer again.Stop()
			for i := range ids {
				err := comeAndGo(n.TCP, i)
				for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = comeAndGo(n.TCP, i) { // a broker that was started again is used after a moment
					<-again.C
				}
				if err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		ids <- i
	}
	close(ids)
	wg.Wait()
}

// comeAndGo is one client that sends itself a message.
func comeAndGo(addr string, i int) error {
	var box inbox
	session := func(c *mqtt.Connect) {
		if i%10 == 0 {
			c.CleanStart, c.SessionExpiry = false, 1
		}
	}
	c, err := dial(addr, fmt.Sprint("named", i), &box, session)
	if err != nil {
		return err
	}
	defer c.leave()
	topic := fmt.Sprint("never/", i, "/x")
	if err := c.subscribe(1, fmt.Sprint("never/", i, "/+")); err != nil {
		return err
	}
	if err := c.publish(topic, topic, 1); err != nil {
		return err
	}
	_, err = box.await(topic)
	return err
}

// named counts what a broker has by name.
type named struct {
	queues int // directories of queues, light ones too
	config int // values in its tables: topics, groups, offsets
}

// names counts, in what an orderly stop leaves.
func (s *lmqSite) names() (n named) {
	b := s.c.Broker(0)
	must(s.t, b.Stop())
	defer func() { must(s.t, b.Start()) }()
	dir := b.StoreDir()
	for _, part := range []string{"consumequeue", "consumequeue_ext"} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				n.queues++
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			s.t.Error(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "config", "*.json"))
	must(s.t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(s.t, err)
		n.config += strings.Count(string(b), ":") // of each key with its value; keys may be numbers, which is no JSON
	}
	return n
}
