package retained

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

const (
	findSteps    = 10_000 // keys that one Find looks at
	recordWeight = 100    // bytes that a record counts beside its own
)

// Find returns retained messages as store.Store.Retained does, of what was read so far.
func (v *View) Find(filter, after string, maxBytes int) (recs []store.Record, next string, err error) {
	done, err := v.use()
	if err != nil {
		return nil, after, err
	}
	defer done()
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyRetained}, UpperBound: []byte{keyRetained + 1}})
	if err != nil {
		return nil, after, fmt.Errorf("read retained messages: %w", err)
	}
	now, left := v.opts.Now(), maxBytes
	next, err = view.WalkTopics(it, keyRetained, filter, after, findSteps, func(value []byte) (full bool, err error) {
		var e entry
		if err := e.decode(bytes.Clone(value)); err != nil || v.isOver(&e, now) {
			return false, err
		}
		if left -= recordWeight + len(value); left < 0 && len(recs) > 0 {
			return true, nil
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

func (v *View) isOver(e *entry, now int64) bool {
	return e.rec.isOver(now, v.opts.KeepFor.Milliseconds())
}

// Get returns the retained message that stands at a place; found is false when there is none.
func (v *View) Get(at store.Position) (rec store.Record, found bool, err error) {
	done, err := v.use()
	if err != nil {
		return rec, false, err
	}
	defer done()
	snap := v.db.NewSnapshot()
	defer snap.Close() //nolint:errcheck // it only reads
	name, err := get(snap, placeKey(at))
	if err != nil || name == nil {
		return rec, false, err
	}
	value, err := get(snap, view.TopicKey(keyRetained, string(name)))
	if err != nil || value == nil {
		return rec, false, err
	}
	var e entry
	err = e.decode(value)
	return e.rec.Record, err == nil, err
}
