package wire

import (
	"bytes"
	"encoding/binary"
)

// Template is a PUBLISH of one stream, ready but for what differs from message to message.
type Template struct {
	packet  []byte
	id      int // where the packet id is; 0: QoS 0 has none
	payload int // where the payload begins
	stream  uint32
	mark    uint32
}

// NewTemplate makes the PUBLISH of a stream; size is the payload's, MinPayload at least.
func NewTemplate(topic string, qos byte, retain bool, size int, stream, mark uint32) Template {
	first := byte(PUBLISH<<4) | qos<<1
	if retain {
		first |= 1
	}
	length := 2 + len(topic) + size
	if qos > 0 {
		length += 2
	}
	t := Template{packet: appendString(appendHeader(nil, first, length), topic), stream: stream, mark: mark}
	if qos > 0 {
		t.id = len(t.packet)
		t.packet = append(t.packet, 0, 0)
	}
	t.payload = len(t.packet)
	t.packet = append(t.packet, bytes.Repeat([]byte{'x'}, size)...)
	return t
}

// Size of the packet in bytes.
func (t *Template) Size() int { return len(t.packet) }

// Append appends the packet with its packet id, sequence number and time. With room in dst it allocates nothing.
func (t *Template) Append(dst []byte, id uint16, seq uint64, at int64) []byte {
	from := len(dst)
	dst = append(dst, t.packet...)
	p := dst[from:]
	if t.id > 0 {
		binary.BigEndian.PutUint16(p[t.id:], id)
	}
	Payload{Stream: t.stream, Mark: t.mark, Seq: seq, Time: at}.Put(p[t.payload:])
	return dst
}
