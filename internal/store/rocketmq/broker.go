package rocketmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	probeEvery   = time.Second     // between looks at brokers that have failed
	probePatient = 2 * time.Second // for the answer
	longestHold  = time.Minute     // that a broker which fails again and again is left alone
)

// broker is a broker name of RocketMQ: a master, and slaves, which are asked nothing. It is made when a route or the cluster first
// names it, and kept. Its methods may be called on any goroutine.
type broker struct {
	name   string
	master atomic.Pointer[string] // host:port; nil: none was ever named
	listed atomic.Bool            // with a master, in the last list of all brokers
	once   atomic.Bool            // it was listed
	away   atomic.Bool            // see failed
	sample atomic.Pointer[queue]  // some queue of it, to ask for; nil: it has none

	keepsLMQ atomic.Bool // it loses no entries of light queues, for certain; see Store.chooseOf
	lmq      lmqBroker

	mu   sync.Mutex
	hold time.Duration // how long it stays failed at least, this time
	due  time.Time     // when it is to be asked next
	back time.Time     // when it was found to answer again; zero: never
}

// addr is the address of the master as the newest route has it; when routes name none any more, the last one; "" when none was ever named.
func (b *broker) addr() string {
	if p := b.master.Load(); p != nil {
		return *p
	}
	return ""
}

func (b *broker) setAddr(addr string) {
	if addr != b.addr() {
		b.master.Store(&addr)
	}
}

// failed says that sends to it were given up (brokerFailed) and that it has not been found to answer since.
func (b *broker) failed() bool { return b.away.Load() }

// brokerFailed notes that b has not taken a send for QueueFailover. Its queues leave the writable sets of their topics, if others remain,
// until it answers a probe. SEND calls it, with no lock held.
func (s *Store) brokerFailed(b *broker) {
	if b.away.Swap(true) {
		return
	}
	s.stats.BrokersFailed.Add(1)
	b.fail(time.Now(), s.opts.QueueFailover)
	s.log.Warn("a broker takes no messages: publishes to its queues go to other brokers, or are refused where there are none; "+
		"check that it runs, has disk space left, and can be reached", "broker", b.name, "address", b.addr())
	s.settleRoutes(true)
}

// fail sets when the broker is asked first. A broker may answer a probe and still take no messages (its disk is full), so one that fails soon after
// it was back is left alone for longer each time: it does not go back and forth, and neither do the topics.
func (b *broker) fail(now time.Time, failover time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.back.IsZero() || now.Sub(b.back) > 6*failover+b.hold:
		b.hold = probeEvery
	default:
		b.hold = min(4*b.hold, longestHold)
	}
	b.due = now.Add(b.hold)
}

func (b *broker) isDue(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.due)
}

func (b *broker) answered(now time.Time) {
	b.mu.Lock()
	b.back = now
	b.mu.Unlock()
	b.away.Store(false)
}

// watchBrokers looks at failed brokers, and at topics that brokers have left, once a second until the store closes.
func (s *Store) watchBrokers() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.probe(time.Now())
			s.settleRoutes(false)
		case <-s.ctx.Done():
			return
		}
	}
}

// probe asks the failed brokers that are due for an offset, side by side.
func (s *Store) probe(now time.Time) {
	var due []*broker
	for _, b := range s.routes.allBrokers() {
		if b.failed() && b.isDue(now) {
			due = append(due, b)
		}
	}
	sideBySide(due, func(b *broker) {
		q := b.sample.Load()
		if q == nil {
			return
		}
		ctx, cancel := context.WithTimeout(s.ctx, probePatient)
		defer cancel()
		if _, err := s.client.MaxOffset(ctx, b.addr(), q.name.topic, q.name.id); err != nil {
			return
		}
		b.answered(time.Now())
		s.log.Info("the broker answers again: publishes go to it", "broker", b.name, "address", b.addr())
		s.settleRoutes(true)
	})
}

// sideBySide calls f with all of list, some side by side, and returns when all have ended.
func sideBySide[T any](list []T, f func(T)) {
	const atOnce = 8
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range min(atOnce, len(list)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				f(list[i])
			}
		})
	}
	wg.Wait()
}
