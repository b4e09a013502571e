package topic

import (
	"strings"
	"sync/atomic"
)

// node is a node of the radix tree. The way to it from its parent is one level or more, in which "+" may occur: the
// first is the key of the item that holds the node, the others are rest. Both never change; a way is made longer or
// shorter by putting another node, with the same children, in the place of this one.
//
// Every node but the root has a value or at least two children.
type node[V any] struct {
	rest  string                        // "" or "/level/level..."
	here  atomic.Pointer[V]             // value of the filter that ends here
	multi atomic.Pointer[V]             // value of the filter that goes on with "/#"; in the root, of "#"
	plus  atomic.Pointer[item[node[V]]] // the child whose way begins with "+"
	kids  set[node[V]]                  // the other children, by the first level of their way
}

// value returns where the value of the filter that ends here, or goes on with "/#", is.
func (n *node[V]) value(multi bool) *atomic.Pointer[V] {
	if multi {
		return &n.multi
	}
	return &n.here
}

func (n *node[V]) hasValue() bool { return n.here.Load() != nil || n.multi.Load() != nil }

// degree returns the number of children. Writer only.
func (n *node[V]) degree() int {
	if n.plus.Load() != nil {
		return n.kids.size() + 1
	}
	return n.kids.size()
}

// match appends the values of the filters at and below n that match, where name has matched up to pos. It goes on to
// the literal child itself and calls itself for the "+" child, so it is never deeper than a filter has "+".
func (t *Trie[V]) match(dst []V, n *node[V], name string, pos int) []V {
	for n != nil {
		if v := n.multi.Load(); v != nil {
			dst = append(dst, *v)
		}
		if pos > len(name) {
			if v := n.here.Load(); v != nil {
				dst = append(dst, *v)
			}
			return dst
		}
		if it := n.plus.Load(); it != nil {
			_, next := level(name, pos)
			if next, ok := follow(it.val.rest, name, next); ok {
				dst = t.match(dst, &it.val, name, next)
			}
		}
		n, pos = t.literal(n, name, pos)
	}
	return dst
}

// literal goes from n to the child for the level of name at pos, and returns it and how far name has matched then, or
// nil.
func (t *Trie[V]) literal(n *node[V], name string, pos int) (*node[V], int) {
	if n.kids.root.Load() == nil {
		return nil, 0
	}
	l, next := level(name, pos)
	it := n.kids.find(t.hash(l), l)
	if it == nil {
		return nil, 0
	}
	next, ok := follow(it.val.rest, name, next)
	if !ok {
		return nil, 0
	}
	return &it.val, next
}

// follow matches the levels of rest with those of name from pos on, and returns where they end in name.
func follow(rest, name string, pos int) (int, bool) {
	for at := 1; at <= len(rest); { // rest begins with '/'
		if pos > len(name) {
			return 0, false
		}
		want, rnext := level(rest, at)
		have, next := level(name, pos)
		if want != "+" && want != have {
			return 0, false
		}
		at, pos = rnext, next
	}
	return pos, true
}

// lookup returns the node to which the levels of path from pos on lead, or nil. Unlike match it takes "+" for itself.
func (t *Trie[V]) lookup(path string, pos int) *node[V] {
	n := &t.root
	for pos <= len(path) {
		l, _ := level(path, pos)
		it := t.child(n, l)
		if it == nil {
			return nil
		}
		n = &it.val
		pos += len(l)
		if common(n.rest, path[pos:]) < len(n.rest) {
			return nil
		}
		pos += len(n.rest) + 1
	}
	return n
}

// child returns the child of n whose way begins with l.
func (t *Trie[V]) child(n *node[V], l string) *item[node[V]] {
	if l == "+" {
		return n.plus.Load()
	}
	return n.kids.find(t.hash(l), l)
}

// attach makes it a child of n, in the place of the one whose way begins with the same level.
func (t *Trie[V]) attach(n *node[V], it *item[node[V]]) {
	if it.key == "+" {
		n.plus.Store(it)
	} else {
		n.kids.put(t.hash(it.key), it)
	}
}

// newNode returns a node with this way to it.
func newNode[V any](way string) *item[node[V]] {
	way = strings.Clone(way) // a piece would keep a filter of 64 KiB alive after it was removed
	key, _ := level(way, 0)
	it := &item[node[V]]{key: key}
	it.val.rest = way[len(key):]
	return it
}

// moved returns a node with the values and children of n and another way to it. n stays as it is, for the readers
// that are on it; the sets of children are the same.
func moved[V any](n *node[V], way string) *item[node[V]] {
	it := newNode[V](way)
	it.val.here.Store(n.here.Load())
	it.val.multi.Store(n.multi.Load())
	it.val.plus.Store(n.plus.Load())
	it.val.kids.root.Store(n.kids.root.Load())
	return it
}

// insert sets a value of the node to which the levels of path from pos on lead, and makes the node if need be.
// Writer only. What it builds is complete before readers can get to it.
func (t *Trie[V]) insert(path string, pos int, multi bool, v *V) {
	n := &t.root
	for pos <= len(path) {
		l, _ := level(path, pos)
		it := t.child(n, l)
		if it == nil {
			leaf := newNode[V](path[pos:])
			leaf.val.value(multi).Store(v)
			t.attach(n, leaf)
			return
		}
		pos += len(l)
		c := common(it.val.rest, path[pos:])
		if c < len(it.val.rest) {
			t.fork(n, it, c, path[pos+c:], multi, v)
			return
		}
		n = &it.val
		pos += c + 1
	}
	n.value(multi).Store(v)
}

// fork cuts the way to it, a child of n, behind the first c bytes of its rest, and puts a node there which leads to
// it and has v itself, when tail is empty, or leads to a new node with v by tail, "/level...".
func (t *Trie[V]) fork(n *node[V], it *item[node[V]], c int, tail string, multi bool, v *V) {
	mid := newNode[V](it.key + it.val.rest[:c])
	t.attach(&mid.val, moved(&it.val, it.val.rest[c+1:]))
	if tail == "" {
		mid.val.value(multi).Store(v)
	} else {
		leaf := newNode[V](tail[1:])
		leaf.val.value(multi).Store(v)
		t.attach(&mid.val, leaf)
	}
	t.attach(n, mid)
}

// remove takes away a value of the node to which the levels of path from pos on lead, and the node with it when it is
// no longer needed. Writer only. The value must be there.
func (t *Trie[V]) remove(path string, pos int, multi bool) {
	var above, parent *node[V] // of it
	var upper, it *item[node[V]]
	n := &t.root
	for pos <= len(path) {
		l, _ := level(path, pos)
		above, parent, upper = parent, n, it
		it = t.child(n, l)
		n = &it.val
		pos += len(l) + len(n.rest) + 1
	}
	n.value(multi).Store(nil)
	if n == &t.root || n.hasValue() {
		return
	}
	switch n.degree() {
	case 0:
		t.detach(parent, it.key)
		if upper != nil && !parent.hasValue() && parent.degree() == 1 {
			t.attach(above, joined(upper))
		}
	case 1:
		t.attach(parent, joined(it))
	}
}

// detach takes the child of n away whose way begins with l.
func (t *Trie[V]) detach(n *node[V], l string) {
	if l == "+" {
		n.plus.Store(nil)
	} else {
		n.kids.remove(t.hash(l), l)
	}
}

// joined returns the only child of it, with the way that leads from the parent of it.
func joined[V any](it *item[node[V]]) *item[node[V]] {
	child := it.val.plus.Load()
	if child == nil {
		it.val.kids.each(func(c *item[node[V]]) bool { child = c; return false })
	}
	return moved(&child.val, it.key+it.val.rest+"/"+child.key+child.val.rest)
}

// common returns the length of the longest beginning of a and b, each "" or "/level...", that is whole levels in both.
func common(a, b string) int {
	whole := 0
	for i := 0; ; i++ {
		if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
			whole = i
		}
		if i == len(a) || i == len(b) || a[i] != b[i] {
			return whole
		}
	}
}

// each calls yield for the filters at and below n until it returns false, which it passes on. way is the way to n
// from the root, "" for the root itself and for a first level that is empty, hence nil for the one.
func (n *node[V]) each(way []byte, yield func(string, V) bool) bool {
	if v := n.here.Load(); v != nil && !yield(string(way), *v) {
		return false
	}
	if v := n.multi.Load(); v != nil && !yield(string(extend(way, "#")), *v) {
		return false
	}
	down := func(it *item[node[V]]) bool {
		return it.val.each(append(extend(way, it.key), it.val.rest...), yield)
	}
	if it := n.plus.Load(); it != nil && !down(it) {
		return false
	}
	return n.kids.each(down)
}

// extend returns way with one more level. A result is never nil, and only valid until way is extended again.
func extend(way []byte, l string) []byte {
	if way == nil {
		return append(make([]byte, 0, 64), l...)
	}
	return append(append(way, '/'), l...)
}
