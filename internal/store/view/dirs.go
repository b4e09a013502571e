package view

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncDir makes the entries of a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync directory %s: %w", dir, err), d.Close())
	}
	return d.Close()
}

// MakeDir makes dir with its parents, level by level, and makes every new entry durable before the next one. So a
// crash leaves at most the deepest one that exists in doubt, and that one is made durable again.
func MakeDir(fs vfs.FS, dir string) error {
	var missing []string
	for {
		if _, err := fs.Stat(dir); err == nil {
			break
		}
		missing = append(missing, dir)
		if fs.PathDir(dir) == dir {
			break
		}
		dir = fs.PathDir(dir)
	}
	if err := SyncDir(fs, fs.PathDir(dir)); err != nil && !errors.Is(err, os.ErrPermission) {
		return err // somebody else's directory, in which this one has been for long, need not be readable
	}
	for _, d := range slices.Backward(missing) {
		if err := fs.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make directory %s: %w", d, err)
		}
		if err := SyncDir(fs, fs.PathDir(d)); err != nil {
			return err
		}
	}
	return nil
}
