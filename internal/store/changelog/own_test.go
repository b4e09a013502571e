package changelog

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A client that comes back through another node finds its session there as it was left.
func TestComesBackThroughAnotherNode(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	if old := w.owns(a, "c"); old != nil {
		t.Fatalf("there was a session: %+v", old)
	}
	sub, end := a.change(subscribe("c", "a/#")), a.change(detach("c", 5))
	w.settle()
	sub.must(t)
	end.must(t)
	old := w.owns(b, "c")
	if old == nil || len(old.Subscriptions) != 1 || old.Cursor[0].Offset != 5 || old.Torn || old.SentUpTo[0].Offset != 5 {
		t.Fatalf("the session came as %+v", old)
	}
	w.sameEverywhere("c")
}

// A client that is connected moves: its former owner hands over, and what comes after that from there is void.
func TestTakesOver(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	sub := a.change(subscribe("c", "a/#"))
	w.settle()
	sub.must(t)
	to := b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	if to.told || len(a.taken) != 1 {
		t.Fatalf("told %v before the former owner has handed over; it was told %v", to.told, a.taken)
	}
	late := a.change(subscribe("c", "late"))
	late.mustFail(t, store.ErrTaken)
	final := a.change(detach("c", 9))
	w.settle()
	final.must(t)
	if !to.told || to.err != nil || to.old == nil || to.old.Cursor[0].Offset != 9 || to.old.Torn || len(to.old.Subscriptions) != 1 {
		t.Fatalf("taken over: %+v", to)
	}
	more := b.change(subscribe("c", "b"))
	w.settle()
	more.must(t)
	w.sameEverywhere("c")
}

// A former owner that does not answer is not waited for, and what it writes then is void.
func TestTakesOverFromOneThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	a.deaf, a.held = true, true
	late := a.change(subscribe("c", "late"))
	to := b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	if to.told {
		t.Fatal("it did not wait")
	}
	w.run()
	w.run()
	if !to.told || to.err != nil || to.old == nil || !to.old.Torn {
		t.Fatalf("taken over: %+v", to)
	}
	a.release()
	a.deaf = false
	w.settle()
	late.mustFail(t, store.ErrTaken)
	if s, err := b.c.Load("c"); err != nil || len(s.Subscriptions) != 0 {
		t.Fatalf("it has %+v, %v", s, err)
	}
	end := a.change(detach("c", 1))
	end.must(t)
	w.sameEverywhere("c")
}

// Of two nodes that want one client at once one gets it, in the end the one that came last.
func TestTwoWantIt(t *testing.T) {
	w := newWorld(t, 3)
	a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
	w.owns(a, "c")
	x := b.connect("c", store.Change{Expiry: 1000})
	y := c.connect("c", store.Change{Expiry: 1000})
	w.settle()
	final := a.change(detach("c", 3))
	w.settle()
	final.must(t)
	w.run()
	w.run()
	if !x.told || !y.told {
		t.Fatalf("told: %v, %v", x.told, y.told)
	}
	if y.err != nil || y.old == nil || y.old.Cursor[0].Offset != 3 {
		t.Fatalf("the last one got %+v", y)
	}
	if x.err == nil && len(b.taken) != 1 {
		t.Fatal("the first one was not told that it has lost it")
	}
	w.sameEverywhere("c")
}

// Nobody gets somebody else's client id, on whatever node.
func TestAnothersClientID(t *testing.T) {
	w := newWorld(t, 2)
	w.owns(w.nodes[0], "c")
	x := w.nodes[1].connect("c", store.Change{Principal: "thief", Expiry: 9})
	w.settle()
	if !x.told || x.err == nil || len(w.nodes[0].taken) != 0 {
		t.Fatalf("the thief got %+v, and the owner was told %v", x, w.nodes[0].taken)
	}
	w.nodes[0].c.Announce("d", "p")
	w.settle()
	w.nodes[1].c.Announce("d", "thief")
	w.settle()
	if len(w.nodes[0].taken) != 0 || len(w.nodes[1].taken) != 1 {
		t.Fatalf("told were %v and %v", w.nodes[0].taken, w.nodes[1].taken)
	}
}

// Sessions that end with their connection have one owner too, and leave nothing.
func TestAnnounced(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	a.c.Announce("c", "p")
	w.settle()
	b.c.Announce("c", "p")
	w.settle()
	if len(a.taken) != 1 {
		t.Fatalf("told: %v", a.taken)
	}
	gone := a.change(store.Change{Kind: store.Remove, Client: "c"})
	gone.must(t)
	gone = b.change(store.Change{Kind: store.Remove, Client: "c"})
	w.settle()
	gone.must(t)
	h, err := a.c.headOf("c")
	if err != nil || !h.gone || len(a.c.chains)+len(b.c.chains) != 0 {
		t.Fatalf("left: %+v, %v, %d and %d chains", h, err, len(a.c.chains), len(b.c.chains))
	}
}

// A record that is appended twice counts once, also when the second one is late.
func TestTwice(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	a.held = true
	x := a.connect("c", store.Change{Expiry: 1000})
	twice := a.back
	a.release()
	w.settle()
	if !x.told || x.err != nil {
		t.Fatalf("%+v", x)
	}
	end := a.change(store.Change{Kind: store.Remove, Client: "c"})
	w.settle()
	end.must(t)
	w.append(twice[0].q, twice[0].record)
	w.settle()
	h, err := a.c.headOf("c")
	if err != nil || !h.gone {
		t.Fatalf("%+v, %v", h, err)
	}
	// So late that the name is forgotten: it counts, and is given up at once.
	w.now = w.now.Add(time.Hour)
	w.append(twice[0].q, twice[0].record)
	w.settle()
	w.sameEverywhere("c")
	if h, err := a.c.headOf("c"); err != nil || h.owner != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
}

// A node that is dead is fenced: its sessions can be had at once, and their expiry has begun.
func TestFence(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	a.c.Announce("clean", "p")
	w.settle()
	a.closed = true
	for range 8 {
		w.run()
	}
	x := b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	if !x.told || x.err != nil || x.old == nil || !x.old.Torn {
		t.Fatalf("%+v", x)
	}
	if h, err := b.c.headOf("clean"); err != nil || !h.gone {
		t.Fatalf("%+v, %v", h, err)
	}
	a.closed = false // for its clean-up
}

// A node that was taken for dead finds out: it is told of each of its clients, and goes on under a new id.
func TestWakesUpFenced(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	w.owns(a, "c")
	a.deaf, a.held = true, true
	before := a.change(subscribe("c", "late"))
	for range 8 {
		w.run()
	}
	a.deaf = false
	a.release()
	w.settle()
	if len(a.taken) != 1 {
		t.Fatalf("told: %v", a.taken)
	}
	before.mustFail(t, store.ErrTaken)
	end := a.change(detach("c", 4))
	w.settle()
	end.must(t)
	w.run()
	if old := w.owns(a, "c"); old == nil || len(old.Subscriptions) != 0 {
		t.Fatalf("%+v", old)
	}
	w.sameEverywhere("c")
}

// A node that begins with nothing has what the others have, and one that was restarted on its view too.
func TestFreshNode(t *testing.T) {
	w := newWorld(t, 2)
	w.owns(w.nodes[0], "c")
	w.nodes[0].change(subscribe("c", "a/#"))
	w.settle()
	w.start(vfs.NewMem())
	w.settle()
	w.sameEverywhere("c")
	w.nodes[1].stop(t)
	again := w.start(w.nodes[1].fs)
	w.settle()
	w.sameEverywhere("c")
	if again.c.Sessions() != 1 || w.nodes[0].c.Sessions() != 1 {
		t.Errorf("%d and %d sessions", again.c.Sessions(), w.nodes[0].c.Sessions())
	}
}

// How far the sessions that keep up are goes with the beats, and counts when their owner is dead.
func TestCheckpoint(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	p := a.change(store.Change{Kind: store.Progress, Client: "c", Follows: true, Cursor: []store.Position{{Queue: 7, Offset: 1}}})
	w.settle()
	p.must(t)
	a.change(store.Change{Kind: store.Checkpoint, Cursor: []store.Position{{Queue: 7, Offset: 50}, {Queue: 8, Offset: 2}}}).must(t)
	w.run()
	a.change(store.Change{Kind: store.Checkpoint, Cursor: []store.Position{{Queue: 7, Offset: 60}, {Queue: 8, Offset: 2}}}).must(t)
	w.run()
	a.closed = true
	for range 8 {
		w.run()
	}
	old := w.owns(b, "c")
	if old == nil || len(old.Cursor) != 2 || old.Cursor[0].Offset != 60 || old.Cursor[1].Offset != 2 {
		t.Fatalf("%+v", old)
	}
	a.closed = false
}

// What the log has lost is written again by the nodes that had read it.
func TestLogWentBack(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	q := a.c.queueOf("c")
	lost := len(w.log[q])
	sub := a.change(subscribe("c", "a/#"))
	w.settle()
	sub.must(t)
	w.log[q] = w.log[q][:lost]
	for _, n := range w.nodes {
		if err := n.c.Rebuild(q, 0, int64(lost)); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	for _, n := range w.nodes {
		if err := n.c.Begin(q); err != nil {
			t.Fatal(err)
		}
	}
	w.run()
	for _, n := range w.nodes {
		if s, err := n.c.Load("c"); err != nil || s == nil || len(s.Subscriptions) != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	more := a.change(subscribe("c", "b"))
	w.settle()
	more.must(t)
	end := a.change(detach("c", 3))
	w.settle()
	end.must(t)
	w.owns(b, "c")
	w.sameEverywhere("c")
}

// What is old is written again, once.
func TestRenew(t *testing.T) {
	w := newWorld(t, 3)
	w.owns(w.nodes[0], "c")
	w.owns(w.nodes[0], "d")
	w.nodes[0].change(detach("d", 3))
	w.settle()
	w.now = w.now.Add(40 * time.Hour)
	for range 3 {
		w.run()
	}
	before := w.nodes[0].c.stats.Appended.Load() + w.nodes[1].c.stats.Appended.Load() + w.nodes[2].c.stats.Appended.Load()
	for range 2 {
		for _, n := range w.nodes {
			if next, err := n.c.Renew("", 36*time.Hour); err != nil || next != "" {
				t.Fatalf("%q, %v", next, err)
			}
		}
		w.settle()
	}
	after := w.nodes[0].c.stats.Appended.Load() + w.nodes[1].c.stats.Appended.Load() + w.nodes[2].c.stats.Appended.Load()
	if after-before != 2 {
		t.Errorf("%d records for two names", after-before)
	}
	// A node that reads only what was written again has the same.
	for q := range w.log {
		w.log[q] = append([]Entry(nil), w.log[q]...)
	}
	w.sameEverywhere("c")
	w.sameEverywhere("d")
	more := w.nodes[0].change(subscribe("c", "x"))
	w.settle()
	more.must(t)
}

// Who was announced and has left may come again at once, before the changelog has said anything.
func TestAnnouncedComesAgainAtOnce(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	a.held = true
	a.c.Announce("c", "p")
	a.change(store.Change{Kind: store.Remove, Client: "c"})
	again := a.connect("c", store.Change{Expiry: 1000})
	a.release()
	w.settle()
	if !again.told || again.err != nil || again.old != nil {
		t.Fatalf("told %v, %v, of %+v", again.told, again.err, again.old)
	}
	a.change(subscribe("c", "f")).is(w).must(t)
	w.sameEverywhere("c")
}

// A client goes to another node, and comes back before the first one has said where its session stood: it gets it back.
func TestComesBackWhileItsSessionIsHandedOver(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	there := b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	back := a.connect("c", store.Change{Expiry: 1000})
	w.settle()
	if there.told || back.told {
		t.Fatalf("one was told before the first node said anything: %v, %v", there.told, back.told)
	}
	a.change(detach("c", 7))
	b.c.opts.Taken = func(client string) { b.change(detach(client, 9)) }
	w.settle()
	if !there.told || there.err != nil {
		t.Errorf("the other node was told %v, %v", there.told, there.err)
	}
	if !back.told || back.err != nil || back.old == nil || back.old.Cursor[0].Offset != 9 {
		t.Errorf("the first one was told %v, %v, of %+v", back.told, back.err, back.old)
	}
	w.sameEverywhere("c")
}

// is is o once all is settled.
func (o *outcomeOf) is(w *world) *outcomeOf {
	w.settle()
	return o
}

// A session whose client did not want it to outlive this connection is over when its node dies, for whoever asks next [MQTT-3.1.2-23].
func TestSessionWithoutExpiryEndsWithItsNode(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	a.change(detach("c", 7)).is(w).must(t)
	resumed := a.connect("c", store.Change{}) // and to end with its connection
	w.settle()
	if resumed.err != nil || resumed.old == nil {
		t.Fatalf("told %v, of %+v", resumed.err, resumed.old)
	}
	a.deaf = true // it is dead
	next := b.connect("c", store.Change{Expiry: 1000})
	for range 3 {
		w.run()
	}
	if !next.told || next.err != nil || next.old != nil {
		t.Errorf("told %v, %v, of %+v", next.told, next.err, next.old)
	}
}

// A name whose sessions begin anew again and again is written again as any: who has not read what stood before them cannot tell whether they count.
func TestRenewOfSessionsThatBeginAnew(t *testing.T) {
	w := newWorld(t, 1)
	a := w.nodes[0]
	w.owns(a, "c")
	for range 3 {
		w.now = w.now.Add(20 * time.Hour)
		a.change(detach("c", 3)).is(w).must(t)
		a.connect("c", store.Change{Expiry: 1000, Clean: true})
		w.settle()
	}
	before := a.c.stats.Appended.Load()
	if _, err := a.c.Renew("", 36*time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := a.c.stats.Appended.Load() - before; n != 1 {
		t.Errorf("%d records", n)
	}
}
