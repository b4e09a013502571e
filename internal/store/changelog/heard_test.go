package changelog

import (
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A node that has heard its own beat has ended what others took from it before, also when all of it was read at once: who asks Heard whether
// it may go on must not be faster than that.
func TestHeardWhenActedOn(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	q := a.c.queueOf("c")
	before := a.c.Heard(q)
	if before.IsZero() {
		t.Fatal("no beat was heard")
	}
	var whenTaken time.Time
	a.c.opts.Taken = func(string) { whenTaken = a.c.Heard(q) }

	a.deaf = true
	b.connect("c", store.Change{Expiry: 1000})
	w.now = w.now.Add(time.Second)
	a.c.Tick() // its beat stands behind the connect
	beat := w.now
	a.deaf = false
	w.read(a)
	if whenTaken != before {
		t.Errorf("when it was told what was taken it had heard its beat of %v, want that of %v", whenTaken, before)
	}
	if h := a.c.Heard(q); h != beat {
		t.Errorf("then it has heard its beat of %v, want that of %v", h, beat)
	}
}

// A node that others took for dead has heard nothing until a beat under its new id has come back.
func TestHeardAfterFence(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	a.deaf = true
	for range 9 {
		w.run()
	}
	a.deaf = false
	w.read(a)
	for q := range worldQueues {
		if h := a.c.Heard(q); !h.IsZero() {
			t.Errorf("queue %d: it has heard its beat of %v", q, h)
		}
	}
	w.run()
	for q := range worldQueues {
		if h := a.c.Heard(q); h != w.now {
			t.Errorf("queue %d: it has heard its beat of %v, want that of %v", q, h, w.now)
		}
	}
}
