package crash

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ledger is what a subscriber, or a group of them, has been given, and what is still to come.
type ledger interface {
	// take enters a delivery that is no retransmission known by its packet id; once says that there may be no second one.
	take(m message, once, dup bool) error
	// missing says what is still to come; empty: nothing.
	missing() string
}

// account is the ledger of one session: each stream comes in order from the first number on.
type account struct {
	wants []*stream
	next  map[*stream]int64
	fresh map[message]int // deliveries again that did not say so
	dups  int
}

func newAccount(wants []*stream) *account {
	return &account{wants: wants, next: map[*stream]int64{}, fresh: map[message]int{}}
}

func (a *account) take(m message, once, dup bool) error {
	next := a.next[m.stream]
	switch {
	case m.n == next:
		a.next[m.stream]++
		return nil
	case m.n > next:
		return fmt.Errorf("lost, or out of order: %s came, #%d had to come first; %s", m, next, m.state())
	case once:
		return fmt.Errorf("delivered twice: %s", m)
	}
	a.dups++
	if dup {
		return nil
	}
	// What the publisher sent again is a message of its own for the broker; else a second delivery must say that it is one [MQTT-3.3.1-1].
	a.fresh[m]++
	if sent := m.attempts(); a.fresh[m] >= sent {
		return fmt.Errorf("delivered %d times without DUP: %s; the publisher sent it %d times", a.fresh[m]+1, m, sent)
	}
	return nil
}

func (a *account) missing() string {
	return missing(a.wants, func(s *stream) int64 { return a.next[s] })
}

func missing(wants []*stream, next func(*stream) int64) string {
	var b strings.Builder
	for _, s := range wants {
		if n := next(s); n < s.total() {
			fmt.Fprintf(&b, "; %s from #%d on, %s", message{s, n}, n, s.state())
		}
	}
	return b.String()
}

// share is the ledger of a shared subscription: each message comes to one of its members, in no order.
type share struct {
	wants []*stream

	mu   sync.Mutex
	seen map[*stream]*numbers
	dups int
}

func newShare(wants []*stream) *share {
	s := &share{wants: wants, seen: map[*stream]*numbers{}}
	for _, st := range wants {
		s.seen[st] = &numbers{above: map[int64]struct{}{}}
	}
	return s
}

func (s *share) take(m message, once, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.seen[m.stream].add(m.n):
		return nil
	case once:
		return fmt.Errorf("delivered twice to the group: %s", m)
	}
	s.dups++
	return nil
}

func (s *share) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return missing(s.wants, func(st *stream) int64 { return s.seen[st].below })
}

// numbers is a set: all below one, and some above.
type numbers struct {
	below int64
	above map[int64]struct{}
}

// add reports whether n is new.
func (s *numbers) add(n int64) bool {
	if _, was := s.above[n]; was || n < s.below {
		return false
	}
	s.above[n] = struct{}{}
	for {
		if _, ok := s.above[s.below]; !ok {
			return true
		}
		delete(s.above, s.below)
		s.below++
	}
}

// wanted are the streams that any of some filters matches.
func wanted(all []*stream, matches func(*stream) bool) []*stream {
	return slices.DeleteFunc(slices.Clone(all), func(s *stream) bool { return !matches(s) })
}
