package message

import (
	"encoding/binary"
	"errors"
	"slices"
)

// An LZ4 frame, little endian, as Java's LZ4FrameOutputStream writes it for RocketMQ:
//
//	magic          4  0x184D2204
//	FLG            1  version 01, blocks independent, and what is optional
//	BD             1  largest block
//	content size   8  if FLG says so
//	header's hash  1
//	blocks            4 of length, the highest bit set when it is stored as it is; the data; 4 of hash if FLG says so
//	end            4  0
//	content's hash 4  if FLG says so
//
// This is ours, and not a library's, because all that is needed is what Java reads (LZ4FrameInputStream: independent
// blocks, no dictionary), and because a limit on what comes out is part of it, where a library first takes, twice, the
// 4 MiB that Java announces for every body. Hashes are not compared: the CRC of the message covers these very bytes.
const (
	lz4Magic       = 0x184D2204
	lz4Version     = 0xC0 // of FLG; 01 is the only one
	lz4Independent = 1 << 5
	lz4BlockHash   = 1 << 4
	lz4ContentSize = 1 << 3
	lz4Reserved    = 1<<1 | 1<<0 // the second is for a dictionary
	lz4Stored      = 1 << 31     // of a block's length
	lz4MinMatch    = 4
)

var errLZ4 = errors.New("no valid LZ4 frame")

// appendLZ4 appends what the frame src holds to dst, which is empty, and no more than limit bytes. What follows the
// frame is not looked at. It returns dst's memory, or what it grew to, after an error too.
func appendLZ4(dst, src []byte, limit int) ([]byte, error) {
	flags, src, ok := lz4Header(src)
	if !ok {
		return dst, errLZ4
	}
	for {
		if len(src) < 4 {
			return dst, errLZ4
		}
		size := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if size == 0 {
			return dst, nil
		}
		n := int64(size &^ lz4Stored)
		if n > int64(len(src)) {
			return dst, errLZ4
		}
		block := src[:n]
		src = src[n:]
		var err error
		if size&lz4Stored != 0 {
			dst, err = appendLimited(dst, block, limit)
		} else {
			dst, err = appendLZ4Block(dst, block, limit)
		}
		if err != nil {
			return dst, err
		}
		if flags&lz4BlockHash != 0 {
			if len(src) < 4 {
				return dst, errLZ4
			}
			src = src[4:]
		}
	}
}

// lz4Header takes the header off src.
func lz4Header(src []byte) (flags byte, rest []byte, ok bool) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic {
		return 0, nil, false
	}
	flags = src[4]
	if flags&lz4Version != 1<<6 || flags&lz4Independent == 0 || flags&lz4Reserved != 0 {
		return 0, nil, false
	}
	n := 7
	if flags&lz4ContentSize != 0 {
		n += 8
	}
	if len(src) < n {
		return 0, nil, false
	}
	return flags, src[n:], true
}

// appendLZ4Block appends what a compressed block holds: sequences of literals and a copy of what came before, the
// last of literals only.
func appendLZ4Block(dst, src []byte, limit int) ([]byte, error) {
	start := len(dst) // blocks are independent: copies reach no further back
	for len(src) > 0 {
		token := src[0]
		literals, rest, ok := lz4Length(int(token>>4), src[1:])
		if !ok || literals > len(rest) {
			return dst, errLZ4
		}
		var err error
		if dst, err = appendLimited(dst, rest[:literals], limit); err != nil {
			return dst, err
		}
		src = rest[literals:]
		if len(src) == 0 {
			return dst, nil
		}
		if len(src) < 2 {
			return dst, errLZ4
		}
		back := int(binary.LittleEndian.Uint16(src))
		match, rest, ok := lz4Length(int(token&15), src[2:])
		if !ok || back == 0 || back > len(dst)-start {
			return dst, errLZ4
		}
		src = rest
		if dst, err = appendMatch(dst, back, match+lz4MinMatch, limit); err != nil {
			return dst, err
		}
	}
	return dst, errLZ4 // it must end with literals, if none
}

// lz4Length reads what follows a length of 15: bytes to be added, up to one that is not 255.
func lz4Length(n int, src []byte) (length int, rest []byte, ok bool) {
	if n < 15 {
		return n, src, true
	}
	for i, b := range src {
		n += int(b) // at most 255 times the length of src
		if b != 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}

// appendLimited appends b to dst, unless that is more than limit.
func appendLimited(dst, b []byte, limit int) ([]byte, error) {
	if len(b) > limit-len(dst) {
		return dst, ErrTooLarge
	}
	return append(dst, b...), nil
}

// appendMatch appends n bytes which begin back bytes before dst's end, and may be what this appends, unless
// that is more than limit.
func appendMatch(dst []byte, back, n, limit int) ([]byte, error) {
	if n > limit-len(dst) {
		return dst, ErrTooLarge
	}
	from := len(dst) - back
	dst = slices.Grow(dst, n)
	for n > 0 { // each round copies what is there and so doubles it
		k := min(n, len(dst)-from)
		dst = append(dst, dst[from:from+k]...)
		n -= k
	}
	return dst, nil
}
