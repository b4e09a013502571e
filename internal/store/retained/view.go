package retained

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Options configure a View. Dir, Queues and Now are demanded; any other zero value stands for the default in brackets.
type Options struct {
	Dir    string // used by one process at a time
	FS     vfs.FS // [the operating system's]
	Queues int    // of the log; how many there are never changes

	MaxTopics int64         // retained messages below one first level [no limit]
	MaxBytes  int64         // of all retained messages [no limit]
	KeepFor   time.Duration // retained messages end after this [never]

	// Late is told of messages that have become the retained ones of their topics though they are below a place that View.Watched was given: who has
	// subscribed from there on got them neither with the others of that topic, nor retained. It is called before they are found, and must not block.
	Late   func(rec *store.Record)
	Now    func() int64 // Unix milliseconds
	Failed func(error)  // the view cannot be written: it is told once, and nothing that is read counts any more; it must not block
	Logger *slog.Logger
}

// View is what the log says. Its methods may be called concurrently, but for Begin, Read and Rebuild of one queue.
type View struct {
	opts  Options
	db    *pebble.DB
	stats Stats

	keeper view.Keeper // of db

	// reading is held while the view is written.
	reading sync.Mutex
	queues  []queue // guarded by reading

	mu      sync.Mutex
	next    []int64               // by queue: queue.next, as it is visible
	more    chan struct{}         // closed when more is visible; nil: nobody waits
	watched map[store.Queue]int64 // see Watched
}

// queue is how far a queue of the log was read. View.reading guards it.
type queue struct {
	next         int64 // where reading goes on
	count, bytes int64 // retained messages of topics that stand here, and what they take
	gap          int64 // reading began again here, since what was below was gone: entries of records below may be of what has ended since; 0: it did not
	found        bool  // and records were found
	note         []byte

	begun bool // all that stood there when reading began was read
}

func (qu *queue) encode() []byte {
	b := binary.AppendVarint(nil, qu.next)
	b = binary.AppendVarint(binary.AppendVarint(b, qu.count), qu.bytes)
	found := int64(0)
	if qu.found {
		found = 1
	}
	b = binary.AppendVarint(binary.AppendVarint(b, qu.gap), found)
	return append(b, qu.note...)
}

func (qu *queue) decode(b []byte) error {
	d := view.Decoder{B: b}
	qu.next, qu.count, qu.bytes, qu.gap = d.Int(), d.Int(), d.Int(), d.Int()
	qu.found = d.Int() == 1
	if len(d.B) > 0 {
		qu.note = d.B
	}
	return d.Err
}

// Stats counts what happens in a View. Messages and Bytes are what there is, what has expired and was not looked at since included.
type Stats struct {
	Messages, Bytes atomic.Int64 // retained messages, and what they take in the view

	Read       atomic.Int64 // records
	Older      atomic.Int64 // of those, older than what was known of their topic
	Unreadable atomic.Int64 // of a later version, or damaged
	Late       atomic.Int64 // messages that Options.Late was told of
	Renewed    atomic.Int64 // records that this node has written again
}

// Open opens the view in o.Dir, or makes it.
func Open(o Options) (*View, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	v := &View{opts: o, queues: make([]queue, o.Queues), next: make([]int64, o.Queues), watched: map[store.Queue]int64{}}
	v.keeper.Told = o.Failed
	var err error
	v.db, err = view.Open(&view.OpenOptions{
		Dir: o.Dir, FS: o.FS, CacheBytes: 64 << 20, MemTableBytes: 16 << 20, Files: 500,
		Failed: v.keeper.Failed, Fail: v.keeper.Fail, Warn: func(text string) { o.Logger.Warn("the view of retained messages", "text", text) },
	})
	if err != nil {
		return nil, fmt.Errorf("%w; the directory can be removed, the view is built again from the log", err)
	}
	if err := v.load(); err != nil {
		_ = v.db.Close() // it was only read
		return nil, fmt.Errorf("read the view of retained messages in %s: %w", o.Dir, err)
	}
	return v, nil
}

func (v *View) load() error {
	for q := range v.queues {
		qu := &v.queues[q]
		value, err := view.Get(v.db, queueKey(q))
		if err != nil || value == nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := qu.decode(value); err != nil {
			return err
		}
		v.next[q] = qu.next
		v.stats.Messages.Add(qu.count)
		v.stats.Bytes.Add(qu.bytes)
	}
	return nil
}

// QueueOf is the queue of the log that a topic stands in. It is a part of the contract between nodes and versions.
func QueueOf(topic string, queues int) int { return int(xxhash.Sum64String(topic) % uint64(queues)) }

// QueueOf is QueueOf for this view's log.
func (v *View) QueueOf(topic string) int { return QueueOf(topic, v.opts.Queues) }

// Stats returns the counters, which go on counting.
func (v *View) Stats() *Stats { return &v.stats }

// Flush has what was read so far survive a crash: less is to be read again.
func (v *View) Flush() error {
	done, err := v.keeper.Use()
	if err != nil {
		return err
	}
	defer done()
	if err := v.db.Flush(); err != nil {
		return fmt.Errorf("flush the view of retained messages: %w", err)
	}
	return nil
}

// Close closes the view. Idempotent.
func (v *View) Close() error {
	if err := v.keeper.Close(v.db); err != nil {
		return fmt.Errorf("close the view of retained messages: %w", err)
	}
	return nil
}
