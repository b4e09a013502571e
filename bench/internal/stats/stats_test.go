package stats

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A quantile is never below the true one, and at most 1.6 % above.
func TestQuantilesAreClose(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 50_000 {
		d := time.Duration(r.Int64N(1 << r.IntN(40)))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[int(q*float64(len(all)))-1]
		if got := h.Quantile(q); got < want || float64(got) > float64(want)*1.016+1 {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
	if h.N() != 50_000 || h.Max() != all[len(all)-1] {
		t.Errorf("n %d max %d", h.N(), h.Max())
	}
}

func TestHistogramEdges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("empty")
	}
	h.Add(-1)
	h.Add(1<<63 - 1)
	if h.Quantile(0.5) != 0 || h.Quantile(1) != 1<<63-1 {
		t.Errorf("%d %d", h.Quantile(0.5), h.Quantile(1))
	}
	h.Reset()
	if h.N() != 0 {
		t.Error("not reset")
	}
}

// Buckets are in order and without gaps.
func TestBucketsAreContiguous(t *testing.T) {
	for i := range buckets - 1 {
		if up := upper(i); bucket(up) != i || bucket(up+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in %d; the next in %d", i, up, bucket(up), bucket(up+1))
		}
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(1000, func() { h.Add(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSummarize(t *testing.T) {
	f := func(want Summary, values ...float64) {
		t.Helper()
		if got := Summarize(values); got != want {
			t.Errorf("%v: %+v, want %+v", values, got, want)
		}
	}
	f(Summary{})
	f(Summary{Min: 4, Median: 4, Max: 4, N: 1}, 4)
	f(Summary{Min: 1, Median: 2, Max: 9, N: 3}, 9, 1, 2)
	f(Summary{Min: 1, Median: 2.5, Max: 9, N: 4}, 9, 1, 2, 3)
}
