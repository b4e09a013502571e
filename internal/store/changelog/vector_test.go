package changelog

import (
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A node dies while a change waits behind one that is under way, and has said how far its sessions are: what the change tells of a message is not passed over
// by that, or the message would be lost.
func TestCheckpointWaitsForTheChangesBeforeIt(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	place := func(offset int64) []store.Position { return []store.Position{{Queue: 1, Offset: offset}} }
	a.held = true
	a.change(store.Change{Kind: store.Progress, Client: "c", Follows: true, Cursor: place(5)})
	a.change(store.Change{Kind: store.Send2, Client: "c", Inflight: []store.Inflight{{PacketID: 1, QoS: 2, At: place(50)[0]}}})
	a.change(store.Change{Kind: store.Checkpoint, Cursor: place(100)})
	w.now = w.now.Add(time.Second)
	a.c.Tick()
	a.release()
	a.deaf = true
	for range 10 {
		w.run()
	}
	s, err := b.c.Load("c")
	if err != nil || s == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if !slices.Equal(s.Cursor, place(5)) || s.Inflight != nil {
		t.Errorf("the session goes on at %v with %v under way; the message at 50 was not dealt with", s.Cursor, s.Inflight)
	}
}

// What was said in vain is said later, and the newest of all when everything has come back.
func TestVectorTurns(t *testing.T) {
	var v vector
	at := func(n int64) []store.Position { return []store.Position{{Offset: n}} }
	says := func(step string, want int64) {
		t.Helper()
		if got := v.said; want == 0 && got != nil || want != 0 && !slices.Equal(got, at(want)) {
			t.Errorf("%s: beats may say %v, want %d", step, got, want)
		}
	}
	v.set(at(1))
	says("nothing was under way", 1)
	one := v.made()
	v.set(at(2))
	two := v.made()
	v.set(at(3))
	v.set(at(4))
	says("the first is under way", 1)
	v.back(one)
	says("the first is back", 2)
	three := v.made()
	v.back(two)
	says("the second is back", 4)
	v.set(at(5))
	says("the third is under way", 4)
	v.back(three)
	says("all are back", 5)
}
