package wire

import "encoding/binary"

// A payload says what is needed to find loss, duplicates, a wrong order and damage:
//
//	 0  4  stream: what one publisher sends to one topic
//	 4  4  mark: of this run, so that nothing old counts
//	 8  8  sequence number in the stream, from 0
//	16  8  when it was to be sent, in nanoseconds of the generator's clock
//	24  8  check over all of these
//	32  -  filler
const (
	offStream = 0
	offMark   = 4
	offSeq    = 8
	offTime   = 16
	offCheck  = 24

	// MinPayload is the size of the shortest payload.
	MinPayload = 32
)

// Payload is what a payload says.
type Payload struct {
	Stream uint32
	Mark   uint32
	Seq    uint64
	Time   int64
}

func (p Payload) check() uint64 {
	const odd = 0x9e3779b97f4a7c15
	x := p.Seq*odd ^ uint64(p.Time)
	return (x ^ x>>29 ^ uint64(p.Stream)<<32 ^ uint64(p.Mark)) * odd
}

// Put writes p to the beginning of b, which has MinPayload bytes at least.
func (p Payload) Put(b []byte) {
	binary.LittleEndian.PutUint32(b[offStream:], p.Stream)
	binary.LittleEndian.PutUint32(b[offMark:], p.Mark)
	binary.LittleEndian.PutUint64(b[offSeq:], p.Seq)
	binary.LittleEndian.PutUint64(b[offTime:], uint64(p.Time))
	binary.LittleEndian.PutUint64(b[offCheck:], p.check())
}

// ReadPayload reports false when b is none, or damaged.
func ReadPayload(b []byte) (Payload, bool) {
	if len(b) < MinPayload {
		return Payload{}, false
	}
	p := Payload{
		Stream: binary.LittleEndian.Uint32(b[offStream:]),
		Mark:   binary.LittleEndian.Uint32(b[offMark:]),
		Seq:    binary.LittleEndian.Uint64(b[offSeq:]),
		Time:   int64(binary.LittleEndian.Uint64(b[offTime:])),
	}
	return p, binary.LittleEndian.Uint64(b[offCheck:]) == p.check()
}
