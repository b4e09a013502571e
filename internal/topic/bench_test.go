package topic

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// fleet is a set of filters as devices and back ends subscribe to them, a tenth with wildcards, made one by one so
// that nothing but the trie keeps them.
type fleet int

const perDevice = 10 // filters

// filter returns the i-th filter: of each device nine sensors by name, and one filter with a wildcard.
func (fleet) filter(i int) string {
	device, k := i/perDevice, i%perDevice
	switch {
	case k > 0:
		return fmt.Sprintf("devices/%08d/sensors/%d/temperature", device, k)
	case device%4 == 0:
		return fmt.Sprintf("devices/%08d/#", device)
	case device%4 == 1:
		return fmt.Sprintf("devices/%08d/sensors/+/humidity", device)
	case device%4 == 2:
		return fmt.Sprintf("devices/%08d/+/%d/#", device, device%7)
	default:
		return fmt.Sprintf("+/%08d/status", device)
	}
}

// name returns the name of a sensor of a random device.
func (n fleet) name(r *rand.Rand) string {
	kind := []string{"temperature", "humidity"}[r.IntN(2)]
	return fmt.Sprintf("devices/%08d/sensors/%d/%s", r.IntN(int(n)/perDevice), 1+r.IntN(perDevice-1), kind)
}

func (n fleet) trie() *Trie[*int] {
	t, v := NewTrie[*int](), new(int)
	for i := range int(n) {
		t.set(n.filter(i), v)
	}
	return t
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and sync.Pool held through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perFilter returns a trie of n filters and how much of the heap it takes for each, their strings included.
func (n fleet) perFilter() (*Trie[*int], float64) {
	before := heap()
	t := n.trie()
	return t, float64(heap()-before) / float64(n)
}

// BenchmarkTrieMatch matches names with 1,000 to 1,000,000 filters: ns/op is one name, B/filter the trie's memory.
// "miss" are names which begin as those of the devices do, and match nothing.
func BenchmarkTrieMatch(b *testing.B) {
	for _, n := range []fleet{1e3, 1e5, 1e6} {
		t, size := n.perFilter()
		rng := rand.New(rand.NewPCG(5, 6))
		hits, misses := make([]string, 1<<13), make([]string, 1<<13)
		for i := range hits {
			hits[i] = n.name(rng)
			misses[i] = fmt.Sprintf("devices/x%d/sensors/%d/temperature", rng.IntN(int(n)), i)
		}
		run := func(names []string) func(*testing.B) {
			return func(b *testing.B) {
				var dst []*int
				found := 0
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					dst = t.MatchAppend(dst[:0], names[i%len(names)])
					found += len(dst)
				}
				b.ReportMetric(float64(found)/float64(b.N), "matches/op")
				b.ReportMetric(size, "B/filter")
			}
		}
		b.Run(fmt.Sprintf("filters=%d/hit", n), run(hits))
		b.Run(fmt.Sprintf("filters=%d/miss", n), run(misses))
		runtime.KeepAlive(t)
	}
}

// BenchmarkTrieMatchBesideWriter is a match while another goroutine subscribes and unsubscribes all the time.
func BenchmarkTrieMatchBesideWriter(b *testing.B) {
	const n = fleet(1e5)
	t := n.trie()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				f := n.filter(int(n) + i%1e5)
				t.set(f, nil)
				t.unset(f)
			}
		}
	}()
	rng := rand.New(rand.NewPCG(5, 6))
	names := make([]string, 1<<13)
	for i := range names {
		names[i] = n.name(rng)
	}
	b.RunParallel(func(pb *testing.PB) {
		var dst []*int
		for i := 0; pb.Next(); i++ {
			dst = t.MatchAppend(dst[:0], names[i%len(names)])
		}
	})
	close(stop)
	<-stopped
}

// BenchmarkTrieUpdate takes the million children of a node away, and adds them again.
func BenchmarkTrieUpdate(b *testing.B) {
	for _, format := range []string{"devices/%d/state", "devices/%d/#"} {
		b.Run(fmt.Sprintf(format, 0), func(b *testing.B) {
			filters := make([]string, 1e6)
			for i := range filters {
				filters[i] = fmt.Sprintf(format, i)
			}
			t, v := NewTrie[*int](), new(int)
			for _, f := range filters {
				t.set(f, v)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if f := filters[i%len(filters)]; i/len(filters)%2 == 0 {
					t.unset(f)
				} else {
					t.set(f, v)
				}
			}
		})
	}
}

// BenchmarkMatch is one filter without the trie.
func BenchmarkMatch(b *testing.B) {
	for _, f := range []string{"devices/00000001/sensors/1/temperature", "devices/+/sensors/+/temperature", "devices/#"} {
		b.Run(f, func(b *testing.B) {
			for b.Loop() {
				if !Match(f, "devices/00000001/sensors/1/temperature") {
					b.Fatal("no match")
				}
			}
		})
	}
}

// A filter costs less than 250 bytes, a tenth of them with wildcards.
func TestMemoryPerFilter(t *testing.T) {
	const n = fleet(1e5)
	tr, size := n.perFilter()
	if size > 250 {
		t.Errorf("%.0f bytes a filter, want at most 250", size)
	}
	if tr.Len() != int(n) {
		t.Errorf("%d filters, want %d", tr.Len(), n)
	}
}

// 400,000 subscriptions that ended, one by one and all at once, leave nothing behind.
func TestNothingIsLeftOfRemovedFilters(t *testing.T) {
	const n, rounds = 1e5, 2
	filters := make([]string, n)
	for i := range filters {
		filters[i] = fleet(n).filter(i)
	}
	tr := NewTrie[*int]()
	tr.set("devices/+/sensors/+/steady", nil)
	before := heap()
	for range rounds {
		for _, f := range filters {
			tr.set(f, nil)
		}
		for _, f := range filters {
			tr.unset(f)
		}
		for _, f := range filters {
			tr.set(f, nil)
			tr.unset(f)
		}
	}
	if after := heap(); after > before+64<<10 {
		t.Errorf("the heap grew by %d bytes", after-before)
	}
	tr.check(t, map[string]*int{"devices/+/sensors/+/steady": nil}, equal)
	runtime.KeepAlive(filters)
}

// Matching allocates nothing when dst has room.
func TestMatchDoesNotAllocate(t *testing.T) {
	const n = fleet(1e3)
	tr := n.trie()
	name := n.name(rand.New(rand.NewPCG(1, 1)))
	dst := make([]*int, 0, 16)
	if allocs := testing.AllocsPerRun(100, func() { dst = tr.MatchAppend(dst[:0], name) }); allocs != 0 || len(dst) == 0 {
		t.Errorf("%v allocations for %d matches, want none", allocs, len(dst))
	}
}
