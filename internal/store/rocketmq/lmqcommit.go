package rocketmq

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// While light queues are written, clients may go to a Java proxy at any time. So when the connection of a session ends, its offsets of light queues, which a Java proxy would go on from, are
// moved to the first entry that it has not dealt with here; see lmqoffset.go for what they are. An offset never moves back: what is read again there, since it was not known here, comes twice.

const (
	leavingMost    = 4096             // sessions that wait; of more, offsets stay where they are
	leavingAtOnce  = 8                // of them at work
	leavingPatient = 10 * time.Second // for all offsets of one session
	leavingClose   = 5 * time.Second  // that Close waits for those that are left
	dealtPages     = 32               // of a light queue that are read backwards at most
)

// leaving is the sessions whose offsets are to be moved.
type leaving struct {
	mu      sync.Mutex
	waiting []left
	running int
	idle    chan struct{} // closed when nothing is running any more; nil: nobody waits
}

// left is where a session stands.
type left struct {
	client  string
	filters []string
	cursor  []store.Position // what is below was dealt with
	open    []store.Position // but for these
}

// Left has the offsets moved of a session whose connection has ended: filters are those of its subscriptions that are not shared, and store.P2P; everything below
// cursor was dealt with but what is at open. It does not block, and does nothing while light queues are not written. The slices are the store's from then on.
func (s *Store) Left(client string, filters []string, cursor, open []store.Position) {
	l := &s.lmq.leaving
	if s.lmq.table.Load() == nil || s.ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= leavingMost {
		s.stats.LMQNotMoved.Add(1)
		s.log.Warn("very many sessions have ended their connections at once: offsets of light queues stay behind, so at a Java proxy their clients get messages again", "waiting", leavingMost)
		return
	}
	l.waiting = append(l.waiting, left{client, filters, cursor, open})
	if l.running < leavingAtOnce {
		l.running++
		s.tasks.Go(s.moveAll)
	}
}

// moveAll works until nothing waits.
func (s *Store) moveAll() {
	l := &s.lmq.leaving
	for {
		l.mu.Lock()
		if len(l.waiting) == 0 || s.ctx.Err() != nil {
			l.running--
			if l.running == 0 && l.idle != nil {
				close(l.idle)
				l.idle = nil
			}
			l.mu.Unlock()
			return
		}
		one := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		s.moveOffsets(&one)
	}
}

// finish waits until nothing waits, for a while.
func (l *leaving) finish() {
	l.mu.Lock()
	idle := make(chan struct{})
	if l.running == 0 {
		close(idle)
	} else {
		l.idle = idle
	}
	l.mu.Unlock()
	t := time.NewTimer(leavingClose)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}

// moveOffsets moves those of one session.
func (s *Store) moveOffsets(one *left) {
	ctx, cancel := context.WithTimeout(s.ctx, leavingPatient)
	defer cancel()
	oldest := map[*broker]int64{}
	for _, filter := range one.filters {
		group, lmq, ok := lmqOf(one.client, filter)
		if !ok || !s.lmq.isRead(filter, lmq) {
			continue
		}
		if !s.lmq.offsets.add(xxhash.Sum64String(group+"\x00"+lmq), time.Now()) {
			s.stats.LMQNotMoved.Add(1) // each is in the memory of a broker for ever, and clients choose the names
			continue
		}
		for _, queues := range s.byBroker(filter) {
			b := queues[0].broker
			if !b.lmq.ask(time.Now()) {
				continue
			}
			var err error
			if _, known := oldest[b]; !known {
				oldest[b], err = s.oldestLeft(ctx, one, b)
			}
			if err == nil {
				err = s.moveOffset(ctx, one, lightQueue{b, lmq}, group, oldest[b])
			}
			if err != nil {
				s.stats.LMQNotMoved.Add(1)
			}
			if b.lmq.answered(err, time.Now()) {
				s.log.Warn("a broker does not take offsets of light queues: they stay behind, so at a Java proxy clients get messages again", "broker", b.name, "client", one.client, "err", err)
			}
		}
	}
}

// isRead tells whether Java proxies know a light queue: of a topic, or of a filter that is registered.
func (l *lmqs) isRead(filter, lmq string) bool {
	if w, ok := newWildcard(filter); ok {
		table := l.table.Load()
		return table != nil && slices.ContainsFunc((*table)[firstLevel(w.filter)], func(is wildcard) bool { return is.name == lmq })
	}
	return true
}

// lightQueue is one light queue on one broker.
type lightQueue struct {
	b    *broker
	name string
}

// eachEntry calls f for the entries in [from, to), as far as they are there, with their offsets.
func (s *Store) eachEntry(ctx context.Context, l lightQueue, from, to int64, f func(at int64, m *message.Message)) error {
	for from < to {
		res, err := s.client.PullSync(ctx, l.b.addr(), &remoting.PullRequest{Group: pullGroup, Topic: l.name, Offset: from, MaxMsgs: missedPage})
		switch {
		case err != nil:
			return err
		case res.Status == remoting.OffsetIllegal && from < res.MinOffset:
			from = res.MinOffset
			continue
		case res.NextOffset <= from:
			return nil
		}
		at := from
		err = each(res.Body, func(m *message.Message) error {
			if at < to {
				f(at, m)
			}
			at++
			return nil
		})
		if err != nil {
			return err
		}
		from = res.NextOffset
	}
	return nil
}

// moveOffset moves one offset. oldest is as oldestLeft says.
func (s *Store) moveOffset(ctx context.Context, one *left, l lightQueue, group string, oldest int64) error {
	old, any, err := s.lmqOffset(ctx, l.b, group, l.name)
	if err != nil {
		return err
	}
	end, err := s.client.MaxOffset(ctx, l.b.addr(), l.name, 0)
	if err != nil || end == 0 {
		return err
	}
	at, known, err := s.firstLeft(ctx, one, l, end)
	if err == nil && oldest != 0 {
		var before int64
		before, err = s.entryOf(ctx, l, oldest)
		at, known = min(at, before), true
	}
	if err != nil || !known || any && old >= at && old <= end {
		return err
	}
	return s.client.UpdateConsumerOffset(ctx, l.b.addr(), group, l.name, 0, at)
}

// firstLeft is the first entry that the session has not dealt with; end: there is none. It reads backwards, until nothing is left in a page; not known: it did not come to one. What
// is left further back oldestLeft finds.
func (s *Store) firstLeft(ctx context.Context, one *left, l lightQueue, end int64) (first int64, known bool, err error) {
	first = end
	for range dealtPages {
		from, more := max(0, end-missedPage), false
		err := s.eachEntry(ctx, l, from, end, func(at int64, m *message.Message) {
			if !s.dealt(one, l.b, m) {
				first, more = min(first, at), true
			}
		})
		if err != nil || !more || from == 0 {
			return first, err == nil, err
		}
		end = from
	}
	return first, false, nil
}

// dealt tells whether the session has dealt with a message.
func (s *Store) dealt(one *left, b *broker, m *message.Message) bool {
	q := s.queueOf(queueName{topic: string(m.Topic), broker: b.name, id: m.QueueID}.queue())
	if q == nil {
		return false
	}
	p := store.Position{Queue: q.key, Offset: q.log.logical(m.QueueOffset)}
	return slices.ContainsFunc(one.cursor, func(at store.Position) bool { return at.Queue == p.Queue && p.Offset < at.Offset }) && !slices.Contains(one.open, p)
}

// oldestLeft is when the oldest message was stored, in any queue of the broker, that the session has not dealt with, of those that this node has read. Unix milliseconds; 0: there is none.
func (s *Store) oldestLeft(ctx context.Context, one *left, b *broker) (oldest int64, err error) {
	behind := slices.Clone(one.open)
	for _, p := range one.cursor {
		if p.Offset < s.Next(p.Queue) {
			behind = append(behind, p)
		}
	}
	for _, p := range behind {
		q := s.queueOf(p.Queue)
		if q == nil || q.broker != b {
			continue
		}
		res, err := s.pullOnce(ctx, q, q.log.broker(p.Offset), 1)
		if err != nil {
			return 0, err
		}
		err = each(res.Body, func(m *message.Message) error {
			if oldest == 0 || m.StoreTimestamp < oldest {
				oldest = m.StoreTimestamp
			}
			return errEnough
		})
		if err != nil && !errors.Is(err, errEnough) {
			return 0, err
		}
	}
	return oldest, nil
}

// entryOf is the first entry that was stored at ms or later.
func (s *Store) entryOf(ctx context.Context, l lightQueue, ms int64) (int64, error) {
	at, err := s.client.SearchOffset(ctx, l.b.addr(), l.name, 0, time.UnixMilli(ms))
	if err != nil {
		return 0, err
	}
	first := at
	err = s.eachEntry(ctx, l, at, at+1, func(_ int64, m *message.Message) {
		if m.StoreTimestamp < ms { // brokers of 4.9 answer the last one's when all are older
			first = at + 1
		}
	})
	return first, err
}
