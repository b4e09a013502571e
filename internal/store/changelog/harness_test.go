package changelog

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// world is some nodes, and the log that they share: a model of it, which appends at once unless it is told not to.
type world struct {
	t     *testing.T
	now   time.Time
	log   [][]Entry // by queue
	nodes []*node
	ids   uint64
	first int64 // offset at which the log begins; what was below was dropped
}

const worldQueues = 3

// node is one process.
type node struct {
	w      *world
	c      *Changelog
	fs     *vfs.MemFS
	held   bool       // what it appends is held back
	back   []appended // what was held back
	deaf   bool       // it does not read
	away   error
	taken  []string
	closed bool
}

func newWorld(t *testing.T, nodes int) *world {
	t.Helper()
	w := &world{t: t, now: time.UnixMilli(1_700_000_000_000), log: make([][]Entry, worldQueues)}
	for range nodes {
		w.start(vfs.NewMem())
	}
	w.run()
	return w
}

// start starts a node on what its disk has, and has it read all.
func (w *world) start(fs *vfs.MemFS) *node {
	w.t.Helper()
	n := w.open(fs)
	w.read(n)
	for q := range worldQueues {
		if err := n.c.Begin(q); err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

// open opens a node on what its disk has.
func (w *world) open(fs *vfs.MemFS) *node {
	w.t.Helper()
	n := &node{w: w, fs: fs}
	c, err := Open(Options{
		Dir: "view", FS: fs, Queues: worldQueues, Log: n, Taken: func(client string) { n.taken = append(n.taken, client) },
		Now: func() time.Time { return w.now }, NewID: func() uint64 { w.ids++; return w.ids }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.c = c
	w.nodes = append(w.nodes, n)
	for q := range worldQueues {
		if next, _ := c.Next(q); next < w.first {
			if err := c.Rebuild(q, w.first, w.first); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.t.Cleanup(func() { n.stop(w.t) })
	return n
}

func (n *node) stop(t *testing.T) {
	t.Helper()
	if n.closed {
		return
	}
	n.closed = true
	if err := n.c.Close(); err != nil {
		t.Error(err)
	}
}

// Append implements Log.
func (n *node) Append(q int, record []byte) {
	if n.closed {
		return
	}
	if n.held {
		n.back = append(n.back, appended{q, record})
		return
	}
	n.w.append(q, record)
}

// Away implements Log.
func (n *node) Away(int) error { return n.away }

func (w *world) append(q int, record []byte) {
	w.log[q] = append(w.log[q], Entry{Offset: int64(len(w.log[q])), Time: w.now.UnixMilli(), Data: record})
}

// release appends what was held back.
func (n *node) release() {
	n.held = false
	for _, a := range n.back {
		n.w.append(a.q, a.record)
	}
	n.back = nil
}

// read has a node read all that there is, and tells whether that was anything.
func (w *world) read(n *node) bool {
	w.t.Helper()
	more := false
	for q := range worldQueues {
		next, _ := n.c.Next(q)
		if next == int64(len(w.log[q])) {
			continue
		}
		more = true
		if err := n.c.Read(q, w.log[q][next:], int64(len(w.log[q])), nil); err != nil {
			w.t.Fatal(err)
		}
	}
	return more
}

// settle has all nodes read until nothing comes any more.
func (w *world) settle() {
	w.t.Helper()
	for more := true; more; {
		more = false
		for _, n := range w.nodes {
			if !n.closed && !n.deaf {
				more = w.read(n) || more
			}
		}
	}
}

// run is one beat's time.
func (w *world) run() {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	for _, n := range w.nodes {
		if !n.closed && !n.deaf {
			n.c.Tick()
		}
	}
	w.settle()
}

// answer is what a Connect was told.
type answer struct {
	told bool
	old  *store.Session
	err  error
}

func (n *node) connect(client string, change store.Change) *answer {
	a := new(answer)
	change.Kind, change.Client = store.Connect, client
	if change.Principal == "" {
		change.Principal = "p"
	}
	n.c.Connect(&change, func(old *store.Session, err error) {
		if a.told {
			n.w.t.Errorf("client %s was answered twice", client)
		}
		*a = answer{true, old, err}
	})
	return a
}

// change makes a change and returns where its outcome will be.
func (n *node) change(c store.Change) *outcomeOf {
	o := new(outcomeOf)
	n.c.Change(&c, o, 0)
	return o
}

// outcomeOf is told how a change ended.
type outcomeOf struct {
	told bool
	err  error
}

// Appended implements store.Completion.
func (o *outcomeOf) Appended(_ uint64, _ store.Position, err error) {
	if o.told {
		panic("told twice")
	}
	*o = outcomeOf{true, err}
}

func (o *outcomeOf) must(t *testing.T) {
	t.Helper()
	if !o.told || o.err != nil {
		t.Fatalf("told %v, %v", o.told, o.err)
	}
}

func (o *outcomeOf) mustFail(t *testing.T, err error) {
	t.Helper()
	if !o.told || !errors.Is(o.err, err) {
		t.Fatalf("told %v, %v; want %v", o.told, o.err, err)
	}
}

// owns connects a client that nobody else has.
func (w *world) owns(n *node, client string) *store.Session {
	w.t.Helper()
	a := n.connect(client, store.Change{Expiry: 1000})
	w.settle()
	if !a.told || a.err != nil {
		w.t.Fatalf("%s: told %v, %v", client, a.told, a.err)
	}
	return a.old
}

func subscribe(client, filter string) store.Change {
	return store.Change{Kind: store.Subscribe, Client: client, Subscription: store.Subscription{Filter: filter, QoS: 1}}
}

func detach(client string, offset int64) store.Change {
	at := []store.Position{{Queue: 7, Offset: offset}}
	return store.Change{Kind: store.Detach, Client: client, Expiry: 1000, ExpiresAt: 1 << 50, Cursor: at, SentUpTo: at}
}

// sameEverywhere fails when two nodes have not come to the same.
func (w *world) sameEverywhere(client string) {
	w.t.Helper()
	var first string
	for i, n := range w.nodes {
		if n.closed || n.deaf {
			continue
		}
		h, err := n.c.headOf(client)
		if err != nil {
			w.t.Fatal(err)
		}
		s, err := n.c.Load(client)
		if err != nil {
			w.t.Fatal(err)
		}
		var will *store.Will
		if s != nil {
			will, s.Will = s.Will, nil
		}
		is := fmt.Sprintf("%+v %+v", h, s)
		if will != nil {
			is += fmt.Sprintf(" %+v", *will)
		}
		if first == "" {
			first = is
		}
		if is != first {
			w.t.Fatalf("node %d has of %s\n%s\nthe first one\n%s", i, client, is, first)
		}
	}
}
