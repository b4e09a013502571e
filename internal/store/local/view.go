package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// view is what Pebble holds: everything that can be had again from the log. One goroutine applies (the finisher, or
// Open while it replays); any may read.
type sessionView struct {
	s        *Store
	db       *pebble.DB
	state    viewState    // as of the last batch applied; the applying goroutine's
	sessions atomic.Int64 // state.sessions, for anybody

	retained, retainedBytes atomic.Int64 // of state

	index indexer

	noted   atomic.Int64 // state.next as last written
	first   int64        // as of Open: the log was not to begin later
	flushMu sync.Mutex
	flushed int64 // guarded by flushMu: state.next as last flushed; no replay begins below
}

// viewState is written with every batch: what the view reflects.
type viewState struct {
	next     int64 // every record below is reflected
	durable  int64 // every record below was synced when this was written: a log that ends below has lost something
	run      int64 // offset of the last kindStart
	sessions int64

	retained, retainedBytes int64 // messages, and what they take in the view
}

func (v viewState) encode() []byte {
	b := binary.AppendVarint(nil, v.next)
	b = binary.AppendVarint(b, v.durable)
	b = binary.AppendVarint(b, v.run)
	b = binary.AppendVarint(b, v.sessions)
	b = binary.AppendVarint(b, v.retained)
	return binary.AppendVarint(b, v.retainedBytes)
}

func (v *viewState) decode(b []byte) error {
	d := view.Decoder{B: b}
	v.next, v.durable, v.run, v.sessions = d.Int(), d.Int(), d.Int(), d.Int()
	v.retained, v.retainedBytes = d.Int(), d.Int()
	return d.Err
}

// openView opens the view in the store's directory, or makes it.
func openView(s *Store) (*sessionView, error) {
	v := &sessionView{s: s}
	dir := s.opts.FS.PathJoin(s.opts.Dir, "view")
	db, err := view.Open(&view.OpenOptions{
		Dir: dir, FS: s.opts.FS, Locked: true, CacheBytes: 8 << 20, MemTableBytes: 4 << 20, Files: 200,
		Failed: s.failure.get,
		Fail: func(err error) {
			s.fail("keep the view of sessions", err) //nolint:errcheck // it is the failure itself
		},
		Warn: func(text string) { s.seldom.Warn("the view of sessions", "text", text) },
	})
	if err != nil {
		return nil, err
	}
	v.db = db
	err = v.load(keyState, v.state.decode)
	if err == nil {
		err = v.load(keyFirst, func(b []byte) error { d := view.Decoder{B: b}; v.first = d.Int(); return d.Err })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the view in %s: %w", dir, err), db.Close())
	}
	v.publish()
	v.flushed = v.state.next
	return v, nil
}

// load decodes the value of a key that may be missing.
func (v *sessionView) load(key byte, decode func([]byte) error) error {
	value, done, err := v.db.Get([]byte{key})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer done.Close() //nolint:errcheck // cannot fail
	return decode(value)
}

func (v *sessionView) publish() {
	v.sessions.Store(v.state.sessions)
	v.retained.Store(v.state.retained)
	v.retainedBytes.Store(v.state.retainedBytes)
	v.noted.Store(v.state.next)
}

// applyBatch brings the view up to the end of b. A batch of messages that completes no block writes nothing, but
// when note is set: then the view says at least that it has seen it.
func (v *sessionView) applyBatch(b *batch, note bool) error {
	t := v.txn()
	defer t.Close()
	if note {
		t.Batch()
	}
	pos := b.at
	for i := range b.items {
		rec := b.items[i].rec
		h, _ := parseHeader(rec, v.s.salt)
		if err := t.record(&h, rec[recordHeader:], pos); err != nil {
			return err
		}
		pos += int64(len(rec))
	}
	return t.commit(b.next(), b.durable)
}

// flush makes durable what the view has been told.
func (v *sessionView) flush() error {
	v.flushMu.Lock()
	defer v.flushMu.Unlock()
	if v.noted.Load() <= v.flushed {
		return nil
	}
	return v.flushAll()
}

// begin makes durable that the log is to begin at first, together with the view of what lies below. It comes before a
// segment is removed: otherwise one that is missing could not be told from one that was dropped.
func (v *sessionView) begin(first int64) error {
	v.flushMu.Lock()
	defer v.flushMu.Unlock()
	if err := v.db.Set([]byte{keyFirst}, binary.AppendVarint(nil, first), pebble.NoSync); err != nil {
		return fmt.Errorf("write to the view: %w", err)
	}
	return v.flushAll()
}

// settle notes that all of the log is durable, so that an end that is missing will be missed. For the applying
// goroutine, when nothing is under way.
func (v *sessionView) settle() error {
	t := v.txn()
	defer t.Close()
	t.Batch()
	return t.commit(v.state.next, v.state.next)
}

// flushAll flushes whatever there is. flushMu held.
func (v *sessionView) flushAll() error {
	next := v.noted.Load()
	done, err := v.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush the view: %w", err)
	}
	<-done
	if err := v.s.failure.get(); err != nil {
		return err // it was not flushed, whatever Pebble says
	}
	v.flushed = next
	return nil
}
