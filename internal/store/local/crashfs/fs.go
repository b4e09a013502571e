// Package crashfs is a file system in memory that fails and crashes when a test says so.
//
// Every operation that changes something has a number, counted from 1: creating, writing, syncing, renaming,
// removing. A Fault makes the n-th one fail with an error, or crash the machine there: then every operation fails, and
// Restart returns the file system that the next start finds: what was synced, and of what was not, a random part. The
// write that is cut short leaves a random prefix.
//
// A sync that fails behaves as it does on Linux: the data stays readable, counts as clean, and no later sync writes
// it; only writing it again does.
package crashfs

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrCrashed is what every operation returns after a crash.
var ErrCrashed = errors.New("crashfs: the machine has crashed")

// Op is a kind of operation.
type Op uint8

// Kinds of operations, to be combined.
const (
	OpWrite Op = 1 << iota // Write, WriteAt
	OpSync                 // Sync, SyncData, of files and directories
	OpMeta                 // Create, Rename, Remove, MkdirAll ...
	OpAny   = OpWrite | OpSync | OpMeta
)

// Fault is something that goes wrong, once.
type Fault struct {
	At   int64                  // at the At-th operation of the kinds Ops, from the moment it is set on, counted from 1
	Ops  Op                     // 0: OpAny
	Only func(name string) bool // counts the operations on such files only; nil: on all
	Err  error                  // what the operation returns; nil: a crash
}

// FS is the file system. All methods may be called concurrently.
type FS struct {
	mem *vfs.MemFS

	freeze sync.RWMutex // read-held by every operation; held by a crash, so that none is half in its image

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	count   int64 // operations so far
	faults  []*Fault
	seen    []int64 // per fault, the operations that counted
	crashed bool
	image   *vfs.MemFS
	lost    map[string][]span // what failed syncs have lost, by file
	retried []string          // files that were synced again after a failed sync without being written
	limit   int64             // bytes that fit; 0: any number
	used    int64
	sizes   map[string]int64
}

// New returns an empty file system whose random choices follow seed.
func New(seed uint64) *FS { return wrap(vfs.NewCrashableMem(), seed) }

func wrap(mem *vfs.MemFS, seed uint64) *FS {
	return &FS{mem: mem, rng: rand.New(rand.NewPCG(seed, seed^0x9E3779B9)), lost: map[string][]span{}, sizes: map[string]int64{}}
}

var _ vfs.FS = (*FS)(nil)

// Count is the number of operations so far.
func (f *FS) Count() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Set adds a fault.
func (f *FS) Set(fault Fault) {
	if fault.Ops == 0 {
		fault.Ops = OpAny
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults, f.seen = append(f.faults, &fault), append(f.seen, 0)
}

// Clear takes all faults back; false when one had not hit yet.
func (f *FS) Clear() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	hit := true
	for i, fault := range f.faults {
		hit = hit && f.seen[i] >= fault.At
	}
	f.faults, f.seen = nil, nil
	return hit
}

// Limit sets how many bytes fit into all files; more fails with ENOSPC.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// Retried lists the files that were synced again after a failed sync.
func (f *FS) Retried() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retried
}

// Crash crashes now, unless that has happened.
func (f *FS) Crash() {
	f.freeze.Lock()
	defer f.freeze.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crash()
}

// crash takes the image. freeze and mu held.
func (f *FS) crash() {
	if f.crashed {
		return
	}
	f.crashed = true
	percent := []int{0, 0, 30, 70, 100}[f.rng.IntN(5)]
	f.image = f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: f.rng})
	for name, spans := range f.lost {
		for _, s := range spans {
			s.restore(f.image, name)
		}
	}
}

// Crashed says whether the crash has happened.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// Restart returns what is left after the crash, with no fault set.
func (f *FS) Restart() *FS {
	f.Crash()
	f.mu.Lock()
	defer f.mu.Unlock()
	n := wrap(f.image, f.rng.Uint64())
	n.limit = f.limit
	for name := range f.sizes {
		if info, err := f.image.Stat(name); err == nil {
			n.sizes[name] = info.Size()
			n.used += info.Size()
		}
	}
	return n
}

// Mem is the file system below, for looking at files and damaging them. It sees no faults.
func (f *FS) Mem() *vfs.MemFS { return f.mem }

// verdict is what becomes of an operation.
type verdict struct {
	err   error
	crash bool // with this operation
	part  bool // of a write, a random prefix is written
}

// judge counts an operation and finds the fault that hits it.
func (f *FS) judge(op Op, name string) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return verdict{err: ErrCrashed}
	}
	f.count++
	for i, fault := range f.faults {
		if fault.Ops&op == 0 || fault.Only != nil && !fault.Only(name) {
			continue
		}
		f.seen[i]++
		if f.seen[i] != fault.At {
			continue
		}
		if fault.Err != nil {
			return verdict{err: fault.Err, part: true}
		}
		return verdict{err: ErrCrashed, crash: true, part: true}
	}
	return verdict{}
}

// do runs an operation, or a part of it, or nothing. f gets the part of n bytes that is to be done.
func (f *FS) do(op Op, name string, n int, run func(n int) error) error {
	f.freeze.RLock()
	v := f.judge(op, name)
	if v.err == nil {
		v.err = f.room(name, n, op)
	}
	var err error
	switch {
	case v.err == nil:
		err = run(n)
	case op == OpWrite && v.part:
		err = errors.Join(v.err, run(f.intn(n+1)))
	case v.crash && f.intn(2) == 0: // it happened, but nobody was told
		err = errors.Join(v.err, run(n))
	default:
		err = v.err
	}
	f.freeze.RUnlock()
	if v.crash {
		f.Crash()
	}
	return err
}

func (f *FS) intn(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// room checks the limit for a write of n bytes at most.
func (f *FS) room(_ string, n int, op Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == OpWrite && f.limit > 0 && f.used+int64(n) > f.limit {
		return syscall.ENOSPC
	}
	return nil
}

// grown notes the size of a file after a write.
func (f *FS) grown(name string, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if more := size - f.sizes[name]; more > 0 {
		f.used += more
		f.sizes[name] = size
	}
}

// freed notes that a file is gone.
func (f *FS) freed(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used -= f.sizes[name]
	delete(f.sizes, name)
	delete(f.lost, name)
}

// Create implements vfs.FS.
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	var file vfs.File
	err := f.do(OpMeta, name, 0, func(int) (err error) {
		f.freed(name)
		file, err = f.mem.Create(name, c)
		return err
	})
	return f.file(file, name, err)
}

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	var file vfs.File
	err := f.do(OpMeta, name, 0, func(int) (err error) {
		file, err = f.mem.OpenReadWrite(name, c, opts...)
		return err
	})
	return f.file(file, name, err)
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(newname, c)
}

// Open implements vfs.FS.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if f.Crashed() {
		return nil, ErrCrashed
	}
	file, err := f.mem.Open(name, opts...)
	return f.file(file, name, err)
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	if f.Crashed() {
		return nil, ErrCrashed
	}
	file, err := f.mem.OpenDir(name)
	return f.file(file, name, err)
}

func (f *FS) file(file vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &crashFile{File: file, fs: f, name: name}, nil
}

// Link implements vfs.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.do(OpMeta, newname, 0, func(int) error { return f.mem.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.do(OpMeta, name, 0, func(int) error {
		f.freed(name)
		return f.mem.Remove(name)
	})
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	return f.do(OpMeta, name, 0, func(int) error { return f.mem.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.do(OpMeta, oldname, 0, func(int) error {
		f.mu.Lock()
		size := f.sizes[oldname]
		f.mu.Unlock()
		f.freed(oldname)
		f.freed(newname)
		f.grown(newname, size)
		return f.mem.Rename(oldname, newname)
	})
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string, perm os.FileMode) error {
	return f.do(OpMeta, dir, 0, func(int) error { return f.mem.MkdirAll(dir, perm) })
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	var lock io.Closer
	err := f.do(OpMeta, name, 0, func(int) (err error) {
		lock, err = f.mem.Lock(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return lock, nil
}

// List implements vfs.FS.
func (f *FS) List(dir string) ([]string, error) { return f.mem.List(dir) }

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.FileInfo, error) { return f.mem.Stat(name) }

// PathBase implements vfs.FS.
func (f *FS) PathBase(path string) string { return f.mem.PathBase(path) }

// PathJoin implements vfs.FS.
func (f *FS) PathJoin(elem ...string) string { return f.mem.PathJoin(elem...) }

// PathDir implements vfs.FS.
func (f *FS) PathDir(path string) string { return f.mem.PathDir(path) }

// GetDiskUsage implements vfs.FS; without a limit nobody knows.
func (f *FS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit == 0 {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return vfs.DiskUsage{TotalBytes: uint64(f.limit), UsedBytes: uint64(f.used), AvailBytes: uint64(max(f.limit-f.used, 0))}, nil
}

// Unwrap implements vfs.FS.
func (f *FS) Unwrap() vfs.FS { return f.mem }
