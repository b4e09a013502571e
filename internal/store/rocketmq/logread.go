package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

var errUnread = errors.New("the log is being read")

// systemLog is a log of ours in a topic of RocketMQ that every node reads to its end, and on.
type systemLog struct {
	s      *Store
	name   string // for people
	waits  string // for people: what waits while a broker does not answer
	view   logView
	fail   func(error) // the view has failed; it ends all
	failed <-chan struct{}
}

// logView is what is made of the log; its queues are numbered. Errors are its own, and nothing helps against them but a new start.
type logView interface {
	// Next is the offset at which reading queue q goes on, and the note that came with what was read last.
	Next(q int) (next int64, note []byte)
	// Read takes what stands in queue q from Next on; next is where the log goes on behind it.
	Read(q int, entries []view.Entry, next int64, note []byte) error
	// Begin is told when queue q was read up to where it ended.
	Begin(q int) error
	// Rebuild is told that queue q begins at from, and either that what stood at lost and above is gone, or that it was not read up to from. Next
	// says where it goes on; Begin follows.
	Rebuild(q int, from, lost int64) error
}

// logReader reads one queue of such a log on, from where the view has it. But for what mu guards it is for one goroutine.
type logReader struct {
	l     *systemLog
	q     *queue
	n     int           // of the queue in the log
	began chan struct{} // closed when the queue was read to its end

	mu     sync.Mutex
	unread error // why the queue is not read to its end; nil: it is
	deaf   error // why the last try to read failed; nil: it did not

	pull       puller
	mark       mark
	end        int64  // RocketMQ's offset at which the queue ended when reading began
	compared   bool   // mark was compared with the queue
	reading    bool   // the changelog was told that the queue is at its end
	generation uint64 // of the connection that the last answer came by; 0: none yet
	down       bool   // it was logged that the broker does not answer
}

// wait returns when the queue was read to its end, or its broker is given up for now.
func (r *logReader) wait(ctx context.Context) {
	t := time.NewTimer(readPatience)
	defer t.Stop()
	for {
		select {
		case <-r.began:
			return
		case <-ctx.Done():
			return
		case <-r.l.failed:
			return
		case <-t.C:
			if r.away() != nil { // else it is much that is to be read
				return
			}
			t.Reset(time.Second)
		}
	}
}

// newReader is the reader of a queue of l, which is number n.
func (l *systemLog) newReader(name queueName, n int) *logReader {
	q := l.s.queueOf(name.queue())
	if q == nil { // its broker is away
		q = &queue{name: name, key: name.queue(), broker: l.s.routes.broker(name.broker)}
	}
	return &logReader{l: l, q: q, n: n, began: make(chan struct{}), unread: errUnread}
}

// read runs readers, and returns when the log was read to its end. What a broker has that does not answer is read when it does.
func (l *systemLog) read(ctx context.Context, readers []*logReader) {
	var begun sync.WaitGroup
	for _, r := range readers {
		l.s.tasks.Go(r.follow)
		begun.Go(func() { r.wait(ctx) })
	}
	begun.Wait()
}

// away says why the queue's broker does not answer; nil: it does.
func (r *logReader) away() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.unread, errUnread) {
		return nil
	}
	return r.unread
}

// notRead says why the queue is not read to its end; nil: it is.
func (r *logReader) notRead() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unread
}

func (r *logReader) isDeaf() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deaf != nil
}

func (r *logReader) setUnread(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unread = err
}

func (r *logReader) setDeaf(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = err
}

// follow reads until the store closes.
func (r *logReader) follow() {
	s := r.l.s
	r.pull = puller{s: s, q: r.q}
	for s.ctx.Err() == nil {
		err := r.step(s.ctx)
		if failed := new(viewError); errors.As(err, &failed) {
			r.l.fail(failed.err)
			return
		}
		if err == nil {
			r.down = false
			continue
		}
		if s.ctx.Err() != nil {
			return
		}
		r.setDeaf(err)
		if !r.down {
			s.log.Warn(r.l.name+" cannot be read from a broker: "+r.l.waits+" until it answers",
				"topic", r.q.name.topic, "broker", r.q.name.broker, "queue", r.q.name.id, "err", err)
		}
		r.down, r.compared = true, false
		if !r.reading {
			r.setUnread(err)
		}
		pause(s.ctx, awayPause)
	}
}

// viewError is one of the view, which nothing but a new start helps against.
type viewError struct{ err error }

func (e *viewError) Error() string { return e.err.Error() }

// step takes one answer.
func (r *logReader) step(ctx context.Context) error {
	if !r.compared {
		if err := r.compare(ctx); err != nil {
			return err
		}
	}
	if !r.reading && r.mark.Offset >= r.end {
		if err := r.l.view.Begin(r.n); err != nil {
			return &viewError{err}
		}
		r.reading = true
		r.setUnread(nil)
		select {
		case <-r.began:
		default:
			close(r.began)
		}
	}
	hold := pullHold
	if !r.reading {
		hold = 0
	}
	res, err := r.pull.pull(ctx, hold)
	if err != nil {
		return err
	}
	if r.generation == 0 {
		r.generation = res.Generation
	}
	if res.Generation != r.generation || r.pull.next > res.MaxOffset {
		r.generation, r.compared = res.Generation, false // it may be another log
		return nil
	}
	switch {
	case res.Status == remoting.Found:
		return r.take(&res)
	case res.Status == remoting.OffsetIllegal && r.pull.next < res.MinOffset:
		return r.rebuild(res.MinOffset, res.MinOffset)
	case res.NextOffset > r.pull.next:
		r.pull.jump(res.NextOffset)
		r.mark = mark{Offset: res.NextOffset}
		return r.read(nil)
	case !r.reading:
		r.end = r.mark.Offset // there is nothing, whatever the broker said of the end
	case res.Status != remoting.NoNewMessage:
		pause(ctx, awayPause) // these answers come at once
	}
	return nil
}

// compare looks whether the queue is still the one that was read, when reading begins and after a new connection, and asks where it ends. A log of ours that
// went back is read again from its beginning; of a queue of messages Store.compare has the new offsets be others.
func (r *logReader) compare(ctx context.Context) error {
	s, q := r.l.s, r.q
	next, note := r.l.view.Next(r.n)
	r.mark = mark{Offset: next}
	if note != nil {
		if err := json.Unmarshal(note, &r.mark); err != nil {
			return &viewError{fmt.Errorf("the place in queue %s does not decode: %w", q.name, err)}
		}
	}
	addr, err := q.reachable()
	if err != nil {
		return err
	}
	first, err := s.client.MinOffset(ctx, addr, q.name.topic, q.name.id)
	if err != nil {
		return s.readError(q, err)
	}
	back, end, err := s.wentBack(ctx, q, &r.mark)
	if err != nil {
		return err
	}
	r.end = end
	switch {
	case back >= 0:
		s.stats.WentBack.Add(1)
		s.log.Warn(r.l.name+" went back: changes that were acknowledged are gone from RocketMQ, as after a crash with ASYNC_FLUSH; nodes that know them write them again",
			"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "offset", back, "lost", r.mark.Offset-back)
		if err := r.rebuild(first, back); err != nil {
			return err
		}
	case r.mark.Offset < first:
		if err := r.rebuild(first, first); err != nil {
			return err
		}
	}
	r.pull.jump(r.mark.Offset)
	r.compared = true
	r.setDeaf(nil) // now: the next answer may take as long as nothing is written
	return nil
}

// rebuild tells the view that the queue begins at RocketMQ's offset from, and that what stood at lost and above is gone.
func (r *logReader) rebuild(from, lost int64) error {
	r.reading = false
	r.setUnread(errUnread)
	if err := r.l.view.Rebuild(r.n, from, lost); err != nil {
		return &viewError{err}
	}
	next, _ := r.l.view.Next(r.n)
	r.mark = mark{Offset: next}
	r.pull.jump(next)
	return nil
}

// take hands the records of an answer to the changelog.
func (r *logReader) take(res *remoting.PullResult) error {
	s, q := r.l.s, r.q
	var entries []view.Entry
	n, next := int64(0), r.mark
	err := each(res.Body, func(m *message.Message) error {
		n++
		if m.QueueOffset < next.Offset {
			return nil
		}
		next = markOf(m)
		whole := m.CheckCRC() == nil && records(m.Body, func(record []byte) {
			entries = append(entries, view.Entry{Offset: m.QueueOffset, Time: m.StoreTimestamp, Data: record})
		})
		if !whole {
			s.log.Error("a message of "+r.l.name+" is damaged, what it says is lost",
				"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "offset", m.QueueOffset)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if next.Offset == r.mark.Offset { // an answer without a message
		next = mark{Offset: max(res.NextOffset, next.Offset)}
	}
	res.NextOffset = next.Offset
	r.mark = next
	r.pull.advance(res, n)
	return r.read(entries)
}

// read gives the changelog what was read up to r.mark.
func (r *logReader) read(entries []view.Entry) error {
	note, err := json.Marshal(r.mark)
	if err != nil {
		return err
	}
	if err := r.l.view.Read(r.n, entries, r.mark.Offset, note); err != nil {
		return &viewError{err}
	}
	return nil
}
