// Package blocks says which blocks of records a reader can skip. Offsets are divided into blocks of 128; of each a store keeps a
// Bloom filter over the topics of its messages and over their level prefixes ("a" and "a/b" of "a/b/c", at most the first eight). So an MQTT topic filter
// without wildcards asks for a topic, "a/b/+" and "a/b/#" ask for the prefix "a/b", and "+/c" asks for nothing: it is to read everything.
//
// A Bloom filter is filled at its largest size, then folded in half as long as at most half of its bits stay set: its
// size follows the number of different topics without counting them. It is written to disk: any change of how needs another version of whoever keeps it.
package blocks

import "math/bits"

// Shift, Size and Mask are of the offsets of a block: offset>>Shift is its number.
const (
	Shift = 7
	Size  = 1 << Shift
	Mask  = Size - 1
)

const (
	mostBytes    = 2048 // before folding
	leastBytes   = 8    // after folding
	probes       = 6    // 1.6 % false positives when half of the bits are set
	prefixLevels = 8
)

// Filter is over the topics of one block: a power of two bytes, or none, which means that no message is there.
type Filter []byte

// Sound reports whether f can be a filter.
func (f Filter) Sound() bool { return len(f)&(len(f)-1) == 0 }

func (f Filter) add(h uint64) {
	mask := uint32(len(f)*8 - 1)
	a, b := uint32(h), uint32(h>>32)|1
	for range probes {
		f[a&mask>>3] |= 1 << (a & 7)
		a += b
	}
}

func (f Filter) has(h uint64) bool {
	if len(f) == 0 {
		return false
	}
	mask := uint32(len(f)*8 - 1)
	a, b := uint32(h), uint32(h>>32)|1
	for range probes {
		if f[a&mask>>3]&(1<<(a&7)) == 0 {
			return false
		}
		a += b
	}
	return true
}

// fold halves f in place as often as that leaves at most half of its bits set, and returns what is left.
func (f Filter) fold() Filter {
	for len(f) > leastBytes {
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

// addTopic adds a topic and its prefixes.
func (f Filter) addTopic(topic string) {
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

// Builder gathers the topics of one block. The zero value is ready. It is for one goroutine.
type Builder struct {
	any  bool
	last string
	bits [mostBytes]byte
}

// Reset begins another block.
func (b *Builder) Reset() {
	b.any, b.last = false, ""
	clear(b.bits[:])
}

// Add notes a message with this topic, which is kept until Reset or AppendTo.
func (b *Builder) Add(topic string) {
	if !b.any || topic != b.last {
		Filter(b.bits[:]).addTopic(topic)
		b.any, b.last = true, topic
	}
}

// AppendTo appends the block's Filter to dst. What was gathered is no more.
func (b *Builder) AppendTo(dst []byte) []byte {
	b.last = "" // does not keep a batch in memory
	if !b.any {
		return dst
	}
	return append(dst, Filter(b.bits[:]).fold()...)
}
