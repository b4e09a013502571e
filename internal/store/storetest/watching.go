package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// testWatched watches less than the fixture does.
func testWatched(f *fixture) {
	f.store.Unwatch("#")
	defer f.watch("#") // until the fixture ends it
	f.watch("w/#")
	f.watch("w/#")
	f.watch("+")
	f.store.Unwatch("w/#")
	all := []store.Message{{Topic: "w/a", QoS: 1}, {Topic: "w", QoS: 2}, {Topic: "w/a/b", QoS: 1}}
	for _, m := range all {
		f.append(m)
	}
	f.same("sink", f.sink.records(f.T, len(all)), all)
	f.store.Unwatch("w/#")
	f.store.Unwatch("+")
}

func testWatch(f *fixture) {
	f.append(store.Message{Topic: "t", QoS: 1}) // from here on its queue is known
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				from, err := f.store.Watch("t")
				if err != nil {
					f.Errorf("watch %d: %v", i, err)
					return
				}
				w := newWaiter()
				f.store.Append(&store.Message{Topic: "t", QoS: 1}, w, 0)
				at, err := w.answer()
				p := slices.IndexFunc(from, func(p store.Position) bool { return p.Queue == at.Queue })
				if err != nil || p < 0 && !f.backend.ManyQueues || p >= 0 && at.Offset < from[p].Offset { // a queue may come to be named later
					f.Errorf("append %d went to %v, err %v; Watch had said %v", i, at, err, from)
					return
				}
				f.store.Unwatch("t")
			}
		})
	}
	wg.Wait()
	f.sink.records(f.T, 1+4*200) // those of a queue that was not named as well
	from := f.watch("t")
	defer f.store.Unwatch("t")
	if len(from) == 0 {
		f.Error("Watch names no queue")
	}
	for _, p := range from {
		if !slices.Contains(f.store.Queues("t"), p.Queue) || !slices.Contains(f.store.Queues("#"), p.Queue) {
			f.Errorf("queue %d of topic t is not among its queues", p.Queue)
		}
	}
}

// testAt asks for times before, at, between and after records. All that is known of when a record was stored is that it
// was not before its publisher looked at the time.
func testAt(f *fixture) {
	const n = 5
	var since []int64
	var places []store.Position
	for range n {
		since = append(since, f.stamp())
		places = append(places, f.append(store.Message{Topic: "t", QoS: 1}))
		f.clock.Advance(time.Second)
	}
	f.sink.records(f.T, n)
	q := places[0].Queue
	times := append([]int64{0, f.stamp() + 3_600_000}, since...)
	for _, ms := range since {
		times = append(times, ms-1, ms+1)
	}
	for _, ms := range times {
		limit := f.store.Next(q)
		if i := slices.IndexFunc(since, func(s int64) bool { return s >= ms }); i >= 0 {
			limit = places[i].Offset
		}
		if at, err := f.store.At(q, ms); err != nil || at < 0 || at > limit {
			f.Errorf("at %d ms, records being stored from %v: offset %d, error %v, want at most %d", ms, since, at, err, limit)
		}
	}
}
