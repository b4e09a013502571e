package session

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// sharing is a store that another process uses too: it takes clients over when the test says so.
type sharing struct {
	store.Store

	mu        sync.Mutex
	tell      func(client string)
	elsewhere map[string]bool // clients that the other process serves
	announced []string
	gone      []string
	ends      []store.Change // of clients that are served elsewhere: Detach, Remove

	hold func(c *store.Change, answer func(err error)) bool // called by Change: true when it answers later, and nothing is to be done until then

	load    func(*store.Session) *store.Session // what Load shows instead
	connect func(*store.Change) error           // called before Connect
	between func()                              // called when Connect has succeeded, before it returns
	watch   func() error                        // called by Watch
}

// share is a broker whose store is shared, and which fails the test for every line of level Error that it logs.
func share(t testing.TB, change ...func(*broker)) (*sharing, *broker) {
	s := &sharing{elsewhere: map[string]bool{}}
	b := newBroker(t, append(change, func(b *broker) {
		b.log = slog.New(noErrors{slog.DiscardHandler, t})
		b.wrap = func(under store.Store) store.Store {
			s.Store = under
			return s
		}
	})...)
	return s, b
}

// noErrors fails a test for lines of level Error.
type noErrors struct {
	slog.Handler
	t testing.TB
}

func (h noErrors) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (h noErrors) Handle(_ context.Context, r slog.Record) error {
	h.t.Errorf("logged: %s", r.Message)
	return nil
}

// take has the other process serve client from now on; told says that this process is told now.
func (s *sharing) take(client string, told bool) {
	s.mu.Lock()
	s.elsewhere[client] = true
	tell := s.tell
	s.mu.Unlock()
	if told {
		tell(client)
	}
}

// back ends that.
func (s *sharing) back(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.elsewhere, client)
}

// set changes what the store does meanwhile.
func (s *sharing) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *sharing) taken(client string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client != "" && s.elsewhere[client] {
		return fmt.Errorf("for the test: %w", store.ErrTaken)
	}
	return nil
}

// Change implements store.Store: of a client that is served elsewhere only the end of its connection here counts.
func (s *sharing) Change(c *store.Change, done store.Completion, token uint64) {
	ends := c.Kind == store.Detach || c.Kind == store.Remove
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil && hold(c, func(err error) { done.Appended(token, store.Position{Offset: -1}, err) }) {
		return
	}
	if err := s.taken(c.Client); err != nil && !ends {
		if done != nil {
			done.Appended(token, store.Position{Offset: -1}, err)
		}
		return
	} else if err != nil {
		s.set(func() { s.ends = append(s.ends, *c) })
	}
	s.Store.Change(c, done, token)
}

// Append implements store.Store.
func (s *sharing) Append(m *store.Message, done store.Completion, token uint64) {
	if err := s.taken(m.Client); err != nil {
		done.Appended(token, store.Position{Offset: -1}, err)
		return
	}
	s.Store.Append(m, done, token)
}

// Connect implements store.Store.
func (s *sharing) Connect(c *store.Change) (*store.Session, error) {
	s.mu.Lock()
	before, between := s.connect, s.between
	s.mu.Unlock()
	if before != nil {
		if err := before(c); err != nil {
			return nil, err
		}
	}
	old, err := s.Store.Connect(c)
	if err == nil && between != nil {
		between()
	}
	return old, err
}

// Load implements store.Store.
func (s *sharing) Load(client string) (*store.Session, error) {
	sess, err := s.Store.Load(client)
	s.mu.Lock()
	show := s.load
	s.mu.Unlock()
	if show != nil {
		sess = show(sess)
	}
	return sess, err
}

// Watch implements store.Store.
func (s *sharing) Watch(filter string) ([]store.Position, error) {
	s.mu.Lock()
	f := s.watch
	s.mu.Unlock()
	if f != nil {
		if err := f(); err != nil {
			return nil, err
		}
	}
	return s.Store.Watch(filter)
}

// Announce implements store.Store.
func (s *sharing) Announce(client, _ string) {
	s.set(func() { s.announced = append(s.announced, client) })
}

// Gone implements store.Store.
func (s *sharing) Gone(client string) {
	s.set(func() { s.gone = append(s.gone, client) })
}

// Taken implements store.Store.
func (s *sharing) Taken(f func(client string)) {
	s.set(func() { s.tell = f })
}

// told returns which clients were announced, and which of those or others are gone.
func (s *sharing) told() (announced, gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.announced), slices.Clone(s.gone)
}

// ended returns how the connections of clients that are served elsewhere ended.
func (s *sharing) ended() []store.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ends)
}
