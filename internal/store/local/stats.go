package local

import (
	"sync/atomic"
	"time"
)

// Stats is what a Store says of itself at one moment. Counts begin with Open.
type Stats struct {
	Appends Histogram // seconds from the first append of a batch until those who appended are told
	Syncs   Histogram // seconds of one sync of the log
	Batches Histogram // records of a batch
	Written int64     // bytes of records
	Waits   int64     // times an append waited for room in the batch

	First, Next  int64 // offsets: of the oldest record kept, and where the next visible one will be
	Segments     int
	LogBytes     int64
	Oldest       time.Time // when the oldest segment was begun
	Dropped      int64     // segments dropped by retention
	DroppedBytes int64     // of those
	DiskFree     int64     // bytes at the last look, which is a second ago at most
	DiskReserve  int64
	Full, Failed bool // messages are refused for lack of space; for good

	Retained, RetainedBytes int64 // messages, and what they take in the view
}

// counters are what Stats counts.
type counters struct {
	appends, syncs, batches        *histogram
	written, dropped, droppedBytes atomic.Int64
}

func newCounters() counters {
	return counters{appends: newDurations(), syncs: newDurations(), batches: newCounts()}
}

// Stats returns where the store stands.
func (s *Store) Stats() Stats {
	segs := *s.segs.Load()
	st := Stats{
		Appends: s.stats.appends.snapshot(), Syncs: s.stats.syncs.snapshot(), Batches: s.stats.batches.snapshot(),
		Written: s.stats.written.Load(), Waits: s.waits.Load(),
		First: segs[0].base, Next: s.next.Load(), Segments: len(segs), Oldest: time.UnixMilli(segs[0].created),
		Dropped: s.stats.dropped.Load(), DroppedBytes: s.stats.droppedBytes.Load(),
		DiskFree: s.disk.free.Load(), DiskReserve: max(s.disk.reserve, 0),
		Full: s.disk.refusesMessages(), Failed: s.failure.get() != nil,
		Retained: s.view.retained.Load(), RetainedBytes: s.view.retainedBytes.Load(),
	}
	for _, seg := range segs {
		st.LogBytes += seg.size.Load()
	}
	return st
}

// Accepting is nil while messages are taken; else it says why they are not.
func (s *Store) Accepting() error {
	s.mu.Lock()
	err := s.refuse
	s.mu.Unlock()
	if err == nil && s.disk.refusesMessages() {
		err = s.disk.fullError()
	}
	return err
}
