package retained

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// world is a log of one queue and what nodes make of it.
type world struct {
	t    *testing.T
	log  []view.Entry
	now  int64
	late []store.Record
}

func newWorld(t *testing.T) *world { return &world{t: t, now: 1_700_000_000_000} }

func (w *world) node(o Options) *View {
	w.t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	o.Dir, o.Queues, o.Now, o.Logger = "view", 1, func() int64 { return w.now }, slog.New(slog.DiscardHandler)
	o.Late = func(rec *store.Record) { w.late = append(w.late, *rec) }
	o.Failed = func(err error) { w.t.Error(err) }
	v, err := Open(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := v.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return v
}

// rec is a record of topic whose message stands in queue q at offset.
func (w *world) rec(topic, payload string, q store.Queue, offset int64) []byte {
	m := &store.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
	b := AppendRecord(nil, m, w.now)
	Place(b, store.Position{Queue: q, Offset: offset})
	return b
}

func again(rec []byte) []byte {
	rec = slices.Clone(rec)
	rec[atFlags] |= flagAgain
	return rec
}

// append appends records to the log, each a second after the one before.
func (w *world) append(recs ...[]byte) {
	for _, rec := range recs {
		w.now += 1000
		w.log = append(w.log, view.Entry{Offset: int64(len(w.log)), Time: w.now, Data: rec})
	}
}

// read has v read the log to its end.
func (w *world) read(v *View) *View {
	w.t.Helper()
	next, _ := v.Next(0)
	check(w.t, v.Read(0, w.log[next:], int64(len(w.log)), nil))
	check(w.t, v.Begin(0))
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// has is what is retained, in order.
func has(t *testing.T, v *View) string {
	t.Helper()
	var all []string
	for after := ""; ; {
		recs, next, err := v.Find("#", after, 1000)
		check(t, err)
		for _, r := range recs {
			all = append(all, r.Topic+"="+string(r.Payload))
		}
		if after = next; next == "" {
			return strings.Join(all, " ")
		}
	}
}

func (w *world) want(v *View, want string) {
	w.t.Helper()
	if got := has(w.t, v); got != want {
		w.t.Errorf("%q is retained, want %q", got, want)
	}
}

// Which of the records counts, in whatever order they come.
func TestWhichCounts(t *testing.T) {
	type rec struct {
		payload string
		q       store.Queue
		offset  int64
		again   bool
	}
	for name, c := range map[string]struct {
		log  []rec
		want string
	}{
		"in order":                             {[]rec{{"a", 1, 5, false}, {"b", 1, 6, false}}, "t=b"},
		"an older one late":                    {[]rec{{"b", 1, 6, false}, {"a", 1, 5, false}}, "t=b"},
		"twice":                                {[]rec{{"b", 1, 6, false}, {"b", 1, 6, false}}, "t=b"},
		"ended":                                {[]rec{{"a", 1, 5, false}, {"", 1, 6, false}}, ""},
		"an older one behind the end":          {[]rec{{"", 1, 6, false}, {"a", 1, 5, false}}, ""},
		"a newer one behind the end":           {[]rec{{"", 1, 6, false}, {"a", 1, 7, false}}, "t=a"},
		"in another queue":                     {[]rec{{"a", 1, 5, false}, {"b", 2, 1, false}}, "t=b"},
		"in another queue, and the first late": {[]rec{{"a", 1, 5, false}, {"b", 2, 1, false}, {"x", 1, 4, false}}, "t=b"},
		"back in the first":                    {[]rec{{"a", 1, 5, false}, {"b", 2, 1, false}, {"c", 1, 6, false}}, "t=c"},
		"back, and the second late":            {[]rec{{"b", 2, 2, false}, {"c", 1, 6, false}, {"x", 2, 1, false}}, "t=c"},
		"written again, behind another queue":  {[]rec{{"b", 2, 1, false}, {"a", 1, 5, true}}, "t=b"},
		"both written again":                   {[]rec{{"a", 1, 5, true}, {"b", 2, 1, true}}, "t=b"},
		"after the log of messages went back":  {[]rec{{"a", 1, 50, false}, {"b", 1, 1<<44 + 3, false}}, "t=b"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, r := range c.log {
				b := w.rec("t", r.payload, r.q, r.offset)
				if r.again {
					b = again(b)
				}
				w.append(b)
			}
			w.want(w.read(w.node(Options{})), c.want)
		})
	}
}

// Whatever nodes write in whatever order, all that read the log have the same, however they read it; within one queue it is what the messages have last.
func TestAllNodesAgree(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		last := map[string]string{}
		var recs [][]byte
		for offset := range int64(200) {
			topic, payload := fmt.Sprint("t/", rng.IntN(8)), fmt.Sprint(offset)
			if rng.IntN(5) == 0 {
				payload = ""
			}
			last[topic] = payload
			recs = append(recs, w.rec(topic, payload, 1, offset))
		}
		for i := range recs { // late by some
			j := min(i+rng.IntN(6), len(recs)-1)
			recs[i], recs[j] = recs[j], recs[i]
		}
		w.append(recs...)
		whole := w.read(w.node(Options{}))
		fs := vfs.NewMem()
		parts := w.node(Options{FS: fs})
		for at := 0; at < len(w.log); {
			end := min(at+1+rng.IntN(20), len(w.log))
			check(t, parts.Read(0, w.log[at:end], int64(end), nil))
			if at = end; rng.IntN(5) == 0 {
				check(t, parts.Close())
				parts = w.node(Options{FS: fs})
			}
		}
		var want []string
		for topic, payload := range last {
			if payload != "" {
				want = append(want, topic+"="+payload)
			}
		}
		slices.Sort(want)
		w.want(whole, strings.Join(want, " "))
		w.want(parts, strings.Join(want, " "))
		if n := whole.Stats().Messages.Load(); n != int64(len(want)) || parts.Stats().Messages.Load() != n || parts.Stats().Bytes.Load() != whole.Stats().Bytes.Load() {
			t.Errorf("seed %d: %d are counted, want %d", seed, n, len(want))
		}
	}
}

// A tombstone is kept while an older record may come, and then goes; one that an older record came behind is written again.
func TestTombstones(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{})
	w.append(w.rec("t", "", 1, 6))
	w.read(v)
	w.now += graveTime - 5000
	w.append(w.rec("t", "old", 1, 5))
	w.want(w.read(v), "")
	if recs := w.due(v, true); len(recs) != 1 {
		t.Fatalf("%d records are due", len(recs))
	} else {
		w.append(recs...)
	}
	w.read(v)
	if recs := w.due(v, true); len(recs) != 0 {
		t.Errorf("%d records are due", len(recs))
	}
	w.now += graveTime
	w.append(w.rec("other", "x", 1, 7))
	w.read(v)
	check(t, view.Each(v.db, []byte{keyTombstone}, func(key, _ []byte) error { return fmt.Errorf("%q is left", key) }))
	check(t, view.Each(v.db, []byte{keyGrave}, func(key, _ []byte) error { return fmt.Errorf("%q is left", key) }))
}

// due is what is to be written again.
func (w *world) due(v *View, chosen bool) [][]byte {
	w.t.Helper()
	d := Due{Before: w.now - 36*3600_000, Below: []int64{0}, Chosen: func(string) bool { return chosen }}
	var all [][]byte
	for after := ""; ; {
		recs, next, err := v.Renew(after, &d)
		check(w.t, err)
		all = append(all, recs...)
		if after = next; next == "" {
			return all
		}
	}
}

// What is old is written again by the node that is chosen, once; a node that reads only that has the same.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	one, two := w.node(Options{}), w.node(Options{})
	w.append(w.rec("a", "1", 1, 5), w.rec("b", "2", 1, 6), w.rec("c", "", 1, 7))
	w.read(one)
	w.read(two)
	w.now += 40 * 3600_000
	w.append(w.rec("d", "new", 1, 8))
	w.read(one)
	w.read(two)
	first := len(w.log)
	if recs := w.due(two, false); len(recs) != 0 {
		t.Fatalf("a node that is not chosen writes %d", len(recs))
	}
	w.append(w.due(one, true)...)
	if n := len(w.log) - first; n != 2 {
		t.Fatalf("%d records are written again, want 2", n)
	}
	w.read(one)
	w.read(two)
	if recs := w.due(two, true); len(recs) != 0 {
		t.Errorf("another node has %d that are due", len(recs))
	}
	fresh := w.node(Options{})
	check(t, fresh.Rebuild(0, int64(first), int64(first)))
	w.read(fresh)
	w.want(fresh, "a=1 b=2")
	w.append(w.rec("a", "newer", 1, 9))
	w.want(w.read(fresh), "a=newer b=2")
}

// The log has lost what this node has read: it is written again, whoever is chosen.
func TestLogWentBack(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{})
	w.append(w.rec("a", "1", 1, 5), w.rec("b", "2", 1, 6), w.rec("c", "3", 1, 7))
	w.read(v)
	w.log = w.log[:1]
	check(t, v.Rebuild(0, 0, 1))
	if next, _ := v.Next(0); next != 1 {
		t.Fatalf("reading goes on at %d", next)
	}
	w.append(w.rec("c", "other", 1, 8))
	w.want(w.read(v), "a=1 b=2 c=other")
	recs := w.due(v, false)
	if len(recs) != 1 {
		t.Fatalf("%d records are written again, want b's", len(recs))
	}
	w.append(recs...)
	w.want(w.read(v), "a=1 b=2 c=other")
	w.want(w.read(w.node(Options{})), "a=1 b=2 c=other")
	if len(w.late) != 0 {
		t.Errorf("%v are taken for late", w.late)
	}
}

// A node that has not read for so long that records were dropped: what others have not written again has ended. If nothing is there, nobody was.
func TestGap(t *testing.T) {
	for name, c := range map[string]struct {
		there bool
		want  string
	}{"others were there": {true, "b=2"}, "nobody was": {false, "a=1 b=2"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			fs := vfs.NewMem()
			v := w.node(Options{FS: fs})
			w.append(w.rec("a", "1", 1, 5), w.rec("b", "2", 1, 6))
			w.read(v)
			b := w.log[1].Data
			w.append(w.rec("a", "", 1, 7), w.rec("x", "", 1, 8))
			check(t, v.Rebuild(0, 4, 4))
			check(t, v.Close())
			v = w.node(Options{FS: fs})
			if c.there {
				w.append(again(b))
			}
			w.want(w.read(v), c.want)
			if recs := w.due(v, false); (len(recs) == 2) == c.there {
				t.Errorf("%d records are written again", len(recs))
			}
		})
	}
}

// Both quotas refuse what is new; what takes the place of another, and the end of one, pass.
func TestQuota(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{MaxTopics: 2, MaxBytes: 400})
	w.append(w.rec("a/1", "x", 1, 5), w.rec("a/2", "x", 1, 6))
	w.read(v)
	for topic, c := range map[string]struct {
		payload string
		ok      bool
	}{"a/1": {"y", true}, "a/3": {"y", false}, "a/4": {"", true}, "b/1": {"y", true}, "c": {strings.Repeat("x", 400), false}} {
		err := v.Fits(&store.Message{Topic: topic, Payload: []byte(c.payload)})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, store.ErrQuota) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	w.append(w.rec("a/1", "", 1, 7))
	w.read(v)
	check(t, v.Fits(&store.Message{Topic: "a/3", Payload: []byte("y")}))
}

// What has expired is not found, and is swept: an older message does not take its place.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{KeepFor: time.Hour})
	m := &store.Message{Topic: "a", Payload: []byte("short"), Expires: w.now + 60_000}
	b := AppendRecord(nil, m, w.now)
	Place(b, store.Position{Queue: 1, Offset: 9})
	w.append(b, w.rec("b", "long", 1, 10))
	w.want(w.read(v), "a=short b=long")
	w.now += 70_000
	w.want(v, "b=long")
	if _, err := v.Sweep(""); err != nil || v.Stats().Messages.Load() != 1 {
		t.Fatalf("%d messages are left, %v", v.Stats().Messages.Load(), err)
	}
	w.append(w.rec("a", "older", 1, 8))
	w.want(w.read(v), "b=long")
	w.now += 3600_000
	w.want(v, "")
}

// Late is told of what changes below a place that a subscription begins at, and of nothing else.
func TestLate(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{})
	w.append(w.rec("before", "x", 1, 3))
	w.read(v)
	v.Watched([]store.Position{{Queue: 1, Offset: 10}})
	w.append(w.rec("above", "x", 1, 10), w.rec("late", "x", 1, 9), w.rec("late", "older", 1, 8), w.rec("before", "x", 1, 3), w.rec("ended", "", 1, 7), w.rec("elsewhere", "x", 2, 1))
	w.read(v)
	var got []string
	for _, r := range w.late {
		got = append(got, r.Topic+"="+string(r.Payload))
	}
	if want := []string{"late=x", "ended="}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}

// A message is found by its place as long as it is the retained one; and whoever waits for a place in the log is told.
func TestGetAndWait(t *testing.T) {
	w := newWorld(t)
	v := w.node(Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	waited := make(chan error, 1)
	go func() { waited <- v.Wait(ctx, 0, 2) }()
	w.append(w.rec("a", "1", 1, 5), w.rec("b", "2", 1, 6))
	w.read(v)
	check(t, <-waited)
	rec, found, err := v.Get(store.Position{Queue: 1, Offset: 5})
	if err != nil || !found || string(rec.Payload) != "1" || !rec.Retain {
		t.Errorf("%+v, %v, %v", rec, found, err)
	}
	w.append(w.rec("a", "3", 1, 7))
	w.read(v)
	if _, found, err := v.Get(store.Position{Queue: 1, Offset: 5}); found || err != nil {
		t.Errorf("one that was replaced is found, %v", err)
	}
}

// Whatever bytes a record has, it is decoded or refused, and passed over by the view.
func FuzzRecord(f *testing.F) {
	w := newWorld(nil)
	f.Add(w.rec("a/b", "x", 1, 5))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if err := r.decode(b); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("error %v", err)
		}
		var e entry
		_ = e.decode(b) // must not panic
	})
}
