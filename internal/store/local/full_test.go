package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
)

// fill publishes messages of size bytes, some at a time, until each publisher was refused, and returns how many were
// taken.
func fill(t *testing.T, s *local.Store, publishers, size int) int {
	t.Helper()
	var wg sync.WaitGroup
	taken := make([]int, publishers)
	for p := range publishers {
		wg.Go(func() {
			for {
				_, err := publish(s, &store.Message{Topic: "full", QoS: 1, Payload: bytes.Repeat([]byte{byte(p)}, size)})
				if errors.Is(err, store.ErrFull) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken[p]++
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range taken {
		sum += n
	}
	return sum
}

// count reads all messages.
func count(t *testing.T, s *local.Store) int {
	t.Helper()
	n := 0
	for from := (store.Position{}); ; {
		recs, next, missed, err := s.Read(from, everything(), 1<<20)
		if err != nil || missed != 0 {
			t.Fatalf("read from %d: missed %d, error %v", from.Offset, missed, err)
		}
		n += len(recs)
		if next == from.Offset {
			return n
		}
		from.Offset = next
	}
}

// Publishes are refused before the disk is full, however many are under way and however large they are: the log never
// meets the end of the disk, which it would not survive. All that was answered well is kept.
func TestFullBeforeTheDiskIs(t *testing.T) {
	for _, c := range []struct{ publishers, size int }{{1, 20 << 10}, {100, 2000}, {30, 300 << 10}, {8, 5 << 20}, {1, 11 << 20}} {
		t.Run(fmt.Sprintf("%d publishers of %d bytes", c.publishers, c.size), func(t *testing.T) {
			t.Parallel()
			disk := crashfs.New(1)
			disk.Limit(12 << 20)
			opts := local.Options{
				Dir: "data", FS: disk, DiskReserve: 4 << 20, CheckInterval: time.Hour, SegmentSize: 1 << 20, RecentBytes: -1,
			}
			s, err := local.Open(opts)
			if err != nil {
				t.Fatal(err)
			}
			taken := fill(t, s, c.publishers, c.size)
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			if taken*c.size > 10<<20 || (taken+c.publishers)*c.size < 6<<20 {
				t.Errorf("%d messages were taken", taken)
			}
			if got := count(t, s); got != taken {
				t.Errorf("%d messages were taken and %d are read", taken, got)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// On a disk that is nearly full what gives room, or lets subscribers take what there is, goes on; on one that is fuller
// still nothing does. Everything is taken again when there is room.
func TestChangesOnAFullDisk(t *testing.T) {
	disk := crashfs.New(1)
	disk.Limit(12 << 20)
	s, err := local.Open(local.Options{Dir: "data", FS: disk, DiskReserve: 4 << 20, CheckInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	subscription := store.Subscription{Filter: "a", QoS: 2}
	before := []store.Change{
		{Kind: store.Connect, Client: "c", Expiry: 100},
		{Kind: store.Subscribe, Client: "c", Subscription: subscription},
	}
	taken := []store.Change{
		{Kind: store.Connect, Client: "d", Expiry: 100},
		{Kind: store.Send2, Client: "c", Inflight: []store.Inflight{{PacketID: 1, QoS: 2}}},
		{Kind: store.Pubrec, Client: "c", Inflight: []store.Inflight{{PacketID: 1}}},
		{Kind: store.Done2, Client: "c", Inflight: []store.Inflight{{PacketID: 1}}},
		{Kind: store.Progress, Client: "c", Cursor: []store.Position{{Offset: 1}}},
		{Kind: store.Release, Client: "c", PacketID: 1},
		{Kind: store.Receipted, Client: "c", PacketID: 2},
		{Kind: store.Refused, Client: "c", PacketID: 3},
		{Kind: store.Note, Cursor: []store.Position{{Queue: 7}}, Value: []byte("note")},
		{Kind: store.Checkpoint},
		{Kind: store.Unsubscribe, Client: "c", Subscription: subscription},
		{Kind: store.Detach, Client: "c", Expiry: 100},
		{Kind: store.Remove, Client: "c"},
	}
	refused := []store.Change{
		{Kind: store.Subscribe, Client: "d", Subscription: subscription},
		{Kind: store.Receive, Client: "d", Receipt: store.Receipt{PacketID: 1}},
	}
	all := func(list []store.Change, want error) {
		t.Helper()
		for _, c := range list {
			if err := change(s, &c); !errors.Is(err, want) {
				t.Errorf("change of kind %d: %v, want %v", c.Kind, err, want)
			}
		}
	}
	all(before, nil)
	fill(t, s, 4, 10<<10)
	all(taken, nil)
	all(refused, store.ErrFull)
	if err := live(s); err != nil {
		t.Errorf("QoS 0, which is not written: %v", err)
	}

	used := 12<<20 - s.Stats().DiskFree
	disk.Limit(used + 1<<19)
	eventually(t, "changes are refused", func() bool { return errors.Is(change(s, &taken[0]), store.ErrFull) })
	all(slices.Concat(taken, refused), store.ErrFull)

	disk.Limit(1 << 30)
	eventually(t, "messages are taken", func() bool { _, err := publish(s, message(1)); return err == nil })
	all(slices.Concat(taken, refused), nil)
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

// live publishes a QoS 0 message and says whether it was handed over.
func live(s *local.Store) error {
	err := errors.New("it was not handed to the sink")
	s.Follow(func(batch []store.Record) {
		if len(batch) == 1 && batch[0].Topic == "live" {
			err = nil
		}
	})
	if _, refused := publish(s, &store.Message{Topic: "live"}); refused != nil {
		return refused
	}
	return err
}

// A disk that others fill, beyond the reserve, ends the store with a message that says what to do. What was answered
// well is there when there is room again.
func TestDiskWithoutRoom(t *testing.T) {
	disk := crashfs.New(1)
	opts := local.Options{Dir: "data", FS: disk, DiskReserve: 4 << 20, CheckInterval: time.Hour}
	s, err := local.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	const n = 50
	for i := range n {
		if _, err := publish(s, message(i)); err != nil {
			t.Fatal(err)
		}
	}
	disk.Limit(1)
	_, err = publish(s, message(n))
	if !errors.Is(err, store.ErrFailed) || !bytes.Contains([]byte(err.Error()), []byte("free space on the disk")) {
		t.Errorf("publish: %v", err)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("the store has not failed")
	}
	s.Close() //nolint:errcheck,gosec // it has failed
	disk.Limit(1 << 30)
	if s, err = local.Open(opts); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := count(t, s); got != n {
		t.Errorf("%d messages are read, want the %d that were answered well", got, n)
	}
}
