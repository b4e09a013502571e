package topic

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// Trie maps topic filters to values and finds the values of all filters that match a name. Make one with [NewTrie].
//
// Readers (MatchAppend, Get, Range, Len) run beside each other and beside a writer without locks: a reader sees of
// each filter the value before or after an update that runs meanwhile, never another, and a filter that is there
// throughout is always seen. What an update that has returned did, every later reader sees. Writers (Update) wait for
// each other.
//
// V is copied around: make it a pointer or something as small. A value is what the trie exchanges, so what it points
// at should not change while it is in the trie.
//
// # Structure
//
// Filters without wildcards, which are most, are not in a trie at all: a name matches at most one of them, itself, so
// they are in one hash set and cost one probe. Filters with wildcards are in a radix tree of levels: each node has
// a set of children by their first literal level, one child for "+", a value for the filter that ends in it and one
// for that with "/#" behind it. A chain of levels in which nothing branches or ends is one node, so there are fewer
// nodes than twice the filters, however deep those are, and unsubscribing takes nodes away again.
//
// A match probes once for the name, and once per node whose filters match the name so far. It never goes through the
// children of a node. So its cost grows with the levels of the name and with the filters that match a beginning of
// it, not with the filters there are; many nodes are visited only where "+" and literal levels were subscribed
// side by side, and at most as many as those filters have.
//
// # Why not copy paths, or one big table of (node, level)
//
// Copying the path to the root, as persistent tries do, copies a node with a million children for each of them. One
// table for the whole tree can not take a node away by joining it with its only child: a reader that stands on the
// node would miss the child. Here a node that was taken away still leads where it led.
type Trie[V any] struct {
	seed  maphash.Seed // levels come from clients, who must not be able to choose colliding ones
	exact set[V]       // filters without wildcards, by the whole filter
	root  node[V]      // filters with wildcards
	count atomic.Int64 // filters

	mu sync.Mutex // held by a writer
}

// NewTrie returns an empty trie.
func NewTrie[V any]() *Trie[V] {
	return &Trie[V]{seed: maphash.MakeSeed()}
}

// MatchAppend appends the values of all filters that match name to dst, each filter's once, in no order, and returns
// the extended slice. It allocates only to extend dst. name should be a [ValidName]; it is not kept. Filters and names
// match as [Match] says.
func (t *Trie[V]) MatchAppend(dst []V, name string) []V {
	if it := t.exact.find(t.hash(name), name); it != nil {
		dst = append(dst, it.val)
	}
	if isSystem(name) { // no wildcard in the first level [MQTT-4.7.2-1]
		n, pos := t.literal(&t.root, name, 0)
		if n == nil {
			return dst
		}
		return t.match(dst, n, name, pos)
	}
	return t.match(dst, &t.root, name, 0)
}

// Get returns the value of filter and whether there is one.
func (t *Trie[V]) Get(filter string) (v V, ok bool) {
	if !HasWildcard(filter) {
		if it := t.exact.find(t.hash(filter), filter); it != nil {
			return it.val, true
		}
		return v, false
	}
	path, pos, multi := splitFilter(filter)
	if n := t.lookup(path, pos); n != nil {
		if p := n.value(multi).Load(); p != nil {
			return *p, true
		}
	}
	return v, false
}

// Update calls f with the value of filter and whether there is one, and then stores the value that f returns, or,
// if keep is false, removes the filter. filter should be a [ValidFilter] (which bounds its levels); the trie keeps a
// filter without wildcards as it is, so it should not be a piece of something larger.
//
// f is called once, with the trie's writer lock held: it must be quick, and must not update this trie. Reading it is
// fine.
func (t *Trie[V]) Update(filter string, f func(old V, ok bool) (v V, keep bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, had := t.Get(filter)
	v, keep := f(old, had)
	wild := HasWildcard(filter)
	switch {
	case keep && wild:
		path, pos, multi := splitFilter(filter)
		t.insert(path, pos, multi, &v)
	case keep:
		t.exact.put(t.hash(filter), &item[V]{key: filter, val: v})
	case had && wild:
		t.remove(splitFilter(filter))
	case had:
		t.exact.remove(t.hash(filter), filter)
	}
	switch {
	case keep && !had:
		t.count.Add(1)
	case had && !keep:
		t.count.Add(-1)
	}
}

// Len returns the number of filters.
func (t *Trie[V]) Len() int { return int(t.count.Load()) }

// Range calls yield for the filters and their values, in no order, until it returns false; it is an iter.Seq2. Of
// filters that are updated meanwhile it may show any state, even two; every other filter it shows once. yield may
// update the trie.
func (t *Trie[V]) Range(yield func(filter string, v V) bool) {
	if t.exact.each(func(it *item[V]) bool { return yield(it.key, it.val) }) {
		t.root.each(nil, yield)
	}
}

// hash is what find, put and remove of a set want with key.
func (t *Trie[V]) hash(key string) uint32 { return uint32(maphash.String(t.seed, key)) }

// splitFilter takes the "#" off a filter with a wildcard: the levels of path from pos on lead to the filter's node,
// of which multi tells which value is meant. For "#" alone it leads to the root: no level is left at pos.
func splitFilter(filter string) (path string, pos int, multi bool) {
	if filter == "#" {
		return "", 1, true
	}
	path, multi = strings.CutSuffix(filter, "/#")
	return path, 0, multi
}
