package rocketmqtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Snapshot is a copy of a broker's store. It is there until its cluster is closed.
type Snapshot struct {
	dir string
}

// SnapshotStore copies the store of a broker that does not run.
func (b *Broker) SnapshotStore() (*Snapshot, error) {
	if b.Running() {
		return nil, fmt.Errorf("copy the store of %s: it runs", b.Name)
	}
	dir, err := os.MkdirTemp(b.c.dir, "snapshot-")
	if err != nil {
		return nil, err
	}
	if err := copyTree(dir, b.store()); err != nil {
		return nil, fmt.Errorf("copy the store of %s: %w", b.Name, err)
	}
	return &Snapshot{dir}, nil
}

// RestoreStore gives a broker that does not run the store of a snapshot, of its own or of another one: what was written since is gone, as with a
// disk that lost it or a backup that was played back. A snapshot may be restored any number of times.
func (b *Broker) RestoreStore(s *Snapshot) error {
	if b.Running() {
		return fmt.Errorf("restore the store of %s: it runs", b.Name)
	}
	err := os.RemoveAll(b.store())
	if err == nil {
		err = copyTree(b.store(), s.dir)
	}
	if err != nil {
		return fmt.Errorf("restore the store of %s: %w", b.Name, err)
	}
	return nil
}

// LoseStore takes all that a broker that does not run has stored: topics, messages, offsets.
func (b *Broker) LoseStore() error {
	if b.Running() {
		return fmt.Errorf("remove the store of %s: it runs", b.Name)
	}
	return os.RemoveAll(b.store())
}

// StoreDir is storePathRootDir, for a test that damages files in it.
func (b *Broker) StoreDir() string { return b.store() }

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(target, name)
		}
		return fmt.Errorf("%s is neither a file nor a directory", name)
	})
}

// copyFile leaves holes for zeros: RocketMQ makes files of hundreds of megabytes of which it uses a little.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	return copySparse(out, in)
}

func copySparse(out io.WriterAt, in io.Reader) error {
	const block = 64 << 10
	buf, zeros := make([]byte, block), make([]byte, block)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
