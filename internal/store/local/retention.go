package local

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// retain drops the segments that are too old or too many. The last one always stays.
func (s *Store) retain() {
	if s.failure.get() != nil {
		return
	}
	for s.overdue() {
		dropped, err := s.dropOldest()
		if err != nil {
			s.fail("drop the oldest segment", err) //nolint:errcheck // it is the failure itself
			return
		}
		if !dropped {
			break
		}
	}
	if s.opts.RetentionTime > 0 {
		s.ask(wantRoll)
	}
}

// overdue says that the oldest segment should go.
func (s *Store) overdue() bool {
	segs := *s.segs.Load()
	if len(segs) < 2 {
		return false
	}
	// The next segment was begun after the last record of this one.
	if keep := s.opts.RetentionTime; keep > 0 && s.now()-segs[1].created > keep.Milliseconds() {
		return true
	}
	if s.opts.RetentionBytes == 0 {
		return false
	}
	total := int64(0)
	for _, seg := range segs {
		total += seg.size.Load()
	}
	return total > s.opts.RetentionBytes
}

// dropOldest removes the oldest segment. First the view of it becomes durable: what sessions need of it lives there.
// False: the view is not that far yet.
func (s *Store) dropOldest() (bool, error) {
	segs := *s.segs.Load()
	old, first := segs[0], segs[1].base
	if s.view.noted.Load() < first {
		return false, nil
	}
	if err := s.view.begin(first); err != nil {
		return false, err
	}
	s.segMu.Lock()
	rest := (*s.segs.Load())[1:]
	s.segs.Store(&rest)
	s.segMu.Unlock()
	if err := s.opts.FS.Remove(old.path); err != nil {
		return false, fmt.Errorf("remove %s: %w", old.path, err)
	}
	// One sync per segment: a crash must not bring back an older one without those behind it.
	if err := view.SyncDir(s.opts.FS, s.logDir); err != nil {
		return false, err
	}
	s.stats.dropped.Add(1)
	s.stats.droppedBytes.Add(old.size.Load())
	s.seldom.Info("dropped the oldest segment", "segment", old.path, "from_offset", old.base, "to_offset", first)
	if err := s.view.db.DeleteRange([]byte{keyIndex}, view.NumberKey(keyIndex, first>>blocks.Shift, ""), pebble.NoSync); err != nil {
		return false, fmt.Errorf("delete the index of %s: %w", old.path, err)
	}
	return true, nil
}

// addSegment lists a new last segment.
func (s *Store) addSegment(seg *segment) {
	s.segMu.Lock()
	defer s.segMu.Unlock()
	var list segments
	if old := s.segs.Load(); old != nil {
		list = append(list, *old...)
	}
	list = append(list, seg)
	s.segs.Store(&list)
}
