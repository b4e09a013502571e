package view

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// OpenOptions are for Open. All of it but Locked is demanded.
type OpenOptions struct {
	Dir    string
	FS     vfs.FS
	Locked bool // the caller sees to it that no other process opens Dir

	CacheBytes    int64 // memtables are counted in it: what they leave is for blocks
	MemTableBytes uint64
	Files         int // open at most

	// Failed is what Fail was told first; nil: nothing. Fail is told when the view cannot be written, or a file is missing: nothing is written any more then, and
	// the keeper is to end. Warn is told what Pebble complains about. Any goroutine calls them.
	Failed func() error
	Fail   func(error)
	Warn   func(text string)
}

// format is the Pebble format that is written: pinned, so that an upgrade of the library changes no files by itself.
const format = pebble.FormatTableFormatV6

// Open opens the database of a view, or makes it. It has no write-ahead log: what a crash takes from it is read again from the changelog.
func Open(o *OpenOptions) (*pebble.DB, error) {
	if err := MakeDir(o.FS, o.Dir); err != nil {
		return nil, err
	}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	l := logger{o}
	opts := &pebble.Options{
		FS:                         &haltingFS{FS: o.FS, o: o},
		DisableWAL:                 true,
		Cache:                      cache,
		FormatMajorVersion:         format,
		MemTableSize:               o.MemTableBytes,
		L0StopWritesThreshold:      noStopWrites,
		MaxOpenFiles:               o.Files,
		CompactionConcurrencyRange: o.compactions,
		Logger:                     l,
		EventListener:              &pebble.EventListener{BackgroundError: l.background},
	}
	for n := range opts.Levels { // most look-ups are of what is not there
		opts.Levels[n].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(o.Dir, opts)
	if err == nil {
		if err = o.Failed(); err != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the view in %s: %w", o.Dir, err)
	}
	return db, nil
}

// noStopWrites lets no write wait for a compaction: where compactions fail because something cannot be read, there
// might be none any more. Writes still wait for flushes, of which none fails (haltingFS).
const noStopWrites = 1 << 20

// compactions is how many run at once, at least and at most. After a failure there is nothing to gain by one: what it
// writes is lost, and what it reads may be.
func (o *OpenOptions) compactions() (atLeast, atMost int) {
	if o.Failed() != nil {
		return 0, 1
	}
	return 1, 1
}

// logger takes what Pebble says. Pebble calls Fatalf when it finds a file missing or itself in a state that cannot
// be, and expects the process to end. A broker must not vanish: its store fails instead, and haltingFS keeps Pebble
// from writing anything after that, which is all that the end of the process would have done to the files.
type logger struct{ o *OpenOptions }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) { l.o.Warn(fmt.Sprintf(format, args...)) }

func (l logger) Fatalf(format string, args ...any) { l.o.Fail(fmt.Errorf(format, args...)) }

func (l logger) background(err error) {
	if l.o.Failed() == nil && !errors.Is(err, pebble.ErrCancelledCompaction) {
		l.o.Fail(err)
	}
}

var _ pebble.Logger = logger{}
