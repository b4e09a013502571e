package rocketmq

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// ring keeps what a queue's follower has handed over lately, for sessions that rejoin it. All rings together are bounded by
// Options.MaxRecentBytes, and each by time.
type ring struct {
	total *atomic.Int64 // bytes of all rings
	most  int64

	mu      sync.Mutex
	batches []ringBatch
}

// recentTime is how long a ring keeps anything.
const recentTime = 10 * time.Second

type ringBatch struct {
	from, to int64 // logical offsets: what is not in recs is not deliverable
	recs     []store.Record
	bytes    int64 // that they keep from being freed
	at       time.Time
}

// add takes over the records of [from, to), in order, which keep so many bytes in memory.
func (r *ring) add(from, to int64, recs []store.Record, bytes int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := len(r.batches); k > 0 && r.batches[k-1].to != from {
		r.drop(k)
	}
	r.batches = append(r.batches, ringBatch{from, to, recs, bytes, now})
	r.total.Add(bytes)
	k := 0
	for k < len(r.batches)-1 && r.total.Load() > r.most {
		k++
		r.total.Add(-r.batches[k-1].bytes)
		r.batches[k-1].bytes = 0
	}
	r.drop(k)
}

// tidy drops what is old; with an empty time everything.
func (r *ring) tidy(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := 0
	for k < len(r.batches) && (now.IsZero() || now.Sub(r.batches[k].at) > recentTime) {
		k++
	}
	r.drop(k)
}

// drop drops the k oldest batches. mu is held.
func (r *ring) drop(k int) {
	if k == 0 {
		return
	}
	for i := range k {
		r.total.Add(-r.batches[i].bytes)
	}
	n := copy(r.batches, r.batches[k:])
	clear(r.batches[n:])
	r.batches = r.batches[:n]
}

// read returns the records from the logical offset on that match wants, as store.Store.Read. ok is false when the ring does not have that offset.
func (r *ring) read(from int64, wants func(*store.Record) bool, maxBytes int) (recs []store.Record, next int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := len(r.batches)
	if k == 0 || from < r.batches[0].from || from > r.batches[k-1].to {
		return nil, 0, false
	}
	next = from
	i := sort.Search(k, func(i int) bool { return r.batches[i].to > from })
	for bytes := 0; i < k; i++ {
		b := &r.batches[i]
		for j := sort.Search(len(b.recs), func(j int) bool { return b.recs[j].Offset >= from }); j < len(b.recs); j++ {
			if rec := &b.recs[j]; wants(rec) {
				recs = append(recs, *rec)
				next = rec.Offset + 1
				if bytes += len(rec.Payload) + len(rec.Topic); bytes >= maxBytes {
					return recs, next, true
				}
			}
		}
		next = b.to
	}
	return recs, next, true
}

// get returns the record at a logical offset.
func (r *ring) get(offset int64) (rec store.Record, ok bool) {
	recs, _, ok := r.read(offset, func(*store.Record) bool { return true }, 1)
	if !ok || len(recs) == 0 || recs[0].Offset != offset {
		return rec, false
	}
	return recs[0], true
}
