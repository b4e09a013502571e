package load

import (
	"math/rand/v2"
	"testing"
)

// Whatever comes in whatever order: what is counted is what a map of all that came says.
func TestSequenceAgreesWithAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var s sequence
		seen := map[uint64]bool{}
		var high uint64
		var lost int64
		for range 300 {
			n := high + r.Uint64N(4)
			if r.IntN(3) == 0 {
				n = r.Uint64N(high + 1)
			}
			v, missed := s.see(n)
			lost += int64(missed)
			want := fresh
			switch {
			case seen[n]:
				want = duplicate
			case n < high:
				want = late
				lost--
			}
			if v != want {
				t.Fatalf("%d after %d: %v, want %v", n, high, v, want)
			}
			seen[n] = true
			high = max(high, n+1)
		}
		if want := int64(high) - int64(len(seen)); lost != want {
			t.Fatalf("%d lost, want %d", lost, want)
		}
	}
}

func TestSequenceForgetsOldGaps(t *testing.T) {
	var s sequence
	for n := uint64(1); n < 10*maxGaps; n += 2 {
		if v, missed := s.see(n); v != fresh || missed != 1 {
			t.Fatal(n, v, missed)
		}
	}
	if len(s.gaps) > maxGaps {
		t.Errorf("%d gaps are kept", len(s.gaps))
	}
	if v, _ := s.see(10*maxGaps - 2); v != late {
		t.Error("a recent gap is not filled")
	}
}

func TestSequenceSkip(t *testing.T) {
	var s sequence
	s.see(0)
	if s.skip(5) != 4 || s.skip(5) != 0 {
		t.Error("skip")
	}
	if v, missed := s.see(5); v != fresh || missed != 0 {
		t.Error("5 is due")
	}
	if v, _ := s.see(3); v != late {
		t.Error("3 is late")
	}
	if v, _ := s.see(3); v != duplicate {
		t.Error("3 came")
	}
}

func TestSequenceInOrderAllocatesNothing(t *testing.T) {
	var s sequence
	n := uint64(0)
	if a := testing.AllocsPerRun(1000, func() { s.see(n); n++ }); a != 0 {
		t.Errorf("%v allocations", a)
	}
}
