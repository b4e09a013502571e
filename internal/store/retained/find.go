package retained

import (
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

const (
	findSteps    = 10_000   // keys that one Find looks at
	recordWeight = 100      // bytes that a record counts beside its own
	copiesBytes  = 16 << 10 // a piece of copies, but for larger values
)

// Find returns retained messages as store.Store.Retained does, of what was read so far.
func (v *View) Find(filter, after string, maxBytes int) (recs []store.Record, next string, err error) {
	done, err := v.keeper.Use()
	if err != nil {
		return nil, after, err
	}
	defer done()
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyRetained}, UpperBound: []byte{keyRetained + 1}})
	if err != nil {
		return nil, after, fmt.Errorf("read retained messages: %w", err)
	}
	now, left, copies := v.opts.Now(), maxBytes, copies{}
	next, err = view.WalkTopics(it, keyRetained, filter, after, findSteps, func(value []byte) (full bool, err error) {
		var e entry
		if err := e.decode(copies.keep(value)); err != nil || v.isOver(&e, now) {
			return false, err
		}
		if left -= recordWeight + len(value); left < 0 && len(recs) > 0 {
			return true, nil
		}
		if len(recs) == cap(recs) {
			recs = slices.Grow(recs, 3*len(recs)+1) // by append itself a page would be moved ten times
		}
		recs = append(recs, e.rec.Record)
		return false, nil
	})
	if closed := it.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, after, fmt.Errorf("read retained messages: %w", err)
	}
	return recs, next, nil
}

// copies are copies of values, many in one piece of memory. The first has one of its own size: mostly there is no other.
type copies struct{ piece []byte }

func (c *copies) keep(value []byte) []byte {
	n := len(c.piece)
	if n+len(value) > cap(c.piece) {
		c.piece, n = make([]byte, 0, max(len(value), min(2*cap(c.piece), copiesBytes))), 0
	}
	c.piece = append(c.piece, value...)
	return c.piece[n:len(c.piece):len(c.piece)]
}

func (v *View) isOver(e *entry, now int64) bool {
	return e.rec.isOver(now, v.opts.KeepFor.Milliseconds())
}

// Get returns the retained message that stands at a place; found is false when there is none.
func (v *View) Get(at store.Position) (rec store.Record, found bool, err error) {
	done, err := v.keeper.Use()
	if err != nil {
		return rec, false, err
	}
	defer done()
	snap := v.db.NewSnapshot()
	defer snap.Close() //nolint:errcheck // it only reads
	name, err := view.Get(snap, placeKey(at))
	if err != nil || name == nil {
		return rec, false, err
	}
	value, err := view.Get(snap, view.TopicKey(keyRetained, string(name)))
	if err != nil || value == nil {
		return rec, false, err
	}
	var e entry
	err = e.decode(value)
	return e.rec.Record, err == nil, err
}
