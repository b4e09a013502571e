package local_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// keeper is a store with retention, and what was published to it.
type keeper struct {
	*testing.T
	clock *storetest.Clock
	disk  *crashfs.FS
	opts  local.Options
	store *local.Store
	at    []int64  // offsets, ascending
	sent  []string // payloads
}

func newKeeper(t *testing.T, opts local.Options) *keeper {
	k := &keeper{T: t, clock: storetest.NewClock(), disk: crashfs.New(1), opts: opts}
	k.opts.Dir, k.opts.FS, k.opts.Clock = "data", k.disk, k.clock.Now
	k.opts.SegmentSize, k.opts.DiskReserve, k.opts.RecentBytes = 8<<10, -1, -1
	if k.opts.CheckInterval == 0 {
		k.opts.CheckInterval = time.Millisecond
	}
	k.open()
	return k
}

func (k *keeper) open() {
	k.Helper()
	s, err := local.Open(k.opts)
	if err != nil {
		k.Fatal(err)
	}
	k.store = s
}

func (k *keeper) close() {
	k.Helper()
	if err := k.store.Close(); err != nil {
		k.Error(err)
	}
}

// publish publishes n messages.
func (k *keeper) publish(n int) {
	k.Helper()
	for range n {
		m := message(len(k.sent))
		at, err := publish(k.store, m)
		if err != nil {
			k.Fatal(err)
		}
		k.at, k.sent = append(k.at, at.Offset), append(k.sent, string(m.Payload))
	}
}

// files is the size of all segments, and the offset at which the first begins.
func (k *keeper) files() (bytes, first int64) {
	k.Helper()
	names := k.segments()
	for _, name := range names {
		info, err := k.disk.Mem().Stat("data/log/" + name)
		if err != nil {
			continue // retention was faster
		}
		bytes += info.Size()
	}
	return bytes, k.base(names[0])
}

// segments are the names of the segments, the oldest first.
func (k *keeper) segments() []string {
	k.Helper()
	names, err := k.disk.Mem().List("data/log")
	if err != nil {
		k.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// base is the offset at which a segment begins.
func (k *keeper) base(name string) (at int64) {
	k.Helper()
	if _, err := fmt.Sscanf(name, "%d.log", &at); err != nil {
		k.Fatal(err)
	}
	return at
}

// check reads all from the beginning: what is below first is missed, everything else is there.
func (k *keeper) check(first int64) {
	k.Helper()
	var got []string
	for from := (store.Position{}); ; {
		recs, next, missed, err := k.store.Read(from, everything(), 4000)
		if want := max(first-from.Offset, 0); err != nil || missed != want {
			k.Fatalf("read from %d: missed %d, want %d, error %v", from.Offset, missed, want, err)
		}
		for i := range recs {
			got = append(got, string(recs[i].Payload))
		}
		if next == from.Offset {
			break
		}
		from.Offset = next
	}
	old, _ := slices.BinarySearch(k.at, first)
	if !slices.Equal(got, k.sent[old:]) {
		k.Errorf("%d messages are read, want the last %d", len(got), len(k.sent)-old)
	}
	for i := range old {
		if _, err := k.store.Get(store.Position{Offset: k.at[i]}); !errors.Is(err, store.ErrExpired) {
			k.Fatalf("Get of offset %d, which is below %d: %v", k.at[i], first, err)
		}
	}
}

// When the segments exceed the limit the oldest ones go, whole, and no more of them than must.
func TestRetentionBySize(t *testing.T) {
	k := newKeeper(t, local.Options{RetentionBytes: 40 << 10})
	defer func() { k.close() }()
	k.publish(500)
	eventually(t, "the log is small enough", func() bool { bytes, _ := k.files(); return bytes <= 40<<10 })
	bytes, first := k.files()
	if bytes < 30<<10 || first == 0 {
		t.Errorf("%d bytes are left, from offset %d on", bytes, first)
	}
	k.check(first)
	k.close()
	k.open()
	k.check(first)
	k.publish(1)
}

// A segment goes when its last record is older than the limit, and a quarter of that later at most, also when nothing
// is published any more. The last one stays, empty.
func TestRetentionByTime(t *testing.T) {
	k := newKeeper(t, local.Options{RetentionTime: 8 * time.Hour})
	defer func() { k.close() }()
	k.publish(100)
	segments := k.store.Stats().Segments
	k.clock.Advance(2*time.Hour + time.Second)
	eventually(t, "a new segment is begun", func() bool { return k.store.Stats().Segments > segments })
	k.clock.Advance(5 * time.Hour)
	k.publish(100)
	k.check(0)

	k.clock.Advance(3*time.Hour + time.Second) // now the first hundred are 10 h old and the others 3 h
	eventually(t, "the old segments are gone", func() bool { _, first := k.files(); return first > k.at[99] })
	_, first := k.files()
	if first != k.at[100] {
		t.Errorf("the log begins at %d and messages from %d on are younger than the limit", first, k.at[100])
	}
	k.check(first)

	// The time of the segment that follows is now; begun only after the next step, it would keep the one before it for so much longer.
	eventually(t, "a segment follows them", func() bool { names := k.segments(); return k.base(names[len(names)-1]) > k.at[199] })
	k.clock.Advance(8*time.Hour + time.Second)
	eventually(t, "all messages are gone", func() bool { _, first := k.files(); return first > k.at[199] })
	_, first = k.files()
	k.check(first)
	k.close()
	k.open()
	k.check(first)
	k.publish(10)
	k.check(first)
}

// A session outlives the part of the log that made it.
func TestSessionsOutliveTheLog(t *testing.T) {
	k := newKeeper(t, local.Options{RetentionBytes: 20 << 10})
	if err := change(k.store, &store.Change{Kind: store.Connect, Client: "c", Principal: "p", Expiry: 100}); err != nil {
		t.Fatal(err)
	}
	k.publish(200)
	eventually(t, "the log is small enough", func() bool { bytes, _ := k.files(); return bytes <= 20<<10 })
	k.disk.Crash()
	k.store.Close() //nolint:errcheck,gosec // it cannot write any more
	k.disk = k.disk.Restart()
	k.opts.FS = k.disk
	k.open()
	defer k.close()
	if session, err := k.store.Load("c"); err != nil || session == nil || session.Principal != "p" {
		t.Errorf("the session is %+v, %v", session, err)
	}
}

// With ASYNC_FLUSH a power loss takes what came after the last sync, and nothing else: what is left is a beginning of
// what was answered, and the log goes on behind it.
func TestPowerLossWithoutSync(t *testing.T) {
	lost := 0
	for seed := range uint64(10) {
		k := newKeeper(t, local.Options{NoSync: true, FlushInterval: time.Hour})
		k.close()
		k.disk = crashfs.New(seed)
		k.opts.FS, k.opts.CheckInterval = k.disk, time.Hour
		k.open()
		k.publish(50)
		k.close() // an orderly stop loses nothing
		k.open()
		k.publish(150)
		k.disk.Crash()
		k.store.Close() //nolint:errcheck,gosec // it cannot write any more
		k.disk = k.disk.Restart()
		k.opts.FS = k.disk
		k.open()
		left := count(t, k.store)
		if left < 50 || left > 200 {
			t.Errorf("seed %d: %d messages are left of 200, of which 50 were synced", seed, left)
		}
		lost += 200 - left
		k.at, k.sent = k.at[:left], k.sent[:left]
		k.publish(20)
		k.check(0)
		k.close()
	}
	if lost == 0 {
		t.Error("no power loss lost anything: the test shows nothing")
	}
}

// With ASYNC_FLUSH what was answered is on the disk a little later.
func TestFlushInterval(t *testing.T) {
	k := newKeeper(t, local.Options{NoSync: true, FlushInterval: time.Millisecond})
	defer k.close()
	k.publish(100)
	eventually(t, "a power loss loses nothing", func() bool {
		opts := k.opts
		opts.FS = k.disk.Mem().CrashClone(vfs.CrashCloneCfg{})
		s, err := local.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return count(t, s) == 100
	})
}
