package changelog

import (
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// What the simulation has found, in a few steps each.

// Closing ends what a former owner still has to say.
func TestCloseWhileHandingOver(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	a.held = true
	final := a.change(detach("c", 3))
	a.stop(t)
	final.mustFail(t, store.ErrClosed)
}

// A node that dies before its first beat is in the log owns nothing for ever.
func TestDiesBeforeItsFirstBeat(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	var r record
	connect := w.record(a, "c")
	if err := r.parse(connect.record); err != nil {
		t.Fatal(err)
	}
	r.node = 4711
	w.append(connect.q, r.append(nil))
	for range 8 {
		w.run()
	}
	if h, err := a.c.headOf("c"); err != nil || h.owner != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
}

// record is the connect that a node would append.
func (w *world) record(n *node, client string) appended {
	n.held = true
	n.connect(client, store.Change{Expiry: 1000})
	r := n.back[0]
	n.c.Abandon(client)
	n.back, n.held = nil, false
	return r
}

// Whoever is refused leaves nothing behind that ends the session of somebody else.
func TestEndOfOneThatIsRefused(t *testing.T) {
	w := newWorld(t, 2)
	w.owns(w.nodes[0], "c")
	w.nodes[0].change(detach("c", 3))
	w.settle()
	w.nodes[1].c.Announce("c", "thief")
	w.settle()
	gone := w.nodes[1].change(store.Change{Kind: store.Remove, Client: "c"})
	w.settle()
	gone.must(t)
	if s, err := w.nodes[0].c.Load("c"); err != nil || s == nil {
		t.Fatalf("%+v, %v", s, err)
	}
}

// What is appended and lost by the log before anybody has read it is appended again.
func TestLostBeforeItWasRead(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	x := a.connect("c", store.Change{Expiry: 1000})
	q := a.c.queueOf("c")
	w.log[q] = w.log[q][:len(w.log[q])-1]
	w.run()
	w.run()
	if !x.told || x.err != nil {
		t.Fatalf("%+v", x)
	}
}

// A connect that was refused comes a second time when the session is over by then, and counts: whoever wrote it gives up what it has no use for.
func TestRefusedAndValidLater(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	d := detach("c", 3)
	d.Expiry, d.ExpiresAt = 5, w.now.Add(5*time.Second).UnixMilli()
	ended := a.change(d)
	w.settle()
	ended.must(t)
	q := b.c.queueOf("c")
	at := len(w.log[q])
	b.c.Announce("c", "thief")
	w.settle()
	if len(b.taken) != 1 {
		t.Fatal("it was not refused")
	}
	w.now = w.now.Add(6 * time.Second)
	w.append(q, w.log[q][at].Data)
	w.settle()
	gone := b.change(store.Change{Kind: store.Remove, Client: "c"})
	w.settle()
	gone.must(t)
	mustOwnNothing(t, a, "c")
}

// A node that owns a session by a CONNECT that was abandoned gives it up, though the connection that came next, of somebody else, was refused there and ended.
func TestEndOfOneThatIsRefusedWhereTheSessionIs(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	w.owns(a, "c")
	a.change(detach("c", 3)).is(w).must(t)
	a.deaf = true
	a.connect("c", store.Change{Expiry: 1000})
	a.c.Abandon("c")
	a.c.Announce("c", "thief")
	gone := a.change(store.Change{Kind: store.Remove, Client: "c"})
	a.deaf = false
	w.settle()
	gone.must(t)
	if len(a.taken) != 1 {
		t.Errorf("whoever was refused was told %d times", len(a.taken))
	}
	if s, err := a.c.Load("c"); err != nil || s == nil {
		t.Errorf("%+v, %v", s, err)
	}
	mustOwnNothing(t, a, "c")
}

// What the log has lost, and was appended again, is appended once more when it is lost before it was read; also when more is lost with it.
func TestRepairIsLostBeforeItWasRead(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	q := a.c.queueOf("c")
	before := len(w.log[q])
	w.owns(a, "c")
	lost := len(w.log[q])
	a.change(detach("c", 3)).is(w).must(t)
	w.goBack(q, lost)
	w.log[q] = w.log[q][:lost] // nobody had read what was appended since
	w.run()
	w.goBack(q, lost)
	w.goBack(q, before)
	for range 4 {
		w.run()
	}
	for _, n := range w.nodes {
		if s, err := n.c.Load("c"); err != nil || s == nil || len(s.Cursor) != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	}
	mustOwnNothing(t, a, "c")
}

// goBack has the log lose what stands in queue q at lost and above; all nodes build the view again, and append what they know.
func (w *world) goBack(q, lost int) {
	w.t.Helper()
	w.log[q] = w.log[q][:lost]
	w.now = w.now.Add(time.Millisecond)
	for _, n := range w.nodes {
		if err := n.c.Rebuild(q, 0, int64(lost)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.readAgain(q)
}

// readAgain has all nodes read queue q, of which they build the view again, to its end.
func (w *world) readAgain(q int) {
	w.t.Helper()
	end := int64(len(w.log[q]))
	for _, n := range w.nodes {
		if err := n.c.Read(q, w.log[q][:end], end, nil); err != nil {
			w.t.Fatal(err)
		}
		if err := n.c.Begin(q); err != nil {
			w.t.Fatal(err)
		}
	}
}
