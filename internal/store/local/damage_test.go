package local_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local/crashfs"
)

// written is a log on a disk that can be copied and damaged, and the messages in it.
type written struct {
	disk  *vfs.MemFS
	opts  local.Options
	recs  map[int64]string // topic and payload by offset
	begin int64            // offset of the first record of the last batch
}

// write makes a log of some segments. It ends by an orderly stop, or by a crash.
func write(t *testing.T, orderly bool) *written {
	t.Helper()
	disk := crashfs.New(7)
	w := &written{recs: map[int64]string{}, opts: local.Options{Dir: "data", SegmentSize: 8 << 10, RecentBytes: -1, DiskReserve: -1}}
	opts := w.opts
	opts.FS = disk
	s, err := local.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 220 {
		m := message(i)
		at, err := publish(s, m)
		if err != nil {
			t.Fatal(err)
		}
		w.recs[at.Offset], w.begin = m.Topic+" "+string(m.Payload), at.Offset
		if i%10 != 0 {
			continue
		}
		for _, c := range []store.Change{
			{Kind: store.Connect, Client: client(i), Principal: "p", Expiry: 100},
			{Kind: store.Subscribe, Client: client(i), Subscription: store.Subscription{Filter: "house/#", QoS: 1}},
		} {
			if err := change(s, &c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if orderly {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		w.disk = disk.Mem()
		return w
	}
	disk.Crash()
	s.Close() //nolint:errcheck // it cannot write any more
	w.disk = disk.Restart().Mem()
	return w
}

// client is the id of the session that was begun after the i-th message.
func client(i int) string { return fmt.Sprint("client-", i) }

// message is the i-th of a sequence, between 150 and 300 bytes.
func message(i int) *store.Message {
	return &store.Message{
		Topic: fmt.Sprintf("house/%d/room/%d", i/40, i%7), QoS: 1, Origin: uint64(i % 3),
		Payload: fmt.Appendf(nil, "%06d %s", i, strings.Repeat("x", 100+i*37%150)),
	}
}

// publish appends m and waits for the answer.
func publish(s *local.Store, m *store.Message) (store.Position, error) {
	w := make(waiting, 1)
	s.Append(m, w, 0)
	a := <-w
	return a.at, a.err
}

// change makes c and waits for the answer.
func change(s *local.Store, c *store.Change) error {
	w := make(waiting, 1)
	s.Change(c, w, 0)
	return (<-w).err
}

// waiting is a completion to receive from.
type waiting chan reply

type reply struct {
	at  store.Position
	err error
}

// Appended implements store.Completion.
func (w waiting) Appended(_ uint64, at store.Position, err error) { w <- reply{at, err} }

// segments lists the paths of the log's files, in order.
func (w *written) segments(t *testing.T) []string {
	t.Helper()
	names, err := w.disk.List("data/log")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for i := range names {
		names[i] = "data/log/" + names[i]
	}
	return names
}

// damage copies the disk, damages one file of the copy and opens it.
func (w *written) damage(t *testing.T, path string, what func(b []byte) []byte) (*local.Store, error) {
	t.Helper()
	disk := w.disk.CrashClone(vfs.CrashCloneCfg{})
	f, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close() //nolint:errcheck,gosec // only read
	if b = what(b); b == nil {
		err = disk.Remove(path)
	} else if f, err = disk.Create(path, vfs.WriteCategoryUnspecified); err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	opts := w.opts
	opts.FS = disk
	return local.Open(opts)
}

// reports says that an error says that the log is damaged, and where.
func reports(err error, path string) error {
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
		return fmt.Errorf("the error does not say that %s is corrupt: %w", path, err)
	}
	return nil
}

// verify reads what q wants: every message is as it was written, or lies in a range that was reported as damaged. It
// returns how many ranges were.
func (w *written) verify(s *local.Store, path string, q *store.Query) (int, error) {
	wanted := map[int64]string{}
	for offset, rec := range w.recs {
		if topic, _, _ := strings.Cut(rec, " "); q.Match(topic) {
			wanted[offset] = rec
		}
	}
	reported := 0
	for from := (store.Position{}); ; {
		recs, next, missed, err := s.Read(from, q, 2000)
		if missed > 0 {
			return reported, fmt.Errorf("%d records from %d on are said to have expired", missed, from.Offset)
		}
		for _, r := range recs {
			if got := r.Topic + " " + string(r.Payload); got != wanted[r.Offset] {
				return reported, fmt.Errorf("at offset %d %q is read, written was %q", r.Offset, got, wanted[r.Offset])
			}
			delete(wanted, r.Offset)
		}
		if err != nil {
			if err := reports(err, path); err != nil {
				return reported, err
			}
			reported++
			for offset := from.Offset; offset < next; offset++ {
				delete(wanted, offset)
			}
		}
		if next <= from.Offset {
			break
		}
		from.Offset = next
	}
	if len(wanted) > 0 {
		return reported, fmt.Errorf("%d messages are neither read nor reported", len(wanted))
	}
	return reported, nil
}

// get looks up every message: it is as it was written, or reported as damaged.
func (w *written) get(s *local.Store, path string) error {
	for offset, want := range w.recs {
		rec, err := s.Get(store.Position{Offset: offset})
		if err != nil {
			if err := reports(err, path); err != nil {
				return err
			}
		} else if got := rec.Topic + " " + string(rec.Payload); got != want {
			return fmt.Errorf("Get of offset %d returns %q, written was %q", offset, got, want)
		}
	}
	return nil
}

func everything() *store.Query {
	return &store.Query{Filters: []string{"#"}, Match: func(string) bool { return true }}
}

// found says that the damage to a segment is found, when it is opened or when it is read, and that all else is right.
// Of the last segment, when nothing is left of it, the one before is said to end early.
func (w *written) found(t *testing.T, path, before string, what func(b []byte) []byte) error {
	t.Helper()
	s, err := w.damage(t, path, what)
	if err != nil && before != "" && reports(err, before) == nil {
		return nil
	}
	if err != nil {
		return reports(err, path)
	}
	defer s.Close()
	ranges, err := w.verify(s, path, everything())
	if err != nil {
		return err
	}
	if ranges == 0 {
		return errors.New("nothing is reported")
	}
	if err := w.get(s, path); err != nil {
		return err
	}
	some := &store.Query{Filters: []string{"house/2/#"}, Match: func(topic string) bool { return strings.HasPrefix(topic, "house/2/") }}
	_, err = w.verify(s, path, some)
	return err
}

// flip, zero, cut and remove are what may happen to a file.
func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 1 << (at % 8); return b }
}

func zero(from, to int) func([]byte) []byte {
	return func(b []byte) []byte { clear(b[from:min(to, len(b))]); return b }
}

func cut(size int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:size] }
}

func remove([]byte) []byte { return nil }

func (w *written) size(t *testing.T, path string) int {
	t.Helper()
	info, err := w.disk.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// After an orderly stop any damage to the log is found: the start is refused, or Read and Get say which records are
// lost; what they return is what was written.
func TestDamageIsFound(t *testing.T) {
	w := write(t, true)
	segments := w.segments(t)
	for i, path := range segments {
		t.Run(fmt.Sprint("segment ", i), func(t *testing.T) {
			t.Parallel()
			size, before := w.size(t, path), ""
			if i == len(segments)-1 {
				before = segments[i-1]
			}
			try := func(name string, what func([]byte) []byte) {
				if err := w.found(t, path, before, what); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for at := i * 5; at < size; at += 911 {
				try(fmt.Sprintf("bit of byte %d of %d", at, size), flip(at))
			}
			for at := 0; at < size; at += 4096 {
				try(fmt.Sprintf("page at byte %d of %d", at, size), zero(at, at+4096))
			}
			for at := 0; at < size; at += 2503 {
				try(fmt.Sprintf("%d of %d bytes left", at, size), cut(at))
			}
			try("a byte less", cut(size-1))
			try("the file removed", remove)
		})
	}
}

// A change that cannot be applied is refused before it is in the log, where it would stop every start.
func TestChangeThatCannotBeMeant(t *testing.T) {
	s, err := local.Open(local.Options{Dir: "data", FS: vfs.NewMem(), DiskReserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := change(s, &store.Change{Kind: store.Connect, Client: "c"}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []store.ChangeKind{
		store.Send2, store.Pubrec, store.Done2, store.Receive, // without a message
		store.Note,              // without a queue
		0, store.Note + 1, 0xFF, // nobody knows these
	} {
		for _, client := range []string{"c", "", "nobody"} {
			if err := change(s, &store.Change{Kind: kind, Client: client}); err == nil {
				t.Errorf("a change of kind %d of client %q is taken", kind, client)
			}
		}
	}
	if _, err := publish(s, message(1)); err != nil {
		t.Errorf("publish after that: %v", err)
	}
}

// Of the view nothing that is damaged is taken for what was written either: it is read as it was, or not at all.
func TestDamageToTheView(t *testing.T) {
	w := write(t, true)
	names, err := w.disk.List("data/view")
	if err != nil {
		t.Fatal(err)
	}
	refused, read := 0, 0
	for i, name := range names {
		path := "data/view/" + name
		for at := i; at < w.size(t, path); at += 1 + w.size(t, path)/25 {
			s, err := w.damage(t, path, flip(at))
			if err != nil {
				refused++
				continue
			}
			for i := 0; i < 220; i += 10 {
				session, err := s.Load(client(i))
				if err != nil {
					refused++
				} else if read++; session == nil || session.Principal != "p" || len(session.Subscriptions) != 1 || session.Subscriptions[0].Filter != "house/#" {
					t.Errorf("%s, bit of byte %d: session %d is read as %+v", path, at, i, session)
				}
			}
			if _, err := w.verify(s, path, everything()); err != nil {
				t.Errorf("%s, bit of byte %d: %v", path, at, err)
			}
			s.Close() //nolint:errcheck,gosec // it may have failed
		}
	}
	if refused == 0 || read == 0 {
		t.Errorf("%d times something was refused, %d times read: both should happen", refused, read)
	}
}

// After a crash the end of the log may be cut off: at the first bad record, if that one may not have been synced. That
// is the last one here. Damage before it is refused, and what is left of a file that ends early is a true beginning.
func TestEndOfTheLog(t *testing.T) {
	w := write(t, false)
	segments := w.segments(t)
	path := segments[len(segments)-1]
	size := w.size(t, path)
	last := w.recs[w.begin]
	record := 36 + len(last) - 1 // its header, topic and payload; it has no optional part
	unsure := size - record
	t.Run("a flipped bit", func(t *testing.T) {
		t.Parallel()
		for at := 3; at < size; at += 53 {
			err := w.ends(t, path, flip(at), w.begin)
			if err == nil != (at >= unsure) || err != nil && reports(err, path) != nil {
				t.Errorf("bit of byte %d of %d, where the last record begins at %d: %v", at, size, unsure, err)
			}
		}
	})
	t.Run("bytes of zero", func(t *testing.T) {
		t.Parallel()
		for at := 64; at < size; at += 71 {
			err := w.ends(t, path, zero(at, at+16), w.begin)
			if err == nil != (at >= unsure) || err != nil && reports(err, path) != nil {
				t.Errorf("zeros at byte %d of %d, where the last record begins at %d: %v", at, size, unsure, err)
			}
		}
	})
	t.Run("an early end", func(t *testing.T) {
		t.Parallel()
		for at := 512; at < size; at += 151 {
			for _, what := range []func([]byte) []byte{cut(at), zero(at, size)} {
				if err := w.ends(t, path, what, 0); err != nil && reports(err, path) != nil {
					t.Errorf("end at byte %d of %d: %v", at, size, err)
				}
			}
		}
	})
}

// ends opens a damaged log. It must be the beginning of what was written, up to least at least, and go on from there.
func (w *written) ends(t *testing.T, path string, what func([]byte) []byte, least int64) error {
	t.Helper()
	s, err := w.damage(t, path, what)
	if err != nil {
		return err
	}
	defer s.Close()
	fresh := message(1000)
	at, err := publish(s, fresh)
	if err != nil {
		t.Fatal(err)
	}
	left := &written{recs: map[int64]string{at.Offset: fresh.Topic + " " + string(fresh.Payload)}}
	for offset, rec := range w.recs {
		if offset < at.Offset-1 { // between them is the record of the start
			left.recs[offset] = rec
		}
	}
	if at.Offset-1 < least {
		t.Fatalf("the log goes on from offset %d, although everything below %d was synced", at.Offset-1, least)
	}
	if n, err := left.verify(s, path, everything()); err != nil || n > 0 {
		t.Fatalf("%d damaged ranges after the end was cut off, error %v", n, err)
	}
	return nil
}
