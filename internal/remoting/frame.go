package remoting

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errFrame is the root of what is wrong with a frame.
var errFrame = errors.New("malformed frame")

// readBuffer is the size of a connection's read buffer: half of what brokers answer a pull with by default, so that one allocation
// is enough for that (see frameReader.body).
const readBuffer = 128 << 10

// maxHeader limits a header: a remark and a dozen fields. A message's properties (32 KiB) are in answers' bodies.
const maxHeader = 1 << 20

// frameReader cuts frames out of a stream.
type frameReader struct {
	r    *bufio.Reader
	max  int    // of a frame's length
	head []byte // of the last frame; reused
}

func newFrameReader(r io.Reader, limit, buffer int) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, buffer), max: limit}
}

// next reads a frame. The header's fields live until the next call; the body is the caller's for ever, nil when it is empty.
func (f *frameReader) next() (header, []byte, error) {
	b, err := f.r.Peek(frameHead)
	if err != nil {
		return header{}, nil, err
	}
	length, word := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	kind, n := byte(word>>24), int(word&(1<<24-1))
	switch {
	case uint64(length) > uint64(f.max):
		return header{}, nil, fmt.Errorf("%w: length %d, the limit is %d", errFrame, length, f.max)
	case int(length) < 4+n || n > maxHeader:
		return header{}, nil, fmt.Errorf("%w: length %d, header length %d", errFrame, length, n)
	}
	if _, err := f.r.Discard(frameHead); err != nil {
		return header{}, nil, err
	}
	if f.head, err = f.bytes(f.head, n); err != nil {
		return header{}, nil, unexpected(err)
	}
	h, err := decodeHeader(kind, f.head)
	if err != nil {
		return header{}, nil, err
	}
	body, err := f.bytes(nil, int(length)-4-n)
	if err != nil {
		return header{}, nil, unexpected(err)
	}
	return h, body, nil
}

// bytes reads n bytes into dst, or into a new slice when dst is too small. A length is a claim, so what is allocated is never more than
// twice what has come.
func (f *frameReader) bytes(dst []byte, n int) ([]byte, error) {
	if n == 0 {
		return dst[:0], nil
	}
	if n <= cap(dst) {
		dst = dst[:n]
		_, err := io.ReadFull(f.r, dst)
		return dst, err
	}
	if _, err := f.r.Peek(min(n, f.r.Size())); err != nil {
		return dst, err
	}
	dst = make([]byte, min(n, 2*f.r.Size()))
	for got := 0; ; {
		m, err := io.ReadFull(f.r, dst[got:])
		if got += m; err != nil || got == n {
			return dst, err
		}
		dst = append(make([]byte, 0, min(n, 2*got)), dst...)
		dst = dst[:cap(dst)]
	}
}

// unexpected tells the end inside a frame from the end between two.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
