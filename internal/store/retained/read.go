package retained

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// graveTime is how long after a tombstone was stored a record of an older message may come, in milliseconds of the log's time: a node that was stopped
// between the appends of a message and of its record goes on with it.
const graveTime = 10 * 60 * 1000

// buryMost bounds the tombstones that one Read removes.
const buryMost = 4096

// Next is the offset at which reading queue q goes on, and the note that came with what was read last.
func (v *View) Next(q int) (next int64, note []byte) {
	v.reading.Lock()
	defer v.reading.Unlock()
	return v.queues[q].next, v.queues[q].note
}

// Read takes what stands in queue q from Next on, in order; next is where the log goes on behind it. note is kept for the reader, with what was read. An error is the
// view's: nothing was applied, and nothing more can be.
func (v *View) Read(q int, entries []view.Entry, next int64, note []byte) error {
	err := v.write(q, func(t *txn) error {
		for i := range entries {
			if en := &entries[i]; en.Offset >= t.qu.next {
				if err := t.read(en); err != nil {
					return fmt.Errorf("the record at offset %d of queue %d: %w", en.Offset, q, err)
				}
			}
		}
		if len(entries) > 0 {
			t.qu.found = true
			if err := t.bury(entries[len(entries)-1].Time - graveTime); err != nil {
				return err
			}
		}
		t.qu.next, t.qu.note = max(t.qu.next, next), note
		return nil
	})
	if err != nil {
		return fmt.Errorf("update the view of retained messages: %w", err)
	}
	return nil
}

// txn is one change of the view. View.reading is held.
type txn struct {
	*view.Txn
	v  *View
	q  int
	qu queue // as it will be
}

// write changes the view: all that f does, or nothing.
func (v *View) write(q int, f func(t *txn) error) error {
	done, err := v.keeper.Use()
	if err != nil {
		return err
	}
	defer done()
	if err := v.keeper.Failed(); err != nil {
		return err
	}
	v.reading.Lock()
	defer v.reading.Unlock()
	t := &txn{Txn: view.Begin(v.db), v: v, q: q, qu: v.queues[q]}
	defer t.Close()
	if err := f(t); err != nil {
		return err
	}
	if err := t.Set(queueKey(q), t.qu.encode()); err != nil {
		return err
	}
	if err := t.Apply(); err != nil {
		return err
	}
	was := &v.queues[q]
	v.stats.Messages.Add(t.qu.count - was.count)
	v.stats.Bytes.Add(t.qu.bytes - was.bytes)
	*was = t.qu
	v.show(q, t.qu.next)
	return v.keeper.Failed()
}

// get is what the view has of a topic; nil: nothing. It is valid until the next Get.
func (t *txn) get(name string) (*entry, error) {
	for _, kind := range []byte{keyRetained, keyTombstone} {
		value, err := t.Get(view.TopicKey(kind, name))
		if err != nil || value != nil {
			e := new(entry)
			if err == nil {
				err = e.decode(bytes.Clone(value))
			}
			return e, err
		}
	}
	return nil, nil
}

// put puts e in place of was; nil: nothing was there.
func (t *txn) put(was, e *entry) error {
	name, value := e.rec.Topic, e.value()
	if was != nil && was.kind() == e.kind() && e.kind() == keyRetained {
		return t.replace(was, e, value)
	}
	if was != nil {
		if err := t.drop(was); err != nil {
			return err
		}
	}
	if err := t.Set(view.TopicKey(e.kind(), name), value); err != nil {
		return err
	}
	if e.kind() == keyTombstone {
		return t.Set(graveKey(e.stored, name), []byte{})
	}
	if err := t.Set(placeKey(e.rec.Position), []byte(name)); err != nil {
		return err
	}
	return t.tally(name, 1, int64(len(value)))
}

// replace is put for a retained message in place of another: as many are there as before.
func (t *txn) replace(was, e *entry, value []byte) error {
	name := e.rec.Topic
	if err := t.Set(view.TopicKey(keyRetained, name), value); err != nil {
		return err
	}
	t.qu.bytes += int64(len(value) - len(was.value()))
	if was.rec.Position == e.rec.Position {
		return nil
	}
	if err := t.Delete(placeKey(was.rec.Position)); err != nil {
		return err
	}
	return t.Set(placeKey(e.rec.Position), []byte(name))
}

// drop removes e.
func (t *txn) drop(e *entry) error {
	name := e.rec.Topic
	if err := t.Delete(view.TopicKey(e.kind(), name)); err != nil {
		return err
	}
	if e.kind() == keyTombstone {
		return t.Delete(graveKey(e.stored, name))
	}
	if err := t.Delete(placeKey(e.rec.Position)); err != nil {
		return err
	}
	return t.tally(name, -1, -int64(len(e.value())))
}

// tally counts retained messages.
func (t *txn) tally(name string, n, size int64) error {
	t.qu.count += n
	t.qu.bytes += size
	return t.Count(countKey(topic.First(name)), n)
}

// read applies a record.
func (t *txn) read(en *view.Entry) error {
	v := t.v
	v.stats.Read.Add(1)
	e := &entry{head: head{offset: en.Offset, stored: en.Time}, raw: en.Data}
	if err := e.rec.decode(en.Data); err != nil || v.QueueOf(e.rec.Topic) != t.q {
		v.stats.Unreadable.Add(1)
		v.opts.Logger.Warn("a record of retained messages is passed over", "queue", t.q, "offset", en.Offset, "err", err)
		return nil
	}
	was, err := t.get(e.rec.Topic)
	if err != nil {
		return err
	}
	is := newer
	if was != nil {
		is = was.compare(&e.rec)
	}
	switch is {
	case older:
		v.stats.Older.Add(1)
		if was.kind() == keyTombstone && e.kind() == keyRetained { // which may be kept by brokers for longer than the tombstone
			was.offset = lost
			return t.put(was, was)
		}
		return nil
	case same:
		e.raw, e.before = was.raw, was.before // it says nothing new but that it is there
		return t.put(was, e)
	}
	if was != nil {
		e.before = was.follow(&e.rec)
	}
	if t.qu.begun && v.isLate(e.rec.Position) {
		v.stats.Late.Add(1)
		rec := e.rec.Record
		v.opts.Late(&rec)
	}
	return t.put(was, e)
}

// bury removes tombstones of this queue that were stored before, Unix milliseconds.
func (t *txn) bury(before int64) error {
	var names []string
	err := view.Range(t.v.db, []byte{keyGrave}, graveKey(before, ""), func(key, _ []byte) error {
		_, name := view.SplitNumber(key)
		if names = append(names, string(name)); len(names) == buryMost {
			return view.Stop
		}
		return nil
	})
	for _, name := range names {
		if err != nil {
			return err
		}
		if t.v.QueueOf(name) != t.q {
			continue
		}
		var e *entry
		if e, err = t.get(name); err == nil && e != nil && e.kind() == keyTombstone && e.stored < before && e.offset != lost {
			err = t.drop(e)
		}
	}
	return err
}

// show says that the view has what stands in queue q below next.
func (v *View) show(q int, next int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next[q] = next
	if v.more != nil {
		close(v.more)
		v.more = nil
	}
}

// Wait returns when the view has what stands in queue q below offset, or with the end of ctx.
func (v *View) Wait(ctx context.Context, q int, offset int64) error {
	for {
		v.mu.Lock()
		if v.next[q] >= offset {
			v.mu.Unlock()
			return nil
		}
		if v.more == nil {
			v.more = make(chan struct{})
		}
		more := v.more
		v.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Watched says where subscriptions begin: see Options.Late.
func (v *View) Watched(at []store.Position) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range at {
		v.watched[p.Queue] = max(v.watched[p.Queue], p.Offset)
	}
}

func (v *View) isLate(at store.Position) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return at.Offset < v.watched[at.Queue]
}

// Begin is told when queue q was read up to where it ended after Open, or Rebuild.
func (v *View) Begin(q int) error {
	err := v.write(q, func(t *txn) error {
		t.qu.begun = true
		if t.qu.gap == 0 {
			return nil
		}
		gap, found := t.qu.gap, t.qu.found
		t.qu.gap = 0
		return t.each(func(e *entry) error {
			switch {
			case e.offset >= gap:
				return nil
			case found: // whoever lives has written again what counts
				return t.drop(e)
			}
			return t.lose(e)
		})
	})
	if err != nil {
		return fmt.Errorf("update the view of retained messages: %w", err)
	}
	return nil
}

// lose has e written to the log again.
func (t *txn) lose(e *entry) error {
	was := *e
	e.offset = lost
	return t.put(&was, e)
}

// Rebuild is told that queue q of the log begins at from now. When what stood at gone and above is not there any more, though it was read, that is
// written again; reading goes on there. Else there is a gap in what this node has read: what it knows counts no more, unless it is read again, or there is nothing
// in the queue: then nobody else was there meanwhile.
func (v *View) Rebuild(q int, from, gone int64) error {
	err := v.write(q, func(t *txn) error {
		t.qu.begun, t.qu.note = false, nil
		if gone >= t.qu.next {
			t.qu.gap, t.qu.found, t.qu.next = from, false, from
			return nil
		}
		t.qu.next = max(from, gone)
		return t.each(func(e *entry) error {
			if e.offset < gone {
				return nil
			}
			return t.lose(e)
		})
	})
	if err != nil {
		return fmt.Errorf("update the view of retained messages: %w", err)
	}
	return nil
}

// each calls f for all entries of the queue, which may change the one that it is given. What was done so far is applied now and then; if the process dies before
// the rest, the same begins again.
func (t *txn) each(f func(e *entry) error) error {
	for _, kind := range []byte{keyRetained, keyTombstone} {
		for from := []byte{kind}; from != nil; {
			some, next, err := entries(t.v.db, from, kind, entriesSteps, func(e *entry) bool { return t.v.QueueOf(e.rec.Topic) == t.q })
			for _, e := range some {
				if err == nil {
					err = f(e)
				}
			}
			if err == nil {
				err = t.partly()
			}
			if err != nil {
				return err
			}
			from = next
		}
	}
	return nil
}

// partly applies what was done so far, without how far the queue was read.
func (t *txn) partly() error {
	part := t.v.queues[t.q]
	part.count, part.bytes = t.qu.count, t.qu.bytes
	if err := t.Set(queueKey(t.q), part.encode()); err != nil {
		return err
	}
	return t.Apply()
}

// Bounds of what one call of entries returns, and of what it looks at where nobody waits.
const (
	entriesMost  = 1000
	entriesBytes = 4 << 20
	entriesSteps = 100_000
)

// entries are some of a kind, from a key on, that want returns true for; next is the key to go on from, nil at the end. It looks at so many at most.
func entries(r pebble.Reader, from []byte, kind byte, most int, want func(e *entry) bool) (some []*entry, next []byte, err error) {
	steps, size := 0, 0
	err = view.Range(r, from, []byte{kind + 1}, func(key, value []byte) error {
		if steps++; steps > most || len(some) == entriesMost || size >= entriesBytes {
			next = bytes.Clone(key)
			return view.Stop
		}
		var e entry
		if err := e.decode(value); err != nil {
			return err
		}
		if !want(&e) {
			return nil
		}
		kept := new(entry)
		size += len(value)
		some = append(some, kept)
		return kept.decode(bytes.Clone(value))
	})
	return some, next, err
}
