package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// machine is what the figures are of.
type machine struct {
	cpu, kernel   string
	disk          string
	fsync         stats.Histogram
	before, after string // load averages
	began         time.Time
	versions      map[string]string // by program
}

func lookAround(dir string) (*machine, error) {
	m := &machine{cpu: cpuModel(), before: loadAverage(), began: time.Now()}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("ask for the kernel: %w", err)
	}
	m.kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	m.disk = fileSystem(fs.Type)
	return m, m.syncs(dir)
}

// syncs measures what a sync of the disk takes: an appended record of the size of a message, and fdatasync.
func (m *machine) syncs(dir string) error {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	record := bytes.Repeat([]byte{'x'}, 200)
	for range 500 {
		if _, err := f.Write(record); err != nil {
			return err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return fmt.Errorf("fdatasync: %w", err)
		}
		m.fsync.Add(time.Since(began))
	}
	return nil
}

func fileSystem(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs (in memory: a sync costs nothing here, and the durable rows mean nothing; use -dir)"
	}
	return fmt.Sprintf("a file system of type %#x", magic)
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(b))[:1], "")
}
