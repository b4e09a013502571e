package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// An entry of a batch, big endian (MessageDecoder.encodeMessage). Topic, queue and flags are those of the request.
//
//	 0  totalSize  4
//	 4  magic      4  0
//	 8  bodyCRC    4  0: the broker computes it
//	12  flag       4
//	16  body       4 of length, then the body
//	    properties 2 of length, then the properties
const batchFixed = 4 + 4 + 4 + 4 + 4 + 2

// ErrTooLarge says that something is above a limit, of the format or of the caller.
var ErrTooLarge = errors.New("too large")

// BatchEntry is one message of a batch. Body and Properties alias what it was decoded from.
type BatchEntry struct {
	Flag       int32
	Body       []byte
	Properties []byte
}

// BatchEntrySize is what AppendBatchEntry adds, in bytes, for a body and properties of these lengths.
func BatchEntrySize(body, props int) int { return batchFixed + body + props }

// AppendBatchEntry appends one message to dst, the body of a SEND_BATCH_MESSAGE. An error wraps ErrTooLarge and
// leaves dst as it was: properties above MaxProperties, or an entry that a signed 32-bit number cannot measure. The
// broker's limit (maxMessageSize, 4 MiB) is for all of the batch, and the caller's to keep.
func AppendBatchEntry(dst []byte, flag int32, body, props []byte) ([]byte, error) {
	size, err := batchEntrySize(int64(len(body)), int64(len(props)))
	if err != nil {
		return dst, err
	}
	dst = binary.BigEndian.AppendUint32(dst, size)
	dst = binary.BigEndian.AppendUint64(dst, 0) // magic and CRC
	dst = binary.BigEndian.AppendUint32(dst, uint32(flag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, body...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(props)))
	return append(dst, props...), nil
}

// batchEntrySize checks the lengths of an entry's parts.
func batchEntrySize(body, props int64) (uint32, error) {
	if props > MaxProperties {
		return 0, fmt.Errorf("properties of %d bytes, of at most %d: %w", props, MaxProperties, ErrTooLarge)
	}
	size := batchFixed + body + props
	if size > math.MaxInt32 {
		return 0, fmt.Errorf("message of %d bytes in a batch, of at most %d: %w", size, math.MaxInt32, ErrTooLarge)
	}
	return uint32(size), nil
}

// DecodeBatchEntry takes the first message off b, a batch, and returns what follows it. Errors wrap ErrTruncated or
// ErrCorrupt; with ErrCorrupt nothing that follows can be trusted, so rest is empty.
func DecodeBatchEntry(b []byte) (e BatchEntry, rest []byte, err error) {
	if len(b) < batchFixed {
		return BatchEntry{}, nil, fmt.Errorf("%d bytes where a message of a batch should begin: %w", len(b), ErrTruncated)
	}
	size := int(int32(binary.BigEndian.Uint32(b))) // signed, as in Java
	switch {
	case size < batchFixed:
		return BatchEntry{}, nil, fmt.Errorf("message of a batch says that it has %d bytes, of at least %d: %w",
			size, batchFixed, ErrCorrupt)
	case size > len(b):
		return BatchEntry{}, nil, fmt.Errorf("message of a batch of %d bytes, of which %d are there: %w", size, len(b), ErrTruncated)
	}
	f := fields{b: b[12:size:size]}
	e.Flag = f.int32()
	e.Body = f.bytes(int(f.int32()))
	e.Properties = f.bytes(int(f.int16()))
	if f.bad == "" && len(f.b) > 0 {
		f.bad = "bytes that belong to nothing"
	}
	if f.bad != "" {
		return BatchEntry{}, nil, fmt.Errorf("message of a batch of %d bytes: %s: %w", size, f.bad, ErrCorrupt)
	}
	return e, b[size:], nil
}

// Unwrap makes the message that entry i, counted from 0, of the batch in m is. It aliases the entry and m.
//
// Only a topic whose queue.type is BatchCQ has such messages, one entry in the queue for a whole batch, and only on 5.x
// (SendMessageProcessor, PullAPIWrapper.processPullResult): nothing that we create, but a topic that somebody else made
// may be read through us, and a batch must not pass for one message. When m.SysFlag.Wrapped():
//
//	body, err := decompressor.Body(&m)
//	for i := 0; len(body) > 0; i++ {
//		entry, body, err = DecodeBatchEntry(body)
//		one := m.Unwrap(i, entry)
//
// As in MessageDecoder.decodeMessage everything but body, flag and properties is the batch's, and the offset is that of
// the batch plus i. Unlike there the flags that tell of compression and batch are gone, since neither is left to undo.
// There is no CRC: see CheckCRC.
func (m *Message) Unwrap(i int, e BatchEntry) Message {
	one := *m
	one.Flag, one.Body, one.Properties = e.Flag, e.Body, e.Properties
	one.Size, one.BodyCRC = BatchEntrySize(len(e.Body), len(e.Properties)), 0
	one.QueueOffset += int64(i)
	one.SysFlag &^= Compressed | InnerBatch | NeedUnwrap | 7<<compressionBit
	return one
}
