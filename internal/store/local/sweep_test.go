package local

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// openForSweep opens a store whose housekeeping is the test's, with n retained messages that expire in an hour.
func openForSweep(t testing.TB, o Options, n int) (s *Store, advance func(time.Duration)) {
	t.Helper()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	o.Dir, o.FS, o.DiskReserve, o.CheckInterval = "data", vfs.NewMem(), -1, time.Hour
	o.RetainFor, o.Clock = time.Hour, func() time.Time { return now }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := waiter{done: make(chan error, 1)}
	for i := range n {
		m := &store.Message{Topic: fmt.Sprintf("building/%d/room/%d/%s", i/1000, i/10%100, []string{"light", "heat"}[i%2]+fmt.Sprint(i%10)), Payload: []byte("x"), QoS: 1, Retain: true}
		s.Append(m, &w, 0)
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
	}
	return s, func(d time.Duration) { now = now.Add(d) }
}

// What has expired is removed a few at a time; with LeaveRetained nothing is written.
func TestSweepRetained(t *testing.T) {
	for _, leave := range []bool{false, true} {
		s, advance := openForSweep(t, Options{LeaveRetained: leave}, sweepMost+10)
		advance(2 * time.Hour)
		before := s.tail.Load()
		next := s.sweepRetained("")
		if n := s.tail.Load() - before; leave && (n != 0 || next != "") || !leave && (n != sweepMost || next == "") {
			t.Errorf("leave %v: %d records were written, go on at %q", leave, n, next)
		}
	}
}

// What it costs to find the retained messages of a filter follows what matches, among 100,000.
func BenchmarkRetained(b *testing.B) {
	s, _ := openForSweep(b, Options{}, 100_000)
	for _, filter := range []string{"building/7/room/7/light0", "building/7/room/7/+", "building/+/room/7/light0", "building/7/#", "nothing/#", "building/+/nothing"} {
		b.Run(filter, func(b *testing.B) {
			found := 0
			for b.Loop() {
				found = 0
				for after := ""; ; {
					recs, next, err := s.Retained(filter, after, nil, 1<<20)
					if err != nil {
						b.Fatal(err)
					}
					if found += len(recs); next == "" {
						break
					}
					after = next
				}
			}
			b.ReportMetric(float64(found), "found")
		})
	}
}
