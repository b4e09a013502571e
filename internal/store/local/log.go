// Package local is the embedded store: a log of its own on one disk, and a view of it in Pebble.
//
// The log is a directory of segments (segment.go, record.go), written by one goroutine that syncs once per batch
// (commit.go). Messages and the sessions' changelog share it, so one sync makes both durable and one number, the
// offset, orders both. Pebble holds what can be had again from the log: sessions, groups, the expiry index, the block
// index of topics (view.go). It writes no WAL: each batch of the view says up to which offset it reflects the log, and
// Open replays the log from there. A segment is dropped only after the view of it has been flushed.
//
// What is promised: an append that was answered without error survives the death of the process and, unless
// Options.NoSync, of the machine. What a crash cut short is cut off at the next Open; damage anywhere else is
// reported, never skipped (recover.go, read.go). After a failed write or sync nothing is acknowledged until a restart.
//
// Limits: 2 MiB or 8,192 records wait for the disk, then Append blocks; as much is being written, and two more such
// batches wait for the sink. Readers near the end are served from Options.RecentBytes of memory.
package local

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Store is the embedded store. All methods may be called concurrently.
type Store struct {
	opts   Options
	log    *slog.Logger
	seldom *throttle.Logger // for what clients cause
	logDir string
	salt   uint32 // where the checksums of this log begin
	lock   closer // the directory's lock file

	mu      sync.Mutex // guards the fields down to slab
	work    sync.Cond  // the committer waits here
	room    sync.Cond  // publishers wait here for the pending batch to be taken
	pending *batch
	writing int // bytes of the batch that the committer has
	slab    slab
	wanted  wants
	refuse  error // not nil: no append is taken any more
	closing bool  // the committer ends when nothing is pending

	tail   atomic.Int64 // offset of the next append; written with mu held
	next   atomic.Int64 // end of what is visible
	opened int64        // the log's end when this process opened it
	waits  atomic.Int64 // how often an append waited for room

	writer   writer   // the committer's
	shown    *segment // of the last batch shown; the finisher's
	toFinish chan *batch
	free     chan *batch

	segMu sync.Mutex               // held by those who replace segs
	segs  atomic.Pointer[segments] // never empty once open

	shows   shows       // when next has moved
	retains atomic.Bool // a retained message was published

	sink   atomic.Pointer[func([]store.Record)]
	recent ring
	view   *sessionView
	disk   disk
	stats  counters

	changeBufs sync.Pool // *[]byte
	directBufs sync.Pool // *directBuf

	failure failure
	gate    gate // users of the view and of the sink
	stop    chan struct{}
	flushes chan struct{}
	tasks   sync.WaitGroup // committer, finisher, keeper
	closeMu sync.Once
	closeEr error // guarded by closeMu
}

var _ store.Store = (*Store)(nil)

type closer interface{ Close() error }

// Open opens the store in o.Dir, or makes it. It returns when the log has been checked and the view is up to date.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		opts: o, log: o.Logger, logDir: o.FS.PathJoin(o.Dir, "log"),
		pending: new(batch), toFinish: make(chan *batch, 2), free: make(chan *batch, 3),
		gate: gate{left: make(chan struct{}, 1)},
		stop: make(chan struct{}), flushes: make(chan struct{}, 1),
	}
	s.seldom = throttle.New(s.log, time.Second, time.Now)
	s.work.L, s.room.L = &s.mu, &s.mu
	s.failure.done = make(chan struct{})
	s.changeBufs.New = func() any { return new([]byte) }
	s.directBufs.New = newDirectBuf
	s.recent.limit = o.RecentBytes
	s.disk.init(&s.opts)
	s.stats = newCounters()
	s.writer.syncs = s.stats.syncs
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", o.Dir, err)
	}
	return s, nil
}

// open brings everything up; on error it takes down what it brought up.
func (s *Store) open() (err error) {
	fs := s.opts.FS
	if err := view.MakeDir(fs, s.logDir); err != nil {
		return err
	}
	lock := fs.PathJoin(s.opts.Dir, "LOCK")
	if s.lock, err = fs.Lock(lock); err != nil {
		return fmt.Errorf("lock %s: %w; another process uses this directory: stop it, or choose another directory", lock, err)
	}
	defer func() {
		if err != nil {
			s.release() //nolint:errcheck // err is what led here
		}
	}()
	if s.view, err = openView(s); err != nil {
		return err
	}
	if err = s.recover(); err != nil {
		return err
	}
	s.checkDisk() // what is full is full from the start
	s.tasks.Go(s.commit)
	s.tasks.Go(s.finish)
	s.tasks.Go(s.keep)
	if err = s.beginRun(); err != nil {
		s.stopTasks()
	}
	return err
}

// beginRun writes the record whose offset names this process's run.
func (s *Store) beginRun() error {
	s.opened = s.tail.Load()
	w := waiter{done: make(chan error, 1)}
	if err := s.putBody(kindStart, nil, &w, 0); err != nil {
		return err
	}
	return <-w.done
}

// waiter is a Completion to wait for.
type waiter struct{ done chan error }

// Appended implements store.Completion.
func (w *waiter) Appended(_ uint64, _ store.Position, err error) { w.done <- err }

// Follow sets the sink; see store.Store.
func (s *Store) Follow(sink func(batch []store.Record)) { s.sink.Store(&sink) }

// Next is the end of what was handed to the sink; see store.Store. The log has one queue, 0.
func (s *Store) Next(store.Queue) int64 { return s.next.Load() }

// Watch returns where the next message goes at the earliest; see store.Store. Everything is handed to the sink, watched or not.
func (s *Store) Watch(string) ([]store.Position, error) {
	return []store.Position{{Offset: s.tail.Load()}}, nil
}

// Unwatch does nothing.
func (s *Store) Unwatch(string) {}

// Queues is always queue 0; see store.Store.
func (s *Store) Queues(string) []store.Queue { return []store.Queue{0} }

// At is the beginning: whoever begins in the one queue that there is knows where; see store.Store.
func (s *Store) At(store.Queue, int64) (int64, error) { return 0, nil }

// Close waits for the appends under way, then releases everything. Idempotent.
func (s *Store) Close() error {
	s.closeMu.Do(func() {
		s.stopTasks()
		s.gate.close()
		s.closeEr = s.release()
	})
	return s.closeEr
}

// stopTasks refuses new appends and waits for the goroutines to end.
func (s *Store) stopTasks() {
	s.mu.Lock()
	if s.refuse == nil {
		s.refuse = store.ErrClosed
	}
	s.closing = true
	s.room.Broadcast()
	s.work.Signal()
	s.mu.Unlock()
	close(s.stop)
	s.tasks.Wait()
}

// release gives back what open took. What the view has is flushed, so that the next Open has little to replay.
func (s *Store) release() error {
	var errs []error
	if s.writer.file != nil {
		if s.failure.get() == nil {
			errs = append(errs, s.writer.sync())
		}
		errs = append(errs, s.writer.close())
	}
	if s.view != nil {
		if s.failure.get() == nil && s.view.state.next == s.writer.durable {
			errs = append(errs, s.view.settle())
		}
		if s.failure.get() == nil {
			errs = append(errs, s.view.flush())
		}
		errs = append(errs, s.view.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store in %s: %w", s.opts.Dir, err)
	}
	return nil
}

// now is the time of records, in Unix milliseconds.
func (s *Store) now() int64 { return s.opts.Clock().UnixMilli() }
