package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// A segment is a file named by the offset of its first record, 20 digits and ".log". It begins with
//
//	+-------+---------+------+------+----------+---------+---------+------+-----+
//	| magic | version | salt | base | prevBase | prevEnd | created | zero | CRC |
//	|   8   |    4    |  4   |  8   |    8     |    8    |    8    |  12  |  4  |
//	+-------+---------+------+------+----------+---------+---------+------+-----+
//
// and goes on with records without gaps. What follows the last record is zeros, or the remains of a write that a
// crash cut short: only the last segment is ever written, and the next segment's prevEnd says where this one's
// records end. prevEnd differs from base only where a log that had been flushed lazily lost its end (see recover.go).
const (
	segmentHeader  = 64
	segmentMagic   = "RMQTTLOG"
	segmentVersion = 2 // of records and of the view as well
	segmentSuffix  = ".log"
)

// writeCategory names the log's writes to file systems that account for them.
const writeCategory = vfs.DiskWriteCategory("rocketmqtt-log")

// segment is one file of the log. Its fields do not change once it is listed, but for size.
type segment struct {
	path     string
	base     int64 // offset of the first record
	prevBase int64 // base of the segment before, -1 for the first one ever
	prevEnd  int64 // end of the segment before
	created  int64 // Unix milliseconds
	salt     uint32
	size     atomic.Int64 // bytes of header and records; of segments that another process closed, the file's size
}

func segmentName(base int64) string { return fmt.Sprintf("%020d%s", base, segmentSuffix) }

// parseSegmentName returns the offset in a segment's name; false for any other file.
func parseSegmentName(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseInt(digits, 10, 64)
	return base, err == nil && base >= 0
}

func (s *segment) appendHeader(b []byte) []byte {
	n := len(b)
	le := binary.LittleEndian
	b = append(b, segmentMagic...)
	b = le.AppendUint32(b, segmentVersion)
	b = le.AppendUint32(b, s.salt)
	b = le.AppendUint64(b, uint64(s.base))
	b = le.AppendUint64(b, uint64(s.prevBase))
	b = le.AppendUint64(b, uint64(s.prevEnd))
	b = le.AppendUint64(b, uint64(s.created))
	b = append(b, make([]byte, 12)...)
	return le.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

var errSegmentHeader = errors.New("its header is damaged")

// parseHeader fills in s from the first bytes of its file.
func (s *segment) parseHeader(b []byte) error {
	le := binary.LittleEndian
	if len(b) < segmentHeader || le.Uint32(b[segmentHeader-4:]) != crc32.Checksum(b[:segmentHeader-4], castagnoli) {
		return errSegmentHeader
	}
	if string(b[:8]) != segmentMagic {
		return errSegmentHeader
	}
	if v := le.Uint32(b[8:]); v != segmentVersion {
		return fmt.Errorf("it has format version %d and this program reads version %d: use the version that wrote it", v, segmentVersion)
	}
	s.salt, s.base = le.Uint32(b[12:]), int64(le.Uint64(b[16:]))
	s.prevBase, s.prevEnd, s.created = int64(le.Uint64(b[24:])), int64(le.Uint64(b[32:])), int64(le.Uint64(b[40:]))
	return nil
}

// createSegment makes s durable as an empty segment and returns it open for writing.
func createSegment(fs vfs.FS, dir string, s *segment) (vfs.File, error) {
	f, err := fs.Create(s.path, writeCategory)
	if err != nil {
		return nil, fmt.Errorf("create segment %s: %w", s.path, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("create segment %s: %w", s.path, err)
	}
	f, err = fs.OpenReadWrite(s.path, writeCategory) // only such a handle allows WriteAt
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", s.path, err)
	}
	if _, err = f.WriteAt(s.appendHeader(nil), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = view.SyncDir(fs, dir)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write header of segment %s: %w", s.path, err), f.Close())
	}
	s.size.Store(segmentHeader)
	return f, nil
}

// readSegment opens the header of one file. A header that is damaged is errSegmentHeader, wrapped.
func readSegment(fs vfs.FS, path string, base int64) (*segment, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat segment %s: %w", path, err)
	}
	s := &segment{path: path, base: base}
	s.size.Store(info.Size())
	var b [segmentHeader]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read segment %s: %w", path, err)
	}
	if err := s.parseHeader(b[:n]); err != nil {
		return s, fmt.Errorf("segment %s at byte 0: %w", path, err)
	}
	if s.base != base {
		return s, fmt.Errorf("segment %s says that it begins at offset %d: %w", path, s.base, store.ErrCorrupt)
	}
	return s, nil
}

// listSegments returns the bases of the segments in dir, in order.
func listSegments(fs vfs.FS, dir string) ([]int64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var bases []int64
	for _, name := range names {
		if base, ok := parseSegmentName(name); ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// segments is an immutable list, the oldest first. The last one is being written.
type segments []*segment

// find returns the index of the segment that holds offset, which must not be below the first base.
func (l segments) find(offset int64) int {
	i, found := slices.BinarySearchFunc(l, offset, func(s *segment, o int64) int {
		switch {
		case s.base < o:
			return -1
		case s.base > o:
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// end is the offset after the last record of segment i, of which durable is the end of the whole log.
func (l segments) end(i int, durable int64) int64 {
	if i+1 < len(l) {
		return l[i+1].prevEnd
	}
	return durable
}
