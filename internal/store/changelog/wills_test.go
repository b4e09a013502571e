package changelog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func willOf(id uint64, delay uint32) *store.Will {
	return &store.Will{ID: id, Topic: "w", Payload: []byte("gone"), QoS: 1, Delay: delay}
}

// withWill connects c.
func (w *world) withWill(n *node, will *store.Will, expiry uint32) {
	w.t.Helper()
	a := n.connect("c", store.Change{Expiry: expiry, Will: will})
	w.settle()
	if !a.told || a.err != nil {
		w.t.Fatalf("told %v, %v", a.told, a.err)
	}
}

// owed is the ids of the wills that a node is to publish.
func (n *node) owed() (ids []uint64) {
	n.w.t.Helper()
	list, next, err := n.c.Owed(n.w.now, "", 10)
	if err != nil || next != "" {
		n.w.t.Fatal(next, err)
	}
	for _, o := range list {
		ids = append(ids, o.Will.ID)
	}
	return ids
}

// wantOwed fails when it is not the wills with these ids that all nodes together are to publish, each by one, or those for which the grace is over.
func (w *world) wantOwed(want ...uint64) {
	w.t.Helper()
	var got []uint64
	for _, n := range w.nodes {
		if !n.closed && !n.deaf {
			got = append(got, n.owed()...)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		w.t.Errorf("owed are %v, want %v", got, want)
	}
	w.sameEverywhere("c")
}

// claim has a node claim a will of c, as it knows of it, and tells whether it got it.
func (n *node) claim(id uint64, claim Claim) (mine bool) {
	n.w.t.Helper()
	before, _, _, err := n.c.Owing("c", id)
	if err != nil {
		n.w.t.Fatal(err)
	}
	o := new(outcomeOf)
	n.c.ClaimWill("c", id, before, claim, o)
	n.w.settle()
	o.must(n.w.t)
	_, mine, _, err = n.c.Owing("c", id)
	if err != nil {
		n.w.t.Fatal(err)
	}
	return mine
}

func (n *node) sent(id uint64) {
	n.w.t.Helper()
	o := new(outcomeOf)
	n.c.WillSent("c", id, o)
	n.w.settle()
	o.must(n.w.t)
}

// dies kills a node, and waits until others have found out.
func (w *world) dies(n *node) {
	w.t.Helper()
	n.stop(w.t)
	for range 9 {
		w.run()
	}
}

// The wills of a node that died are owed from its fence on, with their delay; whoever claims one has it, and it is over when it says that it was sent.
func TestWillsOfADeadNode(t *testing.T) {
	for _, expiry := range []uint32{0, 1000} {
		for _, delay := range []uint32{0, 20} {
			t.Run(fmt.Sprint("expiry ", expiry, ", delay ", delay), func(t *testing.T) {
				w := newWorld(t, 3)
				w.withWill(w.nodes[0], willOf(1, delay), expiry)
				w.wantOwed()
				w.dies(w.nodes[0])
				if delay > 0 && expiry > 0 {
					w.wantOwed()
					w.now = w.now.Add(20 * time.Second)
				}
				w.wantOwed(1)
				b, c := w.nodes[1], w.nodes[2]
				if !b.claim(1, Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}) {
					t.Fatal("it was not claimed")
				}
				if got := c.owed(); got != nil {
					t.Errorf("another node is to publish %v", got)
				}
				if c.claim(1, Claim{Since: 6}) {
					t.Error("it was claimed by two")
				}
				w.wantOwed(1)
				b.sent(1)
				w.wantOwed()
			})
		}
	}
}

// Of nodes that claim at once one gets it.
func TestWillClaimedAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	w.withWill(w.nodes[0], willOf(1, 0), 1000)
	w.dies(w.nodes[0])
	b, c := w.nodes[1], w.nodes[2]
	for i, n := range []*node{b, c} {
		n.c.ClaimWill("c", 1, Claim{}, Claim{Since: int64(5 + i)}, new(outcomeOf))
	}
	w.settle()
	_, one, _, _ := b.c.Owing("c", 1)
	claim, two, _, _ := c.c.Owing("c", 1)
	if one == two || claim.Since != 5 {
		t.Errorf("b has it: %v, c has it: %v; the claim is %+v", one, two, claim)
	}
}

// When who claimed a will dies, another node claims it, knowing where that one was about to send it to. One that does not know claims nothing.
func TestWillClaimedByADeadNode(t *testing.T) {
	w := newWorld(t, 4)
	w.withWill(w.nodes[0], willOf(1, 0), 1000)
	w.dies(w.nodes[0])
	b, c := w.nodes[1], w.nodes[2]
	first := Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}
	b.claim(1, first)
	w.dies(b)
	w.wantOwed(1)
	c.c.ClaimWill("c", 1, Claim{}, Claim{Since: 6}, new(outcomeOf))
	w.settle()
	if got, mine, ok, err := c.c.Owing("c", 1); got != first || mine || !ok || err != nil {
		t.Fatalf("claimed without a look: %+v, %v, %v, %v", got, mine, ok, err)
	}
	if !c.claim(1, Claim{Since: 6}) {
		t.Error("it was not claimed")
	}
	o := new(outcomeOf)
	c.c.ReleaseWill("c", 1, Claim{Since: 6}, o)
	w.settle()
	o.must(t)
	if got, mine, ok, _ := w.nodes[3].c.Owing("c", 1); got != (Claim{}) || mine || !ok {
		t.Errorf("released: %+v, %v, %v", got, mine, ok)
	}
}

// A client that is back before its will was claimed cancels one with a delay that is not over, and no other; a client that begins anew none.
func TestWillWhenTheClientIsBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		delay uint32
		away  time.Duration
		clean bool
		want  bool
	}{
		{"in time", 10, 9 * time.Second, false, false},
		{"in time, clean", 10, 9 * time.Second, true, true},
		{"late", 10, 11 * time.Second, false, true},
	} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", the node has died: ", dies), func(t *testing.T) {
				w := newWorld(t, 2)
				a, b := w.nodes[0], w.nodes[1]
				w.withWill(a, willOf(1, c.delay), 1000)
				if dies {
					w.dies(a)
					fenced, err := b.c.Load("c")
					if err != nil {
						t.Fatal(err)
					}
					w.now = time.UnixMilli(fenced.WillAt).Add(-time.Duration(c.delay) * time.Second)
				} else {
					end := detach("c", 1)
					end.WillAt = w.now.Add(10 * time.Second).UnixMilli()
					a.change(end)
					w.settle()
				}
				w.now = w.now.Add(c.away)
				b.connect("c", store.Change{Expiry: 1000, Clean: c.clean, Will: willOf(2, 0)})
				w.settle()
				if c.want {
					w.wantOwed(1)
				} else {
					w.wantOwed()
				}
				if s, err := b.c.Load("c"); err != nil || s.Will == nil || s.Will.ID != 2 {
					t.Errorf("the session is %+v, %v", s, err)
				}
			})
		}
	}
}

// A will that was claimed is published though its client is back; and the one of the new connection stays.
func TestWillClaimedBeforeTheClientIsBack(t *testing.T) {
	w := newWorld(t, 3)
	w.withWill(w.nodes[0], willOf(1, 5), 1000)
	w.dies(w.nodes[0])
	w.now = w.now.Add(5 * time.Second)
	b, c := w.nodes[1], w.nodes[2]
	b.claim(1, Claim{Since: 5})
	w.withWill(c, willOf(2, 0), 1000)
	w.wantOwed(1)
	b.sent(1)
	w.wantOwed()
	if s, err := c.c.Load("c"); err != nil || s.Will == nil || s.Will.ID != 2 {
		t.Errorf("the session is %+v, %v", s, err)
	}
}

// The will of a client that another node takes over is owed if the former owner says so, or does not answer; with a delay only if the session ends.
func TestWillAtTakeover(t *testing.T) {
	said := func(kind store.ChangeKind, at int64) func(*world, *node) {
		return func(w *world, n *node) {
			end := detach("c", 1)
			end.Kind, end.WillAt = kind, at
			n.change(end)
		}
	}
	silent := func(w *world, _ *node) {
		w.run()
		w.run()
	}
	for _, c := range []struct {
		name   string
		delay  uint32
		expiry uint32
		clean  bool
		then   func(*world, *node)
		want   bool
	}{
		{"it is owed", 0, 1000, false, said(store.Detach, store.AtOnce), true},
		{"the client had said DISCONNECT", 0, 1000, false, said(store.Detach, 0), false},
		{"resumed before the delay is over", 9, 1000, false, said(store.Detach, 1<<50), false},
		{"no answer", 0, 1000, false, silent, true},
		{"no answer, resumed before the delay is over", 9, 1000, false, silent, false},
		{"begun anew", 9, 1000, true, said(store.Detach, 1<<50), true},
		{"begun anew after DISCONNECT", 9, 1000, true, said(store.Detach, 0), false},
		{"begun anew, no answer", 9, 1000, true, silent, true},
		{"ends with its connection", 9, 0, false, said(store.Remove, store.AtOnce), true},
		{"ends with its connection, by DISCONNECT", 9, 0, false, said(store.Remove, 0), false},
		{"ends with its connection, no answer", 9, 0, true, silent, true},
	} {
		for _, announced := range []bool{false, true} {
			if announced && !c.clean {
				continue
			}
			t.Run(fmt.Sprint(c.name, ", announced ", announced), func(t *testing.T) {
				w := newWorld(t, 2)
				a, b := w.nodes[0], w.nodes[1]
				w.withWill(a, willOf(1, c.delay), c.expiry)
				a.deaf = true
				to := &answer{}
				if announced {
					b.c.Announce("c", "p")
				} else {
					to = b.connect("c", store.Change{Expiry: 1000, Clean: c.clean, Will: willOf(2, 0)})
				}
				w.settle()
				if got := b.owed(); got != nil {
					t.Errorf("%v are owed before it was said", got)
				}
				c.then(w, a)
				a.deaf = false
				w.settle()
				if c.want {
					w.wantOwed(1)
				} else {
					w.wantOwed()
				}
				if !announced && (!to.told || to.err != nil) {
					t.Errorf("told %+v", to)
				}
				if resumes := !c.clean && c.expiry > 0; resumes != (to.old != nil) {
					t.Errorf("the session is %+v", to.old)
				}
				if old := to.old; old != nil && len(old.Cursor) > 0 && old.Cursor[0].Offset != 1 {
					t.Errorf("the session is %+v", to.old)
				}
			})
		}
	}
}

// What the former owner says of its session does not become a part of the one that began since.
func TestFinalOfAnotherSession(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	w.withWill(a, willOf(1, 0), 1000)
	to := b.connect("c", store.Change{Expiry: 1000, Clean: true})
	w.settle()
	a.change(detach("c", 77))
	w.settle()
	if s, err := b.c.Load("c"); !to.told || to.err != nil || err != nil || len(s.Cursor) != 0 || s.Torn || s.SentUpTo != nil {
		t.Errorf("told %+v; the session is %+v, %v", to, s, err)
	}
}

// The will of a connection that is over is owed when its session is removed; of one that goes on it is not.
func TestWillOfASessionThatIsRemoved(t *testing.T) {
	for _, over := range []bool{true, false} {
		w := newWorld(t, 2)
		a, b := w.nodes[0], w.nodes[1]
		w.withWill(a, willOf(1, 100), 1000)
		n := a
		if over {
			end := detach("c", 1)
			end.WillAt = w.now.Add(100 * time.Second).UnixMilli()
			a.change(end)
			w.settle()
			n = b
		}
		n.change(store.Change{Kind: store.Remove, Client: "c"})
		w.settle()
		if over {
			w.wantOwed(1)
			b.claim(1, Claim{Since: 1})
			b.sent(1)
		}
		w.wantOwed()
		if h, err := b.c.headOf("c"); err != nil || !h.gone {
			t.Errorf("of the name is left %+v, %v", h, err)
		}
	}
}

// A client whose CONNECT is not accepted in the end leaves the session as it was, but for a will that was owed by then.
func TestWillIsNotGivenBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		w := newWorld(t, 2)
		a, b := w.nodes[0], w.nodes[1]
		w.withWill(a, willOf(1, 10), 1000)
		end := detach("c", 1)
		end.WillAt = w.now.Add(10 * time.Second).UnixMilli()
		a.change(end)
		w.settle()
		if late {
			w.now = w.now.Add(11 * time.Second)
		}
		w.owns(b, "c")
		b.change(store.Change{Kind: store.Connect, Client: "c", Principal: "p", Expiry: 1000, Will: willOf(1, 10)})
		end.WillAt = w.now.Add(5 * time.Second).UnixMilli()
		b.change(end)
		w.settle()
		w.now = w.now.Add(10 * time.Second)
		w.wantOwed(1)
		b.claim(1, Claim{Since: 1})
		b.sent(1)
		w.wantOwed()
	}
}

// Wills that are owed are a part of what is written again of a name, and of what a start finds.
func TestOwedWillsAreKept(t *testing.T) {
	w := newWorld(t, 3)
	w.withWill(w.nodes[0], willOf(1, 0), 1000)
	w.dies(w.nodes[0])
	b := w.nodes[1]
	claim := Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}
	b.claim(1, claim)
	before := w.now
	w.now = w.now.Add(time.Minute)
	for _, n := range w.nodes[1:] {
		if _, err := n.c.Renew("", w.now.Sub(before)/2); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	if got, mine, ok, err := b.c.Owing("c", 1); got != claim || !mine || !ok || err != nil {
		t.Errorf("written again: %+v, %v, %v, %v", got, mine, ok, err)
	}
	w.sameEverywhere("c")
	c := w.nodes[2]
	c.stop(t)
	again := w.start(c.fs)
	if got, mine, ok, err := again.c.Owing("c", 1); got != claim || mine || !ok || err != nil {
		t.Errorf("after a start: %+v, %v, %v, %v", got, mine, ok, err)
	}
	w.dies(b)
	if got := again.owed(); !slices.Equal(got, []uint64{1}) {
		t.Errorf("after a start it is to publish %v", got)
	}
}

// More wills of one client than may wait are dropped, the oldest first, and counted.
func TestTooManyWills(t *testing.T) {
	w := newWorld(t, 1)
	n := w.nodes[0]
	for id := range uint64(owedMost + 2) {
		w.withWill(n, willOf(id+1, 0), 1000)
		end := detach("c", 1)
		end.WillAt = store.AtOnce
		n.change(end)
		w.settle()
	}
	if got := n.owed(); len(got) != owedMost || got[0] != 3 || n.c.Stats().WillsDropped.Load() != 2 {
		t.Errorf("owed are %v, dropped %d", got, n.c.Stats().WillsDropped.Load())
	}
}

// A will whose claim is the first thing that a node has written, before it dies, is published by another one.
func TestWillClaimedByANodeThatWasNotHeardOf(t *testing.T) {
	w := newWorld(t, 3)
	w.withWill(w.nodes[0], willOf(1, 0), 1000)
	w.dies(w.nodes[0])
	late := w.start(vfs.NewMem())
	if !late.claim(1, Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}) {
		t.Fatal("it was not claimed")
	}
	w.wantOwed(1)
	w.dies(late)
	w.wantOwed(1)
	if !w.nodes[1].claim(1, Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}) {
		t.Error("no other node gets it")
	}
}

// A will that a node has claimed which died so long ago that it is not remembered is published.
func TestWillClaimedByANodeThatIsForgotten(t *testing.T) {
	w := newWorld(t, 3)
	w.withWill(w.nodes[0], willOf(1, 0), 1000)
	w.dies(w.nodes[0])
	b, c := w.nodes[1], w.nodes[2]
	place := Claim{At: store.Position{Queue: 9, Offset: 7}, Since: 5}
	b.claim(1, place)
	w.dies(b)
	c.stop(t)
	w.now = w.now.Add(25 * time.Hour)
	again := w.start(c.fs)
	w.run()
	w.wantOwed(1)
	if !again.claim(1, place) {
		t.Error("it was not claimed")
	}
	w.start(vfs.NewMem()) // has read all that happened
	w.wantOwed(1)
}
