package local_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
)

const patience = 20 * time.Second

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func openStats(t *testing.T, o local.Options) *local.Store {
	t.Helper()
	o.Dir = "data"
	if o.CheckInterval == 0 {
		o.CheckInterval = 5 * time.Millisecond
	}
	s, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

type told chan error

func (a told) Appended(_ uint64, _ store.Position, err error) { a <- err }

// appendOne appends a message of n bytes and waits for the answer.
func appendOne(s *local.Store, n int) error {
	done := make(told, 1)
	s.Append(&store.Message{Topic: "t", QoS: 1, Payload: make([]byte, n)}, done, 0)
	return <-done
}

// What is appended one by one is counted one by one: batches, syncs, records, bytes; the log's size and its segments follow.
func TestStats(t *testing.T) {
	s := openStats(t, local.Options{FS: crashfs.New(1), DiskReserve: -1, SegmentSize: 8 << 10})
	const n, size = 20, 1000
	before := s.Stats()
	for range n {
		if err := appendOne(s, size); err != nil {
			t.Fatal(err)
		}
	}
	var after local.Stats
	eventually(t, "the last batch was counted", func() bool { // that is after the answer
		after = s.Stats()
		return last(after.Appends.Counts)-last(before.Appends.Counts) == n
	})
	if got := last(after.Batches.Counts) - last(before.Batches.Counts); got != n || after.Batches.Sum-before.Batches.Sum != n {
		t.Errorf("%d batches of %v records, want %d", got, after.Batches.Sum-before.Batches.Sum, n)
	}
	if got := last(after.Syncs.Counts) - last(before.Syncs.Counts); got < n {
		t.Errorf("%d syncs, want %d at least", got, n)
	}
	if after.Next-before.Next != n || after.First != 0 {
		t.Errorf("offsets %d to %d, want 0 to %d", after.First, after.Next, before.Next+n)
	}
	written := after.Written - before.Written
	if written < n*size || written > n*(size+200) {
		t.Errorf("%d bytes written", written)
	}
	if after.Segments < 3 || after.LogBytes < written || after.Dropped != 0 || after.Full || after.Failed {
		t.Errorf("%+v", after)
	}
	for _, h := range []local.Histogram{after.Appends, after.Syncs, after.Batches} {
		if len(h.Counts) != len(h.Bounds)+1 || !slices.IsSorted(h.Bounds) || !slices.IsSorted(h.Counts) || h.Sum <= 0 {
			t.Errorf("%+v", h)
		}
	}
	if b := after.Appends.Bounds; b[0] != 50e-6 || b[len(b)-1] != 10 {
		t.Errorf("bounds %v", b)
	}
	if time.Since(after.Oldest) < 0 || time.Since(after.Oldest) > time.Hour {
		t.Errorf("oldest segment of %v", after.Oldest)
	}
}

func last(counts []uint64) uint64 { return counts[len(counts)-1] }

func TestStatsOfRetention(t *testing.T) {
	s := openStats(t, local.Options{FS: crashfs.New(1), DiskReserve: -1, SegmentSize: 8 << 10, RetentionBytes: 20 << 10})
	for range 50 {
		if err := appendOne(s, 1000); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "segments were dropped", func() bool {
		st := s.Stats()
		return st.LogBytes <= 20<<10 && st.Dropped > 0 && st.DroppedBytes+st.LogBytes >= st.Written && st.First > 0
	})
}

// A disk that becomes full while the log is written is said once, as is that there is room again; in between nothing is accepted.
func TestFullDisk(t *testing.T) {
	const reserve = 4 << 20
	fs, log := crashfs.New(1), new(lines)
	fs.Limit(reserve + 3<<20)
	s := openStats(t, local.Options{
		FS: fs, DiskReserve: reserve, CheckInterval: 300 * time.Millisecond, // the writer is to see it before the keeper does
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err := s.Accepting(); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Full || st.DiskFree < reserve || st.DiskReserve != reserve {
		t.Errorf("%+v", st)
	}
	for appendOne(s, 100<<10) == nil {
	}
	if err := s.Accepting(); !errors.Is(err, store.ErrFull) {
		t.Errorf("accepting: %v", err)
	}
	if st := s.Stats(); !st.Full || st.Failed || st.DiskFree >= reserve {
		t.Errorf("%+v", st)
	}
	eventually(t, "it is said", func() bool { return log.count("the disk is nearly full") == 1 })
	fs.Limit(1 << 30)
	eventually(t, "messages are accepted", func() bool { return s.Accepting() == nil })
	eventually(t, "it is said", func() bool { return log.count("there is room on the disk again") == 1 })
	if n := log.count("the disk is nearly full"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// A disk that is full at the start is known before the first message comes.
func TestFullDiskAtOpen(t *testing.T) {
	fs := crashfs.New(1)
	fs.Limit(64 << 20)
	s := openStats(t, local.Options{FS: fs, DiskReserve: 1 << 30})
	if err := s.Accepting(); !errors.Is(err, store.ErrFull) {
		t.Errorf("accepting: %v", err)
	}
	if err := appendOne(s, 1); !errors.Is(err, store.ErrFull) {
		t.Errorf("append: %v", err)
	}
}

// A store that failed says so, as does one that is closed.
func TestAcceptingNothing(t *testing.T) {
	fs := crashfs.New(1)
	s, err := local.Open(local.Options{Dir: "data", FS: fs, DiskReserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	fs.Limit(1)
	if err := appendOne(s, 1); !errors.Is(err, store.ErrFailed) {
		t.Errorf("append: %v", err)
	}
	if err := s.Accepting(); !errors.Is(err, store.ErrFailed) || !s.Stats().Failed {
		t.Errorf("accepting: %v", err)
	}
	_ = s.Close() // it has failed

	s, err = local.Open(local.Options{Dir: "data", FS: crashfs.New(1), DiskReserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Accepting(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("accepting: %v", err)
	}
}
