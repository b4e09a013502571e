package local

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// The block index lets a reader skip what cannot interest it: of each block the
// view holds where its first record stands in its segment, and the filter of package blocks. The value is
//
//	[version 1][position of the first record 4, little endian] filter ...
const (
	indexVersion = 1
	indexHeader  = 5
)

// indexer builds the filter of the block at the end of the log. It belongs to the goroutine that applies.
type indexer struct {
	block  int64 // being built
	whole  bool  // its first record was seen
	pos    uint32
	topics blocks.Builder
}

// start begins the block of offset, whose record stands at pos.
func (x *indexer) start(offset, pos int64) {
	x.block, x.whole = offset>>blocks.Shift, offset&blocks.Mask == 0
	x.pos = uint32(pos)
	x.topics.Reset()
}

// add notes a record without writing anything.
func (x *indexer) add(h *header, body []byte, pos int64) {
	if h.offset>>blocks.Shift != x.block || h.offset&blocks.Mask == 0 {
		x.start(h.offset, pos)
	}
	if h.kind == kindMessage {
		x.topics.Add(messageTopic(h, body))
	}
}

// value is the entry of the block. It consumes the topics.
func (x *indexer) value() []byte {
	return x.topics.AppendTo(binary.LittleEndian.AppendUint32([]byte{indexVersion}, x.pos))
}

// record notes a record, and writes the entry of its block when it is the last one.
func (x *indexer) record(t *txn, h *header, body []byte, pos int64) error {
	x.add(h, body, pos)
	if h.offset&blocks.Mask != blocks.Mask || !x.whole {
		return nil
	}
	return t.Set(view.NumberKey(keyIndex, x.block, ""), x.value())
}

// indexEntry is a decoded value.
type indexEntry struct {
	pos    int64
	topics blocks.Filter
}

// parseIndex decodes a value; false when it is not one of this version.
func parseIndex(b []byte) (e indexEntry, ok bool) {
	if len(b) < indexHeader || b[0] != indexVersion {
		return e, false
	}
	e.pos, e.topics = int64(binary.LittleEndian.Uint32(b[1:])), b[indexHeader:]
	return e, e.topics.Sound() && e.pos >= segmentHeader
}

// compile is what q wants of the index; nil: everything.
func compile(q *store.Query) blocks.Wanted {
	if q == nil {
		return blocks.All()
	}
	return blocks.Compile(q.Filters)
}
