package message

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
)

// Magic codes (MessageDecoder.MESSAGE_MAGIC_CODE, MESSAGE_MAGIC_CODE_V2, BLANK_MAGIC_CODE).
const (
	magicV1    = 0xDAA320A7
	magicV2    = 0xDAA320AB
	magicBlank = 0xCBD43194
)

const (
	prefix  = 4 + 4                                       // size and magic
	minSize = prefix + 40 + 8 + 8 + 8 + 4 + 8 + 4 + 1 + 2 // V1 and IPv4, and whatever has a length is empty
)

// Decode takes the first message off b, the body of an answer to PULL_MESSAGE, and returns what follows it. m
// aliases b. Call it until rest is empty.
//
// Every length is checked against b, and the lengths of the parts must add up to the message's size, as the broker
// demands of its own commit log (CommitLog.checkMessageAndReturnSize). Errors wrap ErrTruncated, ErrBlank, ErrMagic
// or ErrCorrupt. After ErrCorrupt rest is what follows the message by its own size, so that a reader can step over
// it, and m has what was read, for the log: QueueID, QueueOffset and PhysicalOffset; rest and m are empty when the size
// itself cannot be right. After the other errors both are empty.
//
// The body may be compressed (Decompressor) and may be a batch (Unwrap): Decode does neither, since both
// cost memory that not every reader wants to spend.
func Decode(b []byte) (m Message, rest []byte, err error) {
	version, size, err := decodePrefix(b)
	if err != nil {
		return Message{}, nil, err
	}
	m.Version, m.Size = version, size
	f := fields{b: b[prefix:size:size]}
	m.decodeHead(&f)
	if err := m.decodeTail(&f); err != nil {
		return m, b[size:], err
	}
	return m, b[size:], nil
}

// decodePrefix reads magic and size, and finds that the whole message is in b.
func decodePrefix(b []byte) (Version, int, error) {
	if len(b) < prefix {
		return 0, 0, fmt.Errorf("%d bytes where a message should begin: %w", len(b), ErrTruncated)
	}
	var version Version
	switch magic := binary.BigEndian.Uint32(b[4:]); magic {
	case magicV1:
		version = V1
	case magicV2:
		version = V2
	case magicBlank:
		return 0, 0, ErrBlank
	default:
		return 0, 0, fmt.Errorf("magic code %#08x: %w", magic, ErrMagic)
	}
	size := int(int32(binary.BigEndian.Uint32(b))) // signed, as in Java
	switch {
	case size < minSize:
		return 0, 0, fmt.Errorf("message says that it has %d bytes, of at least %d: %w", size, minSize, ErrCorrupt)
	case size > len(b):
		return 0, 0, fmt.Errorf("message of %d bytes, of which %d are there: %w", size, len(b), ErrTruncated)
	}
	return version, size, nil
}

// decodeHead reads what stands at the same place in every message. f has room for it: minSize.
func (m *Message) decodeHead(f *fields) {
	m.BodyCRC = f.uint32()
	m.QueueID = f.int32()
	m.Flag = f.int32()
	m.QueueOffset = f.int64()
	m.PhysicalOffset = f.int64()
	m.SysFlag = SysFlag(f.int32())
	m.BornTimestamp = f.int64()
}

// decodeTail reads what follows the head, to the last byte.
func (m *Message) decodeTail(f *fields) error {
	m.BornHost = f.host(m.SysFlag&BornHostV6 != 0)
	m.StoreTimestamp = f.int64()
	m.StoreHost = f.host(m.SysFlag&StoreHostV6 != 0)
	m.ReconsumeTimes = f.int32()
	m.PreparedTransactionOffset = f.int64()
	m.Body = f.bytes(int(f.int32()))
	if m.Version == V1 {
		m.Topic = f.bytes(int(int8(f.uint8()))) // signed, as in Java: above 127 the broker writes V2
	} else {
		m.Topic = f.bytes(int(f.int16()))
	}
	m.Properties = f.bytes(int(f.int16()))
	if f.bad == "" && len(f.b) > 0 {
		f.bad = "bytes that belong to nothing"
	}
	if f.bad != "" {
		return fmt.Errorf("message of %d bytes at queue offset %d, physical offset %d: %s: %w",
			m.Size, m.QueueOffset, m.PhysicalOffset, f.bad, ErrCorrupt)
	}
	return nil
}

// fields takes fields off the front of b. After the first that does not fit, bad says why and all are zero.
type fields struct {
	b   []byte
	bad string
}

// bytes takes n bytes, which alias b; its capacity ends with them.
func (f *fields) bytes(n int) []byte {
	switch {
	case f.bad != "":
		return nil
	case n < 0:
		f.bad = "negative length"
		return nil
	case n > len(f.b):
		f.bad = "a part is longer than what is left"
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) uint8() uint8 {
	if v := f.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (f *fields) int16() int16 {
	if v := f.bytes(2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) // signed, as in Java
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if v := f.bytes(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (f *fields) int32() int32 { return int32(f.uint32()) } // signed, as in Java

func (f *fields) int64() int64 {
	if v := f.bytes(8); v != nil {
		return int64(binary.BigEndian.Uint64(v)) // signed, as in Java
	}
	return 0
}

// host takes an address and its port, which has four bytes.
func (f *fields) host(v6 bool) netip.AddrPort {
	n := 4
	if v6 {
		n = 16
	}
	addr, _ := netip.AddrFromSlice(f.bytes(n)) // fails for nil only
	port := f.uint32()
	if f.bad == "" && port > math.MaxUint16 {
		f.bad = "a port above 65535"
	}
	if f.bad != "" {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(port)) // checked above
}
