package view

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// haltingFS is the disk as Pebble sees it. To a failed write Pebble answers by trying again for ever, by a panic or by
// Fatalf, depending on where it happens, and none of that may happen to a broker that has yet to say why it stops. So
// Pebble never learns of one: the first failure is the keeper's, and from then on nothing is written any more and Pebble
// hears that all went well. On the disk it is as if the process had ended there. What Pebble reads again and was not
// written is missing, and a reader gets that as an error.
//
// Rejected: to pass the errors on, slowed down. Then a flush never ends, and an Open never returns.
type haltingFS struct {
	vfs.FS
	o *OpenOptions
}

// do runs an operation that changes something, unless the store has failed. What an operation says of a name, that it
// exists or not, is an answer and no failure.
func (f *haltingFS) do(op func() error) error {
	if f.o.Failed() != nil {
		return nil
	}
	err := op()
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return err
	}
	f.o.Fail(err)
	return nil
}

// file is do for an operation that opens a file for writing.
func (f *haltingFS) file(open func() (vfs.File, error)) (vfs.File, error) {
	file := vfs.File(unwritten{})
	err := f.do(func() error {
		opened, err := open()
		if err == nil {
			file = opened
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &haltingFile{File: file, fs: f}, nil
}

// Create implements vfs.FS.
func (f *haltingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	// A marker names another new file, and Pebble makes both entries durable by one sync of the directory. Nothing
	// promises that a crash in between keeps them in order, so the other file goes first.
	if strings.HasPrefix(f.PathBase(name), "marker.") {
		if err := f.do(func() error { return SyncDir(f.FS, f.PathDir(name)) }); err != nil {
			return nil, err
		}
	}
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (f *haltingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *haltingFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, c) })
}

// OpenDir implements vfs.FS.
func (f *haltingFS) OpenDir(name string) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (f *haltingFS) Link(oldname, newname string) error {
	return f.do(func() error { return f.FS.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (f *haltingFS) Remove(name string) error {
	return f.do(func() error { return f.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (f *haltingFS) RemoveAll(name string) error {
	return f.do(func() error { return f.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (f *haltingFS) Rename(oldname, newname string) error {
	return f.do(func() error { return f.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (f *haltingFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.do(func() error { return f.FS.MkdirAll(dir, perm) })
}

// Lock implements vfs.FS.
func (f *haltingFS) Lock(name string) (io.Closer, error) {
	if f.o.Locked {
		return unwritten{}, nil
	}
	return f.FS.Lock(name)
}

// Unwrap implements vfs.FS.
func (f *haltingFS) Unwrap() vfs.FS { return f.FS }

// haltingFile is a file of a haltingFS that can be written, or a directory.
type haltingFile struct {
	vfs.File
	fs *haltingFS
}

// Write implements vfs.File.
func (f *haltingFile) Write(p []byte) (int, error) {
	return len(p), f.fs.do(func() error { _, err := f.File.Write(p); return err })
}

// WriteAt implements vfs.File.
func (f *haltingFile) WriteAt(p []byte, at int64) (int, error) {
	return len(p), f.fs.do(func() error { _, err := f.File.WriteAt(p, at); return err })
}

// Preallocate implements vfs.File.
func (f *haltingFile) Preallocate(offset, length int64) error {
	return f.fs.do(func() error { return f.File.Preallocate(offset, length) })
}

// Sync implements vfs.File.
func (f *haltingFile) Sync() error { return f.fs.do(f.File.Sync) }

// SyncData implements vfs.File.
func (f *haltingFile) SyncData() error { return f.fs.do(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *haltingFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.do(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Close implements vfs.File. The file is closed in any case.
func (f *haltingFile) Close() error {
	err := f.File.Close()
	return f.fs.do(func() error { return err })
}

// unwritten is a file that was opened for writing after the failure. Nobody reads from such a handle.
type unwritten struct{}

func (unwritten) Close() error                           { return nil }
func (unwritten) Read([]byte) (int, error)               { return 0, io.EOF }
func (unwritten) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (unwritten) Write(p []byte) (int, error)            { return len(p), nil }
func (unwritten) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (unwritten) Preallocate(int64, int64) error         { return nil }
func (unwritten) Stat() (vfs.FileInfo, error)            { return nil, fs.ErrNotExist }
func (unwritten) Sync() error                            { return nil }
func (unwritten) SyncTo(int64) (bool, error)             { return false, nil }
func (unwritten) SyncData() error                        { return nil }
func (unwritten) Prefetch(int64, int64) error            { return nil }
func (unwritten) Fd() uintptr                            { return vfs.InvalidFd }

var _ vfs.FS = (*haltingFS)(nil)
