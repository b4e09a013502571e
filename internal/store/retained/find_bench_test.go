package retained

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// many is how many messages the benchmarks have, in so many queues of the log.
const many, queues = 100_000, 8

// benched is a view on the disk.
func benched(b *testing.B, dir string) *View {
	v, err := Open(Options{
		Dir: dir, Queues: queues, Now: func() int64 { return 1 }, Logger: slog.New(slog.DiscardHandler),
		Late: func(*store.Record) {}, Failed: func(err error) { b.Error(err) },
	})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// fill has v read a message of 128 bytes for each topic, 100 at a time, as they come when much is published.
func fill(b *testing.B, v *View, round int64) {
	var waits [queues][]view.Entry
	read := func(q int) {
		log := waits[q]
		if len(log) == 0 {
			return
		}
		if err := v.Read(q, log, log[len(log)-1].Offset+1, nil); err != nil {
			b.Fatal(err)
		}
		waits[q] = log[:0]
	}
	for i := range int64(many) {
		m := &store.Message{Topic: fmt.Sprintf("keep/%d/state", i), Payload: make([]byte, 128), QoS: 1}
		rec := AppendRecord(nil, m, 1)
		Place(rec, store.Position{Queue: 1, Offset: round*many + i})
		q := v.QueueOf(m.Topic)
		if waits[q] = append(waits[q], view.Entry{Offset: round*many + i, Time: 1, Data: rec}); len(waits[q]) == 100 {
			read(q)
		}
	}
	for q := range waits {
		read(q)
	}
}

// BenchmarkFind is a client that subscribes to everything: pages as sessions read them, of a view that was opened again, so of files, and of one that has just been written.
func BenchmarkFind(b *testing.B) {
	dir := b.TempDir()
	v := benched(b, dir)
	fill(b, v, 0)
	for _, filter := range []string{"keep/#", "keep/+/state"} {
		b.Run("written/"+filter[5:], func(b *testing.B) { findAll(b, v, filter) })
	}
	check(b, v.Close())
	v = benched(b, dir)
	for _, filter := range []string{"keep/#", "keep/+/state"} {
		b.Run("opened/"+filter[5:], func(b *testing.B) { findAll(b, v, filter) })
	}
	check(b, v.Close())
}

func findAll(b *testing.B, v *View, filter string) {
	b.ReportAllocs()
	for b.Loop() {
		got := 0
		for after, more := "", true; more; more = after != "" {
			recs, next, err := v.Find(filter, after, 256<<10)
			if err != nil {
				b.Fatal(err)
			}
			got, after = got+len(recs), next
		}
		if got != many {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(many)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkRead is every topic's message replaced.
func BenchmarkRead(b *testing.B) {
	v := benched(b, b.TempDir())
	fill(b, v, 0)
	round := int64(0)
	for b.Loop() {
		round++
		fill(b, v, round)
	}
	b.ReportMetric(float64(many)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	check(b, v.Close())
}
