package changelog

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The end of a session whose time was over, which was on its way when the client came again and the node was taken for dead, does not end what the client has
// since.
func TestFencedWhileAnEndIsUnderWay(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	w.owns(a, "c")
	a.change(detach("c", 3))
	w.settle()

	a.held = true
	over := a.change(store.Change{Kind: store.Remove, Client: "c"})
	x := a.connect("c", store.Change{Expiry: 1000})
	a.deaf = true
	for range 9 {
		w.run()
	}
	if w.nodes[1].c.stats.Fences.Load() == 0 {
		t.Fatal("it was not fenced")
	}
	a.deaf, a.held, a.back = false, false, nil // what was on its way is lost
	w.settle()
	for range 5 {
		w.run()
	}
	over.mustFail(t, store.ErrTaken)
	if !x.told || x.err != nil || x.old == nil {
		t.Fatalf("told %v, %+v, %v", x.told, x.old, x.err)
	}
	if h, err := a.c.headOf("c"); err != nil || h.owner != a.c.nodes[a.c.queueOf("c")] {
		t.Fatalf("it does not own the client: %+v, %v", h, err)
	}
}
