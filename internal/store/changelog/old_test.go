package changelog

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// dropAll drops all that stands in the log.
func (w *world) dropAll() {
	n := 0
	for q := range w.log {
		n = max(n, len(w.log[q]))
	}
	n++
	for q := range w.log { // they are filled up, so that all begin at the same offset
		w.log[q] = make([]Entry, n)
	}
	w.first = int64(n)
}

// skip: n has read all that was there.
func (w *world) skip(n *node) {
	w.t.Helper()
	for q := range worldQueues {
		if err := n.c.Read(q, nil, w.first, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

// tries has a client connect at n every minute, for at most so many; it fails when the client is not served then.
func (w *world) tries(n *node, client string, minutes int) *answer {
	w.t.Helper()
	for range minutes {
		for range 60 {
			w.run()
		}
		a := n.connect(client, store.Change{Expiry: 1000})
		w.settle()
		if a.told && a.err == nil {
			return a
		}
		if !a.told || !errors.Is(a.err, store.ErrAway) {
			w.t.Fatalf("%s: told %v, %v", client, a.told, a.err)
		}
	}
	w.t.Fatalf("%s is not served after %d minutes", client, minutes)
	return nil
}

// Nobody lives who knows what was dropped from the log. So it is lost, and whoever tries again and again comes to be served.
func TestNobodyKnowsWhatWasDropped(t *testing.T) {
	w := newWorld(t, 2)
	w.owns(w.nodes[0], "c")
	for _, n := range w.nodes {
		n.stop(t)
	}
	w.dropAll()
	a, b := w.start(vfs.NewMem()), w.start(vfs.NewMem())
	if x := a.connect("c", store.Change{Expiry: 1000}); x.told {
		t.Fatalf("it was answered before anybody can know: %+v", x)
	}
	w.settle()
	if x := w.tries(a, "c", 1); x.old != nil {
		t.Errorf("there is a session: %+v", x.old)
	}
	w.sameEverywhere("c")
	if x := b.connect("c", store.Change{Expiry: 1000}); x.told {
		t.Fatal("it is served twice")
	}
	a.change(detach("c", 3))
	w.settle()
	w.sameEverywhere("c")
}

// As long as one lives who knows it, what it has not written again yet is waited for.
func TestSomebodyKnowsWhatWasDropped(t *testing.T) {
	w := newWorld(t, 1)
	a := w.nodes[0]
	w.owns(a, "c")
	w.dropAll()
	w.skip(a)
	b := w.start(vfs.NewMem())
	for range 20 {
		for range 60 {
			w.run()
		}
		x := b.connect("c", store.Change{Expiry: 1000})
		w.settle()
		if !x.told || !errors.Is(x.err, store.ErrAway) {
			t.Fatalf("told %v, %v", x.told, x.err)
		}
	}
	if _, err := a.c.Renew("", time.Minute); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if x := b.connect("c", store.Change{Expiry: 1000}); x.told {
		t.Fatalf("nobody has handed over: %v", x.err)
	}
	w.settle()
	if len(a.taken) != 1 {
		t.Error("the owner was not told")
	}
}

// Who knew it, was away, and comes back, takes for new what the others had to.
func TestComesBackAndKnowsWhatWasDropped(t *testing.T) {
	w := newWorld(t, 1)
	a := w.nodes[0]
	w.owns(a, "c")
	a.change(subscribe("c", "f"))
	w.settle()
	w.dropAll()
	w.skip(a)
	a.stop(t)
	b := w.start(vfs.NewMem())
	w.tries(b, "c", 1)
	back := w.start(a.fs)
	w.settle()
	w.sameEverywhere("c")
	x := back.connect("c", store.Change{Expiry: 1000})
	w.settle()
	if x.told || len(b.taken) != 1 {
		t.Fatalf("told %+v; the owner was told %v", x, b.taken)
	}
	b.change(detach("c", 3))
	w.settle()
	if !x.told || x.err != nil || x.old == nil || len(x.old.Subscriptions) != 0 {
		t.Fatalf("told %+v", x)
	}
	w.sameEverywhere("c")
}

// A record that was built on one that the log has lost says nothing of its name, to a node that has not read all either.
func TestBuiltOnWhatWasLost(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	w.dropAll()
	for _, n := range w.nodes {
		w.skip(n)
	}
	w.run()
	w.start(vfs.NewMem())
	for range 11 * 60 { // until it is not at the begin any more
		w.run()
	}
	lost := w.record(a, "c")
	var r record
	if err := r.parse(lost.record); err != nil {
		t.Fatal(err)
	}
	r.kind, r.base = kindChanges, 1<<40
	w.append(lost.q, r.append(nil))
	w.settle()
	w.owns(a, "c")
	w.sameEverywhere("c")
}
