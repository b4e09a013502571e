package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

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
	at, err := w.answer()
	if errors.Is(err, errUnanswered) {
		t.Fatal(err)
	}
	return at, err
}

var errUnanswered = errors.New("an append was never answered")

// answer is wait for any goroutine.
func (w *waiter) answer() (store.Position, error) {
	select {
	case a := <-w.done:
		return a.at, a.err
	case <-time.After(patience):
		return store.Position{}, errUnanswered
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
	poll(t, "the sink to be handed its records", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = append([]store.Record(nil), r.recs...)
		return atLeast(n, len(out))
	})
	return out
}

// wait waits for n answers and returns all that came.
func (r *recorder) wait(t *testing.T, n int) []answer {
	t.Helper()
	var out []answer
	poll(t, "the answers", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		out = append([]answer(nil), r.answers...)
		return atLeast(n, len(out))
	})
	return out
}

func atLeast(n, got int) error {
	if got < n {
		return fmt.Errorf("%d of %d", got, n)
	}
	return nil
}

// poll waits until check returns nil.
func poll(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s: %v", patience, what, err)
		}
	}
}
