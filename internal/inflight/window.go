// Package inflight keeps what is under way between the broker and one client: Window holds what was
// sent and not yet acknowledged, Ring the acknowledgements that are owed to the client, in order.
//
// Nothing here locks: the owner does.
package inflight

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Entry is one message sent, or about to be sent, and not acknowledged.
type Entry struct {
	store.Inflight
	// Recorded says that the store's changelog has this entry: no checkpoint needs to wait for it.
	Recorded bool
	order    uint64 // of sending
}

// Window holds the messages on their way to a client, by packet id. Its size is bounded by what Add is given as limit.
// The zero value is empty; memory is allocated with the first entry and given back by the garbage collector when the
// window is dropped.
type Window struct {
	slots []Entry // by PacketID & (len-1); PacketID 0 marks a free one
	used  int
	last  uint16 // packet id given last
	order uint64
}

// Len is the number of entries.
func (w *Window) Len() int { return w.used }

// Add puts e into the window under a new packet id, which it returns; limit is the largest size the window may
// reach, at most 65,535. It returns 0 when the window is full. Ids follow one another, those in use are left out
// [MQTT-2.2.1-3].
func (w *Window) Add(e Entry, limit int) uint16 {
	if w.used >= min(limit, 65535) {
		return 0
	}
	if w.used >= len(w.slots) {
		w.grow(2 * len(w.slots))
	}
	for {
		w.last++
		if w.last != 0 && w.slots[w.index(w.last)].PacketID == 0 {
			break
		}
	}
	e.PacketID = w.last
	w.put(e)
	return e.PacketID
}

// Restore puts e back under the packet id that it had, after all that was added before.
func (w *Window) Restore(e Entry) {
	if e.PacketID == 0 || w.Get(e.PacketID) != nil {
		return
	}
	if len(w.slots) == 0 {
		w.grow(0)
	}
	for w.slots[w.index(e.PacketID)].PacketID != 0 {
		w.grow(2 * len(w.slots)) // ends at 65,536 slots, where no two ids meet
	}
	w.put(e)
	w.last = e.PacketID
}

// Get returns the entry with this packet id, nil when there is none. It is valid until the window changes.
func (w *Window) Get(id uint16) *Entry {
	if id == 0 || len(w.slots) == 0 {
		return nil
	}
	if e := &w.slots[w.index(id)]; e.PacketID == id {
		return e
	}
	return nil
}

// Remove takes the entry with this packet id out and returns it.
func (w *Window) Remove(id uint16) (Entry, bool) {
	e := w.Get(id)
	if e == nil {
		return Entry{}, false
	}
	was := *e
	*e = Entry{}
	w.used--
	return was, true
}

// InOrder returns a copy of the entries in the order in which they were added.
func (w *Window) InOrder() []Entry {
	if w.used == 0 {
		return nil
	}
	all := make([]Entry, 0, w.used)
	for i := range w.slots {
		if w.slots[i].PacketID != 0 {
			all = append(all, w.slots[i])
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.order, b.order) })
	return all
}

// All goes through the entries, in no order. The entries may be changed, but for their packet ids.
func (w *Window) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := range w.slots {
			if w.used > 0 && w.slots[i].PacketID != 0 && !yield(&w.slots[i]) {
				return
			}
		}
	}
}

func (w *Window) put(e Entry) {
	w.order++
	e.order = w.order
	w.slots[w.index(e.PacketID)] = e
	w.used++
}

func (w *Window) index(id uint16) int { return int(id) & (len(w.slots) - 1) }

// grow makes room for at least n slots, a power of two, without two entries meeting in one.
func (w *Window) grow(n int) {
	const smallest = 4
	n = max(n, smallest)
	for n = 1 << bits.Len(uint(n-1)); ; n *= 2 {
		if slots, ok := spread(w.slots, n); ok {
			w.slots = slots
			return
		}
	}
}

func spread(from []Entry, n int) ([]Entry, bool) {
	to := make([]Entry, n)
	for i := range from {
		if from[i].PacketID == 0 {
			continue
		}
		slot := &to[int(from[i].PacketID)&(n-1)]
		if slot.PacketID != 0 {
			return nil, false
		}
		*slot = from[i]
	}
	return to, true
}
