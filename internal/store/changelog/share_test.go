package changelog

import (
	"math/bits"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const jobs = "$share/g/jobs"

// sharer is a node's part in the group jobs, as the session layer has it.
type sharer struct {
	n       *node
	members int
	units   store.Units
	seen    int64
	born    int64
	cursor  []store.Position
	out     []store.Position
	again   []store.Position // that it was told to hand out again
}

func at(q store.Queue, offset int64) store.Position { return store.Position{Queue: q, Offset: offset} }

func (s *sharer) part(t *testing.T) *store.Share {
	t.Helper()
	sh, err := s.n.c.Share(jobs, s.seen)
	if err != nil {
		t.Fatal(err)
	}
	return sh
}

func (s *sharer) report(change func(*store.ShareReport)) *outcomeOf {
	r := &store.ShareReport{
		Filter: jobs, Start: []store.Position{at(7, 100)}, Since: 5, Born: s.born, Seen: s.seen, Members: s.members,
		Units: s.units, Cursor: s.cursor, Outstanding: s.out,
	}
	if change != nil {
		change(r)
	}
	o := new(outcomeOf)
	s.n.c.Report(r, o, 0)
	return o
}

// follow does what the log asks for, until that is nothing.
func (w *world) follow(t *testing.T, sharers ...*sharer) {
	t.Helper()
	for range 20 {
		asked := false
		for _, s := range sharers {
			sh := s.part(t)
			if sh == nil || s.n.closed {
				continue
			}
			s.born, s.seen, s.units, s.again = sh.Born, sh.Version, sh.Mine, append(s.again, sh.Redo...)
			if sh.Give|sh.Take != 0 {
				asked = true
				s.report(func(r *store.ShareReport) { r.Give, r.Take = sh.Give, sh.Take })
			}
			w.settle()
		}
		if !asked {
			return
		}
	}
	t.Fatal("they do not come to an end")
}

func (w *world) sharers(t *testing.T, members ...int) (list []*sharer) {
	t.Helper()
	for i, m := range members {
		s := &sharer{n: w.nodes[i], members: m}
		o := s.report(nil)
		w.settle()
		o.must(t)
		list = append(list, s)
	}
	w.follow(t, list...)
	return list
}

// The units of a group are with the nodes that have members, each with one of them, and begin where the group does.
func TestSharesUnits(t *testing.T) {
	w := newWorld(t, 3)
	ss := w.sharers(t, 1, 1, 0)
	a, b, c := ss[0], ss[1], ss[2]
	if a.units|b.units != store.AllUnits || a.units&b.units != 0 || c.units != 0 {
		t.Fatalf("units %016b, %016b, %016b", a.units, b.units, c.units)
	}
	if a.units == 0 || b.units == 0 {
		t.Fatalf("one has none: %016b, %016b", a.units, b.units)
	}
	for u, p := range a.part(t).At {
		if a.units.Has(u) && !reflect.DeepEqual(p, []store.Position{at(7, 100)}) {
			t.Errorf("unit %d begins at %v", u, p)
		}
	}
	w.sameEverywhere(shareName(jobs))
}

// Who has more members gets more units, and who has none any more gives all of them.
func TestSharesWeights(t *testing.T) {
	w := newWorld(t, 2)
	ss := w.sharers(t, 30, 2)
	if few := bits.OnesCount16(uint16(ss[1].units)); few > 5 {
		t.Errorf("2 of 32 members have %d of 16 units", few)
	}
	ss[0].members = 0
	ss[0].report(nil)
	w.settle()
	w.follow(t, ss...)
	if ss[0].units != 0 || ss[1].units != store.AllUnits {
		t.Fatalf("units %016b, %016b", ss[0].units, ss[1].units)
	}
}

// A unit that moves goes on where its holder was; what the holder's members have under way stays with them.
func TestSharesMove(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.sharers(t, 1)[0], &sharer{n: w.nodes[1], members: 1}
	a.cursor, a.out = []store.Position{at(7, 500), at(8, 16)}, []store.Position{at(7, 499)}
	b.report(nil)
	w.settle()
	w.follow(t, a, b)
	sh := b.part(t)
	for u := range store.ShareUnits {
		if b.units.Has(u) && !reflect.DeepEqual(sh.At[u], a.cursor) {
			t.Errorf("unit %d goes on at %v", u, sh.At[u])
		}
	}
	if b.units == 0 || len(sh.Redo) != 0 {
		t.Fatalf("units %016b, again %v", b.units, sh.Redo)
	}
}

// What is ahead of the cursor is kept for its unit, and nothing goes back.
func TestSharesAhead(t *testing.T) {
	w := newWorld(t, 1)
	a := w.sharers(t, 1)[0]
	a.cursor = []store.Position{at(7, 50), at(9, 3)}
	a.report(func(r *store.ShareReport) {
		r.Ahead = []store.ShareAhead{{Unit: 2, At: []store.Position{at(7, 200)}}}
	})
	w.settle()
	sh := a.part(t)
	if want := []store.Position{at(7, 200), at(9, 3)}; !reflect.DeepEqual(sh.At[2], want) {
		t.Errorf("unit 2 is at %v", sh.At[2])
	}
	if want := []store.Position{at(7, 100), at(9, 3)}; !reflect.DeepEqual(sh.At[3], want) {
		t.Errorf("unit 3 is at %v", sh.At[3])
	}
}

// What a node gives back is handed out again by who holds the unit, once.
func TestSharesBack(t *testing.T) {
	w := newWorld(t, 2)
	ss := w.sharers(t, 1, 1)
	a, b := ss[0], ss[1]
	theirs := int64(0)
	for !b.units.Has(store.UnitOf(at(7, theirs))) {
		theirs++
	}
	a.report(func(r *store.ShareReport) { r.Back = []store.Position{at(7, theirs)} })
	w.settle()
	if sh := b.part(t); !reflect.DeepEqual(sh.Redo, []store.Position{at(7, theirs)}) {
		t.Fatalf("again: %v", sh.Redo)
	}
	w.follow(t, a, b)
	if sh := b.part(t); len(sh.Redo) != 0 {
		t.Fatalf("again, though it knows: %v", sh.Redo)
	}
	b.report(nil)
	w.settle()
	b.seen = 0
	if sh := b.part(t); len(sh.Redo) != 0 {
		t.Fatalf("it has taken it over, and is told again: %v", sh.Redo)
	}
}

// A dead node's units are taken by another one, when that has read all that the dead one wrote; what was under way there comes again.
func TestSharesDeadNode(t *testing.T) {
	w := newWorld(t, 2)
	ss := w.sharers(t, 1, 1)
	a, b := ss[0], ss[1]
	a.cursor, a.out = []store.Position{at(7, 300)}, []store.Position{at(7, 290), at(7, 291)}
	a.report(nil)
	w.settle()
	had := a.units
	a.n.stop(t)
	for b.n.c.Stats().Fences.Load() == 0 {
		w.run()
	}
	if sh := b.part(t); sh.Take != 0 {
		t.Fatal("it is to take them before it has read what the dead one wrote to other queues")
	}
	for range 4 {
		w.run()
		w.follow(t, b)
	}
	sh := b.part(t)
	if sh.Mine != store.AllUnits {
		t.Fatalf("units %016b", sh.Mine)
	}
	if slices.SortFunc(b.again, func(p, q store.Position) int { return int(p.Offset - q.Offset) }); !slices.Equal(b.again, a.out) {
		t.Errorf("again: %v", b.again)
	}
	for u := range store.ShareUnits {
		if had.Has(u) && !reflect.DeepEqual(sh.At[u], a.cursor) {
			t.Errorf("unit %d goes on at %v", u, sh.At[u])
		}
	}
}

// A group that has no members ends, and the next one of its name begins anew; one that a session which is away belongs to goes on.
func TestSharesEnd(t *testing.T) {
	w := newWorld(t, 2)
	a := w.sharers(t, 1)[0]
	w.owns(w.nodes[1], "away")
	w.nodes[1].change(subscribe("away", jobs))
	w.settle()
	a.members, a.cursor = 0, []store.Position{at(7, 300)}
	a.report(func(r *store.ShareReport) { r.Give = a.units })
	w.settle()
	for range 5 {
		w.run()
	}
	sh := a.part(t)
	if sh == nil || sh.Members != 0 || sh.Mine != 0 {
		t.Fatalf("it has %+v", sh)
	}
	w.nodes[1].change(store.Change{Kind: store.Remove, Client: "away"})
	w.settle()
	for range int(idleAgain/time.Second) + 5 {
		w.run()
	}
	if sh = a.part(t); sh != nil {
		t.Fatalf("it has %+v", sh)
	}
	a.members, a.seen = 1, 0
	a.report(func(r *store.ShareReport) { r.Start = []store.Position{at(7, 900)} })
	w.settle()
	w.follow(t, a)
	if sh = a.part(t); sh.At[0][0].Offset != 900 {
		t.Fatalf("it has %+v", sh)
	}
	w.sameEverywhere(shareName(jobs))
}

// A node that was taken for dead holds nothing, and gets what it has members for under its new id.
func TestSharesFenced(t *testing.T) {
	w := newWorld(t, 2)
	ss := w.sharers(t, 1, 1)
	a := ss[0]
	a.n.deaf, a.n.held = true, true
	for range 9 {
		w.run()
		w.follow(t, ss[1])
	}
	late := a.report(nil)
	a.n.deaf = false
	a.n.release()
	w.settle()
	late.mustFail(t, store.ErrTaken)
	if sh := a.part(t); sh.Mine != 0 || sh.Members != 0 {
		t.Fatalf("it has %+v", sh)
	}
	a.units = 0
	a.report(nil)
	w.run()
	w.follow(t, ss...)
	if a.units == 0 || a.units|ss[1].units != store.AllUnits || a.units&ss[1].units != 0 {
		t.Fatalf("units %016b, %016b", a.units, ss[1].units)
	}
}

// A group is in what is written again of names, and in a view that is built again.
func TestSharesState(t *testing.T) {
	w := newWorld(t, 2)
	ss := w.sharers(t, 2, 1)
	q := QueueOf(shareName(jobs), worldQueues)
	was := len(w.log[q])
	w.now = w.now.Add(48 * 3600e9)
	for _, n := range w.nodes {
		if _, err := n.c.Renew("", 3600e9); err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	if len(w.log[q]) == was {
		t.Fatal("it is not written again")
	}
	n := w.nodes[1]
	before := ss[1].part(t)
	if err := n.c.Rebuild(q, 0, int64(len(w.log[q]))); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if err := n.c.Begin(q); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.sameEverywhere(shareName(jobs))
	if after := ss[1].part(t); after.Mine != before.Mine || after.Born != before.Born {
		t.Fatalf("it was %+v, is %+v", before, after)
	}
}
