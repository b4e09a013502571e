package load

// sequence follows the numbers that one subscriber gets of one stream.
type sequence struct {
	next uint64
	gaps []gap // numbers below next that have not come, ascending; nil as long as nothing is missing
}

// gap is the numbers from from to to-1.
type gap struct{ from, to uint64 }

// maxGaps bounds what is remembered: of older gaps nothing can be filled any more, and they stay counted as lost.
const maxGaps = 256

type verdict int

const (
	fresh     verdict = iota // the one that was due, or one after it
	late                     // out of order: one after it had come before
	duplicate                // it had come before
)

// see takes one number. missed is how many were passed over to get to it.
func (s *sequence) see(n uint64) (v verdict, missed uint64) {
	if n < s.next {
		if s.fill(n) {
			return late, 0
		}
		return duplicate, 0
	}
	missed = s.skip(n)
	s.next = n + 1
	return fresh, missed
}

// skip gives up all numbers below n that have not come, and says how many those are.
func (s *sequence) skip(n uint64) uint64 {
	if n <= s.next {
		return 0
	}
	missed := n - s.next
	if len(s.gaps) == maxGaps {
		s.gaps = append(s.gaps[:0], s.gaps[1:]...)
	}
	s.gaps = append(s.gaps, gap{s.next, n})
	s.next = n
	return missed
}

// fill reports whether n was missing; now it is not.
func (s *sequence) fill(n uint64) bool {
	for i := range s.gaps {
		g := &s.gaps[i]
		switch {
		case n < g.from || n >= g.to:
			continue
		case n == g.from:
			g.from++
		case n == g.to-1:
			g.to--
		default:
			tail := gap{n + 1, g.to}
			g.to = n
			s.gaps = append(s.gaps, gap{})
			copy(s.gaps[i+2:], s.gaps[i+1:])
			s.gaps[i+1] = tail
		}
		return true
	}
	return false
}
