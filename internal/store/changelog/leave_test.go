package changelog

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A node that leaves while a beat of it is under way is seen to have left as soon as that is read, not when it was not heard of for long.
func TestLeaveWhileABeatIsUnderWay(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	a.held = true
	w.now = w.now.Add(time.Second)
	a.c.Tick()
	if len(a.back) == 0 {
		t.Fatal("no beat is under way")
	}
	a.c.Leave()
	a.release()
	w.settle()
	mustOwnNothing(t, b, "c")
	if n := b.c.stats.Fences.Load(); n != 0 {
		t.Errorf("%d fences by the other node", n)
	}
}

// So is one whose first beat is under way.
func TestLeaveWhileTheFirstBeatIsUnderWay(t *testing.T) {
	w := newWorld(t, 1)
	a := w.start(vfs.NewMem())
	w.owns(a, "c")
	a.held = true
	a.c.Tick()
	a.c.Leave()
	a.release()
	w.settle()
	mustOwnNothing(t, w.nodes[0], "c")
}

// Who leaves lives no more: no beat begins, under whatever id.
func TestNoBeatAfterLeave(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	a.c.Leave()
	w.settle()
	a.held = true
	for range 5 {
		w.run()
	}
	if len(a.back) != 0 {
		t.Errorf("%d records since it has left", len(a.back))
	}
}

func mustOwnNothing(t *testing.T, n *node, client string) {
	t.Helper()
	if h, err := n.c.headOf(client); err != nil || h.owner != 0 {
		t.Fatalf("%s: %+v, %v", client, h, err)
	}
}
