package inflight

import (
	"math/rand/v2"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func entry(offset int64) Entry {
	return Entry{Inflight: store.Inflight{QoS: 1, At: store.Position{Offset: offset}}}
}

// Random adds, removals and restores keep the window equal to a map, its order that of adding, and its ids unique and not 0.
func TestWindowAgainstMap(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var w Window
		model := map[uint16]int64{}
		var order []uint16
		for step := range int64(3000) {
			switch limit := 1 + rnd.IntN(200); {
			case rnd.IntN(2) == 0:
				id := w.Add(entry(step), limit)
				if full := len(model) >= limit; full != (id == 0) {
					t.Fatalf("seed %d step %d: %d entries, limit %d, id %d", seed, step, len(model), limit, id)
				}
				if id == 0 {
					continue
				}
				if _, used := model[id]; used {
					t.Fatalf("seed %d step %d: id %d given twice", seed, step, id)
				}
				model[id] = step
				order = append(order, id)
			case rnd.IntN(20) == 0:
				id := uint16(1 + rnd.IntN(65535))
				if _, used := model[id]; used {
					continue
				}
				e := entry(step)
				e.PacketID = id
				w.Restore(e)
				model[id] = step
				order = append(order, id)
			case len(order) > 0:
				i := rnd.IntN(len(order))
				id := order[i]
				e, ok := w.Remove(id)
				if !ok || e.At.Offset != model[id] {
					t.Fatalf("seed %d step %d: Remove(%d) = %v %v, want offset %d", seed, step, id, e, ok, model[id])
				}
				delete(model, id)
				order = append(order[:i], order[i+1:]...)
			}
			if w.Len() != len(model) {
				t.Fatalf("seed %d step %d: Len %d, want %d", seed, step, w.Len(), len(model))
			}
		}
		for i, e := range w.InOrder() {
			if e.PacketID != order[i] {
				t.Fatalf("seed %d: position %d has id %d, want %d", seed, i, e.PacketID, order[i])
			}
		}
	}
}

// All 65,535 ids can be in use; the next Add says that there is none.
func TestWindowAllIDs(t *testing.T) {
	var w Window
	for i := range 65535 {
		if w.Add(entry(int64(i)), 1<<20) == 0 {
			t.Fatalf("full at %d", i)
		}
	}
	if id := w.Add(entry(0), 1<<20); id != 0 {
		t.Fatalf("id %d from a full window", id)
	}
}

// Acknowledgements leave in the order of arrival whatever the order of completion.
func TestRingOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	var r Ring
	var open []uint64
	nextID, wantID := uint16(1), uint16(1)
	for range 20000 {
		if r.Len() < 100 && rnd.IntN(2) == 0 {
			open = append(open, r.Push(nextID))
			nextID++
		} else if len(open) > 0 {
			i := rnd.IntN(len(open))
			r.Complete(open[i], mqtt.Success)
			open = append(open[:i], open[i+1:]...)
		}
		for {
			id, _, ok := r.Take()
			if !ok {
				break
			}
			if id != wantID {
				t.Fatalf("took %d, want %d", id, wantID)
			}
			wantID++
		}
	}
	if wantID < 1000 {
		t.Fatalf("only %d acknowledgements taken", wantID)
	}
}

func BenchmarkWindow(b *testing.B) {
	var w Window
	b.ReportAllocs()
	for i := range b.N {
		id := w.Add(entry(int64(i)), 64)
		w.Remove(id)
	}
}
