package local

import (
	"sort"
	"sync"
	"unsafe"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// ring holds the newest batches in memory, for readers near the end and for Get of what is in flight. The oldest are
// given up when their bytes exceed the limit; the last batch always stays.
type ring struct {
	limit int64

	mu      sync.Mutex
	batches []recentBatch // guarded by mu; oldest first, without gaps between next and first
	bytes   int64         // guarded by mu
}

// recentBatch is what the ring keeps of a batch. Its records are immutable.
type recentBatch struct {
	first, next int64
	bytes       int64
	recs        []store.Record // messages only
}

// add takes the records of a batch that is durable.
func (r *ring) add(b *batch) {
	if r.limit < 0 {
		return
	}
	n := recentBatch{first: b.first, next: b.next(), recs: b.recs, bytes: int64(b.size)}
	n.bytes += int64(cap(b.recs))*int64(unsafe.Sizeof(store.Record{})) + int64(unsafe.Sizeof(n))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, n)
	r.bytes += n.bytes
	drop := 0
	for r.bytes > r.limit && drop < len(r.batches)-1 {
		r.bytes -= r.batches[drop].bytes
		r.batches[drop] = recentBatch{}
		drop++
	}
	r.batches = r.batches[drop:]
}

// ringChunk is how many batches a reader gets at once. They are copied: add reuses their places.
const ringChunk = 64

// from appends to dst up to ringChunk batches, the first of which holds offset; false when offset is older than what
// is kept. Nothing appended means that offset is the end.
func (r *ring) from(offset int64, dst []recentBatch) ([]recentBatch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.batches) == 0 || offset < r.batches[0].first {
		return dst, false
	}
	i := sort.Search(len(r.batches), func(i int) bool { return r.batches[i].next > offset })
	return append(dst, r.batches[i:min(i+ringChunk, len(r.batches))]...), true
}

// batch returns the batch that holds offset, false when the ring has none.
func (r *ring) batch(offset int64) (recentBatch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := sort.Search(len(r.batches), func(i int) bool { return r.batches[i].next > offset })
	if i == len(r.batches) || offset < r.batches[i].first {
		return recentBatch{}, false
	}
	return r.batches[i], true
}

// get returns the message at offset; known is false when the ring does not reach back to it, found when there is one.
func (r *ring) get(offset int64) (rec store.Record, found, known bool) {
	b, ok := r.batch(offset)
	if !ok {
		return rec, false, false
	}
	recs := b.recs
	i := sort.Search(len(recs), func(i int) bool { return recs[i].Offset >= offset })
	if i < len(recs) && recs[i].Offset == offset {
		return recs[i], true, true
	}
	return rec, false, true
}
