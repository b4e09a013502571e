package message

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// keep is the scratch memory up to which it is kept for the next body, bytes.
	keep = 1 << 20
	// window is the zstd window that is always allowed, bytes. RFC 8878 asks for no less of a decoder; it serves the
	// levels up to 19. RocketMQ's producers stream at level 5, and so announce 2 MiB for every body, however small.
	window = 8 << 20
)

// ErrCompression says that a body is not what its flags say, or is compressed in a way that is not known.
var ErrCompression = errors.New("body cannot be decompressed")

// Decompressor undoes the compression of bodies. It may be used by any number of goroutines at once, and needs no
// closing. Each body under way takes up to 3 times the limit, twice while it grows and once for the result; zstd in
// addition a window of up to 8 MiB, or the limit if that is more. How many are under way is the caller's to limit. The
// decoders are kept, and freed by the garbage collector.
type Decompressor struct {
	limit   int
	zlib    sync.Pool // of *inflater
	zstd    sync.Pool // of *unzstd
	scratch sync.Pool // of *[]byte, up to keep
}

// inflater is a zlib reader with what it reads from.
type inflater struct {
	src bytes.Reader
	io.ReadCloser
}

// unzstd is a zstd reader with what it reads from.
type unzstd struct {
	src bytes.Reader
	*zstd.Decoder
}

// NewDecompressor makes a Decompressor for bodies of up to limit bytes, decompressed: 1 byte to 1 GiB.
func NewDecompressor(limit int) (*Decompressor, error) {
	if limit < 1 || limit > 1<<30 {
		return nil, fmt.Errorf("limit of %d bytes for a decompressed body: want 1 byte to 1 GiB", limit)
	}
	return &Decompressor{limit: limit}, nil
}

// Body returns the body as the producer gave it: m.Body itself when it is not compressed, else new memory of
// that size. A body above the limit is an error that wraps ErrTooLarge, found before more than the limit was written.
// Other errors wrap ErrCompression.
func (d *Decompressor) Body(m *Message) ([]byte, error) {
	if m.SysFlag&Compressed == 0 || len(m.Body) == 0 {
		if len(m.Body) > d.limit {
			return nil, d.fail(m, "not compressed", ErrTooLarge)
		}
		return m.Body, nil
	}
	scratch := d.takeScratch()
	out, name, err := d.decompress((*scratch)[:0], m)
	if cap(out) <= keep {
		*scratch = out
		defer d.scratch.Put(scratch)
	}
	if err != nil {
		return nil, d.fail(m, name, err)
	}
	return append(make([]byte, 0, len(out)), out...), nil
}

func (d *Decompressor) takeScratch() *[]byte {
	if s, ok := d.scratch.Get().(*[]byte); ok {
		return s
	}
	return new([]byte)
}

// decompress appends the decompressed body to dst, which is empty, and names the way. It returns dst's memory, or what
// it grew to, after an error too.
func (d *Decompressor) decompress(dst []byte, m *Message) (out []byte, name string, err error) {
	switch c := m.SysFlag.Compression(); c {
	case Zlib:
		out, err = d.inflate(dst, m.Body)
		return out, "zlib", err
	case LZ4:
		out, err = appendLZ4(dst, m.Body, d.limit)
		return out, "lz4", err
	case Zstd:
		out, err = d.unzstd(dst, m.Body)
		return out, "zstd", err
	default:
		return dst, fmt.Sprintf("compression %d", c), errors.New("not known")
	}
}

// fail wraps err with what it is about.
func (d *Decompressor) fail(m *Message, name string, err error) error {
	if errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("message at physical offset %d: body of %d bytes, %s, is above the limit of %d: %w",
			m.PhysicalOffset, len(m.Body), name, d.limit, ErrTooLarge)
	}
	return fmt.Errorf("message at physical offset %d: body of %d bytes, %s: %w: %w",
		m.PhysicalOffset, len(m.Body), name, ErrCompression, err)
}

// inflate appends what zlib makes of src. What follows the end of the stream is not looked at, as in Java.
func (d *Decompressor) inflate(dst, src []byte) ([]byte, error) {
	z, ok := d.zlib.Get().(*inflater)
	if !ok {
		z = new(inflater)
	}
	z.src.Reset(src)
	if err := z.begin(); err != nil {
		return dst, err
	}
	dst, err := appendAll(dst, z, d.limit)
	if err == nil {
		z.src.Reset(nil) // the pool keeps nobody's body
		d.zlib.Put(z)
	}
	return dst, err
}

// begin reads the header of the stream in src.
func (z *inflater) begin() (err error) {
	if r, ok := z.ReadCloser.(zlib.Resetter); ok {
		return r.Reset(&z.src, nil)
	}
	z.ReadCloser, err = zlib.NewReader(&z.src)
	return err
}

// unzstd appends what zstd makes of src.
//
// It reads a stream, though all of src is there, because that is what a limit can be put on: WithDecoderMaxMemory
// refuses a small body with a large window, as RocketMQ's are, and WithDecodeAllCapLimit does not tell a large body from a
// bad one.
func (d *Decompressor) unzstd(dst, src []byte) ([]byte, error) {
	z, err := d.takeZstd()
	if err != nil {
		return dst, err
	}
	z.src.Reset(src)
	if err := z.Reset(&z.src); err != nil {
		return dst, err
	}
	dst, err = appendAll(dst, z, d.limit)
	switch {
	case err == nil:
		z.src.Reset(nil) // the pool keeps nobody's body
		d.zstd.Put(z)
	case errors.Is(err, zstd.ErrDecoderSizeExceeded): // the header says so, in place of a window
		err = ErrTooLarge
	}
	return dst, err
}

func (d *Decompressor) takeZstd() (*unzstd, error) {
	if z, ok := d.zstd.Get().(*unzstd); ok {
		return z, nil
	}
	// With a concurrency of 1 there are no goroutines, and so nothing to close.
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeBuffersBelow(0), zstd.WithDecoderMaxWindow(uint64(max(window, d.limit))))
	if err != nil {
		return nil, err
	}
	return &unzstd{Decoder: r}, nil
}

// appendAll appends what r has to dst. It asks for no more than limit+1 bytes.
func appendAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(max(512, len(dst)), limit+1-len(dst)))
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}
