package rocketmq

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// emptyIndex is an index without entries, of a store whose topic of many first levels is "mixed".
func emptyIndex(t testing.TB, most int64) *index {
	t.Helper()
	s := &Store{opts: Options{DefaultTopic: "mixed", MaxIndexBytes: most, Logger: slog.New(slog.DiscardHandler)}}
	x := s.openIndex(t.TempDir())
	t.Cleanup(func() { ok(t, x.close()) })
	return x
}

// fill has the index see blocks of a queue of the RocketMQ topic, from number first on; each is of one MQTT topic.
func (x *index) fill(in string, first int64, topics ...string) {
	g := indexing{x: x, q: &queue{key: 7, name: queueName{topic: in}}}
	for i, name := range topics {
		for offset := range int64(blocks.Size) {
			g.add((first+int64(i))<<blocks.Shift+offset, name)
		}
	}
}

// Nothing that a filter matches is passed over, whoever wrote it, and what is not known is read.
func TestIndexFinds(t *testing.T) {
	const nowhere = math.MaxInt64
	for name, c := range map[string]struct {
		in, filter string
		topics     []string
		from       int64
		first, end int64
	}{
		"the topic":                         {"a", "a/x", []string{"a/n", "a/n", "a/x", "a/n"}, 0, 2, 3},
		"a wildcard below":                  {"a", "a/x/#", []string{"a/n", "a/x/1/2", "a/n"}, 0, 1, 2},
		"a wildcard at the first level":     {"a", "+/x", []string{"a/n", "a/x", "a/n"}, 0, 1, 2},
		"all":                               {"a", "#", []string{"a/n", "a/x"}, 0, 0, nowhere},
		"a p2p topic":                       {"a", "+/p2p/c/#", []string{"a/n", "a/p2p/c", "a/p2p/d", "a/p2p/c/x"}, 2, 3, nowhere},
		"of another first level":            {"a", "+/x", []string{"a/n", "b/x", "a/n"}, 0, 1, 2},
		"without a first level":             {"a", "+/p2p/c/#", []string{"a/n", "/p2p/c", "a/n"}, 0, 1, 2},
		"of many first levels":              {"mixed", "b/x", []string{"a/x", "b/x", "c/x"}, 0, 1, 2},
		"of many, with a wildcard there":    {"mixed", "+/x", []string{"a/y", "b/x"}, 0, 0, nowhere},
		"messages that nobody can get":      {"a", "#", []string{"", "", "a/x"}, 0, 2, nowhere},
		"nothing of it":                     {"a", "a/x", []string{"a/n", "a/n"}, 0, 2, nowhere},
		"beyond what is known":              {"a", "a/x", []string{"a/n"}, 5, 5, nowhere},
		"of a first level that is not here": {"a", "b/x", []string{"a/n", "a/x"}, 0, 2, nowhere},
	} {
		t.Run(name, func(t *testing.T) {
			x := emptyIndex(t, 1<<30)
			x.fill(c.in, 0, c.topics...)
			want := x.wantedIn(c.in, []string{c.filter})
			if first, end := x.find(7, c.from, &want); first != c.first || end != c.end {
				t.Errorf("blocks %d to %d, want %d to %d", first, end, c.first, c.end)
			}
		})
	}
}

// A block of which a part was not seen is not known, nor is the one behind a gap.
func TestIndexOfPartsOnly(t *testing.T) {
	x := emptyIndex(t, 1<<30)
	g := indexing{x: x, q: &queue{key: 7, name: queueName{topic: "a"}}}
	for offset := int64(3); offset < 4<<blocks.Shift; offset++ {
		if offset != 2<<blocks.Shift+5 {
			g.add(offset, "a/n")
		}
	}
	want := x.wantedIn("a", []string{"a/x"})
	for block, first := range []int64{0, 2, 2, 4} {
		if got, _ := x.find(7, int64(block), &want); got != first {
			t.Errorf("from block %d on %d may have what is wanted, want %d", block, got, first)
		}
	}
}

// What the broker has dropped is forgotten, and half of the rest when the index is too large.
func TestIndexIsBounded(t *testing.T) {
	x := emptyIndex(t, 1)
	x.fill("a", 0, slices.Repeat([]string{"a/n"}, 100)...)
	x.drop(7, 10)
	want := x.wantedIn("a", []string{"a/x"})
	known := func(from int64) int64 {
		first, _ := x.find(7, from, &want)
		return first - from
	}
	if known(9) != 0 || known(10) != 90 {
		t.Errorf("%d blocks are known from 9 on, and %d from 10 on", known(9), known(10))
	}
	ok(t, x.db.Flush())
	x.bound()
	if known(54) != 0 || known(55) != 45 || x.stats.IndexHalved.Load() != 1 {
		t.Errorf("%d blocks are known from 54 on, and %d from 55 on", known(54), known(55))
	}
}

// Who comes back reads what may be for him, of what the tail has seen, of what others have read, and after a restart; and gets all of it.
func TestCatchUpSkips(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	p := &place{namesrv: c.Namesrv(), dir: t.TempDir(), clock: storetest.NewClock(), recent: 1}
	open := func() (*openedStore, *queue) {
		s, err := p.open()
		ok(t, err)
		q, err := s.place("index/rare")
		ok(t, err)
		return s, q
	}
	s, q := open()
	_, err := s.Watch("index/#")
	ok(t, err)
	var noise []string
	for i := 0; len(noise) < 20; i++ {
		name := fmt.Sprint("index/n", i)
		if at, err := s.place(name); err == nil && at == q {
			noise = append(noise, name)
		}
	}
	const n = 40 << blocks.Shift
	answers := newAnswers(t)
	var rare, everything []string
	for i := range n {
		m := store.Message{Topic: noise[i%len(noise)], QoS: 1, Payload: fmt.Append(nil, i)}
		if i%(8<<blocks.Shift) == 1000 {
			m.Topic, rare = "index/rare", append(rare, string(m.Payload))
		}
		everything = append(everything, string(m.Payload))
		s.Append(&m, answers, uint64(i))
	}
	answers.good(n)
	eventually(t, "the tail has seen them", func() bool { return s.Next(q.key) >= n })

	read := func(step string, filter string, want []string, atLeast int64) {
		t.Helper()
		before := s.stats.Skipped.Load()
		var got []string
		query := store.Query{Filters: []string{filter}, Match: func(name string) bool { return topic.Match(filter, name) }}
		for from := (store.Position{Queue: q.key}); ; {
			recs, next, missed, err := s.Read(from, &query, 1<<20)
			if err != nil {
				t.Errorf("%s: %v", step, err)
				return
			}
			for i := range recs {
				got = append(got, string(recs[i].Payload))
			}
			if missed > 0 {
				t.Errorf("%s: %d are missed", step, missed)
			}
			if next == from.Offset {
				break
			}
			from.Offset = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d messages came, want %d", step, len(got), len(want))
		}
		if skipped := s.stats.Skipped.Load() - before; skipped < atLeast {
			t.Errorf("%s: %d offsets were skipped, want %d", step, skipped, atLeast)
		}
	}
	const most = n * 3 / 4
	read("after the tail", "index/rare", rare, most)
	read("p2p", "+/p2p/c/#", nil, most)
	ok(t, s.Close())
	s, q = open()
	read("after a restart", "+/rare", rare, most)
	ok(t, s.Close())
	p.dir, p.index = t.TempDir(), -1
	s, q = open()
	read("at a node without an index", "index/rare", rare, 0)
	read("there once more", "index/rare", rare, 0)
	if s.stats.Skipped.Load() != 0 {
		t.Error("it has skipped something")
	}
	ok(t, s.Close())
	p.dir, p.index = t.TempDir(), 0
	s, q = open()
	read("at a node that knows nothing", "index/rare", rare, 0)
	if s.stats.Skipped.Load() != 0 {
		t.Error("it has skipped something")
	}
	read("there once more", "index/rare", rare, most)

	const sessions = 20
	var together sync.WaitGroup
	for range sessions {
		together.Go(func() { read("many at once", "index/#", everything, 0) })
	}
	together.Wait()
	if pulls, shared := int64(sessions*n/32), s.stats.Shared.Load(); shared < pulls/2 {
		t.Errorf("%d sessions needed about %d pulls, and shared %d", sessions, pulls, shared)
	}
	ok(t, s.Close())
}
