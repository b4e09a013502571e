package changelog

import (
	"slices"
	"time"
)

// A node that begins to read a queue whose oldest records were dropped does not know what the names were that stood there, and so cannot judge what is
// written about them. It waits for the state that is written of each name again before its records are dropped (Changelog.Renew), and judges nothing before that.
// What it sees of their bases until then tells whether a state counts: not if a record before it was built on the same one or a later one.
//
// As for what stands at the very begin, within graveTime, a record of it may be a second copy of one that was dropped. So no name is taken for a new one
// there, and a state counts for certain only when something was built on it. Every name that is left was written again since.
//
// All that ends when no node lives that has read more: what it does not know is lost then, for everybody. Beats say where their writers began to read, so that is
// seen in the log, and by all nodes at the same record. A node that was away meanwhile and comes back with its view finds it out too, and takes for new what others
// had to; but not a name that they had read something of, and not all. So two of them could own it, until one of them is started without its view.

// listenTime is how long a node that begins in the middle of the log listens for others that know more, before it says that it does not.
const listenTime = 10 * time.Second

// from is what a beat says of where this node began to read the queue: 0, if that was the begin, or it is not known yet whether anybody knows more.
func (qu *queue) from(now time.Time) int64 {
	if now.Sub(qu.live) < listenTime {
		return 0
	}
	return qu.origin
}

// isKnown says whether a node that lives, as far as the writer of a record can have read, may know what stood at offset.
func (x *txn) isKnown(offset int64, writer uint64) bool {
	w := x.peers[writer]
	if w == nil {
		return true // its first beat is still to come
	}
	for _, p := range x.peers {
		if !p.fenced && p.from <= offset && (p.last >= w.from || p.last == none) {
			return true
		}
	}
	return false
}

// isLost says whether what this node knows of the name of a record, or knows that it does not, is worth nothing: the writer has read less, and so have all others.
func (x *txn) isLost(r *record, was *head) bool {
	switch {
	case was == nil || !x.lives(r.node):
		return false
	case was.old:
		return was.last == none && !x.isKnown(x.origin-1, r.node)
	}
	return r.base == none && was.last != none && !x.isKnown(was.last, r.node)
}

// begins says whether the record that is being applied stands at the begin of a queue whose oldest records were dropped.
func (x *txn) begins() bool { return x.origin > 0 && x.rec.Time < x.since+graveTime }

// isOld says whether a record is about a name of which this node cannot know what it was before: it has not read all of its records.
func (x *txn) isOld(r *record, was *head) bool {
	if was != nil && !was.old || was == nil && (x.origin == 0 || r.base == none && !x.begins()) {
		return false
	}
	if r.base >= x.rec.Offset { // that was lost when the log went back: void, whatever the name was
		return false
	}
	return x.isKnown(x.origin-1, r.node)
}

// seenMost is how many records of a name that does not count yet are remembered. What is built on one that is not is void, until the next state.
const seenMost = 16

// judgeOld says whether a record of such a name is to be judged, and h is what it is built on then.
func (x *txn) judgeOld(r *record, h *head) (judge bool, err error) {
	h.old = true
	switch {
	case h.last != none && h.isBase(r): // the state that was taken for the last record was it
		h.old, h.seen = false, nil
		return true, nil
	case r.kind == kindState && (r.base > h.below || r.base == h.below && h.last == none):
		h.old = x.begins() || r.base == h.below
		h.below, h.seen = r.base, nil
		if h.old {
			h.seen = []int64{x.rec.Offset}
		}
		return true, nil
	case r.base >= x.origin && !slices.Contains(h.seen, r.base): // it was lost when the log went back
	case r.base > h.below: // if there was a state that was taken for the last record, it was not
		h.below, h.last, h.owner, h.former, h.owed = r.base, none, 0, 0, nil
		h.seen = slices.DeleteFunc(slices.Clone(h.seen), func(at int64) bool { return at <= r.base })
		if err := x.removeAll(r.name); err != nil {
			return false, err
		}
	}
	if len(h.seen) == seenMost {
		h.seen = h.seen[1:]
	}
	h.seen = append(slices.Clone(h.seen), x.rec.Offset)
	return false, nil
}

// putOld keeps what was seen of such a name.
func (x *txn) putOld(name string, was, h *head) error {
	if h.last == none {
		h.gone, h.time = true, x.rec.Time
	}
	return x.put(name, was, h)
}
