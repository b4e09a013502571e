package differential

import (
	"slices"
	"time"
)

const (
	shrinkPatience = 3 * time.Second // shorter than a test's: what is taken out by mistake makes only another script
	shrinkFor      = time.Minute
)

// shrink takes steps, then messages and filters, out of a script as long as differs still says yes, and as time is left.
func shrink(sc script, differs func(*script) bool) script {
	deadline := time.Now().Add(shrinkFor)
	try := func(candidate script) bool {
		if time.Now().After(deadline) || !differs(&candidate) {
			return false
		}
		sc = candidate
		return true
	}
	for size := len(sc.steps) / 2; size > 0; size /= 2 {
		for from := len(sc.steps) - size; from >= 0; from -= size {
			if from+size <= len(sc.steps) {
				try(sc.with(slices.Delete(slices.Clone(sc.steps), from, from+size)))
			}
		}
	}
	for i := range sc.steps {
		shrinkStep(i, &sc, try)
	}
	return sc
}

// shrinkStep takes messages, filters and names out of step i.
func shrinkStep(i int, sc *script, try func(script) bool) {
	replaced := func(st step) script {
		steps := slices.Clone(sc.steps)
		steps[i] = st
		return sc.with(steps)
	}
	for k := len(sc.steps[i].messages) - 1; k >= 0 && len(sc.steps[i].messages) > 1; k-- {
		st := sc.steps[i]
		st.messages = slices.Delete(slices.Clone(st.messages), k, k+1)
		try(replaced(st))
	}
	for k := len(sc.steps[i].filters) - 1; k >= 0 && len(sc.steps[i].filters) > 1; k-- {
		st := sc.steps[i]
		st.filters = slices.Delete(slices.Clone(st.filters), k, k+1)
		try(replaced(st))
	}
	for k := len(sc.steps[i].names) - 1; k >= 0 && len(sc.steps[i].names) > 1; k-- {
		st := sc.steps[i]
		st.names = slices.Delete(slices.Clone(st.names), k, k+1)
		try(replaced(st))
	}
}

func (s script) with(steps []step) script {
	s.steps = steps
	return s
}
