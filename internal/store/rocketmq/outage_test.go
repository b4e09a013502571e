package rocketmq

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// While one of two real brokers is paused and then killed, publishers go on: what they were told is stored comes to the tail, once, and in order in
// each queue.
func TestOutageOfARealBroker(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, Brokers: 2})
	p := &place{namesrv: c.Namesrv(), dir: t.TempDir(), clock: storetest.NewClock()}
	s, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	seen := newArrivals(t)
	s.Follow(seen.take)
	if _, err := s.Watch("out/#"); err != nil {
		t.Fatal(err)
	}
	load := publishOn(s.Store, 16)
	load.advance(t, 2000)

	b := c.Broker(1)
	expired := s.client.Stats().Expired
	ok(t, b.Pause())
	eventually(t, "requests have had no answer", func() bool { return s.client.Stats().Expired > expired })
	ok(t, b.Resume())
	load.advance(t, 2000)

	over := s.stats.Moved.Load() + s.stats.Refused.Load()
	ok(t, b.Kill())
	eventually(t, "messages have moved, or their time is over", func() bool { return s.stats.Moved.Load()+s.stats.Refused.Load() > over })
	load.advance(t, 2000)
	ok(t, b.Start())
	eventually(t, "the broker is used again", func() bool { return !s.routes.broker(b.Name).failed() })
	load.advance(t, 2000)

	stored := load.end()
	eventually(t, "all that was stored has come", func() bool { return seen.have(stored) })
	t.Logf("%d stored, %d requests sent again, %d messages moved, %d refused, %d second copies left out",
		len(stored), s.stats.Resent.Load(), s.stats.Moved.Load(), s.stats.Refused.Load(), s.stats.Duplicates.Load())
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// publishing is publishers that publish until end: message n of topic out/p, and the next one when that was answered, and not before outPace.
type publishing struct {
	stop chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	stored []string // what was told to be stored: topic and payload
}

// outPace is some thousand messages a second: more would only keep processors busy in an outage.
const outPace = 5 * time.Millisecond

func publishOn(s *Store, publishers int) *publishing {
	l := &publishing{stop: make(chan struct{})}
	for p := range publishers {
		l.wg.Go(func() {
			w := make(waited, 1)
			pace := time.NewTicker(outPace)
			defer pace.Stop()
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				case <-pace.C:
				}
				m := &store.Message{Topic: fmt.Sprint("out/", p), Payload: []byte(fmt.Sprint(n)), QoS: 1}
				s.Append(m, w, 0)
				if <-w == nil {
					l.mu.Lock()
					l.stored = append(l.stored, m.Topic+" "+string(m.Payload))
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// advance waits until n more messages are stored.
func (l *publishing) advance(t *testing.T, n int) {
	t.Helper()
	count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.stored) }
	end := count() + n
	eventually(t, fmt.Sprint(n, " more messages are stored"), func() bool { return count() >= end })
}

func (l *publishing) end() []string {
	close(l.stop)
	l.wg.Wait()
	return l.stored
}

// arrivals is what came to the sink: each message once, and in order in each queue.
type arrivals struct {
	t    *testing.T
	mu   sync.Mutex
	came map[string]store.Position
	last map[string]int // by queue and topic
}

func newArrivals(t *testing.T) *arrivals {
	return &arrivals{t: t, came: map[string]store.Position{}, last: map[string]int{}}
}

func (a *arrivals) take(batch []store.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range batch {
		r := &batch[i]
		name := r.Topic + " " + string(r.Payload)
		if at, twice := a.came[name]; twice {
			a.t.Errorf("%s came at %v and %v", name, at, r.Position)
		}
		a.came[name] = r.Position
		n, err := strconv.Atoi(strings.TrimSpace(string(r.Payload)))
		key := fmt.Sprint(r.Queue, r.Topic)
		if last, any := a.last[key]; err != nil || any && n <= last {
			a.t.Errorf("%s came after %d", name, last)
		}
		a.last[key] = n
	}
}

func (a *arrivals) have(names []string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range names {
		if _, ok := a.came[name]; !ok {
			return false
		}
	}
	return true
}
