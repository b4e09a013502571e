package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// sameMessage says in what rec differs from what was published as m; empty: in nothing.
func sameMessage(rec *store.Record, m *store.Message) string {
	switch {
	case rec.Topic != m.Topic:
		return fmt.Sprintf("topic %.40q, want %.40q", rec.Topic, m.Topic)
	case !bytes.Equal(rec.Payload, m.Payload):
		return fmt.Sprintf("a payload of %d bytes, want %d, or other bytes", len(rec.Payload), len(m.Payload))
	case rec.QoS != m.QoS || rec.Retain != m.Retain:
		return fmt.Sprintf("QoS %d, retain %v, want %d, %v", rec.QoS, rec.Retain, m.QoS, m.Retain)
	case rec.Origin != m.Origin || rec.Expires != m.Expires:
		return fmt.Sprintf("origin %x, expires %d, want %x, %d", rec.Origin, rec.Expires, m.Origin, m.Expires)
	case !bytes.Equal(rec.Forward, m.Forward):
		return fmt.Sprintf("properties %x, want %x", rec.Forward, m.Forward)
	}
	return ""
}

// variety are messages that differ in every field, from the smallest to large ones.
func variety() []store.Message {
	return []store.Message{
		{Topic: "a", QoS: 1},
		{Topic: "a/b", QoS: 2, Payload: []byte("x")},
		{Topic: "/", QoS: 1, Retain: true, Payload: make([]byte, 64<<10)},
		{Topic: "ä/日本/🙂", QoS: 1, Origin: 1<<64 - 1, Expires: 1<<62 + 1, Forward: []byte{0x01, 0x01}},
		{Topic: strings.Repeat("level/", 10000), QoS: 2, Payload: []byte{0}, Forward: bytes.Repeat([]byte{0x26}, 3000)},
		{Topic: "$SYS/x", QoS: 1, Payload: bytes.Repeat([]byte("0123456789"), 100_000)},
		{Topic: strings.Repeat("t", 65535), QoS: 1},
		{Topic: "q", QoS: 2, Client: "a client", PacketID: 65535, Payload: []byte("with an id"), Forward: []byte{1}, Origin: 7, Expires: 9, Retain: true},
	}
}

func testMessages(f *fixture) {
	all := variety()
	var places []store.Position
	for _, m := range all {
		places = append(places, f.append(m))
	}
	check := func(where string, recs []store.Record) {
		f.Helper()
		if len(recs) != len(all) {
			f.Fatalf("%s: %d records, want %d", where, len(recs), len(all))
		}
		for i := range recs {
			if diff := sameMessage(&recs[i], &all[i]); diff != "" {
				f.Errorf("%s: message %d has %s", where, i, diff)
			}
			if recs[i].Position != places[i] {
				f.Errorf("%s: message %d is at %v, want %v", where, i, recs[i].Position, places[i])
			}
		}
	}
	check("sink", f.sink.records(f.T, len(all)))
	check("read", f.readAll(everything(), 1<<20))
	f.reopen()
	check("read after reopening", f.readAll(everything(), 1<<20))
	if n := len(f.sink.records(f.T, 0)); n != 0 {
		f.Errorf("the sink was handed %d old records after reopening, want none", n)
	}
	for i := range all {
		rec, err := f.store.Get(places[i])
		if err != nil {
			f.Fatalf("get message %d: %v", i, err)
		}
		if diff := sameMessage(&rec, &all[i]); diff != "" {
			f.Errorf("get: message %d has %s", i, diff)
		}
	}
}

func testCopies(f *fixture) {
	const n = 50
	payload, forward := make([]byte, 100), make([]byte, 10)
	w := newWaiter()
	for i := range n {
		for j := range payload {
			payload[j] = byte(i)
		}
		for j := range forward {
			forward[j] = byte(i)
		}
		f.store.Append(&store.Message{Topic: "t", QoS: byte(i % 3), Payload: payload, Forward: forward}, w, 0)
		clear(payload) // the publisher reads its next packet
		clear(forward)
		if _, err := w.wait(f.T); err != nil {
			f.Fatal(err)
		}
		f.sink.records(f.T, i+1) // QoS 0 may overtake the others on their way to the sink
	}
	for i, rec := range f.sink.records(f.T, n) {
		if len(rec.Payload) != 100 || bytes.Count(rec.Payload, []byte{byte(i)}) != 100 || bytes.Count(rec.Forward, []byte{byte(i)}) != 10 {
			f.Fatalf("message %d changed after Append returned", i)
		}
	}
}

func testOrder(f *fixture) {
	const n = 2000
	answers := &recorder{}
	for i := range n {
		f.store.Append(&store.Message{Topic: fmt.Sprint("t/", i%7), QoS: 1, Payload: []byte(fmt.Sprint(i))}, answers, uint64(i))
		if i%10 == 0 {
			f.store.Change(&store.Change{Kind: store.Connect, Client: "c"}, nil, 0)
		}
	}
	got := answers.wait(f.T, n)
	recs := f.sink.records(f.T, n)
	last := map[store.Queue]int64{}
	for i := range n {
		if got[i].token != uint64(i) || got[i].err != nil {
			f.Fatalf("answer %d is of append %d, error %v", i, got[i].token, got[i].err)
		}
	}
	places := map[store.Position]string{}
	for i := range recs {
		r := &recs[i]
		if before, seen := last[r.Queue]; seen && r.Offset <= before {
			f.Fatalf("the sink was handed offset %d after %d", r.Offset, before)
		}
		last[r.Queue] = r.Offset
		places[r.Position] = string(r.Payload)
	}
	for i := range got {
		if places[got[i].at] != fmt.Sprint(i) {
			f.Fatalf("append %d was answered with %v, where the sink saw %q", i, got[i].at, places[got[i].at])
		}
	}
	if len(recs) != n || len(f.sink.records(f.T, n)) != n || len(answers.wait(f.T, n)) != n {
		f.Errorf("more answers or records than appends")
	}
}

func testParallel(f *fixture) {
	const publishers, n = 16, 100
	answers := &recorder{}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range n {
				m := store.Message{Topic: fmt.Sprint("p/", p), QoS: 1 + byte(i%2), Payload: []byte(fmt.Sprint(i)), Origin: uint64(p + 1)}
				f.store.Append(&m, answers, uint64(p*n+i))
			}
		})
	}
	wg.Wait()
	got := answers.wait(f.T, publishers*n)
	recs := f.sink.records(f.T, publishers*n)
	tokens := map[uint64]bool{}
	for _, a := range got {
		if a.err != nil || tokens[a.token] {
			f.Fatalf("append %d: error %v, answered before: %v", a.token, a.err, tokens[a.token])
		}
		tokens[a.token] = true
	}
	for _, list := range [][]store.Record{recs, f.readAll(everything(), 4096)} {
		next := map[uint64]int{}
		for i := range list {
			if want := fmt.Sprint(next[list[i].Origin]); string(list[i].Payload) != want {
				f.Fatalf("publisher %d: message %s where %s was next", list[i].Origin, list[i].Payload, want)
			}
			next[list[i].Origin]++
		}
		if len(list) != publishers*n {
			f.Errorf("%d records, want %d", len(list), publishers*n)
		}
	}
}

func testQoS0(f *fixture) {
	m := store.Message{Topic: "t", Payload: []byte("now"), Retain: true, Origin: 3, Forward: []byte{1, 1}}
	f.append(store.Message{Topic: "t", QoS: 1})
	f.sink.records(f.T, 1)
	at := f.append(m)
	recs := f.sink.records(f.T, 2)
	if diff := sameMessage(&recs[1], &m); diff != "" {
		f.Errorf("the sink was handed %s", diff)
	}
	if recs[1].Position != at {
		f.Errorf("handed over as %v, answered as %v", recs[1].Position, at)
	}
	big := store.Message{Topic: "t", Payload: make([]byte, 200_000)}
	f.append(big)
	if recs := f.sink.records(f.T, 3); len(recs[2].Payload) != 200_000 {
		f.Errorf("a large payload arrived with %d bytes", len(recs[2].Payload))
	}
	if at.Offset != -1 {
		return // this store keeps them
	}
	if kept := f.readAll(everything(), 1<<20); len(kept) != 1 {
		f.Errorf("%d records are kept, want the one with QoS 1", len(kept))
	}
}

func testNext(f *fixture) {
	f.close()
	s, err := f.backend.Open()
	if err != nil {
		f.Fatal(err)
	}
	f.store = s
	var mu sync.Mutex
	wrong := 0
	s.Follow(func(batch []store.Record) {
		mu.Lock()
		defer mu.Unlock()
		for i := range batch {
			if batch[i].Offset >= 0 && s.Next(batch[i].Queue) <= batch[i].Offset {
				wrong++
			}
		}
	})
	w := newWaiter()
	for range 100 {
		s.Append(&store.Message{Topic: "t", QoS: 1}, w, 0)
		if _, err := w.wait(f.T); err != nil {
			f.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if wrong != 0 {
		f.Errorf("%d records were handed over before Next was above them", wrong)
	}
}

func testEnd(f *fixture) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				end := f.store.End("t")
				w := newWaiter()
				f.store.Append(&store.Message{Topic: "t", QoS: 1}, w, 0)
				at, err := w.wait(f.T)
				p := slices.IndexFunc(end, func(p store.Position) bool { return p.Queue == at.Queue })
				if err != nil || p < 0 || at.Offset < end[p].Offset {
					f.Errorf("append %d went to %v, err %v; End had said %v", i, at, err, end)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, p := range f.store.End("t") {
		if !slices.Contains(f.store.Queues("t"), p.Queue) || !slices.Contains(f.store.Queues("#"), p.Queue) {
			f.Errorf("queue %d of topic t is not among its queues", p.Queue)
		}
	}
}

func testTooLarge(f *fixture) {
	if f.backend.TooLarge == 0 {
		return
	}
	for qos := range byte(3) {
		if _, err := f.try(store.Message{Topic: "t", QoS: qos, Payload: make([]byte, f.backend.TooLarge)}); !errors.Is(err, store.ErrTooLarge) {
			f.Errorf("QoS %d: error %v, want ErrTooLarge", qos, err)
		}
	}
	f.append(store.Message{Topic: "t", QoS: 1, Payload: []byte("fits")})
	if recs := f.readAll(everything(), 1<<20); len(recs) != 1 {
		f.Errorf("%d records are kept, want 1", len(recs))
	}
}

// randomTopic is one of some hundred topics of one to five levels.
func randomTopic(rng *rand.Rand) string {
	levels := make([]string, 1+rng.IntN(5))
	for i := range levels {
		levels[i] = string(rune('a' + rng.IntN(4)))
	}
	return strings.Join(levels, "/")
}
