package topic

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// check holds s against want and against what readers rely on.
func (s *set[T]) check(t *testing.T, hash func(string) uint32, want map[string]T, same func(a, b T) bool) {
	t.Helper()
	if s.size() != len(want) {
		t.Fatalf("size %d, want %d", s.size(), len(want))
	}
	for k, v := range want {
		if it := s.find(hash(k), k); it == nil || it.key != k || !same(it.val, v) {
			t.Fatalf("find(%q) = %v, want %v", k, it, v)
		}
	}
	n := 0
	s.each(func(it *item[T]) bool {
		if _, ok := want[it.key]; !ok {
			t.Fatalf("each shows %q, which is not in the set", it.key)
		}
		n++
		return true
	})
	if n != len(want) {
		t.Fatalf("each shows %d items, want %d", n, len(want))
	}
	s.tables(func(tb *table[T]) { tb.check(t) })
}

// tables calls f for the tables with slots.
func (s *set[T]) tables(f func(*table[T])) {
	switch t := s.root.Load(); {
	case t == nil:
	case t.shard == nil:
		f(t)
	default:
		for i := range t.shard {
			if t := t.shard[i].Load(); t != nil {
				f(t)
			}
		}
	}
}

// check holds the counts of a table against its slots, and its size against its items.
func (t *table[T]) check(tt *testing.T) {
	tt.Helper()
	live, dead := 0, 0
	for i := range t.tags {
		switch tag, it := t.tags[i].Load(), t.items[i].Load(); {
		case tag < tagReserved && it != nil, tag >= tagReserved && it == nil:
			tt.Fatalf("slot %d has tag %d and item %v", i, tag, it)
		case tag == tagRemoved:
			dead++
		case it != nil:
			live++
		}
	}
	if live != t.live || dead != t.dead {
		tt.Fatalf("%d live, %d dead slots, counted as %d and %d", live, dead, t.live, t.dead)
	}
	if (live+dead)*4 > len(t.tags)*3 {
		tt.Fatalf("%d live, %d dead of %d slots: too full", live, dead, len(t.tags))
	}
	if live == 0 || len(t.tags) > minTable && live*8 < len(t.tags) {
		tt.Fatalf("%d live of %d slots: should have shrunk", live, len(t.tags))
	}
}

// A set behaves as a map does while it grows, shards, shrinks and joins again, for good hashes and for hashes that
// collide in full, in the slot or in the shard.
func TestSetIsAMap(t *testing.T) {
	good := NewTrie[int]().hash
	hashes := map[string]func(string) uint32{
		"good":      good,
		"same":      func(string) uint32 { return 7 },
		"reserved":  func(k string) uint32 { return uint32(len(k) % 3) },
		"same slot": func(k string) uint32 { return uint32(k[len(k)-1]) << shardShift },
		"one shard": func(k string) uint32 { return good(k) >> (32 - shardShift) },
	}
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			size, steps := 200, 3000
			if name == "good" || name == "one shard" {
				size, steps = 3*shardAbove/2, 4*shardAbove
			}
			rng := rand.New(rand.NewPCG(1, 2))
			var s set[int]
			want := map[string]int{}
			same := func(a, b int) bool { return a == b }
			for _, growth := range []int{9, 5, 1, 8, 0} { // puts in ten steps
				for i := range steps {
					k := fmt.Sprint("k", rng.IntN(size))
					if rng.IntN(10) < growth {
						s.put(hash(k), &item[int]{key: k, val: i})
						want[k] = i
					} else {
						s.remove(hash(k), k)
						delete(want, k)
					}
				}
				s.check(t, hash, want, same)
				root := s.root.Load()
				sharded := root != nil && root.shard != nil
				if sharded && len(want) < joinBelow || !sharded && len(want) > shardAbove {
					t.Fatalf("%d items, sharded %v", len(want), sharded)
				}
			}
			for k := range want {
				s.remove(hash(k), k)
				s.remove(hash(k), k)
			}
			if s.root.Load() != nil {
				t.Fatal("an empty set has a table")
			}
		})
	}
}

// Putting and removing at a constant size must not build tables all the time, nor one table ever larger.
func TestSetChurnKeepsItsTable(t *testing.T) {
	hash := NewTrie[int]().hash
	var s set[int]
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
		if i < 100 {
			s.put(hash(keys[i]), &item[int]{key: keys[i]})
		}
	}
	built, last := 0, s.root.Load()
	const churn = 10000
	for i := range churn {
		k, gone := keys[(i+100)%len(keys)], keys[i%len(keys)]
		s.put(hash(k), &item[int]{key: k})
		s.remove(hash(gone), gone)
		if now := s.root.Load(); now != last {
			built, last = built+1, now
		}
	}
	if slots := len(last.tags); slots > 256 {
		t.Errorf("%d slots for 100 items", slots)
	}
	if built > churn/16 {
		t.Errorf("%d tables built in %d puts and removes", built, churn)
	}
}

// However large a set is, one put copies only a small part of it.
func TestSetGrowsInParts(t *testing.T) {
	hash := NewTrie[int]().hash
	var s set[int]
	const n = 100_000
	for i := range n {
		k := fmt.Sprint("key", i)
		s.put(hash(k), &item[int]{key: k})
	}
	largest := 0
	s.tables(func(tb *table[int]) { largest = max(largest, tb.live) })
	if largest > n/64 {
		t.Errorf("a table holds %d of %v items, want about a 256th", largest, n)
	}
}
