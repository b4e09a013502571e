package local

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Opening a log:
//
//  1. Read every segment's header: they must name one salt and each the one before.
//  2. Read the last segment in full. It ends at the first record that is not valid. If a valid record behind that
//     place promises that the place was synced (record.go), or the view knows of records behind it that were synced,
//     then this is no unfinished write but damage, and Open refuses.
//  3. Write the end again: what the last sync may not have reached is only in the kernel's cache, and the cache may
//     hold what a failed sync has lost. The rest of the file becomes zeros.
//  4. Replay what the view does not reflect. Damage there refuses as well; damage before it is found by Read.

// recover loads the log and makes it ready for writing.
func (s *Store) recover() error {
	bases, err := listSegments(s.opts.FS, s.logDir)
	if err != nil {
		return err
	}
	list, err := s.loadSegments(bases)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return s.create()
	}
	if err := view.SyncDir(s.opts.FS, s.logDir); err != nil { // a crash may have come between a segment and its entry
		return err
	}
	s.salt = list[0].salt
	s.segs.Store(&list)
	last := list[len(list)-1]
	t, err := s.readTail(last)
	if err != nil {
		return err
	}
	if err := s.checkView(list[0], last, t); err != nil {
		return err
	}
	if err := s.repairTail(last, t); err != nil {
		return err
	}
	s.writer.durable, s.writer.end = t.offset, t.offset
	if err := s.replay(list, t.offset); err != nil {
		return fmt.Errorf("%w; restore the directory from a backup, or take the newest part of the log away: move this segment and all later ones elsewhere", err)
	}
	end := t.offset
	if ahead := s.view.state.next; ahead > end {
		s.log.Warn("the log ends before what was acknowledged: it had not been synced yet (flushDiskType=ASYNC_FLUSH)", "lost", ahead-end, "from_offset", end)
		if err := s.writer.close(); err != nil {
			return err
		}
		if err := s.begin(ahead, end); err != nil {
			return err
		}
		end = ahead
		s.writer.durable, s.writer.end = end, end
	}
	s.tail.Store(end)
	s.next.Store(end)
	return nil
}

// create begins an empty log.
func (s *Store) create() error {
	if n := s.view.state.next; n > 0 {
		return fmt.Errorf("%s has no segments, but its view reflects %d records: segments are missing; restore them, or remove the whole directory to begin anew: %w",
			s.logDir, n, store.ErrCorrupt)
	}
	var salt [4]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return fmt.Errorf("choose a salt: %w", err)
	}
	s.salt = binary.LittleEndian.Uint32(salt[:])
	return s.begin(0, 0)
}

// loadSegments reads the headers. The last segment may be one whose creation was cut short: it is removed.
func (s *Store) loadSegments(bases []int64) (segments, error) {
	var list segments
	for i, base := range bases {
		path := s.opts.FS.PathJoin(s.logDir, segmentName(base))
		seg, err := readSegment(s.opts.FS, path, base)
		if errors.Is(err, errSegmentHeader) && i == len(bases)-1 {
			empty, emptyErr := s.neverWritten(path)
			if emptyErr != nil {
				return nil, emptyErr
			}
			if empty {
				s.log.Info("removed a segment that a crash left unfinished", "segment", path)
				return list, s.removeSegment(path)
			}
		}
		if errors.Is(err, errSegmentHeader) {
			err = fmt.Errorf("%w: %w; restore the file from a backup", err, store.ErrCorrupt)
		}
		if err != nil {
			return nil, err
		}
		if i > 0 {
			prev := list[i-1]
			if seg.salt != prev.salt {
				return nil, fmt.Errorf("segment %s belongs to another log than %s: %w", path, prev.path, store.ErrCorrupt)
			}
			if seg.prevBase != prev.base || seg.prevEnd < prev.base || seg.prevEnd > base {
				return nil, fmt.Errorf("segment %s is missing: %s follows it, but the one before that is %s; restore it: %w",
					s.opts.FS.PathJoin(s.logDir, segmentName(seg.prevBase)), path, prev.path, store.ErrCorrupt)
			}
		}
		list = append(list, seg)
	}
	return list, nil
}

// neverWritten says that no record was ever written to the file: nothing stands behind its header.
func (s *Store) neverWritten(path string) (bool, error) {
	f, err := s.opts.FS.Open(path)
	if err != nil {
		return false, fmt.Errorf("open segment %s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, scanChunk)
	for pos := int64(segmentHeader); ; pos += int64(len(buf)) {
		n, err := f.ReadAt(buf, pos)
		if !isZero(buf[:n]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read segment %s at byte %d: %w", path, pos, err)
		}
	}
}

func (s *Store) removeSegment(path string) error {
	if err := s.opts.FS.Remove(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return view.SyncDir(s.opts.FS, s.logDir)
}

// logTail is where the log ends.
type logTail struct {
	offset int64 // of the next record
	pos    int64 // where it will stand
	sure   int64 // everything before this position was synced; 0: not even the header
	size   int64 // of the file
	why    error // what is there instead of a record; nil: nothing
}

// readTail reads the whole of the last segment.
func (s *Store) readTail(last *segment) (t logTail, err error) {
	r := scanner{fs: s.opts.FS, salt: s.salt, limit: maxRecordLimit, segs: segments{last}, end: math.MaxInt64}
	defer r.close()
	if err := r.open(0); err != nil {
		return t, err
	}
	t = logTail{size: r.size}
	for r.pos < r.size {
		at := r.pos
		h, _, err := r.next()
		if bad := (*corruption)(nil); errors.As(err, &bad) {
			t.why = err
			break
		}
		if err != nil {
			return t, err
		}
		if h.lag == 0 {
			t.sure = at
		}
	}
	t.offset, t.pos = r.offset, r.pos
	if t.why == nil {
		return t, nil
	}
	return t, s.judgeTail(last, &r, &t)
}

// judgeTail decides whether the log may end at t: an error when what stands there was once durable.
func (s *Store) judgeTail(last *segment, r *scanner, t *logTail) error {
	rest := make([]byte, t.size-t.pos)
	n, err := r.file.ReadAt(rest, t.pos)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read segment %s at byte %d: %w", last.path, t.pos, err)
	}
	rest = rest[:n]
	if isZero(rest) {
		t.why = nil
		return nil
	}
	if at := findPromise(rest, t.offset, s.salt); at >= 0 {
		return fmt.Errorf("%w; a record at byte %d was written after this one had been synced, so it is damage and not an unfinished write; "+
			"restore the file from a backup, or give up the records from offset %d on by moving the file elsewhere", t.why, t.pos+int64(at), last.base)
	}
	s.log.Warn("the log ends with an unfinished write, which is cut off: nothing of it was acknowledged",
		"segment", last.path, "byte", t.pos, "offset", t.offset, "bytes", len(bytes.TrimRight(rest, "\x00")), "why", t.why)
	return nil
}

// findPromise looks for a valid record in b that says that the record at offset was synced.
func findPromise(b []byte, offset int64, salt uint32) int {
	le := binary.LittleEndian
	for i := 1; i+recordHeader <= len(b); i++ {
		if o := int64(le.Uint64(b[i+offOffset:])); o <= offset || o > offset+math.MaxUint32 {
			continue
		}
		h, ok := parseHeader(b[i:], salt)
		if !ok || h.offset-int64(h.lag) <= offset || h.size() > int64(len(b)-i) {
			continue
		}
		if h.bodyOK(b[i+recordHeader:i+int(h.size())], salt) {
			return i
		}
	}
	return -1
}

// checkView compares what the view knows with what the log has.
func (s *Store) checkView(first, last *segment, t logTail) error {
	v := &s.view.state
	if t.offset < v.durable {
		return fmt.Errorf("segment %s ends at byte %d, offset %d, but %d was synced: its end, or what followed it, is missing; restore the files from a backup: %w",
			last.path, t.pos, t.offset, v.durable, store.ErrCorrupt)
	}
	if first.base > s.view.first {
		return fmt.Errorf("segment %s is missing: the log begins with %s, at offset %d, and nothing from offset %d on has expired; restore it: %w",
			s.opts.FS.PathJoin(s.logDir, segmentName(s.view.first)), first.path, first.base, s.view.first, store.ErrCorrupt)
	}
	if v.next < first.base {
		return fmt.Errorf("the view of the log ends at offset %d and the oldest segment, %s, begins at %d: the sessions in between are lost; restore the directory \"view\" from a backup: %w",
			v.next, first.path, first.base, store.ErrCorrupt)
	}
	return nil
}

// repairTail makes the end of the log what was read of it, on the disk too, and opens it for writing.
func (s *Store) repairTail(last *segment, t logTail) error {
	f, err := s.opts.FS.OpenReadWrite(last.path, writeCategory)
	if err != nil {
		return fmt.Errorf("open segment %s: %w", last.path, err)
	}
	s.writer.segment, s.writer.file = last, f
	buf := make([]byte, scanChunk)
	for pos := t.sure; pos < t.size; {
		b := buf[:min(int64(len(buf)), t.size-pos)]
		if _, err := f.ReadAt(b, pos); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment %s at byte %d: %w", last.path, pos, err)
		}
		if wipe := max(t.pos-pos, 0); wipe < int64(len(b)) {
			clear(b[wipe:])
		}
		if _, err := f.WriteAt(b, pos); err != nil {
			return fmt.Errorf("write segment %s at byte %d: %w", last.path, pos, err)
		}
		pos += int64(len(b))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync segment %s: %w", last.path, err)
	}
	last.size.Store(t.pos)
	return nil
}

// replayChunk is how many records one transaction of a replay applies.
const replayChunk = 4096

// replay brings the view up to end. It starts a little earlier, at the beginning of a block, for the index.
func (s *Store) replay(list segments, end int64) error {
	v := s.view
	from := max(min(v.state.next, end)&^blocks.Mask, list[0].base)
	if from >= end {
		return nil
	}
	r := scanner{fs: s.opts.FS, salt: s.salt, limit: maxRecordLimit, segs: list, end: end}
	defer r.close()
	if err := s.seek(&r, from); err != nil {
		return err
	}
	t := v.txn()
	defer func() { t.Close() }()
	for n := 0; ; n++ {
		h, body, err := r.next()
		if errors.Is(err, io.EOF) {
			return t.commit(max(end, v.state.next), max(end, v.state.durable))
		}
		if err != nil {
			return err
		}
		if n == replayChunk || h.kind == kindStart { // start may apply in steps: only its own
			if err := t.commit(max(h.offset, v.state.next), v.state.durable); err != nil {
				return err
			}
			t, n = v.txn(), 0
		}
		pos := r.pos - h.size()
		if h.offset < v.state.next {
			err = v.index.record(t, &h, body, pos)
		} else {
			err = t.record(&h, body, pos)
		}
		if err != nil {
			return err
		}
	}
}
