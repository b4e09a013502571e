package rocketmq

import (
	"context"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Store implements store.Store on RocketMQ.
type Store struct {
	opts   Options
	client *remoting.Client
	log    *throttle.Logger
	ids    *message.IDs
	node   string // this start of the process: random, in every message
	stats  Stats

	routes  routes  // where topics are
	topics  topics  // which topic a first level is, and which first levels there are
	sending sending // what all outboxes share
	tail    tail    // what is handed to the sink

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	closing sync.Once
	closed  error
}

// now is the time of this process's clock, Unix milliseconds.
func (s *Store) now() int64 { return s.opts.Clock().UnixMilli() }

// after calls f in a goroutine of the store when d has passed, unless the store closes before.
func (s *Store) after(d time.Duration, f func()) {
	s.tasks.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-s.ctx.Done():
		}
	})
}
