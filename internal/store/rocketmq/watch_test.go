package rocketmq

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// handed is a sink that notes payloads in the order of each queue, and sees to it that a queue is handed over by one at a time and forwards.
type handed struct {
	t *testing.T

	mu       sync.Mutex
	payloads []string
	inside   map[store.Queue]bool
	next     map[store.Queue]int64
}

func (h *handed) take(recs []store.Record) {
	q := recs[0].Queue
	h.enter(q, true)
	defer h.enter(q, false)
	for i := range recs {
		h.add(&recs[i])
	}
}

func (h *handed) enter(q store.Queue, in bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.inside == nil {
		h.inside, h.next = map[store.Queue]bool{}, map[store.Queue]int64{}
	}
	if h.inside[q] == in {
		h.t.Errorf("queue %x is handed over by two at a time", uint64(q))
	}
	h.inside[q] = in
}

func (h *handed) add(r *store.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Offset < h.next[r.Queue] {
		h.t.Errorf("queue %x goes back to %d from %d", uint64(r.Queue), r.Offset, h.next[r.Queue])
	}
	h.next[r.Queue] = r.Offset + 1
	h.payloads = append(h.payloads, string(r.Payload))
}

// count is how many payloads begin with what.
func (h *handed) count(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, p := range h.payloads {
		if strings.HasPrefix(p, what) {
			n++
		}
	}
	return n
}

// onShared opens a store on the shared cluster until the test ends; nil: there is no cluster.
func onShared(t *testing.T) (*rocketmqtest.Cluster, *openedStore, *handed) {
	c := shared.Cluster(t)
	if c == nil {
		return nil, nil, nil
	}
	p := &place{namesrv: c.Namesrv(), dir: t.TempDir(), clock: storetest.NewClock()}
	s, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &handed{t: t}
	s.Follow(h.take)
	return c, s, h
}

// A topic that nobody watches is left after a while. Who watches it again gets what is published from then on, once.
func TestWatchAgain(t *testing.T) {
	c, s, a := onShared(t)
	if c == nil {
		return
	}
	const each = 50
	publish := func(what string) {
		var done sync.WaitGroup
		for i := range each {
			done.Add(1)
			m := &store.Message{Topic: fmt.Sprint("again/", i), QoS: 1, Payload: fmt.Appendf(nil, "%s %d", what, i)}
			s.Append(m, ended(func(err error) {
				if err != nil {
					t.Error(err)
				}
				done.Done()
			}), 0)
		}
		done.Wait()
	}
	publish("before")
	for round := range 5 {
		if _, err := s.Watch("again/+"); err != nil {
			t.Fatal(err)
		}
		publish(fmt.Sprint("watched ", round))
		eventually(t, "the messages of this round", func() bool { return a.count("watched") >= (round+1)*each })
		s.Unwatch("again/+")
		s.tail.leaveIdle(s.Store, time.Now())
		s.tail.leaveIdle(s.Store, time.Now().Add(2*linger))
		if n := len(s.tail.followers()); n != 0 {
			t.Fatalf("%d queues are followed on", n)
		}
		if round%2 == 0 { // a few of these may be handed over, as if they came later
			publish("unwatched")
		}
	}
	if n := a.count("watched"); n != 5*each {
		t.Errorf("%d messages came while they were watched, want %d", n, 5*each)
	}
	if n := a.count("before"); n == each {
		t.Error("all that was published before came")
	}
}

// ended is a Completion that is a function.
type ended func(error)

// Appended implements store.Completion.
func (f ended) Appended(_ uint64, _ store.Position, err error) { f(err) }

// A topic that is followed gets more queues, of which no subscription knows: what is written there from the first message on is handed over.
func TestNewQueuesAreFollowed(t *testing.T) {
	c, s, a := onShared(t)
	if c == nil {
		return
	}
	broker, topic := c.Broker(0).Addr, fresh(t, "grows")
	grow := func(n int32) {
		if err := s.client.CreateTopic(t.Context(), broker, remoting.TopicConfig{Topic: topic, ReadQueues: n, WriteQueues: n}); err != nil {
			t.Fatal(err)
		}
	}
	send := func(q int32, text string) {
		if _, err := s.client.SendSync(t.Context(), broker, &remoting.SendRequest{Topic: topic, QueueID: q, Born: time.Now(), Body: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	grow(2)
	eventually(t, "the route", func() bool { _, err := s.route(t.Context(), topic); return err == nil })
	if _, err := s.Watch(topic); err != nil {
		t.Fatal(err)
	}
	send(1, "old queue")
	grow(4)
	send(3, "new queue, at once") // nobody can know of it yet
	eventually(t, "the messages", func() bool { return a.count("old queue") == 1 && a.count("new queue, at once") == 1 })
	send(2, "new queue, later")
	eventually(t, "one more", func() bool { return a.count("new queue, later") == 1 })
}

// Who subscribes in the first moments of a topic, which others have waited for, begins above what was acknowledged before.
func TestWatchTheFirstMoments(t *testing.T) {
	c, s, _ := onShared(t)
	if c == nil {
		return
	}
	for i := range 5 {
		level := fmt.Sprint("moments", i)
		if _, err := s.Watch(level + "/#"); err != nil {
			t.Fatal(err)
		}
		var at store.Position
		told := make(chan error)
		s.Append(&store.Message{Topic: level + "/x", QoS: 1, Payload: []byte("x")}, appendedAt(func(p store.Position, err error) {
			at = p
			told <- err
		}), 0)
		ok(t, <-told)
		begin, err := s.Watch(level + "/x")
		if err != nil {
			t.Fatal(err)
		}
		named := slices.IndexFunc(begin, func(p store.Position) bool { return p.Queue == at.Queue })
		if named < 0 || begin[named].Offset <= at.Offset {
			t.Errorf("%s: what stands at %v was acknowledged, and who subscribes after that begins at %v", level, at, begin)
		}
	}
}

// appendedAt is a Completion that is a function.
type appendedAt func(store.Position, error)

// Appended implements store.Completion.
func (f appendedAt) Appended(_ uint64, at store.Position, err error) { f(at, err) }
