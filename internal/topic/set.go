package topic

import "sync/atomic"

// item is a member of a set: a value under a key, which never changes.
type item[T any] struct {
	key string
	val T
}

// set is a hash table from keys to items with one writer at a time and any number of readers, which take no lock
// and wait for nobody. A reader sees an item that is in the set throughout its call; of an item that is put,
// replaced or removed meanwhile it sees the old state or the new.
//
// A set is empty (nil), one table, or, above shardAbove items, a table of 256 tables chosen by the hash's top bits.
// The shards bound what one put may cost: growing copies a 256th of the items. The hash must be keyed with a secret,
// or clients choose names that collide.
type set[T any] struct {
	root atomic.Pointer[table[T]]
}

const (
	shards      = 256
	shardShift  = 24   // a hash has 32 bits
	shardAbove  = 4096 // items above which one table becomes shards
	joinBelow   = 1024 // items below which shards become one table; far apart, so that no put-remove pair does both
	minTable    = 4    // slots
	tagEmpty    = 0    // nothing here and nothing further along the probe
	tagRemoved  = 1    // nothing here, go on
	tagReserved = 2    // added to a hash that would be one of the above
)

// table is open addressing with linear probing, or, when shard is set, the tables of a large set. Slots hold a
// tag, which is the item's hash, and the item's address, in two arrays: a probe reads tags only, 16 to a cache line,
// and follows an address when the hash is the one looked for.
//
// What readers rely on: between an item's first slot and its slot there is never an empty one, and an item does not
// move within a table. To move items a writer builds another table.
type table[T any] struct {
	tags  []atomic.Uint32 // a power of two
	items []atomic.Pointer[item[T]]
	shard *[shards]atomic.Pointer[table[T]]
	live  int // writer only: items, those of shards included
	dead  int // writer only: removed slots that still hold a probe together
}

// find returns the item under key, whose hash is h, or nil.
func (s *set[T]) find(h uint32, key string) *item[T] {
	t := s.root.Load()
	if t != nil && t.shard != nil {
		t = t.shard[h>>shardShift].Load()
	}
	if t == nil {
		return nil
	}
	tag := tagOf(h)
	mask := uint32(len(t.tags) - 1)
	// One round at most: writers may keep a slot from ever being seen empty, but never hide a present item for a round.
	for n, i := 0, tag&mask; n < len(t.tags); n, i = n+1, (i+1)&mask {
		switch t.tags[i].Load() {
		case tag:
			if it := t.items[i].Load(); it != nil && it.key == key { // nil: removed since
				return it
			}
		case tagEmpty:
			return nil
		}
	}
	return nil
}

// put adds it, or replaces the item under the same key. One writer at a time.
func (s *set[T]) put(h uint32, it *item[T]) {
	t := s.root.Load()
	if t != nil && t.shard != nil {
		if putIn(&t.shard[h>>shardShift], tagOf(h), it) {
			t.live++
		}
		return
	}
	if putIn(&s.root, tagOf(h), it) && s.root.Load().live > shardAbove {
		s.root.Store(s.root.Load().split())
	}
}

// remove takes the item under key out, if there is one. One writer at a time.
func (s *set[T]) remove(h uint32, key string) {
	t := s.root.Load()
	switch {
	case t == nil:
	case t.shard == nil:
		removeIn(&s.root, tagOf(h), key)
	case removeIn(&t.shard[h>>shardShift], tagOf(h), key):
		t.live--
		if t.live < joinBelow {
			s.root.Store(t.join())
		}
	}
}

// size returns the number of items. Writer only.
func (s *set[T]) size() int {
	if t := s.root.Load(); t != nil {
		return t.live
	}
	return 0
}

// each calls f for the items until it returns false, which it passes on. Of items that come or go meanwhile it may
// show any state; every other item it shows once.
func (s *set[T]) each(f func(*item[T]) bool) bool {
	t := s.root.Load()
	switch {
	case t == nil:
		return true
	case t.shard == nil:
		return t.each(f)
	}
	for i := range t.shard {
		if t := t.shard[i].Load(); t != nil && !t.each(f) {
			return false
		}
	}
	return true
}

func (t *table[T]) each(f func(*item[T]) bool) bool {
	for i := range t.items {
		if it := t.items[i].Load(); it != nil && !f(it) {
			return false
		}
	}
	return true
}

func tagOf(h uint32) uint32 {
	if h < tagReserved {
		return h + tagReserved
	}
	return h
}

// newTable returns a table with room for n items and then some: after it, at least an eighth of the slots can be
// used up before the next one has to be built.
func newTable[T any](n int) *table[T] {
	slots := minTable
	for n*8 > slots*5 {
		slots *= 2
	}
	return &table[T]{tags: make([]atomic.Uint32, slots), items: make([]atomic.Pointer[item[T]], slots)}
}

// putIn puts it into the table in at, which may be nil and may be exchanged, and tells whether the key is new.
func putIn[T any](at *atomic.Pointer[table[T]], tag uint32, it *item[T]) bool {
	t := at.Load()
	if t == nil {
		t = newTable[T](1)
	} else if i, ok := t.slot(tag, it.key); ok {
		t.items[i].Store(it)
		return false
	}
	if (t.live+t.dead+1)*4 > len(t.tags)*3 {
		t = t.rebuilt(t.live + 1)
	}
	t.insert(tag, it)
	at.Store(t)
	return true
}

// removeIn takes the item under key out of the table in at, which it may exchange, and tells whether it was there.
func removeIn[T any](at *atomic.Pointer[table[T]], tag uint32, key string) bool {
	t := at.Load()
	if t == nil {
		return false
	}
	i, ok := t.slot(tag, key)
	if !ok {
		return false
	}
	t.tags[i].Store(tagRemoved)
	t.items[i].Store(nil)
	t.live--
	t.dead++
	switch {
	case t.live == 0:
		at.Store(nil)
	case len(t.tags) > minTable && t.live*8 < len(t.tags):
		at.Store(t.rebuilt(t.live))
	default:
		t.tidy(i)
	}
	return true
}

// slot returns the slot of the item under key.
func (t *table[T]) slot(tag uint32, key string) (int, bool) {
	mask := len(t.tags) - 1
	for i := int(tag) & mask; ; i = (i + 1) & mask {
		switch t.tags[i].Load() {
		case tag:
			if t.items[i].Load().key == key {
				return i, true
			}
		case tagEmpty:
			return 0, false
		}
	}
}

// insert adds it, whose key must not be in t, to t, which must have an empty slot left besides.
func (t *table[T]) insert(tag uint32, it *item[T]) {
	mask := len(t.tags) - 1
	i := int(tag) & mask
	for t.tags[i].Load() >= tagReserved {
		i = (i + 1) & mask
	}
	if t.tags[i].Load() == tagRemoved {
		t.dead--
	}
	t.live++
	t.items[i].Store(it)
	t.tags[i].Store(tag)
}

// tidy makes removed slots up to i empty when an empty one follows: then no item lies beyond them.
func (t *table[T]) tidy(i int) {
	mask := len(t.tags) - 1
	if t.tags[(i+1)&mask].Load() != tagEmpty {
		return
	}
	for ; t.tags[i].Load() == tagRemoved; i = (i - 1) & mask {
		t.tags[i].Store(tagEmpty) // from the end, so that no item is ever behind an empty slot
		t.dead--
	}
}

// rebuilt returns a table with the items of t and room for n.
func (t *table[T]) rebuilt(n int) *table[T] {
	to := newTable[T](n)
	t.moveTo(func(tag uint32, it *item[T]) { to.insert(tag, it) })
	return to
}

// split returns a table of shards with the items of t.
func (t *table[T]) split() *table[T] {
	to := &table[T]{shard: new([shards]atomic.Pointer[table[T]]), live: t.live}
	t.moveTo(func(tag uint32, it *item[T]) { putIn(&to.shard[tag>>shardShift], tag, it) })
	return to
}

// join returns one table with the items of the shards of t.
func (t *table[T]) join() *table[T] {
	to := newTable[T](t.live)
	for i := range t.shard {
		if s := t.shard[i].Load(); s != nil {
			s.moveTo(func(tag uint32, it *item[T]) { to.insert(tag, it) })
		}
	}
	return to
}

func (t *table[T]) moveTo(put func(tag uint32, it *item[T])) {
	for i := range t.tags {
		if tag := t.tags[i].Load(); tag >= tagReserved {
			put(tag, t.items[i].Load())
		}
	}
}
