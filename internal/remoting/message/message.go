// Package message is the codec of what RocketMQ stores: the messages in the answer to PULL_MESSAGE, the entries of
// SEND_BATCH_MESSAGE, their properties, their compressed bodies, and the ids that producers give them. It does no I/O.
//
// A stored message, big endian, as of org.apache.rocketmq.common.message.MessageDecoder of 4.9.7 to 5.5.0:
//
//	 0  totalSize      4  all of it, itself included
//	 4  magic          4  0xDAA320A7: V1; 0xDAA320AB: V2
//	 8  bodyCRC        4  CRC-32 (IEEE) of the body as stored, less its highest bit
//	12  queueId        4
//	16  flag           4  the producer's own; RocketMQ does not look at it
//	20  queueOffset    8  in the queue it was sent to; of an LMQ it is a property
//	28  physicalOffset 8  in the commit log
//	36  sysFlag        4  see SysFlag
//	40  bornTimestamp  8  ms since 1970, the producer's clock
//	48  bornHost       4 or 16 of address, 4 of port
//	    storeTimestamp 8  ms since 1970, the broker's clock
//	    storeHost      4 or 16 of address, 4 of port
//	    reconsumeTimes 4
//	    prepared       8  offset of the half message of a transaction
//	    body           4 of length, then the body
//	    topic          1 (V1) or 2 (V2: a topic above 127 bytes) of length, then the topic
//	    properties     2 of length, then the properties: see Next
//
// What is decoded aliases what it was decoded from, and lives as long. Nothing here keeps what it was given.
// All of it may be called from any number of goroutines.
package message

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// What is wrong with bytes that should be a stored message. Errors of Decode wrap one of these.
var (
	// ErrTruncated says that the message is longer than what is there: the bytes end within it.
	ErrTruncated = errors.New("stored message is truncated")
	// ErrCorrupt says that the lengths within a message contradict each other or its size.
	ErrCorrupt = errors.New("stored message is corrupt")
	// ErrBlank says that this is the filler at the end of a commit log file, which a broker never sends to readers:
	// no message is here, and none follows.
	ErrBlank = errors.New("filler at the end of a commit log file")
	// ErrMagic says that this is no stored message, or one of a version to come. Nothing in it can be read.
	ErrMagic = errors.New("no known kind of stored message")
	// ErrCRC says that the body is not the one that the broker stored.
	ErrCRC = errors.New("body does not fit its CRC")
)

// Version is the form of a stored message (org.apache.rocketmq.common.message.MessageVersion). The broker picks V2 for
// topics above 127 bytes.
type Version uint8

// The versions there are.
const (
	V1 Version = 1 // one byte of topic length
	V2 Version = 2 // two bytes of topic length
)

// Message is one stored message. Body, Topic and Properties alias the bytes that Decode was given.
type Message struct {
	Size                      int // of the whole message as stored, bytes
	Version                   Version
	SysFlag                   SysFlag
	BodyCRC                   uint32 // see CheckCRC
	QueueID                   int32
	Flag                      int32
	ReconsumeTimes            int32
	QueueOffset               int64
	PhysicalOffset            int64
	BornTimestamp             int64 // ms since 1970, the producer's clock
	StoreTimestamp            int64 // ms since 1970, the broker's clock
	PreparedTransactionOffset int64
	BornHost                  netip.AddrPort // the producer
	StoreHost                 netip.AddrPort // the broker
	Body                      []byte         // as stored: see Decompressor
	Topic                     []byte         // of an LMQ's message: the topic it was sent to
	Properties                []byte         // see Next and Property
}

// CheckCRC compares the body as stored with the CRC that the broker computed when it stored it (UtilAll.crc32). An
// error wraps ErrCRC. What Unwrap made has no CRC of its own: check the message that it came in.
func (m *Message) CheckCRC() error {
	const positive = 0x7FFFFFFF // Java has signed integers only; the broker clears the sign
	if got := crc32.ChecksumIEEE(m.Body) & positive; got != m.BodyCRC {
		return fmt.Errorf("message at physical offset %d: body of %d bytes has CRC %#x, stored with %#x: %w",
			m.PhysicalOffset, len(m.Body), got, m.BodyCRC, ErrCRC)
	}
	return nil
}
