package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

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

// same compares records with what was published. Both are in order: of everything in a store of one queue, else topic by topic.
func (f *fixture) same(where string, recs []store.Record, want []store.Message) {
	f.Helper()
	if len(recs) != len(want) {
		f.Fatalf("%s: %d records, want %d", where, len(recs), len(want))
	}
	lanes := map[string][]int{} // what is next
	for i := range want {
		lane := f.lane(want[i].Topic)
		lanes[lane] = append(lanes[lane], i)
	}
	for i := range recs {
		lane := f.lane(recs[i].Topic)
		if len(lanes[lane]) == 0 {
			f.Fatalf("%s: record %d is one too many of topic %.40q", where, i, recs[i].Topic)
		}
		next := lanes[lane][0]
		lanes[lane] = lanes[lane][1:]
		if diff := sameMessage(&recs[i], &want[next]); diff != "" {
			f.Fatalf("%s: record %d, where message %d was next, has %s", where, i, next, diff)
		}
	}
}

// variety are messages that differ in every field, from the smallest to large ones.
func (f *fixture) variety() []store.Message {
	longest, deep := 65535, 10_000
	if f.backend.LongestTopic != 0 {
		longest, deep = f.backend.LongestTopic, 100
	}
	if f.backend.Prefix != "" {
		longest -= len(f.backend.Prefix) + 1
	}
	retain := !f.backend.NoRetained
	return []store.Message{
		{Topic: "a", QoS: 1},
		{Topic: "a/b", QoS: 2, Payload: []byte("x")},
		{Topic: "/", QoS: 1, Retain: retain, Payload: make([]byte, 64<<10)},
		{Topic: "ä/日本/🙂", QoS: 1, Origin: 1<<64 - 1, Expires: 1<<62 + 1, Forward: []byte{0x01, 0x01}},
		{Topic: strings.Repeat("level/", deep), QoS: 2, Payload: []byte{0}, Forward: bytes.Repeat([]byte{0x26, 0, 1, 'k', 0, 1, 'v'}, 400)},
		{Topic: "$SYS/x", QoS: 1, Payload: bytes.Repeat([]byte("0123456789"), 100_000)},
		{Topic: strings.Repeat("t", longest), QoS: 1},
		{Topic: "q", QoS: 2, Client: "a client", PacketID: 65535, Payload: []byte("with an id"), Forward: []byte{0x01, 0x00}, Origin: 7, Expires: 9, Retain: retain},
	}
}

func testMessages(f *fixture) {
	all := f.variety()
	places := map[string]store.Position{} // by topic
	for _, m := range all {
		places[m.Topic] = f.append(m)
	}
	check := func(where string, recs []store.Record) {
		f.Helper()
		f.same(where, recs, all)
		for i := range recs {
			if want := places[recs[i].Topic]; recs[i].Position != want {
				f.Errorf("%s: %.40q is at %v, want %v", where, recs[i].Topic, recs[i].Position, want)
			}
		}
	}
	check("sink", f.sink.records(f.T, len(all)))
	check("read", f.readAll(everything(), 1<<20, len(all)))
	f.reopen()
	check("read after reopening", f.readAll(everything(), 1<<20, len(all)))
	if n := len(f.sink.records(f.T, 0)); n != 0 {
		f.Errorf("the sink was handed %d old records after reopening, want none", n)
	}
	for i := range all {
		rec, err := f.store.Get(places[all[i].Topic])
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
	payload, forward := make([]byte, 100), []byte{0x03, 0, 10, 9: 0, 12: 0} // Content Type
	w := newWaiter()
	for i := range n {
		letter := byte('A' + i)
		fill(payload, letter)
		fill(forward[3:], letter)
		copy(forward, []byte{0x03, 0, 10})
		f.store.Append(&store.Message{Topic: "t", QoS: byte(i % 3), Payload: payload, Forward: forward}, w, 0)
		clear(payload) // the publisher reads its next packet
		clear(forward)
		if _, err := w.wait(f.T); err != nil {
			f.Fatal(err)
		}
		f.sink.records(f.T, i+1) // QoS 0 may overtake the others on their way to the sink
	}
	for i, rec := range f.sink.records(f.T, n) {
		letter := []byte{byte('A' + i)}
		if len(rec.Payload) != 100 || bytes.Count(rec.Payload, letter) != 100 || bytes.Count(rec.Forward, letter) != 10 {
			f.Fatalf("message %d changed after Append returned", i)
		}
	}
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

func testOrder(f *fixture) {
	const n = 2000
	answers := &recorder{}
	all := make([]store.Message, n)
	for i := range all {
		all[i] = store.Message{Topic: fmt.Sprint("t/", i%7), QoS: 1, Payload: []byte(fmt.Sprint(i))}
		f.store.Append(&all[i], answers, uint64(i))
		if i%10 == 0 {
			f.store.Change(&store.Change{Kind: store.Connect, Client: "c"}, nil, 0)
		}
	}
	got := answers.wait(f.T, n)
	recs := f.sink.records(f.T, n)
	f.same("sink", recs, all)
	f.answeredInOrder(got, all)
	last := map[store.Queue]int64{}
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
		if a := got[i]; places[a.at] != fmt.Sprint(a.token) {
			f.Fatalf("append %d was answered with %v, where the sink saw %q", a.token, a.at, places[a.at])
		}
	}
	if len(f.sink.records(f.T, n)) != n || len(answers.wait(f.T, n)) != n {
		f.Errorf("more answers or records than appends")
	}
}

// answeredInOrder checks that each of all, whose index is its token, was answered once, without error and in its turn.
func (f *fixture) answeredInOrder(got []answer, all []store.Message) {
	f.Helper()
	next := map[string][]uint64{}
	for i := range all {
		lane := f.lane(all[i].Topic)
		next[lane] = append(next[lane], uint64(i))
	}
	for i, a := range got {
		lane := f.lane(all[a.token].Topic)
		if len(next[lane]) == 0 || next[lane][0] != a.token || a.err != nil {
			f.Fatalf("answer %d is of append %d, error %v", i, a.token, a.err)
		}
		next[lane] = next[lane][1:]
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
	for _, list := range [][]store.Record{recs, f.readAll(everything(), 4096, publishers*n)} {
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
	m := store.Message{Topic: "t", Payload: []byte("now"), Retain: !f.backend.NoRetained, Origin: 3, Forward: []byte{1, 1}}
	f.append(store.Message{Topic: "t", QoS: 1})
	f.sink.records(f.T, 1)
	at := f.append(m)
	recs := f.sink.records(f.T, 2)
	if diff := sameMessage(&recs[1], &m); diff != "" {
		f.Errorf("the sink was handed %s", diff)
	}
	if f.backend.Later && recs[1].Offset < 0 {
		f.Errorf("handed over as %v, which is not of the log", recs[1].Position)
	}
	if !f.backend.Later && recs[1].Position != at {
		f.Errorf("handed over as %v, answered as %v", recs[1].Position, at)
	}
	big := store.Message{Topic: "t", Payload: make([]byte, 200_000)}
	f.append(big)
	if recs := f.sink.records(f.T, 3); len(recs[2].Payload) != 200_000 {
		f.Errorf("a large payload arrived with %d bytes", len(recs[2].Payload))
	}
	if !f.backend.Later {
		f.readAll(everything(), 1<<20, 1) // the one with QoS 1
	}
}

func testNext(f *fixture) {
	const n = 100
	f.close()
	f.sink = &recorder{}
	var wrong atomic.Int64
	f.openWith(func(batch []store.Record) {
		for i := range batch {
			if f.store.Next(batch[i].Queue) <= batch[i].Offset {
				wrong.Add(1)
			}
		}
		f.sink.take(batch)
	})
	for range n {
		f.append(store.Message{Topic: "t", QoS: 1})
	}
	f.sink.records(f.T, n)
	if wrong.Load() != 0 {
		f.Errorf("%d records were handed over before Next was above them", wrong.Load())
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
	f.readAll(everything(), 1<<20, 1)
}

// randomTopic is one of some hundred topics of one to five levels.
func randomTopic(rng *rand.Rand) string {
	levels := make([]string, 1+rng.IntN(5))
	for i := range levels {
		levels[i] = string(rune('a' + rng.IntN(4)))
	}
	return strings.Join(levels, "/")
}
