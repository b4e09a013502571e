// Package storetest is the suite that every store.Store passes.
//
// A test calls Run with a function that makes an empty Backend; every case gets one of its own. A Backend that can
// crash is tested for what survives as well. Model says what the sessions' changelog means; implementations use it in
// tests of their own.
package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Backend is one store's place: a directory, a cluster, whatever Open finds again what an earlier store left in.
type Backend struct {
	// Open opens the store; at most one is open at a time.
	Open func() (store.Store, error)
	// Crash ends the open store as a power loss would: without Close, and only what was durable is found by the next
	// Open. nil: not supported.
	Crash func()
	// TooLarge is the size of a payload that the store refuses; 0: it has no limit that can be tested.
	TooLarge int
}

// Clock is the time of the stores under test. It moves only when told.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock returns a clock that stands at a fixed date.
func NewClock() *Clock { return &Clock{now: time.UnixMilli(1_700_000_000_000)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Run runs the suite. make returns an empty backend whose stores use clock as their time.
func Run(t *testing.T, makeBackend func(t *testing.T, clock *Clock) Backend) {
	for _, c := range []struct {
		name string
		f    func(*fixture)
	}{
		{"messages reach the sink and readers as they were published", testMessages},
		{"a publisher may use its buffers again", testCopies},
		{"every append is answered once, in order, with the place that the sink sees", testOrder},
		{"parallel publishers keep their own order", testParallel},
		{"QoS 0 is handed over at once and not kept", testQoS0},
		{"Next is raised before the sink is called", testNext},
		{"End lies at or below what is appended later", testEnd},
		{"a message that is too large is refused and nothing else", testTooLarge},
		{"Read finds what the filters want", testReadFilters},
		{"Read stops and goes on", testReadSteps},
		{"Read keeps up with appends", testReadTail},
		{"Get returns a message by its place", testGet},
		{"each change does what it says", testChanges},
		{"changes of a session that is gone do nothing", testGone},
		{"an incoming QoS 2 message is noted with itself", testReceived},
		{"checkpoints move sessions that follow, and no others", testCheckpoint},
		{"a session that its process left connected", testLeftConnected},
		{"shared groups begin, progress and end", testGroups},
		{"a retained message is the last one of its topic", testRetained},
		{"retained messages are found by every filter that matches", testRetainedFilters},
		{"a retained message of QoS 0 is found by who subscribes later", testRetainedQoS0},
		{"wills are due, done and replaced", testWills},
		{"expired sessions are listed, the longest due first", testExpired},
		{"names of any length and content", testNames},
		{"random changes mean what the model says", testRandom},
		{"a change is visible before it is answered", testVisible},
		{"Close waits, is idempotent, and everything after it is refused", testClose},
		{"what was acknowledged survives crashes", testCrash},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, clock: NewClock()}
			f.backend = makeBackend(t, f.clock)
			f.open()
			defer f.close()
			c.f(f)
		})
	}
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// fixture is one case's store and what it has seen.
type fixture struct {
	*testing.T
	backend Backend
	clock   *Clock
	store   store.Store
	sink    *recorder
}

// open opens the store and records what its sink is handed.
func (f *fixture) open() {
	f.Helper()
	s, err := f.backend.Open()
	if err != nil {
		f.Fatalf("open: %v", err)
	}
	f.store, f.sink = s, &recorder{}
	s.Follow(f.sink.take)
}

func (f *fixture) close() {
	if f.store == nil {
		return
	}
	if err := f.store.Close(); err != nil {
		f.Errorf("close: %v", err)
	}
	f.store = nil
}

func (f *fixture) reopen() {
	f.Helper()
	f.close()
	f.open()
}

// crash crashes the store and opens it again; false when the backend cannot.
func (f *fixture) crash() bool {
	f.Helper()
	if f.backend.Crash == nil {
		return false
	}
	f.backend.Crash()
	f.store = nil
	f.open()
	return true
}

// append publishes m and waits for its place.
func (f *fixture) append(m store.Message) store.Position {
	f.Helper()
	at, err := f.try(m)
	if err != nil {
		f.Fatalf("append to %q: %v", m.Topic, err)
	}
	return at
}

func (f *fixture) try(m store.Message) (store.Position, error) {
	f.Helper()
	w := newWaiter()
	f.store.Append(&m, w, 0)
	return w.wait(f.T)
}

// change makes c and waits for it.
func (f *fixture) change(c store.Change) {
	f.Helper()
	w := newWaiter()
	f.store.Change(&c, w, 0)
	if _, err := w.wait(f.T); err != nil {
		f.Fatalf("change of kind %d: %v", c.Kind, err)
	}
}

func (f *fixture) load(client string) *store.Session {
	f.Helper()
	s, err := f.store.Load(client)
	if err != nil {
		f.Fatalf("load %q: %v", client, err)
	}
	return Normal(s)
}

func (f *fixture) groups() []store.Group {
	f.Helper()
	g, err := f.store.Groups()
	if err != nil {
		f.Fatalf("groups: %v", err)
	}
	return NormalGroups(g)
}

// waiter waits for one append.
type waiter struct{ done chan answer }

type answer struct {
	token uint64
	at    store.Position
	err   error
}

func newWaiter() *waiter { return &waiter{done: make(chan answer, 16)} }

// Appended implements store.Completion.
func (w *waiter) Appended(token uint64, at store.Position, err error) {
	w.done <- answer{token, at, err}
}

func (w *waiter) wait(t *testing.T) (store.Position, error) {
	t.Helper()
	select {
	case a := <-w.done:
		return a.at, a.err
	case <-time.After(patience):
		t.Fatal("an append was never answered")
		return store.Position{}, nil
	}
}

// recorder is a sink, and a completion that keeps all answers.
type recorder struct {
	mu      sync.Mutex
	recs    []store.Record // guarded by mu; in the order of the sink
	answers []answer       // guarded by mu
}

func (r *recorder) take(batch []store.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recs = append(r.recs, batch...)
}

// Appended implements store.Completion.
func (r *recorder) Appended(token uint64, at store.Position, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, answer{token, at, err})
}

// records waits until the sink was handed n records and returns all that it has.
func (r *recorder) records(t *testing.T, n int) []store.Record {
	t.Helper()
	var out []store.Record
	poll(t, fmt.Sprintf("the sink to be handed %d records", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = append([]store.Record(nil), r.recs...)
		return len(out) >= n
	})
	return out
}

// wait waits for n answers and returns all that came.
func (r *recorder) wait(t *testing.T, n int) []answer {
	t.Helper()
	var out []answer
	poll(t, fmt.Sprintf("%d answers", n), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = append([]answer(nil), r.answers...)
		return len(out) >= n
	})
	return out
}

// poll waits until ready says so.
func poll(t *testing.T, what string, ready func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}
