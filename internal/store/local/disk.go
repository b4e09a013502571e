package local

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// disk watches the free space, so that publishes are refused before the disk is full.
//
// Below the reserve, messages and new subscriptions are refused with store.ErrFull. Every other change is taken: it
// frees (Remove, Unsubscribe, Done2), lets subscribers drain what there is (Connect, Send2, Progress ...) or keeps
// books, and is small. Below a quarter of the reserve changes are refused as well, so that those cannot fill the disk
// either: a log that meets ENOSPC has failed and must be restarted.
type disk struct {
	fs      vfs.FS
	dir     string
	reserve int64
	level   atomic.Int32 // a fullness
	free    atomic.Int64 // bytes, at the last look
	written int64        // since the last look; the committer's
	told    fullness     // that was logged last; the keeper's
}

// fullness is how far the free space has shrunk.
type fullness = int32

const (
	enough   fullness = iota
	low               // below the reserve
	critical          // below a quarter of it
)

// lookEvery is how much the log may write before the free space is looked at again.
const lookEvery = 8 << 20

func (d *disk) init(o *Options) {
	d.fs, d.dir, d.reserve = o.FS, o.Dir, o.DiskReserve
}

// look measures the free space and returns the level.
func (d *disk) look() fullness {
	now := enough
	if d.reserve < 0 {
		return now
	}
	u, err := d.fs.GetDiskUsage(d.dir)
	if err != nil {
		return d.level.Load() // a file system that cannot say is taken at its word when it is full
	}
	free := int64(min(u.AvailBytes, 1<<62))
	d.free.Store(free)
	switch {
	case free < d.reserve/4:
		now = critical
	case free < d.reserve:
		now = low
	}
	d.level.Store(now)
	return now
}

// wrote accounts for n bytes of the log.
func (d *disk) wrote(n int64) {
	if d.written += n; d.written >= min(lookEvery, max(d.reserve/8, 1)) {
		d.written = 0
		d.look()
	}
}

func (d *disk) refusesMessages() bool { return d.level.Load() != enough }

// lacks says that n bytes of messages, all that are under way, are too many: so many that the last of them might leave
// less than half of the reserve. The rest of it is for what was written since the last look, and for the view.
func (d *disk) lacks(n int) bool {
	if d.refusesMessages() {
		return true
	}
	free := d.free.Load()
	return d.reserve > 0 && free > 0 && free-int64(n) < d.reserve/2
}

func (d *disk) refusesChange(kind store.ChangeKind) bool {
	switch d.level.Load() {
	case enough:
		return false
	case low:
		return kind == store.Subscribe || kind == store.Receive
	default:
		return true
	}
}

func (d *disk) fullError() error {
	return fmt.Errorf("%d bytes are free on the disk of %s and %d are kept in reserve; free space or lower the retention: %w",
		d.free.Load(), d.dir, d.reserve, store.ErrFull)
}
