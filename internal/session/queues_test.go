package session

import (
	"os"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// queues is how many queues the tests' stores have. ROCKETMQTT_SESSION_QUEUES=1 has them as they are.
var queues = func() store.Queue {
	if os.Getenv("ROCKETMQTT_SESSION_QUEUES") == "1" {
		return 1
	}
	return 3
}()

// manyQueues makes a store with many queues of the embedded one: each topic is in the queue that its hash chooses, and queues are handed over side by side,
// as on RocketMQ. Offsets are those of the one log, so they have gaps.
type manyQueues struct{ store.Store }

func newManyQueues(s store.Store) store.Store {
	if queues == 1 {
		return s
	}
	return &manyQueues{s}
}

func (m *manyQueues) queue(topic string) store.Queue { return queueOf(topic) }

// queueOf is the queue that a topic's messages are in.
func queueOf(topic string) store.Queue {
	return store.Queue(xxhash.Sum64String(topic)) % queues
}

func (m *manyQueues) all() []store.Queue {
	var all []store.Queue
	for q := range queues {
		all = append(all, q)
	}
	return all
}

// Follow implements store.Store.
func (m *manyQueues) Follow(sink func([]store.Record)) {
	m.Store.Follow(func(batch []store.Record) {
		var parts [3][]store.Record
		for _, r := range batch {
			r.Queue = m.queue(r.Topic)
			parts[r.Queue] = append(parts[r.Queue], r)
		}
		var side sync.WaitGroup
		for _, part := range parts {
			if len(part) > 0 {
				side.Go(func() { sink(part) })
			}
		}
		side.Wait()
	})
}

// Next implements store.Store.
func (m *manyQueues) Next(store.Queue) int64 { return m.Store.Next(0) }

// Queues implements store.Store.
func (m *manyQueues) Queues(string) []store.Queue { return m.all() }

// Watch implements store.Store.
func (m *manyQueues) Watch(filter string) ([]store.Position, error) {
	v, err := m.Store.Watch(filter)
	if err != nil {
		return nil, err
	}
	return m.everywhere(v), nil
}

// everywhere is the same offset in every queue.
func (m *manyQueues) everywhere(v []store.Position) []store.Position {
	var out []store.Position
	for _, q := range m.all() {
		for _, p := range v {
			out = append(out, store.Position{Queue: q, Offset: p.Offset})
		}
	}
	return out
}

// Read implements store.Store.
func (m *manyQueues) Read(from store.Position, q *store.Query, most int) ([]store.Record, int64, int64, error) {
	mine := func(topic string) bool { return m.queue(topic) == from.Queue && q.Match(topic) }
	recs, next, missed, err := m.Store.Read(store.Position{Offset: from.Offset}, &store.Query{Filters: q.Filters, Match: mine}, most)
	recs = slices.Clone(recs)
	for i := range recs {
		recs[i].Queue = from.Queue
	}
	return recs, next, missed, err
}

// Get implements store.Store.
func (m *manyQueues) Get(at store.Position) (store.Record, error) {
	rec, err := m.Store.Get(store.Position{Offset: at.Offset})
	rec.Queue = at.Queue
	return rec, err
}

// Retained implements store.Store.
func (m *manyQueues) Retained(filter, after string, at []store.Position, most int) ([]store.Record, string, error) {
	var in []store.Position
	for _, p := range at {
		in = []store.Position{{Offset: max(p.Offset, slices.MaxFunc(append(in, store.Position{}), byOffset).Offset)}}
	}
	recs, next, err := m.Store.Retained(filter, after, in, most)
	recs = slices.Clone(recs)
	for i := range recs {
		if recs[i].Offset >= 0 {
			recs[i].Queue = m.queue(recs[i].Topic)
		}
	}
	return recs, next, err
}

func byOffset(a, b store.Position) int { return int(a.Offset - b.Offset) }

// Load implements store.Store.
func (m *manyQueues) Load(client string) (*store.Session, error) {
	s, err := m.Store.Load(client)
	return m.seen(s), err
}

// Connect implements store.Store.
func (m *manyQueues) Connect(c *store.Change) (*store.Session, error) {
	old, err := m.Store.Connect(c)
	return m.seen(old), err
}

// seen is s with what Load says of one queue said of all.
func (m *manyQueues) seen(s *store.Session) *store.Session {
	if s != nil && s.Connected {
		s.SentUpTo = m.everywhere(s.SentUpTo)
	}
	return s
}
