package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

const (
	readDefault  = 64 << 10 // bytes returned when the caller does not say
	readScanMin  = 4 << 20  // bytes looked at in one call, at least, before it returns with what it has
	recordWeight = 64       // what a record costs beside its bytes
)

var scanBufs = sync.Pool{New: func() any { b := make([]byte, 0, scanChunk); return &b }}

// Read returns messages from a place on; see store.Store. Near the end it reads memory only.
//
// Damage is never passed over in silence: what stands before it is returned first, then the call that starts at it
// returns store.ErrCorrupt, naming segment and byte, and as next the first offset behind the range that cannot be
// read. A caller who goes on from there knows what it has lost.
func (s *Store) Read(from store.Position, q *store.Query, maxBytes int) (recs []store.Record, next int64, missed int64, err error) {
	if !s.gate.enter() {
		return nil, from.Offset, 0, store.ErrClosed
	}
	defer s.gate.leave()
	if maxBytes <= 0 {
		maxBytes = readDefault
	}
	for {
		end := s.next.Load()
		segs := *s.segs.Load()
		next = from.Offset
		if base := segs[0].base; next < base {
			missed = base - max(next, 0)
			next = base
		}
		if next >= end {
			return nil, next, missed, nil
		}
		if recs, n, ok := s.readRecent(next, end, q, maxBytes); ok {
			return recs, n, missed, nil
		}
		recs, next, err = s.readSegments(segs, next, end, q, maxBytes)
		if err != nil && errors.Is(err, fs.ErrNotExist) && (*s.segs.Load())[0] != segs[0] {
			continue // retention took a segment away meanwhile
		}
		return recs, next, missed, err
	}
}

// readRecent reads the ring; false when it does not reach back to from.
func (s *Store) readRecent(from, end int64, q *store.Query, maxBytes int) ([]store.Record, int64, bool) {
	var space [ringChunk]recentBatch
	list, ok := s.recent.from(from, space[:0])
	if !ok {
		return nil, from, false
	}
	var recs []store.Record
	next := from
	for i := range list {
		if list[i].first >= end {
			break // durable, but not shown yet
		}
		for j := range list[i].recs {
			rec := &list[i].recs[j]
			if rec.Offset < from || !matches(q, rec.Topic) {
				continue
			}
			if maxBytes -= weight(rec); maxBytes < 0 && len(recs) > 0 {
				return recs, rec.Offset, true
			}
			recs = append(recs, *rec)
		}
		next = list[i].next
	}
	return recs, next, true
}

func weight(r *store.Record) int {
	return recordWeight + len(r.Topic) + len(r.Payload) + len(r.Forward)
}

func matches(q *store.Query, topic string) bool {
	return q == nil || q.Match == nil || q.Match(topic)
}

// readSegments reads files, with the help of the index.
func (s *Store) readSegments(segs segments, from, end int64, q *store.Query, maxBytes int) ([]store.Record, int64, error) {
	buf := scanBufs.Get().(*[]byte)
	r := reader{
		s: s, q: q, want: compile(q), left: maxBytes,
		scan: scanner{fs: s.opts.FS, salt: s.salt, limit: maxRecordLimit, segs: segs, end: end, buf: (*buf)[:0]},
	}
	next, err := r.run(from, end, max(readScanMin, 4*int64(maxBytes)))
	r.scan.close()
	if cap(r.scan.buf) <= 4*scanChunk {
		*buf = r.scan.buf
		scanBufs.Put(buf)
	}
	if bad := (*corruption)(nil); errors.As(err, &bad) {
		if len(r.recs) > 0 {
			return r.recs, next, nil
		}
		next = r.beyond(bad.offset)
		s.seldom.Error("the log is damaged: records cannot be read", "segment", bad.path, "byte", bad.pos,
			"from_offset", bad.offset, "to_offset", next, "what", bad.what)
		return nil, next, fmt.Errorf("read offsets %d to %d: %w", bad.offset, next, err)
	}
	if err != nil && len(r.recs) > 0 {
		return r.recs, next, nil
	}
	return r.recs, next, err
}

// reader is one Read of segments.
type reader struct {
	s     *Store
	q     *store.Query
	want  blocks.Wanted
	left  int // bytes that may still be returned
	scan  scanner
	index indexScan
	recs  []store.Record
	out   []byte // the returned records alias slabs like this one
}

// run reads blocks until something is full and returns the offset to go on from.
func (r *reader) run(from, end, budget int64) (next int64, err error) {
	defer r.index.close()
	next = from
	for next < end && r.left > 0 && r.scan.bytes+r.index.bytes < budget {
		block := next >> blocks.Shift
		stop := min((block+1)<<blocks.Shift, end)
		entry, known, err := r.index.find(r.s.view.db, block)
		if err != nil {
			return next, err
		}
		if known && !r.want.MayBeIn(entry.topics) {
			next = stop
			continue
		}
		if r.scan.file == nil || r.scan.offset != next {
			if err := r.s.seek(&r.scan, next); err != nil {
				return next, err
			}
		}
		if next, err = r.block(next, stop, !known && stop&blocks.Mask == 0); err != nil {
			return next, err
		}
	}
	return next, nil
}

// block reads from next to stop. build says that the index lacks the block: it is written when all of it was read.
func (r *reader) block(next, stop int64, build bool) (int64, error) {
	var x *indexer
	if build && next&blocks.Mask == 0 {
		x = new(indexer)
	}
	for next < stop {
		h, body, err := r.scan.next()
		if errors.Is(err, io.EOF) {
			return stop, nil // a gap at the end of the block
		}
		if err != nil {
			return next, err
		}
		if h.offset >= stop {
			// A gap leads into another block.
			return stop, nil
		}
		if x != nil {
			x.add(&h, body, r.scan.pos-h.size())
		}
		if h.kind == kindMessage && matches(r.q, messageTopic(&h, body)) {
			full, err := r.take(&h, body)
			if err != nil {
				err = r.scan.malformed(&h, err)
			}
			if full || err != nil {
				return h.offset, err
			}
		}
		next = h.offset + 1
	}
	if x != nil && x.whole {
		return next, r.s.view.putIndex(x)
	}
	return next, nil
}

// take copies a message to the result; full when there was no room for it.
func (r *reader) take(h *header, body []byte) (full bool, err error) {
	if r.left -= recordWeight + len(body); r.left < 0 && len(r.recs) > 0 {
		return true, nil
	}
	if cap(r.out)-len(r.out) < len(body) {
		r.out = make([]byte, 0, max(len(body), min(slabSize, r.left)))
	}
	from := len(r.out)
	r.out = append(r.out, body...)
	p, err := parseMessage(h, r.out[from:len(r.out):len(r.out)])
	if err != nil {
		return false, err
	}
	r.recs = append(r.recs, p.rec)
	return false, nil
}

// beyond is the first offset after bad that the index can find again in the same segment, or that the next begins.
func (r *reader) beyond(bad int64) int64 {
	segs := r.scan.segs
	i := max(segs.find(bad), 0)
	end := r.scan.end
	if i+1 < len(segs) {
		end = segs[i+1].base
	}
	var x indexScan
	defer x.close()
	for block := bad>>blocks.Shift + 1; block<<blocks.Shift < end; block++ {
		if _, known, err := x.find(r.s.view.db, block); err == nil && known {
			return block << blocks.Shift
		}
	}
	return end
}

// indexScan finds entries of ascending blocks.
type indexScan struct {
	it    *pebble.Iterator
	bytes int64 // looked at so far
}

// find returns the entry of block, valid until the next call; known is false when there is none.
func (x *indexScan) find(db *pebble.DB, block int64) (e indexEntry, known bool, err error) {
	key := view.NumberKey(keyIndex, block, "")
	var ok bool
	switch {
	case x.it == nil:
		if x.it, err = db.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: []byte{keyIndex + 1}}); err != nil {
			return e, false, fmt.Errorf("read the index: %w", err)
		}
		ok = x.it.First()
	case !x.it.Valid():
		return e, false, x.it.Error()
	default:
		at, _ := view.SplitNumber(x.it.Key())
		if at < block {
			x.it.Next()
		}
		if ok = x.it.Valid(); ok {
			if at, _ = view.SplitNumber(x.it.Key()); at < block {
				ok = x.it.SeekGE(key)
			}
		}
	}
	if !ok {
		return e, false, x.it.Error()
	}
	if at, _ := view.SplitNumber(x.it.Key()); at != block {
		return e, false, nil
	}
	value, err := x.it.ValueAndErr()
	if err != nil {
		return e, false, fmt.Errorf("read the index: %w", err)
	}
	x.bytes += int64(len(value))
	e, known = parseIndex(value)
	return e, known, nil
}

func (x *indexScan) close() {
	if x.it != nil {
		x.it.Close() //nolint:errcheck,gosec // its errors were returned by find
		x.it = nil
	}
}

// seek goes to the record at offset, from the last block before it in its segment that the index knows.
func (s *Store) seek(r *scanner, offset int64) error {
	base := r.segs[max(r.segs.find(offset), 0)].base
	it, err := s.view.db.NewIter(&pebble.IterOptions{
		LowerBound: view.NumberKey(keyIndex, (base+blocks.Mask)>>blocks.Shift, ""), UpperBound: view.NumberKey(keyIndex, offset>>blocks.Shift+1, ""),
	})
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	near, pos := int64(-1), int64(0)
	if it.Last() {
		block, _ := view.SplitNumber(it.Key())
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("read the index: %w", err), it.Close())
		}
		if e, ok := parseIndex(value); ok {
			near, pos = block<<blocks.Shift, e.pos
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	return r.seek(offset, near, pos)
}

// putIndex writes the entry of a block that a reader has built.
func (v *sessionView) putIndex(x *indexer) error {
	if err := v.db.Set(view.NumberKey(keyIndex, x.block, ""), x.value(), pebble.NoSync); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	return nil
}

// Get returns the record at p; see store.Store.
func (s *Store) Get(p store.Position) (store.Record, error) {
	if !s.gate.enter() {
		return store.Record{}, store.ErrClosed
	}
	defer s.gate.leave()
	for {
		end := s.next.Load()
		segs := *s.segs.Load()
		if p.Offset < segs[0].base {
			if rec, found, err := s.getRetained(p.Offset); found || err != nil {
				return rec, err
			}
			return store.Record{}, fmt.Errorf("offset %d: the oldest kept is %d: %w", p.Offset, segs[0].base, store.ErrExpired)
		}
		if p.Offset >= end {
			return store.Record{}, fmt.Errorf("offset %d: the log ends at %d: %w", p.Offset, end, store.ErrExpired)
		}
		if rec, found, known := s.recent.get(p.Offset); known {
			if !found {
				return rec, fmt.Errorf("offset %d is not a message: %w", p.Offset, store.ErrCorrupt)
			}
			return rec, nil
		}
		rec, err := s.getSegment(segs, p.Offset, end)
		if err != nil && errors.Is(err, fs.ErrNotExist) && (*s.segs.Load())[0] != segs[0] {
			continue // retention took a segment away meanwhile
		}
		return rec, err
	}
}

// getSegment reads one record from its segment.
func (s *Store) getSegment(segs segments, offset, end int64) (store.Record, error) {
	buf := scanBufs.Get().(*[]byte)
	r := scanner{fs: s.opts.FS, salt: s.salt, limit: maxRecordLimit, segs: segs, end: end, buf: (*buf)[:0]}
	defer func() {
		r.close()
		if cap(r.buf) <= 4*scanChunk {
			*buf = r.buf
			scanBufs.Put(buf)
		}
	}()
	if err := s.seek(&r, offset); err != nil {
		return store.Record{}, s.damaged(err)
	}
	h, body, err := r.next()
	if err != nil {
		return store.Record{}, s.damaged(err)
	}
	if h.offset != offset {
		return store.Record{}, fmt.Errorf("offset %d was lost before it was synced: %w", offset, store.ErrExpired)
	}
	if h.kind != kindMessage {
		return store.Record{}, fmt.Errorf("offset %d is not a message: %w", offset, store.ErrCorrupt)
	}
	p, err := parseMessage(&h, append([]byte(nil), body...))
	if err != nil {
		return store.Record{}, s.damaged(r.malformed(&h, err))
	}
	return p.rec, nil
}

// damaged logs corruption.
func (s *Store) damaged(err error) error {
	if bad := (*corruption)(nil); errors.As(err, &bad) {
		s.seldom.Error("the log is damaged: a record cannot be read", "segment", bad.path, "byte", bad.pos, "offset", bad.offset, "what", bad.what)
	}
	return err
}
