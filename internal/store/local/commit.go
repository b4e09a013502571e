package local

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The way of a record:
//
//	Append, Change   encode into the pending batch                         publishers' goroutines, mu held
//	committer        take the batch, write it, sync it once                one goroutine, no lock
//	finisher         view, ring, next, completions, sink                   one goroutine, no lock
//
// While the committer writes one batch the next one gathers: the slower the disk, the larger the batches, and with a
// single publisher each message is written at once. No timer is involved. Rejected: letting the first publisher of a
// batch do the write on its own goroutine, which saves a switch of goroutines but makes a connection's reader wait
// for the disk on behalf of others.

// commit is the committer's goroutine. It ends when the store is closing and nothing is pending.
func (s *Store) commit() {
	defer close(s.toFinish)
	for {
		b, wants := s.gather()
		if b == nil && wants == 0 {
			return
		}
		if wants&wantRoll != 0 {
			s.guard(s.rollIfOld())
		}
		if wants&wantSync != 0 {
			s.guard(s.syncLazily())
		}
		if b != nil {
			b.err = s.commitBatch(b)
			s.toFinish <- b
		}
	}
}

// wants are what others ask of the committer beside batches.
type wants uint8

const (
	wantRoll wants = 1 << iota // begin a new segment when the last one is old
	wantSync                   // sync what was acknowledged before its sync
)

// ask wakes the committer.
func (s *Store) ask(w wants) {
	s.mu.Lock()
	s.wanted |= w
	s.work.Signal()
	s.mu.Unlock()
}

// gather waits for something to do. Nothing at all means: end.
func (s *Store) gather() (*batch, wants) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending.items) == 0 && s.wanted == 0 {
		if s.closing {
			return nil, 0
		}
		s.work.Wait()
	}
	w := s.wanted
	s.wanted = 0
	if len(s.pending.items) == 0 {
		return nil, w
	}
	b := s.pending
	s.writing = b.size
	select {
	case s.pending = <-s.free:
	default:
		s.pending = new(batch)
	}
	s.room.Broadcast()
	return b, w
}

// guard turns an error of the committer's into the store's failure.
func (s *Store) guard(err error) {
	if err != nil {
		s.fail("write the log", err) //nolint:errcheck // it is the failure itself
	}
}

// commitBatch makes b durable. An error is the store's failure.
func (s *Store) commitBatch(b *batch) error {
	if err := s.failure.get(); err != nil {
		return err
	}
	if size := s.writer.segment.size.Load(); size > segmentHeader && (size+int64(b.size) > s.opts.SegmentSize || s.isOld()) {
		if err := s.roll(b.first); err != nil {
			return s.fail("begin a segment", err)
		}
	}
	if err := s.writer.write(b, s.salt, !s.opts.NoSync); err != nil {
		return s.fail("write the log", err)
	}
	s.stats.written.Add(int64(b.size))
	s.disk.wrote(int64(b.size))
	return nil
}

// writer writes the last segment. The committer's alone.
type writer struct {
	segment *segment
	file    vfs.File
	durable int64 // every record below this offset is synced
	end     int64 // offset after the last record written
	syncs   *histogram
}

// write appends b to the segment and syncs it, all in one.
func (w *writer) write(b *batch, salt uint32, sync bool) error {
	setLag(b.items[0].rec, lag(b.first, w.durable), salt)
	b.segment, b.at = w.segment, w.segment.size.Load()
	pos := b.at
	for _, chunk := range b.chunks {
		n, err := w.file.WriteAt(chunk, pos)
		if err != nil {
			return fmt.Errorf("write %d bytes at byte %d of %s: %w", len(chunk), pos, w.segment.path, err)
		}
		pos += int64(n)
	}
	w.end = b.next()
	w.segment.size.Store(pos)
	if sync {
		if err := w.sync(); err != nil {
			return err
		}
	}
	b.durable = w.durable
	return nil
}

func (w *writer) sync() error {
	if w.durable == w.end {
		return nil
	}
	began := time.Now()
	if err := w.file.SyncData(); err != nil {
		return fmt.Errorf("sync %s: %w", w.segment.path, err)
	}
	w.syncs.since(began)
	w.durable = w.end
	return nil
}

// close closes the file, once.
func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return fmt.Errorf("close segment %s: %w", w.segment.path, err)
	}
	return nil
}

// lag is what a record at offset says when everything below durable is synced. A promise that is too old to be
// expressed is not made.
func lag(offset, durable int64) uint32 {
	return uint32(min(offset-durable, noPromise))
}

// roll closes the last segment and begins one at offset.
func (s *Store) roll(offset int64) error {
	w := &s.writer
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.close(); err != nil {
		return err
	}
	return s.begin(offset, offset)
}

// begin makes the segment at base the last one.
func (s *Store) begin(base, prevEnd int64) error {
	seg := &segment{
		path: s.opts.FS.PathJoin(s.logDir, segmentName(base)),
		base: base, prevBase: -1, prevEnd: prevEnd, created: s.now(), salt: s.salt,
	}
	if s.writer.segment != nil {
		seg.prevBase = s.writer.segment.base
	}
	f, err := createSegment(s.opts.FS, s.logDir, seg)
	if err != nil {
		return err
	}
	s.writer.segment, s.writer.file = seg, f
	s.addSegment(seg)
	return nil
}

// isOld says that the last segment should be followed by another, so that retention can drop it in time: it holds
// records of more than a quarter of the retention.
func (s *Store) isOld() bool {
	seg := s.writer.segment
	return s.opts.RetentionTime > 0 && seg.size.Load() > segmentHeader &&
		s.now()-seg.created > s.opts.RetentionTime.Milliseconds()/4
}

// rollIfOld begins a new segment when nothing else does because nothing is published. The finisher is told by a batch
// without records.
func (s *Store) rollIfOld() error {
	if s.failure.get() != nil || !s.isOld() {
		return nil
	}
	w := &s.writer
	if err := s.roll(w.end); err != nil {
		return err
	}
	s.toFinish <- &batch{first: w.end, durable: w.durable, segment: w.segment, at: segmentHeader}
	return nil
}

// syncLazily makes durable what was acknowledged before its sync.
func (s *Store) syncLazily() error {
	if s.failure.get() != nil {
		return nil
	}
	return s.writer.sync()
}

// finish is the finisher's goroutine: what is durable becomes visible, in order.
func (s *Store) finish() {
	for b := range s.toFinish {
		if b.err == nil {
			b.err = s.show(b)
		}
		s.complete(b)
		b.reset() // nobody else holds it; its records and bytes live on
		select {
		case s.free <- b:
		default:
		}
	}
}

// show makes a durable batch visible to Load and Read.
func (s *Store) show(b *batch) error {
	if err := s.view.applyBatch(b, b.segment != s.shown); err != nil {
		return s.fail("update the view of sessions", err)
	}
	s.recent.add(b)
	s.next.Store(b.next())
	s.shows.tell()
	if b.segment != s.shown {
		s.shown = b.segment
		s.flushSoon()
	}
	return nil
}

// complete tells the publishers, then the sink: an acknowledgement does not wait for the delivery.
func (s *Store) complete(b *batch) {
	for i := range b.items {
		it := &b.items[i]
		if it.done == nil {
			continue
		}
		if b.err != nil {
			it.done.Appended(it.token, store.Position{Offset: -1}, b.err)
		} else {
			it.done.Appended(it.token, store.Position{Offset: b.first + int64(i)}, nil)
		}
	}
	if b.err == nil && len(b.items) > 0 {
		s.stats.appends.since(b.since)
		s.stats.batches.observe(int64(len(b.items)))
	}
	if b.err != nil || len(b.recs) == 0 {
		return
	}
	if sink := s.sink.Load(); sink != nil {
		(*sink)(b.recs)
	}
}
