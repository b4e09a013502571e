// Package stats holds what the bench counts with: a histogram of times that allocates nothing, and the summary of several rounds.
package stats

import (
	"math/bits"
	"time"
)

const (
	subBits = 6 // 64 steps for each power of two: a value is known to 1.6 %
	steps   = 1 << subBits
	buckets = (64 - subBits) * steps
)

// Histogram counts times. The zero value is empty and ready; 29 KiB.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	max    int64
}

// Add counts one time. A negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	v := max(int64(d), 0)
	h.counts[bucket(uint64(v))]++
	h.n++
	h.max = max(h.max, v)
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }

// N is how many times were counted.
func (h *Histogram) N() uint64 { return h.n }

// Max is the longest time.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Quantile is the shortest time that at least q of all (0 < q <= 1) do not exceed; 0 when nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	want := uint64(q * float64(h.n))
	if float64(want) < q*float64(h.n) {
		want++
	}
	var seen uint64
	for i, c := range h.counts {
		seen += c
		if c > 0 && seen >= want {
			return time.Duration(min(int64(upper(i)), h.max))
		}
	}
	return h.Max()
}

// bucket: values below 2*steps have one each, and from there on each power of two is cut into steps.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*steps + int(v>>shift)
}

// upper is the largest value of a bucket.
func upper(i int) uint64 {
	if i < 2*steps {
		return uint64(i)
	}
	shift := i/steps - 1
	return (uint64(i%steps+steps)+1)<<shift - 1
}
