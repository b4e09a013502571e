package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var errEnough = errors.New("enough was read")

// mark is the place in a queue below which this node has read: by the message before it one sees whether the queue went back.
type mark struct {
	Offset int64  // RocketMQ's
	Time   int64  // when the message before it was stored, Unix milliseconds
	Key    string // of that message: its UNIQ_KEY; "" when it has none, or there is none
	Bends  []bend `json:",omitempty"`
}

// markOf is the mark behind message m.
func markOf(m *message.Message) mark {
	key, _ := message.Property(m.Properties, propUniqKey)
	return mark{Offset: m.QueueOffset + 1, Time: m.StoreTimestamp, Key: string(key)}
}

// settle makes sure that the logical offsets of q hold: once in the life of the process, what the changelog keeps of the queue is
// compared with it.
func (s *Store) settle(ctx context.Context, q *queue) error {
	q.log.mu.Lock()
	defer q.log.mu.Unlock()
	if q.log.loaded {
		return nil
	}
	note, err := s.changelog.Note(q.key)
	if err != nil {
		return err
	}
	var mk mark
	if note != nil {
		if err := json.Unmarshal(note, &mk); err != nil {
			return fmt.Errorf("the mark of queue %s does not decode: %w", q.name, err)
		}
		if mk.Bends != nil {
			q.log.bends.Store(&mk.Bends)
		}
	}
	if err := s.readBends(ctx, q); err != nil {
		return err
	}
	end, err := s.compare(ctx, q, &mk)
	if err != nil {
		return err
	}
	q.log.opened = q.log.logical(end)
	q.log.loaded = true
	return nil
}

// compare notes when q went back below mk, and returns RocketMQ's offset of its end. q.log.mu is held.
func (s *Store) compare(ctx context.Context, q *queue, mk *mark) (end int64, err error) {
	back, end, err := s.wentBack(ctx, q, mk)
	if err != nil || back < 0 {
		return end, err
	}
	if err := s.bend(ctx, q, back, q.log.logical(mk.Offset)); err != nil {
		return 0, err
	}
	if first, err := s.client.MinOffset(ctx, q.broker.addr(), q.name.topic, q.name.id); err == nil {
		q.log.forget(first)
	}
	return end, nil
}

// wentBack asks where q ends, and from where on what stands below mk is no more, or something else; back is -1 when mk holds. Both are RocketMQ's offsets.
func (s *Store) wentBack(ctx context.Context, q *queue, mk *mark) (back, end int64, err error) {
	addr, err := q.reachable()
	if err != nil {
		return -1, 0, err
	}
	if end, err = s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id); err != nil {
		return -1, 0, s.readError(q, err)
	}
	same, err := s.unchanged(ctx, q, mk, end)
	if err != nil || same {
		return -1, end, err
	}
	back, err = s.search(ctx, q, mk.Time)
	return min(back, mk.Offset), end, err
}

// unchanged reports whether the message before mk is still there.
func (s *Store) unchanged(ctx context.Context, q *queue, mk *mark, end int64) (bool, error) {
	switch {
	case mk.Offset > end:
		return false, nil
	case mk.Time == 0: // of the message before it nothing is known
		return true, nil
	}
	res, err := s.pullOnce(ctx, q, mk.Offset-1, 1)
	if err != nil {
		return false, err
	}
	if res.Status == remoting.OffsetIllegal && mk.Offset-1 < res.MinOffset {
		return true, nil // expired: that it is no longer there says nothing
	}
	same, first := true, true
	err = each(res.Body, func(m *message.Message) error {
		if first && m.QueueOffset == mk.Offset-1 {
			now := markOf(m)
			same = now.Key == mk.Key && now.Time == mk.Time
		}
		first = false
		return nil
	})
	return same, err
}

// keepMark writes down where the node has read to.
func (s *Store) keepMark(q *queue, mk mark) {
	if bends := q.log.bends.Load(); bends != nil {
		mk.Bends = *bends
	}
	value, err := json.Marshal(mk)
	if err != nil {
		s.log.Error("a mark was not written", "queue", q.name.String(), "err", err)
		return
	}
	s.changelog.Change(&store.Change{Kind: store.Note, Cursor: []store.Position{{Queue: q.key}}, Value: value}, nil, 0)
}

// reachable is the address of the queue's broker, or an error that is store.ErrAway.
func (q *queue) reachable() (string, error) {
	addr := q.broker.addr()
	if addr == "" {
		return "", fmt.Errorf("%w: broker %s of topic %s is in no route", store.ErrAway, q.name.broker, q.name.topic)
	}
	return addr, nil
}

// mustKnow is the queue with this key; what was never seen is out of reach.
func (s *Store) mustKnow(key store.Queue) (*queue, error) {
	if q := s.queueOf(key); q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("%w: no route names queue %x", store.ErrAway, uint64(key))
}

// askTimeout is how long a question to RocketMQ may take that a client waits for.
const askTimeout = 5 * time.Second

// asking is the context of such a question.
func (s *Store) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, askTimeout)
}
