package session

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// hooks is a store with tests' fingers in it: they may act at the moments between a step of the session's and the store's part
// of it, and see every change in the order of the log.
type hooks struct {
	store.Store

	mu     sync.Mutex
	before []func(*store.Change) // called with each change before the store has it
	refuse func(*store.Change) error
	read   func()         // called after each Read, before its result is returned
	load   func()         // called after each Load
	end    func()         // called after the next End
	log    []store.Change // what Change was called with
	order  sync.Mutex     // of log and the store's
}

func hooked() (*hooks, func(*broker)) {
	h := &hooks{}
	return h, func(b *broker) {
		b.wrap = func(s store.Store) store.Store {
			h.mu.Lock()
			h.Store = s
			h.mu.Unlock()
			return h
		}
	}
}

// Change implements store.Store.
func (h *hooks) Change(c *store.Change, done store.Completion, token uint64) {
	if err := h.meet(c); err != nil {
		if done != nil {
			done.Appended(token, store.Position{Offset: -1}, err)
		}
		return
	}
	h.order.Lock()
	h.mu.Lock()
	h.log = append(h.log, *c)
	h.mu.Unlock()
	h.Store.Change(c, done, token)
	h.order.Unlock()
}

// Connect implements store.Store. It is not in h.log.
func (h *hooks) Connect(c *store.Change) (*store.Session, error) {
	if err := h.meet(c); err != nil {
		return nil, err
	}
	return h.Store.Connect(c)
}

// meet calls what is to be called before the store has c.
func (h *hooks) meet(c *store.Change) error {
	h.mu.Lock()
	before, refuse := slices.Clone(h.before), h.refuse
	h.mu.Unlock()
	for _, f := range before {
		f(c)
	}
	if refuse != nil {
		return refuse(c)
	}
	return nil
}

// Read implements store.Store.
func (h *hooks) Read(from store.Position, q *store.Query, most int) ([]store.Record, int64, int64, error) {
	recs, next, missed, err := h.Store.Read(from, q, most)
	h.mu.Lock()
	f := h.read
	h.mu.Unlock()
	if f != nil {
		f()
	}
	return recs, next, missed, err
}

// Watch implements store.Store.
func (h *hooks) Watch(filter string) ([]store.Position, error) {
	v, err := h.Store.Watch(filter)
	h.mu.Lock()
	f := h.end
	h.end = nil
	h.mu.Unlock()
	if f != nil {
		f()
	}
	return v, err
}

// Load implements store.Store.
func (h *hooks) Load(client string) (*store.Session, error) {
	s, err := h.Store.Load(client)
	h.mu.Lock()
	f := h.load
	h.mu.Unlock()
	if f != nil {
		f()
	}
	return s, err
}

// set makes the store refuse changes for which f, unless it is nil, returns an error.
func (h *hooks) set(f func(*store.Change) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = f
}

// on calls f with every change from now on that is of this kind.
func (h *hooks) on(kind store.ChangeKind, f func(*store.Change)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = append(h.before, func(c *store.Change) {
		if c.Kind == kind {
			f(c)
		}
	})
}

// hold stops the next change of this kind that is about client. It returns a channel that is closed when it has come, and a function
// that lets it go on.
func (h *hooks) hold(t testing.TB, kind store.ChangeKind, client string) (came <-chan struct{}, release func()) {
	c, r := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	h.on(kind, func(ch *store.Change) {
		if ch.Client == client && !done.Swap(true) {
			close(c)
			<-r
		}
	})
	release = sync.OnceFunc(func() { close(r) })
	t.Cleanup(release)
	return c, release
}

// wait fails the test if c is not closed in time.
func wait(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("not in time: ", what)
	}
}
