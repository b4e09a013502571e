package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func everything() *store.Query {
	return &store.Query{Filters: []string{"#"}, Match: func(string) bool { return true }}
}

// query asks for the topics that filters match.
func query(filters ...string) *store.Query {
	return &store.Query{Filters: filters, Match: func(topic string) bool {
		for _, filter := range filters {
			if filterMatches(filter, topic) {
				return true
			}
		}
		return false
	}}
}

// filterMatches is the plain rule of MQTT, without the exception for topics that begin with $.
func filterMatches(filter, topic string) bool {
	fs, ts := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, l := range fs {
		if l == "#" {
			return true // also what stands one level above [MQTT-4.7.1-2]
		}
		if i >= len(ts) || l != "+" && l != ts[i] {
			return false
		}
	}
	return len(fs) == len(ts)
}

// readAll reads every queue from where the case began to its end, where there are to be n records.
func (f *fixture) readAll(q *store.Query, maxBytes, n int) []store.Record {
	f.Helper()
	var all []store.Record
	f.agree(fmt.Sprintf("read %q in steps of %d bytes", q.Filters, maxBytes), func() error {
		if all = f.readOnce(q, maxBytes); len(all) != n {
			return fmt.Errorf("%d records, want %d", len(all), n)
		}
		return nil
	})
	return all
}

// readOnce is readAll of whatever there is.
func (f *fixture) readOnce(q *store.Query, maxBytes int) []store.Record {
	f.Helper()
	var all []store.Record
	for _, queue := range f.store.Queues("#") {
		from := f.beginning(queue)
		for {
			recs, next, missed, err := f.store.Read(from, q, maxBytes)
			if err != nil || missed != 0 {
				f.Fatalf("read from %v: missed %d, error %v", from, missed, err)
			}
			f.checkStep(from, next, recs)
			all = append(all, recs...)
			if next == from.Offset {
				break
			}
			from.Offset = next
		}
	}
	return all
}

// checkStep checks what one Read has returned.
func (f *fixture) checkStep(from store.Position, next int64, recs []store.Record) {
	f.Helper()
	if next < from.Offset || len(recs) > 0 && next == from.Offset {
		f.Fatalf("read from %v goes on at %d after %d records", from, next, len(recs))
	}
	at := from.Offset
	for i := range recs {
		if recs[i].Queue != from.Queue || recs[i].Offset < at || recs[i].Offset >= next {
			f.Fatalf("read from %v to %d returned the record at %v, after offset %d", from, next, recs[i].Position, at)
		}
		at = recs[i].Offset + 1
	}
}

func testReadFilters(f *fixture) {
	const n = 3000
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]store.Message, n)
	answers := &recorder{}
	for i := range all {
		all[i] = store.Message{Topic: randomTopic(rng), QoS: 1, Payload: []byte(fmt.Sprint(i))}
		if i/500%2 == 0 {
			all[i].Topic = "quiet/" + all[i].Topic // so that whole ranges hold nothing of interest
		}
		f.store.Append(&all[i], answers, 0)
	}
	answers.wait(f.T, n)
	check := func() {
		for _, filters := range [][]string{
			{"a"},
			{"a/b"},
			{"a/b/c/d/a"},
			{"a/+"},
			{"a/#"},
			{"a/b/#"},
			{"+/b"},
			{"+"},
			{"#"},
			{"a/+/c"},
			{"b/b/b/+/#"},
			{"nothing"},
			{"nothing/#"},
			{"quiet/#"},
			{"quiet/a"},
			{"a/b", "c/#", "d/+/a"},
			{"nothing", "a/a/a"},
			{"quiet"},
			{},
		} {
			q := query(filters...)
			var want []store.Message
			for _, m := range all {
				if q.Match(m.Topic) {
					want = append(want, m)
				}
			}
			f.same(fmt.Sprintf("filters %q", filters), f.readAll(q, 10_000, len(want)), want)
		}
	}
	check()
	f.reopen() // not from memory
	check()
}

func testReadSteps(f *fixture) {
	const n = 200
	var places []store.Position
	for i := range n {
		places = append(places, f.append(store.Message{Topic: "t", QoS: 1, Payload: fmt.Appendf(nil, "%0100d", i)}))
	}
	for range 2 {
		f.agree("Next", func() error { return f.above(places[n-1]) })
		first := places[0]
		recs, _, _, err := f.store.Read(first, everything(), 1)
		if err != nil || len(recs) != 1 {
			f.Errorf("asked for one byte: %d records, error %v; want one record", len(recs), err)
		}
		recs, _, _, err = f.store.Read(first, everything(), 2000)
		if err != nil || len(recs) < 2 || len(recs) > 40 {
			f.Errorf("asked for 2,000 bytes: %d records of 100, error %v", len(recs), err)
		}
		middle := places[n/2]
		if recs, _, _, err = f.store.Read(middle, everything(), 1); err != nil || len(recs) != 1 || recs[0].Position != middle {
			f.Errorf("read from %v: %v, error %v", middle, recs, err)
		}
		end := store.Position{Queue: first.Queue, Offset: f.store.Next(first.Queue)}
		recs, next, missed, err := f.store.Read(end, everything(), 1000)
		if err != nil || missed != 0 || len(recs) != 0 || next != end.Offset {
			f.Errorf("read at the end: %d records, next %d, missed %d, error %v", len(recs), next, missed, err)
		}
		f.readAll(everything(), 333, n)
		f.reopen()
	}
}

// above says whether Next is above p.
func (f *fixture) above(p store.Position) error {
	if next := f.store.Next(p.Queue); next <= p.Offset {
		return fmt.Errorf("it is %d, not above %v", next, p)
	}
	return nil
}

func testReadTail(f *fixture) {
	const n = 2000
	var wg sync.WaitGroup
	defer wg.Wait()
	first := f.append(store.Message{Topic: "t", QoS: 1, Payload: []byte("0")})
	wg.Go(func() {
		for i := 1; i < n; i++ {
			f.store.Append(&store.Message{Topic: "t", QoS: 1, Payload: []byte(fmt.Sprint(i))}, nil, 0)
		}
	})
	from, got := first, 0
	poll(f.T, "the reader to see every message", func() error {
		limit := f.store.Next(from.Queue)
		recs, next, missed, err := f.store.Read(from, query("t"), 5000)
		if err != nil || missed != 0 {
			f.Fatalf("read from %v: missed %d, error %v", from, missed, err)
		}
		f.checkStep(from, next, recs)
		if next == from.Offset && next < limit {
			f.Fatalf("read from %v stays there, below Next %d", from, limit)
		}
		for i := range recs {
			if string(recs[i].Payload) != fmt.Sprint(got) {
				f.Fatalf("message %s where %d was next", recs[i].Payload, got)
			}
			got++
		}
		from.Offset = next
		return atLeast(n, got)
	})
}

func testGet(f *fixture) {
	at := f.append(store.Message{Topic: "t", QoS: 1, Payload: []byte("one")})
	for i := range 300 {
		f.append(store.Message{Topic: "t", QoS: 1, Payload: []byte(fmt.Sprint(i))})
	}
	for range 2 {
		if rec, err := f.store.Get(at); err != nil || string(rec.Payload) != "one" || rec.Position != at {
			f.Errorf("get %v: %q at %v, error %v", at, rec.Payload, rec.Position, err)
		}
		f.reopen()
	}
	if _, err := f.store.Get(store.Position{Queue: at.Queue, Offset: at.Offset + 1_000_000}); err == nil {
		f.Errorf("get of what was never written succeeded")
	}
}

func testClose(f *fixture) {
	const n = 500
	answers := &recorder{}
	for i := range n {
		f.store.Append(&store.Message{Topic: "t", QoS: 1}, answers, uint64(i))
	}
	s := f.store
	f.close()
	got := answers.wait(f.T, n)
	for i := range got {
		if got[i].err != nil {
			f.Fatalf("append %d, taken before Close: %v", i, got[i].err)
		}
	}
	if err := s.Close(); err != nil {
		f.Errorf("second Close: %v", err)
	}
	w := newWaiter()
	for qos := range byte(3) {
		s.Append(&store.Message{Topic: "t", QoS: qos}, w, 0)
		if _, err := w.wait(f.T); !errors.Is(err, store.ErrClosed) {
			f.Errorf("append of QoS %d after Close: %v, want ErrClosed", qos, err)
		}
	}
	s.Change(&store.Change{Kind: store.Connect, Client: "c"}, w, 0)
	if _, err := w.wait(f.T); !errors.Is(err, store.ErrClosed) {
		f.Errorf("change after Close: %v, want ErrClosed", err)
	}
	if _, err := s.Load("c"); !errors.Is(err, store.ErrClosed) {
		f.Errorf("load after Close: %v, want ErrClosed", err)
	}
	if _, _, _, err := s.Read(got[0].at, everything(), 1); !errors.Is(err, store.ErrClosed) {
		f.Errorf("read after Close: %v, want ErrClosed", err)
	}
	f.open()
	f.readAll(everything(), 1<<20, n)
}
