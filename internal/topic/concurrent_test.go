package topic

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// stamp is a value in several words, of which a torn copy shows.
type stamp struct {
	filter  string
	version uint64
	again   string
	copied  uint64
}

func newStamp(filter string, version uint64) stamp { return stamp{filter, version, filter, version} }

func (s stamp) torn() bool { return s.filter != s.again || s.version != s.copied }

// near returns a filter that ends on the way of f, leaves it, or is f.
func (r vocabulary) near(f string) string {
	ls := strings.Split(strings.TrimSuffix(f, "/#"), "/")
	ls = ls[:1+r.IntN(len(ls))]
	switch end := r.IntN(4); {
	case end == 0:
		return f
	case end == 1 && ls[len(ls)-1] != "#":
		ls = append(ls, "#")
	case end == 2 && ls[len(ls)-1] != "#":
		ls = append(ls, r.levels[r.IntN(len(r.levels))], "+")
	}
	return strings.Join(ls, "/")
}

// crowd is a trie whose steady filters are never removed, while others come and go around them.
type crowd struct {
	*testing.T
	trie   *Trie[stamp]
	steady []string
	floor  []atomic.Uint64 // the version of each steady filter that an update which has returned has set
	index  map[string]int
	names  []string
	expect [][]int // of each name, the steady filters that match it
}

func newCrowd(t *testing.T, r vocabulary, steady, names int) *crowd {
	c := &crowd{T: t, trie: NewTrie[stamp](), index: map[string]int{}}
	for len(c.steady) < steady {
		f := r.filter()
		if _, ok := c.index[f]; ok {
			continue
		}
		c.index[f] = len(c.steady)
		c.steady = append(c.steady, f)
		c.trie.set(f, newStamp(f, 0))
	}
	c.floor = make([]atomic.Uint64, steady)
	for range names {
		name := r.name()
		var expect []int
		for i, f := range c.steady {
			if Match(f, name) {
				expect = append(expect, i)
			}
		}
		c.names = append(c.names, name)
		c.expect = append(c.expect, expect)
	}
	return c
}

// read checks what a reader sees of one name: every steady filter that matches, once, at least as new as what was
// stored before, and nothing that does not match.
func (c *crowd) read(r *rand.Rand, dst []stamp, floors []uint64, counts map[string]int) []stamp {
	k := r.IntN(len(c.names))
	floors = floors[:0]
	for _, i := range c.expect[k] {
		floors = append(floors, c.floor[i].Load())
	}
	dst = c.trie.MatchAppend(dst[:0], c.names[k])
	clear(counts)
	for _, s := range dst {
		counts[s.filter]++
		if s.torn() || !Match(s.filter, c.names[k]) || counts[s.filter] > 1 {
			c.Errorf("%q is matched by %v, seen %d times", c.names[k], s, counts[s.filter])
		}
		if i, ok := c.index[s.filter]; ok {
			for j, e := range c.expect[k] {
				if e == i && s.version < floors[j] {
					c.Errorf("%q has version %d, after version %d was stored", s.filter, s.version, floors[j])
				}
			}
		}
	}
	for _, i := range c.expect[k] {
		if counts[c.steady[i]] != 1 {
			c.Errorf("steady %q is seen %d times for %q", c.steady[i], counts[c.steady[i]], c.names[k])
		}
	}
	f := c.steady[r.IntN(len(c.steady))]
	if s, ok := c.trie.Get(f); !ok || s.torn() || s.filter != f {
		c.Errorf("Get of steady %q gives %v, %v", f, s, ok)
	}
	return dst
}

// all checks what Range sees: every steady filter once.
func (c *crowd) all(counts map[string]int) {
	clear(counts)
	for f, s := range c.trie.Range {
		if s.torn() || s.filter != f {
			c.Errorf("Range shows %q with %v", f, s)
		}
		counts[f]++
	}
	for _, f := range c.steady {
		if counts[f] != 1 {
			c.Errorf("Range shows steady %q %d times", f, counts[f])
		}
	}
}

// readers starts n readers, which run until the function that is returned is called.
func (c *crowd) readers(n int) (stop func()) {
	var wg sync.WaitGroup
	var done atomic.Bool
	for i := range n {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 9))
			var dst []stamp
			var floors [64]uint64
			counts := map[string]int{}
			for k := 0; !done.Load() && !c.Failed(); k++ {
				dst = c.read(r, dst, floors[:], counts)
				if k%1000 == 0 {
					c.all(counts)
				}
			}
		})
	}
	return func() { done.Store(true); wg.Wait() }
}

// come and go: a writer sees at once what it did itself.
func (c *crowd) come(f string, version uint64) {
	c.trie.set(f, newStamp(f, version))
	if s, ok := c.trie.Get(f); !ok || s != newStamp(f, version) {
		c.Errorf("%q is %v, %v after it was stored with version %d", f, s, ok, version)
	}
}

func (c *crowd) goes(f string) {
	c.trie.unset(f)
	if s, ok := c.trie.Get(f); ok {
		c.Errorf("%q is %v after it was removed", f, s)
	}
}

// Filters that come and go cut and join the nodes of those that stay, which readers nevertheless always find.
func TestSteadyFiltersAreAlwaysFound(t *testing.T) {
	c := newCrowd(t, newVocabulary(1), 200, 300)
	stop := c.readers(3)
	var wg sync.WaitGroup
	for w := range uint64(2) { // each with filters of its own: it knows their state
		wg.Go(func() {
			r := newVocabulary(w + 10)
			mine := map[string]bool{}
			for v := uint64(1); v < 30000 && !t.Failed(); v++ {
				f := r.near(c.steady[r.IntN(len(c.steady))])
				i, steady := c.index[f]
				switch {
				case maphash.String(c.trie.seed, f)%2 != w:
				case steady:
					c.come(f, v)
					c.floor[i].Store(v)
				case mine[f] || len(mine) > 30: // few, so that they often are alone on a way
					for f := range mine {
						c.goes(f)
						delete(mine, f)
						break
					}
				default:
					c.come(f, v)
					mine[f] = true
				}
			}
			for f := range mine {
				c.goes(f)
			}
		})
	}
	wg.Wait()
	stop()
	left := map[string]stamp{}
	for i, f := range c.steady {
		left[f] = newStamp(f, c.floor[i].Load())
	}
	c.trie.check(t, left, equal)
}

// The sets grow into shards and back, and slots are used again and again, around items that readers always find.
func TestSteadyFiltersAreFoundWhileSetsGrowAndShrink(t *testing.T) {
	r := newVocabulary(2)
	r.levels = nil
	for i := range 40 {
		r.levels = append(r.levels, fmt.Sprint(i))
	}
	r.depth = 3
	c := newCrowd(t, r, 300, 300)
	stop := c.readers(3)
	for round := range 2 {
		for i := range shardAbove + 1000 {
			c.come(fmt.Sprintf("0/x%d", i), uint64(round))
			c.come(fmt.Sprintf("0/x%d/+", i), uint64(round))
		}
		for i := range shardAbove + 1000 {
			c.goes(fmt.Sprintf("0/x%d", i))
			c.goes(fmt.Sprintf("0/x%d/+", i))
			for k := range 3 { // short lives, in few slots
				f := fmt.Sprintf("%d/y%d/#", k, i%50)
				c.come(f, uint64(i))
				c.goes(f)
			}
		}
		if t.Failed() {
			break
		}
	}
	stop()
	left := map[string]stamp{}
	for _, f := range c.steady {
		left[f] = newStamp(f, 0)
	}
	c.trie.check(t, left, equal)
}
