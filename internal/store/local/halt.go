package local

import (
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// haltingFS lets nothing be written any more once the store has failed, as if the process had ended there.
type haltingFS struct {
	vfs.FS
	s *Store
}

// haltDelay slows down what Pebble tries again and again after a failure.
const haltDelay = 50 * time.Millisecond

func (f *haltingFS) halted() error {
	err := f.s.failure.get()
	if err == nil {
		return nil
	}
	wait := time.NewTimer(haltDelay)
	defer wait.Stop()
	select {
	case <-f.s.stop:
	case <-wait.C:
	}
	return err
}

// Create implements vfs.FS.
func (f *haltingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.halted(); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name, c))
}

// Link implements vfs.FS.
func (f *haltingFS) Link(oldname, newname string) error {
	if err := f.halted(); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

// OpenReadWrite implements vfs.FS.
func (f *haltingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.halted(); err != nil {
		return nil, err
	}
	return f.file(f.FS.OpenReadWrite(name, c, opts...))
}

// OpenDir implements vfs.FS.
func (f *haltingFS) OpenDir(name string) (vfs.File, error) { return f.file(f.FS.OpenDir(name)) }

// Remove implements vfs.FS.
func (f *haltingFS) Remove(name string) error {
	if err := f.halted(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *haltingFS) RemoveAll(name string) error {
	if err := f.halted(); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// Rename implements vfs.FS.
func (f *haltingFS) Rename(oldname, newname string) error {
	if err := f.halted(); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

// ReuseForWrite implements vfs.FS.
func (f *haltingFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.halted(); err != nil {
		return nil, err
	}
	return f.file(f.FS.ReuseForWrite(oldname, newname, c))
}

// MkdirAll implements vfs.FS.
func (f *haltingFS) MkdirAll(dir string, perm os.FileMode) error {
	if err := f.halted(); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir, perm)
}

// Lock implements vfs.FS.
func (f *haltingFS) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

// Unwrap implements vfs.FS.
func (f *haltingFS) Unwrap() vfs.FS { return f.FS }

func (f *haltingFS) file(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &haltingFile{File: file, fs: f}, nil
}

// haltingFile is a file of a haltingFS that can be written.
type haltingFile struct {
	vfs.File
	fs *haltingFS
}

// Write implements vfs.File.
func (f *haltingFile) Write(p []byte) (int, error) {
	if err := f.fs.halted(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

// WriteAt implements vfs.File.
func (f *haltingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.halted(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Sync implements vfs.File.
func (f *haltingFile) Sync() error {
	if err := f.fs.halted(); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *haltingFile) SyncData() error {
	if err := f.fs.halted(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *haltingFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.halted(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
