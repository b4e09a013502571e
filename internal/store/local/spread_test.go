package local_test

import (
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// spread is as free as the contract lets a store be: its messages are in three logs, by topic, which others write to as
// well, QoS 0 goes through them, only what is watched is handed over, and the sessions are apart, so that a message of
// one becomes durable in steps. It shows that the suite asks for no more.
type spread struct {
	store.Store // the changelog of sessions
	logs        []store.Store

	mu      sync.Mutex
	watched map[string]int // guarded by mu; how often
}

// queueOf is the name of the i-th log, and its inverse.
func queueOf(i int) store.Queue { return store.Queue(i+1) << 62 }

func (s *spread) at(q store.Queue) (log store.Store, i int, err error) {
	if i = int(q>>62) - 1; i < 0 || q != queueOf(i) {
		return nil, 0, errors.New("there is no such queue")
	}
	return s.logs[i], i, nil
}

// placed passes an answer on, with the place as spread names it.
type placed struct {
	i    int
	qos  byte
	done store.Completion
}

func (p placed) Appended(token uint64, at store.Position, err error) {
	if at.Queue = queueOf(p.i); p.qos == 0 {
		at = store.Position{Offset: -1}
	}
	p.done.Appended(token, at, err)
}

// Append writes m with its QoS behind its properties: a log keeps nothing of QoS 0.
func (s *spread) Append(m *store.Message, done store.Completion, token uint64) {
	sum := fnv.New32a()
	sum.Write([]byte(m.Topic))
	i := int(sum.Sum32() % uint32(len(s.logs)))
	inner := *m
	inner.QoS, inner.Client = max(m.QoS, 1), ""
	inner.Forward = append(slices.Clone(m.Forward), m.QoS)
	var told store.Completion
	if done != nil {
		told = placed{i, m.QoS, done}
	}
	if m.Client == "" {
		s.logs[i].Append(&inner, told, token)
		return
	}
	a, err := s.appendOf(m, s.logs[i], &inner)
	if told != nil {
		told.Appended(token, a, err)
	}
}

// appendOf appends what the session of m is told of: inner to log, between the steps that make it so.
func (s *spread) appendOf(m *store.Message, log store.Store, inner *store.Message) (store.Position, error) {
	before := store.Change{Kind: store.Receive, Client: m.Client, Receipt: store.Receipt{PacketID: m.PacketID}}
	after := store.Change{Kind: store.Receipted, Client: m.Client, PacketID: m.PacketID}
	if m.Will {
		before, after = store.Change{Kind: store.Release}, store.Change{Kind: store.WillDone, Client: m.Client}
	}
	w := make(waiting, 1)
	s.Change(&before, w, 0)
	if a := <-w; a.err != nil {
		return a.at, a.err
	}
	log.Append(inner, w, 0)
	a := <-w
	if a.err != nil {
		return a.at, a.err
	}
	s.Change(&after, w, 0)
	return a.at, (<-w).err
}

// outer returns recs of the i-th log as they were appended.
func outer(i int, recs []store.Record) []store.Record {
	recs = slices.Clone(recs)
	for k := range recs {
		r := &recs[k]
		r.Queue = queueOf(i)
		last := len(r.Forward) - 1
		r.QoS, r.Forward = r.Forward[last], r.Forward[:last:last]
	}
	return recs
}

func (s *spread) Follow(sink func([]store.Record)) {
	for i, log := range s.logs {
		log.Follow(func(batch []store.Record) {
			recs := slices.DeleteFunc(outer(i, batch), func(r store.Record) bool { return !s.wants(r.Topic) })
			if len(recs) > 0 {
				sink(recs)
			}
		})
	}
}

func (s *spread) wants(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for filter := range s.watched {
		if topic.Match(filter, name) {
			return true
		}
	}
	return false
}

func (s *spread) Watch(filter string) ([]store.Position, error) {
	s.mu.Lock()
	s.watched[filter]++
	s.mu.Unlock()
	var all []store.Position
	for i, log := range s.logs {
		at, err := log.Watch(filter)
		if err != nil {
			return nil, err
		}
		all = append(all, store.Position{Queue: queueOf(i), Offset: at[0].Offset})
	}
	return all, nil
}

func (s *spread) Unwatch(filter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watched[filter]--; s.watched[filter] == 0 {
		delete(s.watched, filter)
	}
}

func (s *spread) Queues(string) []store.Queue {
	return []store.Queue{queueOf(2), queueOf(0), queueOf(1)}
}

func (s *spread) Next(q store.Queue) int64 {
	log, _, err := s.at(q)
	if err != nil {
		return 0
	}
	return log.Next(0)
}

func (s *spread) At(q store.Queue, ms int64) (int64, error) {
	log, _, err := s.at(q)
	if err != nil {
		return 0, err
	}
	return log.At(0, ms)
}

func (s *spread) Read(from store.Position, q *store.Query, maxBytes int) ([]store.Record, int64, int64, error) {
	log, i, err := s.at(from.Queue)
	if err != nil {
		return nil, from.Offset, 0, err
	}
	recs, next, missed, err := log.Read(store.Position{Offset: from.Offset}, q, maxBytes)
	return outer(i, recs), next, missed, err
}

func (s *spread) Get(p store.Position) (store.Record, error) {
	log, i, err := s.at(p.Queue)
	if err != nil {
		return store.Record{}, err
	}
	rec, err := log.Get(store.Position{Offset: p.Offset})
	if err != nil {
		return rec, err
	}
	return outer(i, []store.Record{rec})[0], nil
}

// Load knows of the messages' queues what the changelog does not.
func (s *spread) Load(client string) (*store.Session, error) {
	session, err := s.Store.Load(client)
	if session != nil && session.Connected {
		session.SentUpTo, _ = s.Watch("load")
		s.Unwatch("load")
	}
	return session, err
}

func (s *spread) Retained(string, string, []store.Position, int) ([]store.Record, string, error) {
	return nil, "", errors.New("there are no retained messages here")
}

func (s *spread) Close() error {
	errs := []error{s.Store.Close()}
	for _, log := range s.logs {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}

// The suite takes a store of many queues that is shared with others, as a cluster is.
func TestConformanceOfManyQueues(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) storetest.Backend {
		return spreadBackend(backend(t, clock, local.Options{}), []storetest.Backend{
			backend(t, clock, local.Options{}), backend(t, clock, local.Options{SegmentSize: 8 << 10}), backend(t, clock, local.Options{RecentBytes: -1}),
		})
	})
}

// spreadBackend is a spread store at these places, of which others use the logs at the same time.
func spreadBackend(changelog storetest.Backend, places []storetest.Backend) storetest.Backend {
	open := func() (store.Store, error) {
		sessions, err := changelog.Open()
		s := &spread{Store: sessions, watched: map[string]int{}}
		for i := 0; i < len(places) && err == nil; i++ {
			var log store.Store
			if log, err = places[i].Open(); err == nil {
				err = errors.Join(others(log), others(log))
				s.logs = append(s.logs, log)
			}
		}
		return s, err
	}
	return storetest.Backend{
		Open: open,
		Crash: func() {
			changelog.Crash()
			for i := range places {
				places[i].Crash()
			}
		},
		TooLarge: changelog.TooLarge,
		Prefix:   "case", ManyQueues: true, Later: true, NoRetained: true,
		Now: func() time.Time { return time.UnixMilli(1 << 41) }, // which is not the clock's
	}
}

// others write to log what is not of the case.
func others(log store.Store) error {
	w := make(waiting, 1)
	for _, name := range []string{"a/b", "cases/t", "t"} {
		log.Append(&store.Message{Topic: name, QoS: 1, Payload: []byte("of others"), Forward: []byte{1}}, w, 0)
		if a := <-w; a.err != nil {
			return a.err
		}
	}
	return nil
}
