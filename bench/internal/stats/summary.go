package stats

import "slices"

// Summary is what several rounds gave.
type Summary struct {
	Min, Median, Max float64
	N                int // rounds
}

// Summarize sorts a copy of values. Of an even number the median is the mean of the middle two.
func Summarize(values []float64) Summary {
	n := len(values)
	if n == 0 {
		return Summary{}
	}
	v := slices.Sorted(slices.Values(values))
	return Summary{Min: v[0], Median: (v[(n-1)/2] + v[n/2]) / 2, Max: v[n-1], N: n}
}
