package changelog

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A node that is taken for dead in the queue of a group, and lives in that of a session, does not give a message of the group to that session once another node may
// hand it out: at QoS 2 it has it once. Then all is as it was: the units are held, and the node has a part again.
func TestHalfDeadNodeKeepsNoUnits(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	group := a.c.queueOf(shareName(jobs))
	client := w.elsewhere(group)
	w.owns(a, client)
	ss := w.sharers(t, 1, 1)
	a.held = true
	begun := a.change(store.Change{Kind: store.Send2, Client: client, Inflight: []store.Inflight{
		{PacketID: 1, QoS: 2, Group: jobs, At: at(7, 100)},
	}})
	late := a.back
	a.back = nil
	for range 9 { // it lives in all queues but the group's
		w.now = w.now.Add(time.Second)
		a.c.Tick()
		b.c.Tick()
		for _, r := range a.back {
			if kind(r.record[1]) == kindBeat && r.q != group {
				w.append(r.q, r.record)
			}
		}
		a.back = nil
		w.readBut(a, group)
		w.read(b)
	}
	w.follow(t, ss[1])
	taken := ss[1].units == store.AllUnits
	for _, r := range late {
		w.append(r.q, r.record)
	}
	a.held, a.back = false, nil
	for range 5 {
		w.run()
	}
	if !taken {
		t.Errorf("the other node has units %016b", ss[1].units)
	}
	if !begun.told || !errors.Is(begun.err, store.ErrTaken) {
		t.Errorf("the delivery that came late was told %v, %v", begun.told, begun.err)
	}
	if sh := ss[1].part(t); len(sh.Exact) != 0 {
		t.Errorf("it has begun: %v", sh.Exact)
	}
	back := ss[0].report(nil)
	w.settle()
	back.must(t)
	w.follow(t, ss...)
	if ss[0].units == 0 || ss[0].units|ss[1].units != store.AllUnits || ss[0].units&ss[1].units != 0 {
		t.Errorf("units %016b, %016b", ss[0].units, ss[1].units)
	}
	if !slices.Equal(a.taken, []string{client}) {
		t.Errorf("it was told that it has lost %q", a.taken)
	}
	a.change(detach(client, 3))
	w.owns(a, client)
	w.sameEverywhere(client)
	w.sameEverywhere(shareName(jobs))
}

// elsewhere is a client id that stands in another queue.
func (w *world) elsewhere(q int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint("c", i); QueueOf(name, worldQueues) != q {
			return name
		}
	}
}

// readBut has a node read all but one queue.
func (w *world) readBut(n *node, but int) {
	w.t.Helper()
	for q := range worldQueues {
		if next, _ := n.c.Next(q); q != but && next < int64(len(w.log[q])) {
			if err := n.c.Read(q, w.log[q][next:], int64(len(w.log[q])), nil); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
