package local

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	slabSize        = 64 << 10
	maxPendingBytes = 2 << 20 // of one batch; one larger record makes a batch of its own
	maxPendingItems = 8192
)

// batch is what one write and one sync make durable. It is filled under Store.mu, then belongs to the committer, then
// to the finisher.
type batch struct {
	first  int64     // offset of its first record; the others follow
	since  time.Time // when that was appended
	chunks [][]byte
	items  []item
	recs   []store.Record // the messages among the records; they alias the chunks
	size   int            // bytes of all chunks
	views  int            // records that the view must see

	durable int64 // set by the committer, as the next two: every record below this was synced
	segment *segment
	at      int64 // position of the first record in segment
	err     error // why nothing of it is acknowledged
}

// item is one record of a batch.
type item struct {
	done  store.Completion // nil: nobody asks
	token uint64
	rec   []byte // header and body
}

func (b *batch) next() int64 { return b.first + int64(len(b.items)) }

// viewed says that the view has something to do with a record of this kind and these flags.
func viewed(kind, flags byte) bool {
	return kind != kindMessage || flags&(flagClient|flagRetain) != 0
}

func (b *batch) add(rec []byte, done store.Completion, token uint64) {
	b.items = append(b.items, item{done: done, token: token, rec: rec})
	b.size += len(rec)
	if viewed(rec[offKind], rec[offFlags]) {
		b.views++
	}
}

// reset makes b empty, for use again. The records and chunks stay with those who got them.
func (b *batch) reset() {
	clear(b.items)
	clear(b.chunks)
	*b = batch{chunks: b.chunks[:0], items: b.items[:0]}
}

// slab hands out parts of one allocation in order.
type slab struct {
	b []byte
}

// take returns n bytes for a record of b, noted in b.chunks. Records of one slab are one chunk. A large record gets
// its own allocation, so that whoever keeps a small one does not keep the large one with it.
func (s *slab) take(b *batch, n int) []byte {
	if n > slabSize/16 {
		rec := make([]byte, n)
		b.chunks = append(b.chunks, rec)
		return rec
	}
	if cap(s.b)-len(s.b) < n {
		s.b = make([]byte, 0, slabSize)
	}
	from := len(s.b)
	s.b = s.b[:from+n]
	rec := s.b[from : from+n : from+n]
	if last := len(b.chunks) - 1; last >= 0 && len(b.chunks[last]) > 0 && follows(b.chunks[last], rec) {
		b.chunks[last] = b.chunks[last][:len(b.chunks[last])+n]
	} else {
		b.chunks = append(b.chunks, s.b[from:])
	}
	return rec
}

// follows says that next stands right behind chunk in one allocation.
func follows(chunk, next []byte) bool {
	return cap(chunk) >= len(chunk)+len(next) && &chunk[:len(chunk)+1][len(chunk)] == &next[0]
}
