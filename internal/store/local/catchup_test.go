package local_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// countingFS counts what is read of the log.
type countingFS struct {
	vfs.FS
	read atomic.Int64
}

// Open implements vfs.FS.
func (f *countingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, opts...)
	if err != nil || !strings.HasSuffix(name, ".log") || !strings.Contains(name, "/log/") {
		return file, err
	}
	return &countingFile{file, f}, nil
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

// ReadAt implements vfs.File.
func (f *countingFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.fs.read.Add(int64(n))
	return n, err
}

// archive is a log of many messages of which few have a rare topic.
type archive struct {
	disk  *countingFS
	opts  local.Options
	store *local.Store
	size  int64
	rare  []string // payloads
}

const (
	archived = 60 * 128  // messages
	chunk    = 128 << 10 // read at once
	body     = 1 << 10   // of a payload
)

func fillArchive(tb testing.TB, n, every int) *archive {
	tb.Helper()
	a := &archive{disk: &countingFS{FS: vfs.NewMem()}}
	a.opts = local.Options{Dir: "data", FS: a.disk, DiskReserve: -1, SegmentSize: 2 << 20, RecentBytes: -1}
	a.open(tb)
	w := make(waiting, n)
	for i := range n {
		m := store.Message{Topic: fmt.Sprintf("common/%d/%d", i%50, i%3), QoS: 1, Payload: fmt.Appendf(nil, "%0*d", body, i)}
		if i%every == every-1 {
			m.Topic = fmt.Sprintf("rare/%d/x", i%2)
			a.rare = append(a.rare, string(m.Payload))
		}
		a.store.Append(&m, w, 0)
	}
	for range n {
		if r := <-w; r.err != nil {
			tb.Fatal(r.err)
		}
	}
	a.size = a.store.Stats().LogBytes
	return a
}

func (a *archive) open(tb testing.TB) {
	tb.Helper()
	s, err := local.Open(a.opts)
	if err != nil {
		tb.Fatal(err)
	}
	a.store = s
}

func (a *archive) close(tb testing.TB) {
	tb.Helper()
	if err := a.store.Close(); err != nil {
		tb.Fatal(err)
	}
}

// catchUp reads what a filter matches, from the beginning, and returns the payloads and how much was read for it.
func (a *archive) catchUp(tb testing.TB, filters ...string) (got []string, read int64) {
	tb.Helper()
	before := a.disk.read.Load()
	q := &store.Query{Filters: filters, Match: func(name string) bool {
		return slices.ContainsFunc(filters, func(f string) bool { return topic.Match(f, name) })
	}}
	for from := (store.Position{}); ; {
		recs, next, missed, err := a.store.Read(from, q, 256<<10)
		if err != nil || missed > 0 {
			tb.Fatalf("read from %d: missed %d, error %v", from.Offset, missed, err)
		}
		for i := range recs {
			got = append(got, string(recs[i].Payload))
		}
		if next == from.Offset {
			return got, a.disk.read.Load() - before
		}
		from.Offset = next
	}
}

// Catching up costs what was missed, not what the log carried: blocks in which nothing can match are not read.
func TestCatchUpReadsWhatMatches(t *testing.T) {
	a := fillArchive(t, archived, archived/4)
	defer func() { a.close(t) }()
	// A block of 128 messages begins somewhere in a chunk, and ends in the next one.
	const block = 128*(body+100) + 2*chunk
	for _, c := range []struct {
		filters []string
		rare    int
		blocks  int64
	}{
		{[]string{"rare/1/x"}, 4, 4},
		{[]string{"rare/+/x"}, 4, 4},
		{[]string{"rare/#"}, 4, 4},
		{[]string{"rare/1/+", "never/#"}, 4, 4},
		{[]string{"never"}, 0, 2}, // false positives
		{[]string{"never/+", "rare", "rare/1", "rare/1/x/y"}, 0, 3},
	} {
		got, read := a.catchUp(t, c.filters...)
		if len(got) != c.rare || c.rare > 0 && !slices.Equal(got, a.rare) {
			t.Errorf("%v: %d messages are read, want %d", c.filters, len(got), c.rare)
		}
		if read > c.blocks*block || c.rare > 0 && read < 4*body {
			t.Errorf("%v: %d bytes of %d were read, want those of %d blocks: %d", c.filters, read, a.size, c.blocks, c.blocks*block)
		}
	}
	for _, filter := range []string{"#", "+/1/x", "common/#"} { // they match everywhere, or nobody knows
		if _, read := a.catchUp(t, filter); read < a.size*9/10 || read > 2*a.size {
			t.Errorf("%s: %d bytes of %d were read", filter, read, a.size)
		}
	}
}

// The index comes back where it is absent: from the log when the view is lost, by reading when only its entries are.
func TestIndexIsRebuilt(t *testing.T) {
	a := fillArchive(t, archived, archived/4)
	t.Run("from the log", func(t *testing.T) {
		a.close(t)
		if err := a.disk.RemoveAll("data/view"); err != nil {
			t.Fatal(err)
		}
		a.open(t)
		if got, read := a.catchUp(t, "rare/#"); !slices.Equal(got, a.rare) || read > a.size/4 {
			t.Errorf("%d messages are read, and %d bytes of %d", len(got), read, a.size)
		}
	})
	t.Run("by reading", func(t *testing.T) {
		a.close(t)
		forget(t, a.disk.FS, 5, 50)
		a.open(t)
		got, first := a.catchUp(t, "rare/#")
		again, second := a.catchUp(t, "rare/#")
		if !slices.Equal(got, a.rare) || !slices.Equal(again, a.rare) {
			t.Errorf("%d messages are read, then %d, want %d", len(got), len(again), len(a.rare))
		}
		if first < a.size/2 || second > a.size/4 {
			t.Errorf("%d bytes of %d were read without the index, then %d", first, a.size, second)
		}
	})
	a.close(t)
}

// forget deletes index entries of blocks from..to (not included) in the view.
func forget(t *testing.T, fs vfs.FS, from, to byte) {
	t.Helper()
	db, err := pebble.Open("data/view", &pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	key := func(block byte) []byte { return []byte{'i', 0, 0, 0, 0, 0, 0, 0, block} }
	if _, done, err := db.Get(key(from)); err != nil {
		t.Fatalf("the view has no entry of block %d: %v", from, err)
	} else {
		done.Close() //nolint:errcheck,gosec // cannot fail
	}
	if err := db.DeleteRange(key(from), key(to), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// What catching up costs, by how much of a log of 50,000 messages the filter matches.
func BenchmarkCatchUp(b *testing.B) {
	for _, every := range []int{50000, 5000, 500, 50, 5} {
		b.Run(fmt.Sprintf("missed=%d", 50000/every), func(b *testing.B) {
			a := fillArchive(b, 50000, every)
			defer a.close(b)
			var got []string
			var read int64
			for b.Loop() {
				got, read = a.catchUp(b, "rare/#")
			}
			b.ReportMetric(float64(read), "bytes-read/op")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(got)), "ns/message")
		})
	}
}
