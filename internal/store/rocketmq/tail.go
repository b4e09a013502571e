package rocketmq

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// tail follows the topics that somebody watches. Reading costs by message, not by queue or subscription: one long poll for each
// queue, however many wait for it.
type tail struct {
	sink   atomic.Pointer[func([]store.Record)]
	recent atomic.Int64 // bytes in all rings
	outage sync.Map     // broker name -> struct{}: it did not answer a pull

	mu     sync.Mutex
	closed bool
	first  map[string]int        // watches of filters by first level
	all    int                   // watches of filters whose first level is a wildcard
	since  int64                 // when all became more than 0, Unix milliseconds
	topics map[string]*following // by RocketMQ topic
	left   map[string]*following // the last one of each topic that is followed no more; there are as many as topics
}

// following is one topic of RocketMQ that is followed.
type following struct {
	topic string
	since int64         // when it began, Unix milliseconds
	ready chan struct{} // closed when the followers of the queues that could be reached have begun, or err is set
	err   error         // why it could not begin

	idle time.Time // since when nobody watches it; tail.mu guards it

	before  *following // the one that it comes after: the queues are handed over by one at a time; nil: none
	running sync.WaitGroup

	mu        sync.Mutex
	followers map[store.Queue]*follower // guarded by mu; once there, they stay until stop
	ctx       context.Context
	stop      context.CancelFunc
}

// linger is how long a topic is followed on after its last watch ended: most clients come back.
const linger = 30 * time.Second

func (t *tail) init() {
	t.first = map[string]int{}
	t.topics = map[string]*following{}
	t.left = map[string]*following{}
}

// Follow sets the sink; see store.Store.
func (s *Store) Follow(sink func(batch []store.Record)) { s.tail.sink.Store(&sink) }

// Next is the end of what was handed to the sink; see store.Store.
func (s *Store) Next(q store.Queue) int64 {
	if qu := s.queueOf(q); qu != nil {
		return qu.next.Load()
	}
	return 0
}

// Queues lists the queues of the topics that filter may be in; see store.Store.
func (s *Store) Queues(filter string) []store.Queue {
	var all []store.Queue
	for _, topic := range s.topicsOf(filter) {
		if r := s.known(topic); r != nil {
			for _, q := range r.queues() {
				all = append(all, q.key)
			}
		}
	}
	return all
}

// At is the logical offset of a time; see store.Store.
func (s *Store) At(key store.Queue, ms int64) (int64, error) {
	q, err := s.mustKnow(key)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.asking()
	defer cancel()
	if err := s.settle(ctx, q); err != nil {
		return 0, err
	}
	at, err := s.search(ctx, q, ms)
	return q.log.logical(at), err
}

// away notes that q's broker does not answer pulls; it is said once for each outage.
func (t *tail) away(s *Store, q *queue, err error) {
	if _, known := t.outage.LoadOrStore(q.name.broker, struct{}{}); !known {
		s.log.Warn("a broker does not answer: what is there waits until it is back", "broker", q.name.broker, "topic", q.name.topic, "err", err)
	}
}

// back notes that q's broker answers.
func (t *tail) back(s *Store, q *queue) {
	if _, was := t.outage.LoadAndDelete(q.name.broker); was {
		s.log.Info("the broker answers again", "broker", q.name.broker)
	}
}

// keep is done once a second: it writes down how far was read, empties rings of what is old, and leaves topics that nobody watches any more.
func (s *Store) keep() {
	now := time.Now()
	for _, fo := range s.tail.followers() {
		fo.save()
		fo.recent.tidy(now)
	}
	s.ranges.tidy(now)
	s.tail.leaveIdle(s, now)
}

// trim is done seldom: the index forgets what is gone from RocketMQ, and more when it has grown too large.
func (s *Store) trim() {
	for _, fo := range s.tail.followers() {
		fo.trim()
	}
	s.index.bound()
}

func (t *tail) followers() []*follower {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*follower
	for _, f := range t.topics {
		f.mu.Lock()
		all = slices.AppendSeq(all, maps.Values(f.followers))
		f.mu.Unlock()
	}
	return all
}
