package crashfs

import (
	"bytes"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// span is a part of a file that a failed sync has lost: the disk holds old, whatever is read.
type span struct {
	at   int64
	size int64 // of what is read there
	old  []byte
}

// restore puts what the disk holds into an image.
func (s span) restore(image *vfs.MemFS, name string) {
	b, err := image.UnsafeGetFileDataBuffer(name)
	if err != nil || s.at >= int64(len(b)) {
		return
	}
	part := b[s.at:min(s.at+s.size, int64(len(b)))]
	clear(part)
	copy(part, s.old)
}

// crashFile is an open file.
type crashFile struct {
	vfs.File
	fs   *FS
	name string
	pos  int64
}

// Write implements vfs.File.
func (f *crashFile) Write(p []byte) (int, error) {
	done := 0
	err := f.fs.do(OpWrite, f.name, len(p), func(n int) (err error) {
		f.fs.rewritten(f.name, f.pos, int64(n))
		done, err = f.File.Write(bytes.Clone(p[:n]))
		f.pos += int64(done)
		f.fs.grown(f.name, f.pos)
		return err
	})
	return done, err
}

// WriteAt implements vfs.File.
func (f *crashFile) WriteAt(p []byte, at int64) (int, error) {
	done := 0
	err := f.fs.do(OpWrite, f.name, len(p), func(n int) (err error) {
		f.fs.rewritten(f.name, at, int64(n))
		done, err = f.File.WriteAt(p[:n], at)
		f.fs.grown(f.name, at+int64(done))
		return err
	})
	return done, err
}

// Read implements vfs.File.
func (f *crashFile) Read(p []byte) (int, error) {
	if f.fs.Crashed() {
		return 0, ErrCrashed
	}
	return f.File.Read(p)
}

// ReadAt implements vfs.File.
func (f *crashFile) ReadAt(p []byte, at int64) (int, error) {
	if f.fs.Crashed() {
		return 0, ErrCrashed
	}
	return f.File.ReadAt(p, at)
}

// Sync implements vfs.File.
func (f *crashFile) Sync() error {
	synced := false
	err := f.fs.do(OpSync, f.name, 0, func(int) error {
		synced = true
		return f.File.Sync()
	})
	switch {
	case synced:
		f.fs.noteSync(f.name)
	case err != nil && !errors.Is(err, ErrCrashed):
		f.fs.loseUnsynced(f.name)
	}
	return err
}

// SyncData implements vfs.File.
func (f *crashFile) SyncData() error { return f.Sync() }

// SyncTo implements vfs.File; it promises nothing.
func (f *crashFile) SyncTo(int64) (bool, error) { return false, nil }

// noteSync notes a successful sync of a file that had a failed one.
func (f *FS) noteSync(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lost[name]) > 0 {
		f.retried = append(f.retried, name)
	}
}

// rewritten notes that n bytes were written at a place, which a later sync will write.
func (f *FS) rewritten(name string, at, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []span
	for _, s := range f.lost[name] {
		if before := s.slice(s.at, at); before.size > 0 {
			rest = append(rest, before)
		}
		if after := s.slice(at+n, s.at+s.size); after.size > 0 {
			rest = append(rest, after)
		}
	}
	if rest == nil {
		delete(f.lost, name)
		return
	}
	f.lost[name] = rest
}

// slice is the part of s between two places of the file.
func (s span) slice(from, to int64) span {
	from, to = max(from, s.at), min(to, s.at+s.size)
	if to <= from {
		return span{}
	}
	skip := min(from-s.at, int64(len(s.old)))
	return span{at: from, size: to - from, old: s.old[skip:min(to-s.at, int64(len(s.old)))]}
}

// loseUnsynced notes what a failed sync of a file has lost.
func (f *FS) loseUnsynced(name string) {
	durable := f.mem.CrashClone(vfs.CrashCloneCfg{})
	old, _ := contents(durable, name) // none: its directory entry is not durable either
	now, err := contents(f.mem, name)
	if err != nil {
		return // a directory
	}
	same := 0
	for same < len(old) && same < len(now) && old[same] == now[same] {
		same++
	}
	if same == len(now) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost[name] = append(f.lost[name], span{at: int64(same), size: int64(len(now) - same), old: old[same:]})
}

// contents reads a file.
func contents(fs *vfs.MemFS, name string) ([]byte, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	return io.ReadAll(file)
}
