package rocketmq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
)

// follower hands what comes into one queue to the sink: one long poll at a time, several pulls when it is behind. It keeps its place
// while the broker is away.
type follower struct {
	s      *Store
	q      *queue
	recent ring

	since   int64                // where it begins when the end was not to be had: what was stored from then on, Unix milliseconds
	started bool                 // its goroutine runs; following.mu guards it
	begun   chan struct{}        // closed when q.next says where it is
	tried   chan struct{}        // closed when it has begun, or could not: its broker does not answer
	try     sync.Once            // of closing tried
	end     int64                // RocketMQ's offset of the end of the queue when f was made, where those begin who had it made; -1: not known
	passed  atomic.Int64         // logical; what is below was there before some subscription, and so before those that come later
	oldest  atomic.Int64         // RocketMQ's offset of the first message that there still was lately
	read    atomic.Pointer[mark] // as mark, for save; nil: nothing was read
	saved   atomic.Pointer[mark] // what the changelog has of it
	trimmed int64                // the block below which the index has nothing; for the goroutine that keeps the store

	// The rest is its goroutine's.
	puller     puller
	mark       mark   // behind the last message read
	filled     bool   // the queue's late keys are known
	generation uint64 // of the connection that the last answer came by; 0: none yet
	decoder    *decoder
	doubles    doubles
	indexing   indexing
}

func (s *Store) newFollower(q *queue, since int64) *follower {
	f := &follower{s: s, q: q, since: since, end: -1, begun: make(chan struct{}), tried: make(chan struct{}), decoder: newDecoder()}
	f.recent.total, f.recent.most = &s.tail.recent, s.opts.MaxRecentBytes
	f.puller = puller{s: s, q: q}
	f.doubles = doubles{s: s, q: q}
	f.indexing = indexing{x: s.index, q: q}
	return f
}

// hasBegun reports whether q.next says where the follower is.
func (f *follower) hasBegun() bool {
	select {
	case <-f.begun:
		return true
	default:
		return false
	}
}

// askEnd sets f.end.
func (f *follower) askEnd(ctx context.Context) error {
	if err := f.s.settle(ctx, f.q); err != nil {
		return err
	}
	addr, err := f.q.reachable()
	if err != nil {
		return err
	}
	end, err := f.s.client.MaxOffset(ctx, addr, f.q.name.topic, f.q.name.id)
	if err != nil {
		return f.s.readError(f.q, err)
	}
	f.end = end
	f.pass(f.q.log.logical(end))
	return nil
}

// pass notes that the queue ended at the logical offset end.
func (f *follower) pass(end int64) {
	for was := f.passed.Load(); end > was && !f.passed.CompareAndSwap(was, end); was = f.passed.Load() {
	}
}

// isAway notes that the queue's broker does not answer.
func (f *follower) isAway(err error) {
	f.s.tail.away(f.s, f.q, err)
	f.try.Do(func() { close(f.tried) })
}

// beginBefore begins with what was stored from since on, Unix milliseconds, if that is before f.since.
func (f *follower) beginBefore(ctx context.Context, since int64) {
	f.since = min(f.since, since)
	if err := f.beginSince(ctx); err != nil { // its goroutine goes on trying
		f.isAway(err)
	}
}

// beginSince begins with what was stored from f.since on.
func (f *follower) beginSince(ctx context.Context) error {
	if err := f.s.settle(ctx, f.q); err != nil {
		return err
	}
	at, err := f.s.search(ctx, f.q, f.since-clockSkew.Milliseconds())
	if err != nil {
		return err
	}
	f.begin(at)
	return nil
}

func (f *follower) begin(offset int64) {
	f.mark = mark{Offset: offset}
	f.puller.jump(offset)
	f.q.next.Store(max(f.q.next.Load(), f.q.log.logical(offset)))
	close(f.begun)
	f.try.Do(func() { close(f.tried) })
}

// run follows the queue until ctx ends.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		switch {
		case !f.hasBegun():
			err = f.beginSince(ctx)
		case !f.filled:
			err = f.s.fillLate(ctx, f.q, f.mark.Offset)
			f.filled = err == nil
		default:
			err = f.step(ctx)
		}
		if err != nil && ctx.Err() == nil {
			f.isAway(err)
			f.puller.jump(f.mark.Offset)
			pause(ctx, awayPause)
		}
	}
	f.recent.tidy(time.Time{})
	f.save()
}

// trim has the index forget what the broker has dropped.
func (f *follower) trim() {
	if block := f.q.log.logical(f.oldest.Load()) >> blocks.Shift; block > f.trimmed {
		f.trimmed = block
		f.s.index.drop(f.q.key, block)
	}
}

// awayPause is how long a broker that does not answer is left alone.
const awayPause = 250 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// step takes one answer.
func (f *follower) step(ctx context.Context) error {
	res, err := f.puller.pull(ctx, pullHold)
	if err != nil {
		return err
	}
	f.s.tail.back(f.s, f.q)
	f.oldest.Store(res.MinOffset)
	if f.generation == 0 {
		f.generation = res.Generation
	}
	if res.Generation != f.generation || f.puller.next > res.MaxOffset {
		if err := f.compare(ctx); err != nil {
			return err
		}
		f.generation = res.Generation
		return nil // the answer may be of a log that is no more
	}
	f.adopt()
	switch res.Status {
	case remoting.Found:
		return f.take(ctx, &res)
	case remoting.OffsetIllegal:
		f.skipTo(res.MinOffset)
	case remoting.NoMatched:
		f.skipTo(max(res.NextOffset, res.MinOffset))
		pause(ctx, awayPause/10)
	}
	return nil
}

// adopt has what comes from here on have the number that another node has found out of. It may be about a later connection than the last answer's: then compare
// is going to see.
func (f *follower) adopt() {
	known := f.s.bends.of(f.q.key)
	if number(known.list) <= f.q.log.number() || known.generation > f.generation {
		return
	}
	f.q.log.mu.Lock()
	defer f.q.log.mu.Unlock()
	f.s.adopt(f.q)
}

// compare looks, after a new connection, whether the queue went back (protocols 4).
func (f *follower) compare(ctx context.Context) error {
	f.q.log.mu.Lock()
	defer f.q.log.mu.Unlock()
	before := f.q.log.bends.Load()
	if _, err := f.s.compare(ctx, f.q, &f.mark); err != nil {
		return err
	}
	if after := f.q.log.bends.Load(); after != before {
		f.mark = mark{Offset: (*after)[len(*after)-1].Broker}
		f.doubles.lookback = lookback{}
	}
	f.puller.jump(f.mark.Offset)
	return nil
}

// skipTo passes over what is gone.
func (f *follower) skipTo(offset int64) {
	if gone := offset - f.mark.Offset; gone > 0 {
		f.s.stats.Expired.Add(gone)
		f.s.log.Warn("messages were gone from RocketMQ before they were read: kept for too short, or this node was away for too long",
			"topic", f.q.name.topic, "broker", f.q.name.broker, "queue", f.q.name.id, "offsets", gone)
		f.mark = mark{Offset: offset}
	}
	f.puller.jump(f.mark.Offset)
}

// take hands the messages of an answer to the sink.
func (f *follower) take(ctx context.Context, res *remoting.PullResult) error {
	recs := make([]store.Record, 0, 32)
	from, n := f.mark.Offset, int64(0)
	end := from
	var last message.Message
	err := each(res.Body, func(m *message.Message) error {
		n++
		if m.QueueOffset < end {
			return nil
		}
		last, end = *m, m.QueueOffset+1
		rec, ok, err := f.record(ctx, m)
		if ok {
			recs = append(recs, rec)
		}
		return err
	})
	if err != nil {
		return err
	}
	if end == from { // an answer without a message: nothing is known of what is here
		f.skipTo(res.NextOffset)
		return nil
	}
	next := markOf(&last)
	f.mark = next
	f.read.Store(&next)
	res.NextOffset = end
	f.hand(recs, from, end, int64(len(res.Body)))
	f.puller.advance(res, n)
	return nil
}

// record is what m is to the sink; ok is false when it is nothing.
func (f *follower) record(ctx context.Context, m *message.Message) (rec store.Record, ok bool, err error) {
	f.s.stats.Read.Add(1)
	st, err := f.decoder.decode(m)
	f.indexing.add(f.q.log.logical(m.QueueOffset), st.rec.Topic)
	if err != nil {
		f.s.stats.Unreadable.Add(1)
		f.s.log.Warn("a message of RocketMQ cannot be delivered to MQTT clients", "topic", f.q.name.topic, "broker", f.q.name.broker,
			"queue", f.q.name.id, "offset", m.QueueOffset, "err", err)
		return rec, false, nil
	}
	if !st.ours {
		f.s.stats.Foreign.Add(1)
	}
	second, err := f.doubles.second(ctx, &st, m.QueueOffset)
	if err != nil {
		return rec, false, err
	}
	if second {
		f.s.stats.Duplicates.Add(1)
		return rec, false, nil
	}
	st.rec.Position = store.Position{Queue: f.q.key, Offset: f.q.log.logical(m.QueueOffset)}
	return st.rec, true, nil
}

// hand gives recs, which stand in [from, to) of RocketMQ's offsets, to the ring, then to the sink.
func (f *follower) hand(recs []store.Record, from, to, bytes int64) {
	end := f.q.log.logical(to-1) + 1
	f.recent.add(f.q.log.logical(from), end, recs, bytes, time.Now())
	f.q.next.Store(end)
	if sink := f.s.tail.sink.Load(); sink != nil && len(recs) > 0 {
		(*sink)(recs)
	}
}

// save writes down where the follower is. It is called once a second, and at the end.
func (f *follower) save() {
	read := f.read.Load()
	if read != nil && f.saved.Swap(read) != read {
		f.s.keepMark(f.q, *read)
	}
}
