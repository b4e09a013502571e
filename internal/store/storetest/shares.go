package storetest

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// sharing is a process's part in a group, reported and looked up.
type sharing struct {
	f    *fixture
	next store.ShareReport
}

// report makes the next report and waits until it counts; change is for it alone.
func (s *sharing) report(change func(*store.ShareReport)) {
	s.f.Helper()
	r := s.next
	change(&r)
	w := newWaiter()
	s.f.store.Report(&r, w, 0)
	if _, err := w.wait(s.f.T); err != nil {
		s.f.Fatalf("report of %s: %v", r.Filter, err)
	}
}

func (s *sharing) part() *store.Share {
	s.f.Helper()
	sh, err := s.f.store.Share(s.next.Filter, s.next.Seen)
	if err != nil || sh == nil {
		s.f.Fatalf("share of %s: %+v, %v", s.next.Filter, sh, err)
	}
	return sh
}

// know has the next report be made in the knowledge of sh.
func (s *sharing) know(sh *store.Share) {
	s.next.Born, s.next.Seen, s.next.Units = sh.Born, sh.Version, sh.Mine
}

// testShares: a group of a store that several processes share, of which one is there.
func testShares(f *fixture) {
	const filter = "$share/g/shares/#"
	told := make(chan struct{}, 100)
	shared := f.store.Shared(func(name string) {
		if name == filter {
			told <- struct{}{}
		}
	})
	if shared != f.backend.Shared {
		f.Fatalf("Shared is %v", shared)
	}
	if !shared {
		return
	}
	if sh, err := f.store.Share(filter, 0); err != nil || sh != nil {
		f.Fatalf("before it begins: %+v, %v", sh, err)
	}
	s := &sharing{f: f, next: store.ShareReport{Filter: filter, Start: atAll(40), Since: 1040, Members: 2}}
	s.report(func(*store.ShareReport) {})
	sh := s.part()
	if sh.Take != store.AllUnits || sh.Mine != 0 || sh.Members != 2 || sh.Since != 1040 || !slices.Equal(sh.Founded, atAll(40)) {
		f.Fatalf("when it begins: %+v", sh)
	}
	s.know(sh)
	s.report(func(r *store.ShareReport) { r.Take = sh.Take })
	if sh = s.part(); sh.Mine != store.AllUnits || sh.Take|sh.Give != 0 || !slices.Equal(sh.At[3], atAll(40)) {
		f.Fatalf("when all was taken: %+v", sh)
	}
	s.know(sh)
	s.next.Cursor, s.next.Outstanding = atAll(60), []store.Position{at(50), at(51)}
	s.report(func(r *store.ShareReport) {
		r.Ahead = []store.ShareAhead{{Unit: 4, At: atAll(68)}}
		r.Back, r.Outstanding = []store.Position{at(51)}, r.Outstanding[:1]
	})
	sh = s.part()
	if !slices.Equal(sh.At[3], atAll(60)) || !slices.Equal(sh.At[4], atAll(68)) || !slices.Equal(sh.Redo, []store.Position{at(51)}) {
		f.Fatalf("progress: %+v", sh)
	}
	s.know(sh)
	s.next.Members = 0
	s.report(func(r *store.ShareReport) { r.Give, r.Outstanding = r.Units, nil })
	if sh = s.part(); sh.Mine|sh.Take|sh.Give != 0 || sh.Members != 0 || len(sh.Redo) != 0 {
		f.Fatalf("when all was given: %+v", sh)
	}
	if len(told) == 0 {
		f.Error("nobody was told")
	}
}
