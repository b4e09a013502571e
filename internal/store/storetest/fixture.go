package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// fixture is one case's store and what it has seen.
type fixture struct {
	*testing.T
	backend Backend
	clock   *Clock
	raw     store.Store      // what the backend opened
	store   store.Store      // raw, seen from below the backend's prefix; nil: closed
	begin   []store.Position // where the case began; not nil once that is known
	sink    *recorder
}

// open opens the store, watches everything and records what the sink is handed.
func (f *fixture) open() {
	f.Helper()
	f.sink = &recorder{}
	f.openWith(f.sink.take)
}

// openWith is open with a sink of the case's own.
func (f *fixture) openWith(sink func([]store.Record)) {
	f.Helper()
	s, err := f.backend.Open()
	if err != nil {
		f.Fatalf("open: %v", err)
	}
	f.raw, f.store = s, s
	if f.backend.Prefix != "" {
		f.store = &prefixed{Store: s, level: f.backend.Prefix + "/"}
	}
	f.store.Follow(sink)
	at := f.watch("#")
	if f.begin == nil {
		f.begin = append([]store.Position{}, at...)
	}
}

func (f *fixture) close() {
	if f.store == nil {
		return
	}
	f.store.Unwatch("#")
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

// watch watches filter and returns where that begins.
func (f *fixture) watch(filter string) []store.Position {
	f.Helper()
	at, err := f.store.Watch(filter)
	if err != nil {
		f.Fatalf("watch %q: %v", filter, err)
	}
	return at
}

// end is a place at or below which nothing is appended any more.
func (f *fixture) end() []store.Position {
	f.Helper()
	defer f.store.Unwatch("#")
	return f.watch("#")
}

// load returns the session in the form of Normal. In a store of many queues its SentUpTo is not looked at while it is connected, and in a shared one neither
// is when it began.
func (f *fixture) load(client string) *store.Session {
	f.Helper()
	s, err := f.store.Load(client)
	if err != nil {
		f.Fatalf("load %q: %v", client, err)
	}
	s = Normal(s)
	if s != nil && s.Connected && f.backend.ManyQueues {
		s.SentUpTo = nil
	}
	if s != nil && f.backend.Shared {
		s.Created = 0
	}
	return s
}

// agree demands that check finds nothing wrong: at once, in a store of many queues soon.
func (f *fixture) agree(what string, check func() error) {
	f.Helper()
	if f.backend.ManyQueues {
		poll(f.T, what, check)
	} else if err := check(); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// lane names what a message keeps its order with: its topic, in a store of one queue all others.
func (f *fixture) lane(topic string) string {
	if f.backend.ManyQueues {
		return topic
	}
	return ""
}

// beginning is where the case began in q.
func (f *fixture) beginning(q store.Queue) store.Position {
	i := slices.IndexFunc(f.begin, func(p store.Position) bool { return p.Queue == q })
	if f.backend.Prefix == "" || i < 0 {
		return store.Position{Queue: q}
	}
	return f.begin[i]
}

// stamp is the time that records get now, Unix milliseconds.
func (f *fixture) stamp() int64 {
	if f.backend.Now != nil {
		return f.backend.Now().UnixMilli()
	}
	return f.millis()
}

func (f *fixture) groups() []store.Group {
	f.Helper()
	g, err := f.store.Groups()
	if err != nil {
		f.Fatalf("groups: %v", err)
	}
	return NormalGroups(g)
}
