package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

var errUnread = errors.New("the sessions' changelog is being read")

// sessionReader reads one queue of the sessions' changelog on, from where the view has it. It is for one goroutine.
type sessionReader struct {
	q     *sessionQueue
	began chan struct{} // closed when the queue was read to its end

	pull       puller
	mark       mark
	end        int64  // RocketMQ's offset at which the queue ended when reading began
	compared   bool   // mark was compared with the queue
	reading    bool   // the changelog was told that the queue is at its end
	generation uint64 // of the connection that the last answer came by; 0: none yet
	down       bool   // it was logged that the broker does not answer
}

// wait returns when the queue was read to its end, or its broker is given up for now.
func (r *sessionReader) wait(ctx context.Context) {
	t := time.NewTimer(readPatience)
	defer t.Stop()
	for {
		select {
		case <-r.began:
			return
		case <-ctx.Done():
			return
		case <-r.q.l.failed:
			return
		case <-t.C:
			if r.q.away() != nil { // else it is much that is to be read
				return
			}
			t.Reset(time.Second)
		}
	}
}

// away says why the queue's broker does not answer; nil: it does.
func (q *sessionQueue) away() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if errors.Is(q.unread, errUnread) {
		return nil
	}
	return q.unread
}

func (q *sessionQueue) setUnread(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unread = err
}

func (q *sessionQueue) setDeaf(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deaf = err
}

// follow reads until the store closes.
func (r *sessionReader) follow() {
	s := r.q.l.s
	r.pull = puller{s: s, q: r.q.queue}
	for s.ctx.Err() == nil {
		err := r.step(s.ctx)
		if failed := new(viewError); errors.As(err, &failed) {
			r.q.l.fail(failed.err)
			return
		}
		r.q.setDeaf(err)
		if err == nil {
			r.down = false
			continue
		}
		if s.ctx.Err() != nil {
			return
		}
		if !r.down {
			s.log.Warn("the sessions' changelog cannot be read from a broker: the sessions that stand there wait until it answers",
				"topic", r.q.name.topic, "broker", r.q.name.broker, "queue", r.q.name.id, "err", err)
		}
		r.down, r.compared = true, false
		if !r.reading {
			r.q.setUnread(err)
		}
		pause(s.ctx, awayPause)
	}
}

// viewError is one of the view, which nothing but a new start helps against.
type viewError struct{ err error }

func (e *viewError) Error() string { return e.err.Error() }

// step takes one answer.
func (r *sessionReader) step(ctx context.Context) error {
	if !r.compared {
		if err := r.compare(ctx); err != nil {
			return err
		}
	}
	if !r.reading && r.mark.Offset >= r.end {
		if err := r.q.l.log.Begin(r.q.n); err != nil {
			return &viewError{err}
		}
		r.reading = true
		r.q.setUnread(nil)
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

// compare looks whether the queue is still the one that was read, when reading begins and after a new connection, and asks where it ends.
func (r *sessionReader) compare(ctx context.Context) error {
	s, q := r.q.l.s, r.q.queue
	next, note := r.q.l.log.Next(r.q.n)
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
	if r.end, err = s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id); err != nil {
		return s.readError(q, err)
	}
	same, err := s.unchanged(ctx, q, &r.mark, r.end)
	if err != nil {
		return err
	}
	switch {
	case !same:
		back, err := s.search(ctx, q, r.mark.Time)
		if err != nil {
			return err
		}
		back = min(back, r.mark.Offset)
		s.stats.WentBack.Add(1)
		s.log.Warn("the sessions' changelog went back: changes that were acknowledged are gone from RocketMQ, as after a crash with ASYNC_FLUSH; nodes that know them write them again",
			"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "offset", back, "lost", r.mark.Offset-back)
		err = r.rebuild(first, back)
		if err != nil {
			return err
		}
	case r.mark.Offset < first:
		if err := r.rebuild(first, first); err != nil {
			return err
		}
	}
	r.pull.jump(r.mark.Offset)
	r.compared = true
	return nil
}

// rebuild has the view of the queue made again from what is there from RocketMQ's offset from on. What stood at lost and above is gone.
func (r *sessionReader) rebuild(from, lost int64) error {
	r.reading = false
	r.q.setUnread(errUnread)
	if err := r.q.l.log.Rebuild(r.q.n, from, lost); err != nil {
		return &viewError{err}
	}
	r.mark = mark{Offset: from}
	r.pull.jump(from)
	return nil
}

// take hands the records of an answer to the changelog.
func (r *sessionReader) take(res *remoting.PullResult) error {
	s, q := r.q.l.s, r.q.queue
	var entries []changelog.Entry
	n, next := int64(0), r.mark
	err := each(res.Body, func(m *message.Message) error {
		n++
		if m.QueueOffset < next.Offset {
			return nil
		}
		next = markOf(m)
		whole := m.CheckCRC() == nil && records(m.Body, func(record []byte) {
			entries = append(entries, changelog.Entry{Offset: m.QueueOffset, Time: m.StoreTimestamp, Data: record})
		})
		if !whole {
			s.log.Error("a message of the sessions' changelog is damaged, what it says is lost",
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
func (r *sessionReader) read(entries []changelog.Entry) error {
	note, err := json.Marshal(r.mark)
	if err != nil {
		return err
	}
	if err := r.q.l.log.Read(r.q.n, entries, r.mark.Offset, note); err != nil {
		return &viewError{err}
	}
	return nil
}
