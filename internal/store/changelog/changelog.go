package changelog

import (
	"crypto/rand"
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
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Log is the sequence of records that all nodes read. Its queues are numbered from 0 on; how many there are never changes.
type Log interface {
	// Append has record written to queue q, and tries until it has succeeded or the log is closed. The record may come to stand there more
	// than once. It must not block, and must not call the Changelog. record is the log's from then on.
	Append(q int, record []byte)
	// Away says why queue q cannot be written to at present; nil: it can, as far as is known. It must not block.
	Away(q int) error
}

// Entry is one record as it stands in the log.
type Entry = view.Entry

// Options configure a Changelog. Dir, Queues and Log are demanded; any other zero value stands for the default in brackets.
type Options struct {
	Dir    string // of the view, used by one process at a time
	FS     vfs.FS // [the operating system's]
	Queues int
	Log    Log
	Taken  func(client string) // another node owns this client id now: its connection is to be ended, then Detach or Remove follow
	Shared func(filter string) // what is known of a shared subscription group has changed; see store.Store
	Now    func() time.Time    // with a monotonic part [time.Now]
	Failed func(error)         // the view cannot be written: it is told once, and nothing that is read counts any more; it must not block
	NewID  func() uint64       // ids of nodes, never 0 [random]
	Logger *slog.Logger        // [none]

	Beat       time.Duration // between two beats [1 s]
	FenceAfter time.Duration // without a beat of another node, while one's own come back [6 s]
	Handover   time.Duration // that a former owner has to answer [1 s]
	MaxPending int64         // bytes of changes that have not come back, of all clients; more are refused [64 MiB]
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Taken == nil {
		o.Taken = func(string) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Shared == nil {
		o.Shared = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Beat == 0 {
		o.Beat = time.Second
	}
	if o.FenceAfter == 0 {
		o.FenceAfter = 6 * time.Second
	}
	if o.Handover == 0 {
		o.Handover = time.Second
	}
	if o.MaxPending == 0 {
		o.MaxPending = 64 << 20
	}
	return o
}

func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Changelog is this node's part in the changelog. Its methods may be called concurrently, but for Read and Rebuild of one queue. Completions and
// Options.Taken are called with no lock held.
type Changelog struct {
	opts  Options
	log   *throttle.Logger
	db    *pebble.DB
	stats Stats

	keeper view.Keeper // of db

	queues []queue // see queue.reading

	groups   sync.Mutex // guards what the view has of groups, which sessions of several queues are members of; it comes after queue.reading, before mu
	watching sync.Mutex // see watched; nothing is locked while it is held
	watched  watched

	sessions atomic.Int64

	mu        sync.Mutex
	chains    map[string]*chain
	waiting   map[*chain]struct{} // those that wait for a former owner
	nodes     []uint64            // by queue: this process's id there, anew whenever it was fenced
	process   uint64              // which process the ids are of that are made from now on (process.go)
	processes []uint64            // by queue: and that one's
	ready     []bool              // by queue: it was read to its end, and chains follow what is read
	sent      [][]sent            // by queue: the records of chains that may be under way, in the order of their numbers
	seq       uint64
	pending   int64    // bytes of changes that have not come back
	vectors   []vector // by queue
	leaves    bool     // see Leave
	closed    bool
}

// queue is how far one queue was read, and what is known of the nodes that write to it.
type queue struct {
	// reading guards the queue: what the view has of its names is written with it held. It comes before mu. Who holds that of several has locked all (lockQueues).
	reading sync.Mutex

	next   int64     // where reading goes on
	origin int64     // where it began: what was below is not known
	since  int64     // when what stood there was stored, Unix milliseconds
	newest int64     // when the latest record that was read was stored, Unix milliseconds
	buried int64     // when the record was stored at which names were looked for last that are to be forgotten, the same
	note   []byte    // the reader's
	begun  bool      // all that stood there when it began was read
	live   time.Time // since when
	peers  map[uint64]*peer
	beats  beats

	sessions int64
	repairs  []repair // what the log has lost
}

// Open opens the view in o.Dir, or makes it. Read and Tick are to be called from then on.
func Open(o Options) (*Changelog, error) {
	o = o.withDefaults()
	c := &Changelog{
		opts: o, log: throttle.New(o.Logger, time.Second, o.Now), chains: map[string]*chain{}, waiting: map[*chain]struct{}{},
		watched: newWatched(),
		queues:  make([]queue, o.Queues), nodes: make([]uint64, o.Queues), processes: make([]uint64, o.Queues), vectors: make([]vector, o.Queues), ready: make([]bool, o.Queues), sent: make([][]sent, o.Queues),
	}
	for q := range c.nodes {
		c.renewID(q)
	}
	if err := c.openView(); err != nil {
		return nil, err
	}
	if err := c.load(); err != nil {
		_ = c.db.Close() // it was only read
		return nil, fmt.Errorf("read the view of sessions in %s: %w", o.Dir, err)
	}
	return c, nil
}

// QueueOf is the queue that a client id stands in. It is a part of the contract between nodes and versions.
func QueueOf(client string, queues int) int { return int(xxhash.Sum64String(client) % uint64(queues)) }

func (c *Changelog) queueOf(client string) int { return QueueOf(client, c.opts.Queues) }

// Sessions counts the persistent sessions, as far as was read.
func (c *Changelog) Sessions() int64 { return c.sessions.Load() }

// Stats returns the counters, which go on counting.
func (c *Changelog) Stats() *Stats { return &c.stats }

// Stats counts what happens in a Changelog.
type Stats struct {
	Read, Void     atomic.Int64 // records, and those of them that did not count
	Unreadable     atomic.Int64 // those of which at least a part was passed over: of a later version, or damaged
	Appended       atomic.Int64 // records, not counting what the log repeats
	Taken          atomic.Int64 // client ids that another node took over from this one
	Waited         atomic.Int64 // take-overs by this node in which the former owner did not answer in time
	Fences, Fenced atomic.Int64 // of other nodes by this one; of this one
	Refused        atomic.Int64 // changes, since too much was pending
	WillsDropped   atomic.Int64 // since too many of one client were owed
}

// Close waits for nothing: the log is closed before. What has not come back is answered with store.ErrClosed.
func (c *Changelog) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	var e effects
	for _, ch := range c.chains {
		c.failAll(ch, store.ErrClosed, &e)
	}
	clear(c.chains)
	c.mu.Unlock()
	e.run(c)
	if err := c.keeper.Close(c.db); err != nil {
		return fmt.Errorf("close the view of sessions: %w", err)
	}
	return nil
}
