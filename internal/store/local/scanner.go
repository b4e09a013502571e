package local

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// scanChunk is how much a scanner reads at once.
const scanChunk = 128 << 10

// scanner reads records from segments in order and checks them. It is used by one goroutine.
type scanner struct {
	fs    vfs.FS
	salt  uint32
	limit int64 // of one record
	segs  segments
	end   int64 // offset to stop before

	seg    int // index of the open segment
	file   vfs.File
	size   int64 // bytes of it that may be read
	offset int64 // of the next record
	pos    int64 // where it stands
	buf    []byte
	bufPos int64 // where buf begins in the file
	bytes  int64 // read from files so far
}

// corruption is a place in a segment that is not what was written.
type corruption struct {
	path   string
	pos    int64
	offset int64
	what   string
}

// Error implements error.
func (c *corruption) Error() string {
	return fmt.Sprintf("segment %s, byte %d, offset %d: %s", c.path, c.pos, c.offset, c.what)
}

// Unwrap makes it store.ErrCorrupt.
func (c *corruption) Unwrap() error { return store.ErrCorrupt }

func (r *scanner) close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck,gosec // only read
		r.file = nil
	}
}

// open makes segment i the one that is read, at its first record.
func (r *scanner) open(i int) error {
	r.close()
	seg := r.segs[i]
	f, err := r.fs.Open(seg.path)
	if err != nil {
		return fmt.Errorf("open segment %s: %w", seg.path, err)
	}
	r.file, r.seg, r.size = f, i, seg.size.Load()
	r.offset, r.pos, r.buf = seg.base, segmentHeader, r.buf[:0]
	return nil
}

// seek goes to the record at offset. near is the position of an earlier record of the same segment, or of that one,
// whose offset is nearOffset; a nearOffset below the segment means: from its first record.
func (r *scanner) seek(offset, nearOffset, near int64) error {
	i := max(r.segs.find(offset), 0)
	if r.file == nil || r.seg != i || r.offset > offset {
		if err := r.open(i); err != nil {
			return err
		}
	}
	if nearOffset > r.offset {
		r.offset, r.pos = nearOffset, near
	}
	for r.offset < offset && r.offset < r.segs.end(i, r.end) {
		h, err := r.header()
		if err != nil {
			return err
		}
		r.offset++
		r.pos += h.size()
	}
	return nil
}

// next returns the next record. body is valid until the next call. io.EOF: the end was reached.
func (r *scanner) next() (h header, body []byte, err error) {
	for r.file == nil || r.offset >= r.segs.end(r.seg, r.end) {
		if r.file != nil && r.seg+1 == len(r.segs) || r.offset >= r.end {
			return h, nil, io.EOF
		}
		if err := r.open(r.seg + 1); err != nil {
			return h, nil, err
		}
	}
	if h, err = r.header(); err != nil {
		return h, nil, err
	}
	rec, err := r.fill(int(h.size()))
	if err != nil {
		return h, nil, err
	}
	body = rec[recordHeader:]
	if !h.bodyOK(body, r.salt) {
		return h, nil, r.corrupt("the checksum of the record's body is wrong")
	}
	r.offset++
	r.pos += h.size()
	return h, body, nil
}

// header reads the header of the next record.
func (r *scanner) header() (h header, err error) {
	b, err := r.fill(recordHeader)
	if err != nil {
		return h, err
	}
	h, ok := parseHeader(b, r.salt)
	switch {
	case !ok:
		return h, r.corrupt("the checksum of the record's header is wrong")
	case h.offset != r.offset:
		return h, r.corrupt(fmt.Sprintf("the record there has offset %d", h.offset))
	case h.size() > r.limit:
		return h, r.corrupt(fmt.Sprintf("the record there claims %d bytes", h.size()))
	}
	return h, nil
}

// fill returns n bytes at pos, valid until the next call.
func (r *scanner) fill(n int) ([]byte, error) {
	if from := r.pos - r.bufPos; len(r.buf) > 0 && from >= 0 && from+int64(n) <= int64(len(r.buf)) {
		return r.buf[from : from+int64(n)], nil
	}
	if r.pos+int64(n) > r.size {
		return nil, r.corrupt(fmt.Sprintf("the file ends at byte %d, within a record", r.size))
	}
	want := int(min(int64(max(n, scanChunk)), r.size-r.pos))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	got, err := r.file.ReadAt(r.buf[:want], r.pos)
	r.buf, r.bufPos = r.buf[:got], r.pos
	r.bytes += int64(got)
	if got >= n {
		return r.buf[:n], nil
	}
	r.buf = r.buf[:0]
	if err == nil || errors.Is(err, io.EOF) {
		return nil, r.corrupt(fmt.Sprintf("the file ends at byte %d, within a record", r.pos+int64(got)))
	}
	return nil, fmt.Errorf("read segment %s at byte %d: %w", r.segs[r.seg].path, r.pos, err)
}

// malformed is the corruption of the record that next has just returned: its checksums are right, its content is not.
func (r *scanner) malformed(h *header, err error) error {
	return &corruption{path: r.segs[r.seg].path, pos: r.pos - h.size(), offset: h.offset, what: err.Error()}
}

func (r *scanner) corrupt(what string) error {
	return &corruption{path: r.segs[r.seg].path, pos: r.pos, offset: r.offset, what: what}
}
