package local

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A record as it stands in a segment, little endian:
//
//	+----------+----------+--------+-------+----------+--------+------+-------+-----------+
//	| head CRC | body CRC | length |  lag  |  offset  |  time  | kind | flags | topic len |  body ...
//	|    4     |    4     |   4    |   4   |    8     |   8    |  1   |   1   |     2     |  length bytes
//	+----------+----------+--------+-------+----------+--------+------+-------+-----------+
//
// head CRC covers what follows it in the header, body CRC the body; both are CRC32C that start from the log's salt,
// so that a payload cannot contain a record that would be taken for one of ours.
// offset - lag is a promise made when the record was written: everything below that offset was durable by then. A
// damaged record below such a promise is corruption; a damaged record above every promise is an unfinished write. Of a
// batch only the first record makes one: the disk may keep the end of a batch and lose its beginning.
//
// The body of a message, optional parts as flags say:
//
//	[origin 8][expires 8][forward len 4][client len 2, packet id 2] topic, forward, client, payload
const (
	recordHeader = 36
	offLag       = 12
	offOffset    = 16
	offTime      = 24
	offKind      = 32
	offFlags     = 33
	offTopicLen  = 34
	maxFixed     = 8 + 8 + 4 + 4 // optional fixed parts of a message body

	noPromise = math.MaxUint32 // a lag that promises nothing
)

// Kinds of records.
const (
	kindMessage byte = iota + 1
	kindChange
	kindStart        // the first record of every process that opens the log: its offset names the run
	kindRetained     // a message of QoS 0, for the view only
	kindRetainedOver // a retained message has expired
)

// Flags of a message.
const (
	flagQoS     byte = 0x03
	flagRetain  byte = 0x04
	flagOrigin  byte = 0x08
	flagExpires byte = 0x10
	flagForward byte = 0x20
	flagClient  byte = 0x40
	flagWill    byte = 0x80 // beside flagClient: of a will
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a decoded record header.
type header struct {
	bodyCRC  uint32
	length   uint32
	lag      uint32
	offset   int64
	time     int64 // Unix milliseconds
	kind     byte
	flags    byte
	topicLen uint16
}

// size is the number of bytes of the whole record.
func (h *header) size() int64 { return recordHeader + int64(h.length) }

// put writes h to the front of dst, which holds at least recordHeader bytes.
func (h *header) put(dst []byte, salt uint32) {
	le := binary.LittleEndian
	le.PutUint32(dst[4:], h.bodyCRC)
	le.PutUint32(dst[8:], h.length)
	le.PutUint32(dst[offLag:], h.lag)
	le.PutUint64(dst[offOffset:], uint64(h.offset))
	le.PutUint64(dst[offTime:], uint64(h.time))
	dst[offKind], dst[offFlags] = h.kind, h.flags
	le.PutUint16(dst[offTopicLen:], h.topicLen)
	le.PutUint32(dst, crc32.Update(salt, castagnoli, dst[4:recordHeader]))
}

// parseHeader decodes the header at the front of b; false when b is short or its checksum is wrong.
func parseHeader(b []byte, salt uint32) (h header, ok bool) {
	if len(b) < recordHeader {
		return h, false
	}
	le := binary.LittleEndian
	if le.Uint32(b) != crc32.Update(salt, castagnoli, b[4:recordHeader]) {
		return h, false
	}
	h.bodyCRC, h.length, h.lag = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[offLag:])
	h.offset, h.time = int64(le.Uint64(b[offOffset:])), int64(le.Uint64(b[offTime:]))
	h.kind, h.flags, h.topicLen = b[offKind], b[offFlags], le.Uint16(b[offTopicLen:])
	return h, true
}

// bodyOK checks the body against the header.
func (h *header) bodyOK(body []byte, salt uint32) bool {
	return uint32(len(body)) == h.length && crc32.Update(salt, castagnoli, body) == h.bodyCRC
}

// setLag changes the promise of an encoded record.
func setLag(rec []byte, lag uint32, salt uint32) {
	binary.LittleEndian.PutUint32(rec[offLag:], lag)
	binary.LittleEndian.PutUint32(rec, crc32.Update(salt, castagnoli, rec[4:recordHeader]))
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// messageForm is what is computed of a message before its offset is known, outside the lock.
type messageForm struct {
	h     header
	fixed [maxFixed]byte
	n     int // bytes used of fixed
}

// formMessage lays out m and computes its checksum.
func formMessage(m *store.Message, salt uint32) (f messageForm) {
	le := binary.LittleEndian
	flags := m.QoS & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if m.Origin != 0 {
		flags |= flagOrigin
		le.PutUint64(f.fixed[f.n:], m.Origin)
		f.n += 8
	}
	if m.Expires != 0 {
		flags |= flagExpires
		le.PutUint64(f.fixed[f.n:], uint64(m.Expires))
		f.n += 8
	}
	if len(m.Forward) != 0 {
		flags |= flagForward
		le.PutUint32(f.fixed[f.n:], uint32(len(m.Forward)))
		f.n += 4
	}
	if m.Client != "" {
		flags |= flagClient
		le.PutUint16(f.fixed[f.n:], uint16(len(m.Client)))
		le.PutUint16(f.fixed[f.n+2:], m.PacketID)
		f.n += 4
		if m.Will {
			flags |= flagWill
		}
	}
	crc := crc32.Update(salt, castagnoli, f.fixed[:f.n])
	crc = crc32.Update(crc, castagnoli, raw(m.Topic))
	crc = crc32.Update(crc, castagnoli, m.Forward)
	crc = crc32.Update(crc, castagnoli, raw(m.Client))
	crc = crc32.Update(crc, castagnoli, m.Payload)
	length := f.n + len(m.Topic) + len(m.Forward) + len(m.Client) + len(m.Payload)
	kind := kindMessage
	if m.QoS == 0 {
		kind = kindRetained
	}
	f.h = header{bodyCRC: crc, length: uint32(length), lag: noPromise, kind: kind, flags: flags, topicLen: uint16(len(m.Topic))}
	return f
}

// write encodes m, whose form f is, to dst, and returns the record that aliases dst.
func (f *messageForm) write(dst []byte, m *store.Message, salt uint32) store.Record {
	f.h.put(dst, salt)
	n := recordHeader + copy(dst[recordHeader:], f.fixed[:f.n])
	t := n
	n += copy(dst[n:], m.Topic)
	w := n
	n += copy(dst[n:], m.Forward)
	c := n
	n += copy(dst[n:], m.Client)
	p := n
	n += copy(dst[n:], m.Payload)
	return store.Record{
		Position: store.Position{Offset: f.h.offset}, Topic: text(dst[t:w]), Payload: dst[p:n:n],
		QoS: m.QoS, Retain: m.Retain, Origin: m.Origin, Expires: m.Expires, Forward: dst[w:c:c],
	}
}

// messageParts is a decoded message body; it aliases the body.
type messageParts struct {
	rec      store.Record
	client   string
	packetID uint16
}

// parseMessage decodes a body whose checksum was right. The result aliases body.
func parseMessage(h *header, body []byte) (p messageParts, err error) {
	le := binary.LittleEndian
	b := body
	take := func(n int) []byte {
		if err != nil || len(b) < n {
			err = fmt.Errorf("message at offset %d: body of %d bytes is too short: %w", h.offset, len(body), store.ErrCorrupt)
			return zeros[:n]
		}
		v := b[:n:n]
		b = b[n:]
		return v
	}
	p.rec = store.Record{Position: store.Position{Offset: h.offset}, QoS: h.flags & flagQoS, Retain: h.flags&flagRetain != 0}
	var forward, client int
	if h.flags&flagOrigin != 0 {
		p.rec.Origin = le.Uint64(take(8))
	}
	if h.flags&flagExpires != 0 {
		p.rec.Expires = int64(le.Uint64(take(8)))
	}
	if h.flags&flagForward != 0 {
		forward = int(le.Uint32(take(4)))
	}
	if h.flags&flagClient != 0 {
		v := take(4)
		client, p.packetID = int(le.Uint16(v)), le.Uint16(v[2:])
	}
	if err != nil || int(h.topicLen)+forward+client > len(b) {
		return p, fmt.Errorf("message at offset %d: its parts exceed its body of %d bytes: %w", h.offset, len(body), store.ErrCorrupt)
	}
	p.rec.Topic = text(take(int(h.topicLen)))
	p.rec.Forward = take(forward)
	p.client = text(take(client))
	p.rec.Payload = b[:len(b):len(b)]
	return p, nil
}

// messageTopic returns the topic of a message body without decoding the rest; it aliases body.
func messageTopic(h *header, body []byte) string {
	n := 0
	for _, part := range [...]struct {
		flag byte
		size int
	}{{flagOrigin, 8}, {flagExpires, 8}, {flagForward, 4}, {flagClient, 4}} {
		if h.flags&part.flag != 0 {
			n += part.size
		}
	}
	end := n + int(h.topicLen)
	if end > len(body) {
		return ""
	}
	return text(body[n:end])
}

var zeros [16]byte

// text views b as a string. b must never change: it is part of a record.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// raw views s as bytes, to be read only.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
