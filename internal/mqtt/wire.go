package mqtt

import (
	"encoding/binary"
	"slices"
)

func malformed(reason string) *Error     { return &Error{Code: MalformedPacket, Reason: reason} }
func protocolError(reason string) *Error { return &Error{Code: ProtocolError, Reason: reason} }

// allowance is what a decoded packet may take beyond twice its own size, in bytes. A user property costs 48 bytes
// and may stand in 5, a filter 32 and may stand in 4: without a bound a packet would cost its receiver ten times its
// size. The bound lets every packet with up to 1,000 such entries pass, however short they are, and any number of
// them where a user property takes 24 bytes of the packet (48 where Forward must be copied) and a filter 16. Nothing is
// allocated before it is charged.
const allowance = 48 << 10

// keep is the number of entries up to which a slice is kept for the next packet.
const keep = 256

// reader takes fields off the front of a packet's body. The first error sticks, and what is read after it is
// zero, so that callers need look at err only where they decide by a value, and at the end.
type reader struct {
	b    []byte // what is left; of the property block while inside one
	err  error
	room int // bytes that the decoded packet may still allocate
	paid int // bytes charged for entries yet to come

	// Of properties: see nextProperty.
	block    []byte // the whole property block
	after    []byte // what follows it
	in       packets
	seen     uint64   // bit per property read
	id       property // the property last read, from block[from:]
	from     int
	num      uint32 // its value, when it is an integer
	key, val []byte // its value, when it is a string, binary, or a pair
}

func newReader(body []byte) reader { return reader{b: body, room: 2*len(body) + allowance} }

func (r *reader) fail(err *Error) {
	if r.err == nil {
		r.err = err
	}
	r.b, r.after = nil, nil
}

func (r *reader) short() { r.fail(malformed("a field runs past the end")) }

// end is to be called when all of a packet was read.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail(malformed("bytes after the end of the packet"))
	}
	return r.err
}

// charge takes n bytes from what the packet may allocate. Whether a packet is refused must depend on the packet
// alone, so it is charged also when the receiver has capacity to spare.
func (r *reader) charge(n int) bool {
	if r.room -= n; r.room < 0 {
		r.fail(&Error{Code: QuotaExceeded, Reason: "too many entries for the size of the packet"})
		return false
	}
	return true
}

func (r *reader) uint8() byte {
	if len(r.b) < 1 {
		r.short()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.short()
		return 0
	}
	n := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return n
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.short()
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

// varint reads a variable byte integer of at most four bytes.
func (r *reader) varint() uint32 {
	var n uint32
	for i := range 4 {
		if i >= len(r.b) {
			r.short()
			return 0
		}
		c := r.b[i]
		n |= uint32(c&0x7F) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				r.fail(malformed("a variable byte integer is not in its shortest form")) // [MQTT-1.5.5-1]
				return 0
			}
			r.b = r.b[i+1:]
			return n
		}
	}
	r.fail(malformed("a variable byte integer has more than four bytes"))
	return 0
}

// binary reads binary data. The result is a part of the body, capped; it is nil only after an error.
func (r *reader) binary() []byte {
	n := int(r.uint16())
	if n > len(r.b) {
		r.short()
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// string reads a UTF-8 encoded string.
func (r *reader) string() []byte {
	b := r.binary()
	if !validString(b) {
		r.fail(malformed("a string is not well-formed UTF-8, or has U+0000")) // [MQTT-1.5.4-1 -2]
		return nil
	}
	return b
}

// packetID reads a packet identifier.
func (r *reader) packetID() uint16 {
	id := r.uint16()
	if id == 0 && r.err == nil {
		r.fail(protocolError("packet identifier 0")) // [MQTT-2.2.1-3 -4 -5 -6]
	}
	return id
}

// copied is b as a string of its own.
func (r *reader) copied(b []byte) string {
	if !r.charge(len(b)) {
		return ""
	}
	return string(b)
}

// What an entry of a slice takes in memory, in bytes, on a machine of 64 bits.
const (
	uint32Size = 4
	sliceSize  = 24 // []byte
	filterSize = 32 // SubscribeFilter
	userSize   = 48 // UserProperty
)

// add appends e, which takes size bytes, to dst. When dst has no room it makes room for e and for all that are yet to
// come, which next steps through up to the first error: to grow by doubling would cost up to three times what is needed.
func add[T any](r *reader, dst []T, e T, size int, next func(ahead *reader) bool) []T {
	if r.paid >= size {
		r.paid -= size
	} else if !r.charge(size) {
		return dst
	}
	if len(dst) == cap(dst) {
		ahead, n := *r, 0
		for next(&ahead) && ahead.charge(size) {
			n++
		}
		r.charge(n * size)
		r.paid += n * size
		dst = append(make([]T, 0, len(dst)+1+n), dst...) // slices.Grow may take more, and does with the race detector
	}
	return append(dst, e)
}

// reuse empties s for the next packet. Entries are cleared: they would keep the last body alive.
func reuse[T any](s []T) []T {
	if cap(s) > keep {
		return nil
	}
	clear(s)
	return s[:0]
}

func appendUint16(dst []byte, n uint16) []byte { return binary.BigEndian.AppendUint16(dst, n) }
func appendUint32(dst []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(dst, n) }

// appendVarint appends a variable byte integer; n must be at most MaxLength.
func appendVarint(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// varintSize is the number of bytes that appendVarint appends.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendString(dst []byte, s string) []byte {
	s = cut(s)
	return append(appendUint16(dst, uint16(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	b = b[:min(len(b), maxString)]
	return append(appendUint16(dst, uint16(len(b))), b...)
}

// insertLength puts the length of dst[at:] before it, as a variable byte integer. Moving the few bytes of a packet
// is cheaper to read, and hardly slower, than to work out every length first; PUBLISH, which is large, does that.
func insertLength(dst []byte, at int) []byte {
	n := len(dst) - at
	var room [MaxHeader]byte
	size := len(appendVarint(room[:0], n))
	dst = slices.Insert(dst, at, room[:size]...)
	appendVarint(dst[at:at], n)
	return dst
}

// frame completes the packet that begins at dst[start:] with its first byte, by inserting the remaining length. A
// packet too long for that cannot be sent, and is taken off again.
func frame(dst []byte, start int) []byte {
	if len(dst)-start-1 > MaxLength {
		return dst[:start]
	}
	return insertLength(dst, start+1)
}
