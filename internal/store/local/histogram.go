package local

import (
	"sync/atomic"
	"time"
)

// Histogram is how often values up to each bound were seen.
type Histogram struct {
	Bounds []float64 // rising
	Counts []uint64  // of values up to Bounds[i], those below Bounds[i-1] included; the last one, beyond all bounds, is of all values
	Sum    float64   // of all values
}

// histogram counts whole numbers. Its methods may be called on any goroutine; observe is two atomic additions, so it is for batches, not for
// messages.
type histogram struct {
	bounds []int64
	per    float64 // of the numbers counted, in one of those shown
	counts []atomic.Uint64
	sum    atomic.Int64
}

func newHistogram(per float64, bounds ...int64) *histogram {
	return &histogram{bounds: bounds, per: per, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// newDurations is a histogram of nanoseconds, shown as seconds: from what a fast disk needs to what nobody waits for.
func newDurations() *histogram {
	const us, ms, s = int64(time.Microsecond), int64(time.Millisecond), int64(time.Second)
	return newHistogram(1e9,
		50*us, 100*us, 200*us, 500*us, ms, 2*ms, 5*ms, 10*ms, 20*ms, 50*ms, 100*ms, 200*ms, 500*ms, s, 2*s, 5*s, 10*s)
}

// newCounts is a histogram of records in a batch.
func newCounts() *histogram {
	var bounds []int64
	for n := int64(1); n <= maxPendingItems; n *= 2 {
		bounds = append(bounds, n)
	}
	return newHistogram(1, bounds...)
}

func (h *histogram) observe(v int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(v)
}

func (h *histogram) since(t time.Time) { h.observe(int64(time.Since(t))) }

func (h *histogram) snapshot() Histogram {
	s := Histogram{Sum: float64(h.sum.Load()) / h.per}
	total := uint64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
		s.Counts = append(s.Counts, total)
		if i < len(h.bounds) {
			s.Bounds = append(s.Bounds, float64(h.bounds[i])/h.per)
		}
	}
	return s
}
