package local

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// The block index lets a reader skip what cannot interest it. Offsets are divided into blocks of 128; of each the
// view holds where its first record stands in its segment, and a Bloom filter over the topics of its messages and
// over their level prefixes ("a" and "a/b" of "a/b/c", at most the first eight). So a filter without wildcards asks
// for a topic, "a/b/+" and "a/b/#" ask for the prefix "a/b", and "+/c" asks for nothing: it reads everything.
//
// A Bloom filter is filled at its largest size, then folded in half as long as at most half of its bits stay set: its
// size follows the number of different topics without counting them. The value is
//
//	[version 1][position of the first record 4, little endian] bits ... (a power of two bytes, or none: no messages)
const (
	blockShift   = 7
	blockSize    = 1 << blockShift
	blockMask    = blockSize - 1
	indexVersion = 1
	indexHeader  = 5
	bloomBytes   = 2048 // before folding
	bloomMin     = 8    // bytes, after folding
	bloomProbes  = 6    // 1.6 % false positives when half of the bits are set
	prefixLevels = 8
)

// bloom is a filter of a power of two bytes.
type bloom []byte

func (f bloom) add(h uint64) {
	mask := uint32(len(f)*8 - 1)
	a, b := uint32(h), uint32(h>>32)|1
	for range bloomProbes {
		f[a&mask>>3] |= 1 << (a & 7)
		a += b
	}
}

func (f bloom) has(h uint64) bool {
	if len(f) == 0 {
		return false
	}
	mask := uint32(len(f)*8 - 1)
	a, b := uint32(h), uint32(h>>32)|1
	for range bloomProbes {
		if f[a&mask>>3]&(1<<(a&7)) == 0 {
			return false
		}
		a += b
	}
	return true
}

// fold halves f in place as often as that leaves at most half of its bits set, and returns what is left.
func (f bloom) fold() bloom {
	for len(f) > bloomMin {
		half := len(f) / 2
		set := 0
		for i := range half {
			set += bits.OnesCount8(f[i] | f[half+i])
		}
		if set > half*4 {
			break
		}
		for i := range half {
			f[i] |= f[half+i]
		}
		f = f[:half]
	}
	return f
}

// Hashes are FNV-1a, whose prefixes come for free, mixed so that the low bits are good. They are on disk: never change
// them without a new indexVersion.
const (
	fnvOffset   = 14695981039346656037
	fnvPrime    = 1099511628211
	saltTopic   = 0x9E3779B97F4A7C15
	saltPrefix  = 0xC2B2AE3D27D4EB4F
	mixMultiply = 0xD6E8FEB86659FD93
)

func mix(h, salt uint64) uint64 {
	h ^= salt
	h = (h ^ h>>32) * mixMultiply
	h = (h ^ h>>32) * mixMultiply
	return h ^ h>>32
}

func fnv(s string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// addTopic adds a topic and its prefixes.
func (f bloom) addTopic(topic string) {
	h := uint64(fnvOffset)
	level := 0
	for i := range len(topic) {
		if topic[i] == '/' && level < prefixLevels {
			level++
			f.add(mix(h, saltPrefix))
		}
		h = (h ^ uint64(topic[i])) * fnvPrime
	}
	f.add(mix(h, saltTopic))
}

// indexer builds the filter of the block at the end of the log. It belongs to the goroutine that applies.
type indexer struct {
	block int64 // being built
	whole bool  // its first record was seen
	pos   uint32
	any   bool // it has a message
	last  string
	bits  [bloomBytes]byte
}

// start begins the block of offset, whose record stands at pos.
func (x *indexer) start(offset, pos int64) {
	x.block, x.whole = offset>>blockShift, offset&blockMask == 0
	x.pos, x.any, x.last = uint32(pos), false, ""
	clear(x.bits[:])
}

// add notes a record without writing anything.
func (x *indexer) add(h *header, body []byte, pos int64) {
	if h.offset>>blockShift != x.block || h.offset&blockMask == 0 {
		x.start(h.offset, pos)
	}
	if h.kind != kindMessage {
		return
	}
	if topic := messageTopic(h, body); !x.any || topic != x.last {
		bloom(x.bits[:]).addTopic(topic)
		x.any, x.last = true, topic
	}
}

// value is the entry of the block. It consumes the bits.
func (x *indexer) value() []byte {
	b := binary.LittleEndian.AppendUint32([]byte{indexVersion}, x.pos)
	if !x.any {
		return b
	}
	return append(b, bloom(x.bits[:]).fold()...)
}

// record notes a record, and writes the entry of its block when it is the last one.
func (x *indexer) record(t *txn, h *header, body []byte, pos int64) error {
	x.add(h, body, pos)
	if h.offset&blockMask != blockMask || !x.whole {
		return nil
	}
	x.last = "" // does not keep the batch in memory
	return t.Set(view.NumberKey(keyIndex, x.block, ""), x.value())
}

// indexEntry is a decoded value.
type indexEntry struct {
	pos  int64
	bits bloom
}

// parseIndex decodes a value; false when it is not one of this version.
func parseIndex(b []byte) (e indexEntry, ok bool) {
	if len(b) < indexHeader || b[0] != indexVersion {
		return e, false
	}
	e.pos, e.bits = int64(binary.LittleEndian.Uint32(b[1:])), b[indexHeader:]
	return e, len(e.bits)&(len(e.bits)-1) == 0 && e.pos >= segmentHeader
}

// wanted is a query in the form that the index can answer.
type wanted struct {
	all    bool
	hashes []uint64
}

// compile turns filters into hashes, one of which must be in a block that matters.
func compile(q *store.Query) (w wanted) {
	if q == nil {
		return wanted{all: true}
	}
	for _, filter := range q.Filters {
		if !w.add(filter) {
			return wanted{all: true}
		}
	}
	return w
}

// add adds a filter; false when it may match in any block.
func (w *wanted) add(filter string) bool {
	i := strings.IndexAny(filter, "+#")
	if i < 0 {
		w.hashes = append(w.hashes, mix(fnv(filter), saltTopic))
		return true
	}
	if i == 0 {
		return false
	}
	prefix := filter[:i-1] // without the slash before the wildcard
	if filter[i] == '#' {  // "a/#" matches "a" [MQTT-4.7.1-2]
		w.hashes = append(w.hashes, mix(fnv(prefix), saltTopic))
	}
	w.hashes = append(w.hashes, mix(fnv(firstLevels(prefix)), saltPrefix))
	return true
}

// firstLevels cuts a prefix to the levels that are indexed.
func firstLevels(prefix string) string {
	for i, level := 0, 0; i < len(prefix); i++ {
		if prefix[i] == '/' {
			if level++; level == prefixLevels {
				return prefix[:i]
			}
		}
	}
	return prefix
}

// mayMatch says that the block of e may hold something that is wanted.
func (w *wanted) mayMatch(e indexEntry) bool {
	if len(e.bits) == 0 {
		return false
	}
	if w.all {
		return true
	}
	for _, h := range w.hashes {
		if e.bits.has(h) {
			return true
		}
	}
	return false
}
