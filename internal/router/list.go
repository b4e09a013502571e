package router

import "sync/atomic"

// list holds the subscriptions of one filter. Readers walk it without a lock while one writer changes it: a slot is
// written before the length that shows it, a removed one becomes nil, and what is crowded or half empty is
// replaced as a whole.
type list struct{ state atomic.Pointer[slots] }

type slots struct {
	at   []atomic.Pointer[Subscription]
	used atomic.Int32 // slots that were ever filled
	live int          // those that are not nil; the writer's
}

func newList() *list {
	l := &list{}
	l.state.Store(&slots{at: make([]atomic.Pointer[Subscription], 1)})
	return l
}

func (l *list) add(s *Subscription) {
	st := l.state.Load()
	if int(st.used.Load()) == len(st.at) {
		st = l.resize(st)
	}
	s.slot = int(st.used.Load())
	st.at[s.slot].Store(s)
	st.live++
	st.used.Add(1)
}

// remove takes s out and returns how many are left.
func (l *list) remove(s *Subscription) int {
	st := l.state.Load()
	if s.slot < 0 || s.slot >= len(st.at) || st.at[s.slot].Load() != s {
		return st.live
	}
	st.at[s.slot].Store(nil)
	s.slot = -1
	st.live--
	if used := int(st.used.Load()); used > 8 && st.live < used/4 {
		l.resize(st)
	}
	return st.live
}

// resize moves what is live to slots of twice the number that is live.
func (l *list) resize(st *slots) *slots {
	next := &slots{at: make([]atomic.Pointer[Subscription], max(2, 2*st.live)), live: st.live}
	n := 0
	for i := range st.used.Load() {
		if s := st.at[i].Load(); s != nil {
			s.slot = n
			next.at[n].Store(s)
			n++
		}
	}
	next.used.Store(int32(n))
	l.state.Store(next)
	return next
}

// each calls f for all subscriptions that were there when it began and still are.
func (l *list) each(f func(*Subscription)) {
	st := l.state.Load()
	for i := range st.used.Load() {
		if s := st.at[i].Load(); s != nil {
			f(s)
		}
	}
}
