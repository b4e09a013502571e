package rocketmq

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// index says of blocks of queues which topics may be in them, so that who comes back after a while reads what may be for him, not all
// that was published (protocols 10). It is this node's own: the tail writes what it hands over, and a catch-up what it had to read because nothing was known of it.
// A block is 128 logical offsets of a queue, which name the same messages for ever. What is not in the index is read: so it may lose anything, and is written without a sync.
//
// Key: queue 8, block 8, both big endian. Value: [version 1] the block's filter, see package blocks.
type index struct {
	db    *pebble.DB
	mixed string // the RocketMQ topic that is of many first levels; "": none is
	most  int64  // bytes on disk
	stats *Stats
	log   *slog.Logger

	keeper view.Keeper // of db
}

const (
	indexVersion = 1
	indexKey     = 16
	indexSkip    = 100_000 // blocks that one look at the index passes over
	indexRun     = 64      // blocks that it looks for the end of what is to be read
)

// openIndex opens the index in dir, which no other process uses, or makes it, anew when it cannot be read; nil: it cannot be made either, and all is read.
func (s *Store) openIndex(dir string) *index {
	const slow = "sessions that were away are read more slowly"
	x := &index{mixed: s.opts.DefaultTopic, most: s.opts.MaxIndexBytes, stats: &s.stats, log: s.opts.Logger}
	x.keeper.Told = func(err error) {
		x.log.Error("the index of messages is not used any more until the next start: "+slow, "directory", dir, "err", err)
	}
	err := x.open(dir)
	if err != nil {
		x.log.Warn("the index of messages cannot be read and begins anew: "+slow+" until it has grown again", "directory", dir, "err", err)
		if err = os.RemoveAll(dir); err == nil {
			err = x.open(dir)
		}
	}
	if err != nil {
		x.log.Error("there is no index of messages: "+slow, "directory", dir, "err", err)
		return nil
	}
	return x
}

func (x *index) open(dir string) (err error) {
	x.db, err = view.Open(&view.OpenOptions{
		Dir: dir, FS: vfs.Default, CacheBytes: 16 << 20, MemTableBytes: 4 << 20, Files: 100,
		Failed: x.keeper.Failed, Fail: x.keeper.Fail, Warn: func(text string) { x.log.Warn("the index of messages", "text", text) },
	})
	return err
}

func (x *index) close() error {
	if x == nil {
		return nil
	}
	return x.keeper.Close(x.db)
}

// use has db be used until done is called; false: there is nothing to use.
func (x *index) use() (done func(), ok bool) {
	if x == nil || x.keeper.Failed() != nil { // a store that is not open yet has none
		return nil, false
	}
	done, err := x.keeper.Use()
	return done, err == nil
}

func blockKey(q store.Queue, block int64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, indexKey), uint64(q))
	return binary.BigEndian.AppendUint64(b, uint64(block))
}

func splitBlockKey(key []byte) (q store.Queue, block int64) {
	return store.Queue(binary.BigEndian.Uint64(key)), int64(binary.BigEndian.Uint64(key[8:]))
}

// put writes the entry of a block.
func (x *index) put(q store.Queue, block int64, f blocks.Filter) {
	done, ok := x.use()
	if !ok {
		return
	}
	defer done()
	if err := x.db.Set(blockKey(q, block), append([]byte{indexVersion}, f...), pebble.NoSync); err != nil {
		x.keeper.Fail(err)
	}
}

// find is the first block from block on that may have something wanted, and where what may have ends; math.MaxInt64: that is not known.
func (x *index) find(q store.Queue, block int64, want *blocks.Wanted) (first, end int64) {
	done, ok := x.use()
	if !ok {
		return block, math.MaxInt64
	}
	defer done()
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: blockKey(q, block), UpperBound: blockKey(q, math.MaxInt64)})
	if err != nil {
		x.keeper.Fail(err)
		return block, math.MaxInt64
	}
	first, end = findIn(it, block, want)
	if err := it.Close(); err != nil {
		x.keeper.Fail(err)
		return block, math.MaxInt64
	}
	return first, end
}

func findIn(it *pebble.Iterator, block int64, want *blocks.Wanted) (first, end int64) {
	first, end = block, block
	for ok := it.First(); ok; ok = it.Next() {
		if _, at := splitBlockKey(it.Key()); at != end {
			break
		}
		value, err := it.ValueAndErr()
		if err != nil || len(value) == 0 || value[0] != indexVersion || !blocks.Filter(value[1:]).Sound() {
			break
		}
		switch mayBe := want.MayBeIn(value[1:]); {
		case mayBe && end-first >= indexRun, !mayBe && first == end && end-block >= indexSkip:
			return first, math.MaxInt64
		case mayBe:
			end++
		case first == end:
			first, end = first+1, end+1
		default:
			return first, end
		}
	}
	return first, math.MaxInt64
}

// drop forgets the blocks of a queue below block.
func (x *index) drop(q store.Queue, block int64) {
	done, ok := x.use()
	if !ok {
		return
	}
	defer done()
	if err := x.dropBelow(q, block); err != nil {
		x.keeper.Fail(err)
	}
}

func (x *index) dropBelow(q store.Queue, block int64) error {
	return x.db.DeleteRange(blockKey(q, 0), blockKey(q, block), pebble.NoSync)
}

// bound forgets the older half of every queue's blocks when they take more room than they may.
func (x *index) bound() {
	done, ok := x.use()
	if !ok {
		return
	}
	defer done()
	if int64(x.db.Metrics().DiskSpaceUsage()) <= x.most {
		return
	}
	x.stats.IndexHalved.Add(1)
	x.log.Warn("the index of messages has reached its limit: its older half is dropped, sessions that were away for longer are read more slowly", "bytes", x.most)
	if err := x.halve(); err != nil {
		x.keeper.Fail(err)
	}
}

func (x *index) halve() error {
	it, err := x.db.NewIter(nil)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; {
		q, first := splitBlockKey(it.Key())
		it.SeekLT(blockKey(q, math.MaxInt64))
		_, last := splitBlockKey(it.Key())
		if err := x.dropBelow(q, first+(last-first)/2+1); err != nil {
			return errors.Join(err, it.Close())
		}
		ok = it.SeekGE(blockKey(q, math.MaxInt64))
	}
	return it.Close()
}

// indexing gathers the entries of blocks from the messages of a queue, in order. It is for one goroutine.
type indexing struct {
	x      *index // nil: nothing is gathered
	q      *queue
	next   int64           // the logical offset that is to come; 0: none, the block was not seen from its first message on
	topics *blocks.Builder // nil: there was no message yet
	all    bool            // the block has a message that is in the RocketMQ topic of another first level, as applications may write them
}

// add notes the message at a logical offset; topic is empty when no client can get it.
func (g *indexing) add(logical int64, topic string) {
	if g.x == nil {
		return
	}
	if logical&blocks.Mask == 0 {
		if g.topics == nil {
			g.topics = new(blocks.Builder)
		}
		g.topics.Reset()
		g.next, g.all = logical, false
	}
	if g.topics == nil || logical != g.next {
		g.next = 0
		return
	}
	if topic != "" {
		g.topics.Add(topic)
		g.all = g.all || firstLevel(topic) != g.q.name.topic
	}
	if g.next++; g.next&blocks.Mask == 0 {
		g.put(logical >> blocks.Shift)
	}
}

func (g *indexing) put(block int64) {
	f := blocks.Filter(g.topics.AppendTo(nil))
	if g.all && g.q.name.topic != g.x.mixed {
		f = anything
	}
	g.x.put(g.q.key, block, f)
}

// anything is the filter of a block that everybody has to read.
var anything = blocks.Filter{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// wantedIn is what filters want of the queues of a RocketMQ topic: where that is of one first level, "+" at the first level is that.
func (x *index) wantedIn(topic string, filters []string) blocks.Wanted {
	switch {
	case x == nil:
		return blocks.All()
	case topic == x.mixed:
		return blocks.Compile(filters)
	}
	in := make([]string, 0, len(filters))
	for _, filter := range filters {
		first, all := filterFirst(filter)
		switch {
		case !all && first == topic:
			in = append(in, filter)
		case all && filter[0] == '+':
			in = append(in, topic+filter[1:])
		case all:
			return blocks.All()
		}
	}
	return blocks.Compile(in)
}
