package local

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configures Open. Only Dir must be set.
type Options struct {
	Dir string // directory of the store; made when missing, used by one process at a time
	FS  vfs.FS // all file access; nil: the operating system's

	SegmentSize    int64         // bytes after which a new segment is begun; 0: 64 MiB, at most 2 GiB
	RetentionTime  time.Duration // messages older than this may be dropped; 0: 72 h, negative: never
	RetentionBytes int64         // segments above this total are dropped, the oldest first; 0: no limit
	MaxRecord      int64         // bytes of one stored message or change; 0: 257 MiB, enough for the largest MQTT packet
	RecentBytes    int64         // newest messages kept in memory for readers near the end; 0: 16 MiB, negative: none

	MaxRetained      int64         // retained messages below one first level; 0: no limit
	MaxRetainedBytes int64         // of all retained messages; 0: no limit
	RetainFor        time.Duration // retained messages end after this; 0: never
	LeaveRetained    bool          // those that have expired are not removed: nobody asks for any

	DiskReserve   int64         // publishes are refused while less space is free; 0: 256 MiB, negative: no check
	NoSync        bool          // acknowledge before the sync, which then happens every FlushInterval (ASYNC_FLUSH)
	FlushInterval time.Duration // with NoSync: how much time's messages a power loss may cost; 0: 500 ms
	CheckInterval time.Duration // how often retention and free space are looked at; 0: 1 s

	Logger *slog.Logger     // nil: nothing is logged
	Clock  func() time.Time // nil: time.Now
}

const (
	maxSegmentSize = 2 << 30
	maxRecordLimit = 1 << 30
)

// withDefaults returns o with every default filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("open store: Options.Dir is empty; name a directory for the log")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	setDefault(&o.SegmentSize, 64<<20)
	setDefault(&o.RetentionTime, 72*time.Hour)
	setDefault(&o.MaxRecord, 257<<20)
	setDefault(&o.RecentBytes, 16<<20)
	setDefault(&o.DiskReserve, 256<<20)
	setDefault(&o.FlushInterval, 500*time.Millisecond)
	setDefault(&o.CheckInterval, time.Second)
	if o.SegmentSize < 4096 || o.SegmentSize > maxSegmentSize {
		return o, fmt.Errorf("open store: Options.SegmentSize is %d; allowed are 4096 to %d bytes", o.SegmentSize, int64(maxSegmentSize))
	}
	if o.MaxRecord < 1024 || o.MaxRecord > maxRecordLimit {
		return o, fmt.Errorf("open store: Options.MaxRecord is %d; allowed are 1024 to %d bytes", o.MaxRecord, int64(maxRecordLimit))
	}
	if o.RetentionBytes < 0 || o.FlushInterval < 0 || o.CheckInterval < 0 {
		return o, fmt.Errorf("open store: Options.RetentionBytes, FlushInterval and CheckInterval cannot be negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o, nil
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
