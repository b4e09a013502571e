package changelog

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// unsound are changes that no node of this version writes, but which decode.
func unsound(client string) []store.Change {
	twice := []store.Inflight{{PacketID: 1, QoS: 1}, {PacketID: 1, QoS: 1}}
	return []store.Change{
		{Kind: store.Send2, Client: client},
		{Kind: store.Pubrec, Client: client},
		{Kind: store.Receive, Client: client},
		{Kind: store.Progress, Client: client, Inflight: twice},
		{Kind: store.Detach, Client: client, Inflight: twice},
		{Kind: 99, Client: client},
		{Kind: store.Note, Client: client, Cursor: at7(1), Value: []byte("x")},
		{Kind: store.Checkpoint, Client: client, Cursor: at7(1)},
		{Kind: store.GroupProgress, Client: client, Subscription: store.Subscription{Filter: "$share/g/a"}, Cursor: at7(1)},
	}
}

func at7(offset int64) []store.Position { return []store.Position{{Queue: 7, Offset: offset}} }

// foreign appends a record about a client, built on what n has read, as n itself would write it.
func (w *world) foreign(n *node, k kind, client string, body []byte) {
	w.t.Helper()
	h, err := n.c.headOf(client)
	if err != nil {
		w.t.Fatal(err)
	}
	q := n.c.queueOf(client)
	r := record{kind: k, node: n.c.nodes[q], seq: 1 << 40, base: h.last, at: h.time, name: client, body: body}
	w.append(q, r.append(nil))
}

// A change that is not sound, in a record of another node, is passed over by all, with what stands beside it counting.
func TestUnsoundChangeIsPassedOver(t *testing.T) {
	for _, bad := range unsound("c") {
		w := newWorld(t, 2)
		a := w.nodes[0]
		w.owns(a, "c")
		first, last := subscribe("c", "first"), subscribe("c", "last")
		body := view.AppendBytes(nil, view.AppendChange(nil, &first))
		body = view.AppendBytes(body, view.AppendChange(nil, &bad))
		w.foreign(a, kindChanges, "c", view.AppendBytes(body, view.AppendChange(nil, &last)))
		w.settle()
		s, err := a.c.Load("c")
		if err != nil || s == nil || len(s.Subscriptions) != 2 || !s.Connected {
			t.Errorf("kind %d: %+v, %v", bad.Kind, s, err)
		}
		if note, err := a.c.Note(7); err != nil || note != nil {
			t.Errorf("kind %d: the note is %q, %v", bad.Kind, note, err)
		}
		if n := w.nodes[1].c.stats.Unreadable.Load(); n != 1 {
			t.Errorf("kind %d: %d are counted", bad.Kind, n)
		}
		w.sameEverywhere("c")
	}
}

// Where the session stands is not known when what the former owner says of that is not sound.
func TestUnsoundFinal(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.owns(a, "c")
	a.held = true
	x := b.connect("c", store.Change{Expiry: 1000})
	w.settle()
	d := detach("c", 3)
	d.Inflight = []store.Inflight{{PacketID: 1, QoS: 1}, {PacketID: 1, QoS: 1}}
	w.foreign(a, kindFinal, "c", view.AppendChange(nil, &d))
	w.settle()
	if !x.told || x.err != nil || x.old == nil || !x.old.Torn {
		t.Fatalf("told %+v", x)
	}
	w.sameEverywhere("c")
}

// Whatever a record says, reading it does not fail: else one node could stop all others.
func FuzzRead(f *testing.F) {
	for _, c := range append(storetest.Changes(), unsound("c")...) {
		body := view.AppendChange(nil, &c)
		f.Add(byte(kindConnect), body, false)
		f.Add(byte(kindFinal), body, false)
		f.Add(byte(kindChanges), view.AppendBytes(nil, body), false)
	}
	f.Add(byte(kindBeat), view.AppendPositions(nil, at7(1)), false)
	f.Add(byte(kindState), view.AppendBytes(view.AppendBytes(nil, (&head{owner: 7}).encode(nil)), []byte{1}), false)
	f.Add(byte(kindChanges), view.AppendBytes(nil, appendReport(nil, &store.ShareReport{Filter: "$share/g/a", Members: 1})), true)
	f.Fuzz(func(t *testing.T, k byte, body []byte, shared bool) {
		w := newWorld(t, 2)
		w.owns(w.nodes[0], "c")
		name := "c"
		if shared {
			name = shareName("$share/g/a")
		}
		w.foreign(w.nodes[0], kind(k), name, body)
		w.settle()
		w.foreign(w.nodes[0], kind(k), name, body)
		w.settle()
		w.run()
		w.sameEverywhere("c")
	})
}
