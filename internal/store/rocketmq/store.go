package rocketmq

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
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

	promise  promise
	decoders sync.Pool // of *decoder, for reads that come and go

	routes  routes                   // where topics are
	topics  topics                   // which topic a first level is, and which first levels there are
	sending sending                  // what all outboxes share
	tail    tail                     // what is handed to the sink
	lmq     lmqs                     // light queues, for Java proxies
	bends   bends                    // which queues went back
	listed  atomic.Pointer[[]string] // first levels that are followed since the name servers list them; nil: none were

	changelog Changelog    // of the sessions
	sessions  *sessions    // the same, when it is on RocketMQ; else nil
	retained  *retainedLog // retained messages; nil: none are kept
	index     *index       // what catch-up skips; nil: nothing
	ranges    ranges       // what those who catch up read together
	pulse     *pulse.Pulse // whether what sessions says can be relied on; nil without it

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	closing sync.Once
	closed  error
}

// now is the time of this process's clock, Unix milliseconds.
func (s *Store) now() int64 { return s.opts.Clock().UnixMilli() }
