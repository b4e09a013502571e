package rocketmq

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/retained"
)

// retainedLog is the retained messages of all nodes, in a topic of RocketMQ (protocols 9), with this node's view of it. A message is appended to its own topic as every
// other; when its place is known, a record of it is appended here, and then its publisher is told. So what is retained is what the log of messages has last,
// whoever came first here. When a node dies between the two, nobody was told, and the publisher sends its message again.
type retainedLog struct {
	s      *Store
	names  []queueName
	view   *retained.View
	queues []*retainedQueue
	room   budget // of records that are to be written, beside the messages': whoever holds some of this waits for some of theirs, never the other way round
	late   atomic.Pointer[func(*store.Record)]
	some   atomic.Bool   // a retained message was published here
	renew  chan struct{} // capacity 1: records are to be written again now

	mu     sync.Mutex
	oldest []int64 // by queue: where it began when that was asked last; -1: it was not
}

// openRetained opens the view and reads the log to its end, as openSessions does: what a broker has that does not answer is found when it does.
func (s *Store) openRetained(ctx context.Context) (*retainedLog, error) {
	names, err := s.layoutOf(ctx, s.opts.RetainedTopic)
	if err != nil {
		return nil, err
	}
	if _, err := s.route(ctx, s.opts.RetainedTopic); err != nil {
		return nil, err
	}
	l := &retainedLog{s: s, names: names, renew: make(chan struct{}, 1)}
	l.room.init(s.opts.MaxPendingBytes / 2)
	o := s.opts.Retained
	l.view, err = retained.Open(retained.Options{
		Dir: filepath.Join(s.opts.Dir, viewDir("retained", names)), Queues: len(names), MaxTopics: o.MaxTopics, MaxBytes: o.MaxBytes, KeepFor: o.KeepFor,
		Late: l.tellLate, Now: s.now, Failed: l.fail, Logger: s.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	from := &systemLog{
		s: s, name: "the log of retained messages", waits: "retained messages that stand there may be missing or old", view: retainedView{l.view, l},
		fail: l.fail, failed: s.sessions.failed,
	}
	var readers []*logReader
	for n, name := range names {
		r := from.newReader(name, n)
		readers = append(readers, r)
		l.queues = append(l.queues, &retainedQueue{queue: r.q, s: s, reader: r})
		l.oldest = append(l.oldest, -1)
	}
	from.read(ctx, readers)
	s.tasks.Go(l.keep)
	return l, nil
}

// retainedView is the view as its readers see it.
type retainedView struct {
	*retained.View
	l *retainedLog
}

// Begin implements logView. What the log has lost is written again.
func (v retainedView) Begin(q int) error {
	err := v.View.Begin(q)
	v.l.renewNow()
	return err
}

var _ logView = retainedView{}

func (l *retainedLog) fail(err error) { l.s.sessions.failAs("the log of retained messages", err) }

func (l *retainedLog) tellLate(rec *store.Record) {
	if f := l.late.Load(); f != nil {
		(*f)(rec)
	}
}

// keep does what the time asks for, until the store closes.
func (l *retainedLog) keep() {
	sweep := time.NewTicker(time.Second)
	defer sweep.Stop()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	swept := ""
	for {
		var err error
		select {
		case <-sweep.C:
			swept, err = l.view.Sweep(swept)
		case <-flush.C:
			err = l.view.Flush()
		case <-renew.C:
			err = l.writeAgain()
		case <-l.renew:
			err = l.writeAgain()
		case <-l.s.ctx.Done():
			return
		}
		if err != nil && !errors.Is(err, store.ErrClosed) {
			l.fail(err)
			return
		}
	}
}

// renewNow has records written again that are due.
func (l *retainedLog) renewNow() {
	select {
	case l.renew <- struct{}{}:
	default:
	}
}

// writeAgain writes records again that brokers are about to drop, or have lost. It waits for each portion; what fails is due the next time.
func (l *retainedLog) writeAgain() error {
	due := retained.Due{Before: l.s.opts.monotonic().Add(-renewAfter).UnixMilli(), Below: l.nearEnd(), Chosen: l.s.sessions.log.Chosen}
	for after := ""; l.s.ctx.Err() == nil; {
		recs, next, err := l.view.Renew(after, &due)
		if err != nil {
			return err
		}
		var written sync.WaitGroup
		for _, rec := range recs {
			written.Add(1)
			q := l.queues[l.view.QueueOf(retained.TopicOf(rec))]
			q.put(pendingRecord{data: rec, due: l.s.sending.due(), done: func(error) { written.Done() }})
		}
		written.Wait()
		if after = next; next == "" {
			return nil
		}
	}
	return nil
}

// nearEnd is, by queue, the offset below which records are soon to be dropped: brokers may do that more often, or earlier, than it takes for records to be old. They
// have dropped so much since the last time, and may drop twice that until the next.
func (l *retainedLog) nearEnd() []int64 {
	near := make([]int64, len(l.queues))
	for n, q := range l.queues {
		ctx, cancel := context.WithTimeout(l.s.ctx, askTimeout)
		addr, err := q.reachable()
		var first int64
		if err == nil {
			first, err = l.s.client.MinOffset(ctx, addr, q.name.topic, q.name.id)
		}
		cancel()
		if err != nil {
			continue // not dropped by anybody, as far as is known
		}
		l.mu.Lock()
		near[n] = first
		if before := l.oldest[n]; before >= 0 && first > before {
			near[n] += 2 * (first - before)
		}
		l.oldest[n] = first
		l.mu.Unlock()
	}
	return near
}

// Retained returns retained messages that filter matches; see store.Store. What was acknowledged anywhere before the call is among them, but for what brokers have
// that do not answer. What was not, and lies below at, is told when it is known (Late).
func (s *Store) Retained(filter, after string, _ []store.Position, maxBytes int) (recs []store.Record, next string, err error) {
	l := s.retained
	if l == nil {
		return nil, "", nil
	}
	if after == "" {
		l.wait(filter)
	}
	return l.view.Find(filter, after, maxBytes)
}

// wait waits until what stands now in the queues that filter's topics are in has been read.
func (l *retainedLog) wait(filter string) {
	ctx, cancel := l.s.asking()
	defer cancel()
	if !strings.ContainsAny(filter, "+#") {
		l.waitFor(ctx, l.queues[l.view.QueueOf(filter)])
		return
	}
	var all sync.WaitGroup
	for _, q := range l.queues {
		all.Go(func() { l.waitFor(ctx, q) })
	}
	all.Wait()
}

func (l *retainedLog) waitFor(ctx context.Context, q *retainedQueue) {
	if q.reader.isDeaf() || q.reader.away() != nil { // it is logged
		l.s.stats.RetainedUnread.Add(1)
		return
	}
	if err := q.begun.wait(ctx); err != nil {
		return // what is on its way is told when it has come: Late
	}
	end, err := q.ends.ask(func() (int64, error) {
		addr, err := q.reachable()
		if err != nil {
			return 0, err
		}
		return l.s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id)
	})
	if err == nil {
		err = l.view.Wait(ctx, q.reader.n, max(end, q.written()))
	}
	if err != nil && l.s.ctx.Err() == nil {
		l.s.stats.RetainedUnread.Add(1)
		l.s.log.Warn("retained messages are sent to a new subscription without knowing the latest ones: the log cannot be read from a broker",
			"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "err", err)
	}
}

// MayRetain is false when there is no retained message, as far as this node knows; see store.Store.
func (s *Store) MayRetain() bool {
	l := s.retained
	if l == nil {
		return false
	}
	return l.view.Stats().Messages.Load() > 0 || l.some.Load()
}

// Late sets who is told of late messages; see store.Store.
func (s *Store) Late(f func(rec *store.Record)) {
	if s.retained != nil {
		s.retained.late.Store(&f)
	}
}

// RetainedStats returns the counters of the view of retained messages, which go on counting; nil when none are kept.
func (s *Store) RetainedStats() *retained.Stats {
	if s.retained == nil {
		return nil
	}
	return s.retained.view.Stats()
}

// watched says where subscriptions begin.
func (l *retainedLog) watched(at []store.Position) {
	if l != nil {
		l.view.Watched(at)
	}
}
