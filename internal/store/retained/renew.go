package retained

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Due says which records are to be written again.
type Due struct {
	Before int64                   // those that were stored before, Unix milliseconds
	Below  []int64                 // by queue of the log: and those that stand below
	Chosen func(topic string) bool // of these a node writes those that it is chosen for, among those that live; what is lost it writes in any case
}

// Renew returns records that are to be written to the log again, some at a time, from behind after on; next is where to go on, "" at the end. What has
// expired is not among them.
func (v *View) Renew(after string, due *Due) (recs [][]byte, next string, err error) {
	done, err := v.keeper.Use()
	if err != nil {
		return nil, "", err
	}
	defer done()
	now := v.opts.Now()
	from := []byte{keyRetained}
	if after != "" {
		from = []byte(after)
	}
	kind := from[0]
	want := func(e *entry) bool {
		q := v.QueueOf(e.rec.Topic)
		switch {
		case e.offset == lost:
			return !v.isOver(e, now)
		case e.kind() == keyTombstone || e.stored >= due.Before && e.offset >= due.Below[q]:
			return false
		}
		return !v.isOver(e, now) && due.Chosen(e.rec.Topic)
	}
	some, at, err := entries(v.db, from, kind, entriesSteps, want)
	for _, e := range some {
		rec := slices.Clone(e.raw)
		rec[atFlags] |= flagAgain
		recs = append(recs, rec)
	}
	v.stats.Renewed.Add(int64(len(recs)))
	switch {
	case at != nil:
		next = string(at)
	case kind == keyRetained:
		next = string([]byte{keyTombstone})
	}
	return recs, next, err
}

// sweepSteps is how many retained messages one Sweep looks at.
const sweepSteps = 1000

// Sweep ends retained messages that have expired, some at a time, from a topic on; next is where to go on, "" at the end. Each node does that for itself. They
// become tombstones: an older message must not take their place.
func (v *View) Sweep(after string) (next string, err error) {
	if v.stats.Messages.Load() == 0 {
		return "", nil
	}
	over, next, err := v.expired(after)
	for _, e := range over {
		if err == nil {
			err = v.end(e)
		}
	}
	return next, err
}

func (v *View) expired(after string) (over []*entry, next string, err error) {
	done, err := v.keeper.Use()
	if err != nil {
		return nil, "", err
	}
	defer done()
	from := []byte{keyRetained}
	if after != "" {
		from = []byte(after)
	}
	now := v.opts.Now()
	over, at, err := entries(v.db, from, keyRetained, sweepSteps, func(e *entry) bool { return v.isOver(e, now) })
	return over, string(at), err
}

// end makes a tombstone of e, unless another message has taken its place.
func (v *View) end(e *entry) error {
	return v.write(v.QueueOf(e.rec.Topic), func(t *txn) error {
		is, err := t.get(e.rec.Topic)
		if err != nil || is == nil || is.rec.Position != e.rec.Position || is.kind() == keyTombstone {
			return err
		}
		tomb := *is
		tomb.raw = AppendRecord(nil, &store.Message{Topic: e.rec.Topic}, e.rec.time)
		Place(tomb.raw, e.rec.Position)
		tomb.rec = record{}
		if err := tomb.rec.decode(tomb.raw); err != nil {
			return err
		}
		return t.put(is, &tomb)
	})
}
