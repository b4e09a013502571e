package rocketmq

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A send whose outcome is not known is made again, so a queue can hold one of our messages twice (protocols 5). The copy that was
// sent again says so, and where the first one can be at the earliest (resentAfter): so nothing needs to be remembered of
// all the other messages. Whoever reads such a copy looks back for the first one. A first copy that was late and stands behind the
// second is known by the key of that (lateKeys).

// doubles finds second copies in what one reader reads of one queue. It is for one goroutine.
type doubles struct {
	s *Store
	q *queue

	lookback // keys that stand before what is being read
}

// firstCopies is where the first copy of each key stands, in RocketMQ's offsets.
type firstCopies map[string]int64

// lateKeys are the keys of copies in a queue that were sent again not long ago, and RocketMQ's offsets of these: first ones that come behind them
// are second ones. All readers of the queue share them.
type lateKeys struct {
	mu     sync.Mutex
	keys   [2]map[string]int64 // the second generation is the older one
	turned int64               // store time, Unix milliseconds, when the generations changed
}

// add notes a copy at offset that was stored at the Unix time ms. Keys are kept for at least while, in milliseconds.
func (l *lateKeys) add(key []byte, offset, ms, while int64) {
	const most = 1 << 16 // keys of a generation; beyond it the older one goes early
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys[0] == nil || ms-l.turned > while || len(l.keys[0]) >= most {
		l.keys[1], l.keys[0], l.turned = l.keys[0], map[string]int64{}, ms
	}
	l.keys[0][string(key)] = offset
}

// before reports whether a copy with this key, that was sent again, stands before offset.
func (l *lateKeys) before(key []byte, offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, keys := range l.keys {
		if at, is := keys[string(key)]; is && at < offset {
			return true
		}
	}
	return false
}

// lateWindow is how long after a copy that was sent again the first one may come, in milliseconds.
func (s *Store) lateWindow() int64 { return 2 * s.opts.QueueFailover.Milliseconds() }

// fillLate notes the copies that were sent again and stand shortly before RocketMQ's offset, where a reader begins that knows nothing of them: they
// were sent in an earlier life of this process, or by another node.
func (s *Store) fillLate(ctx context.Context, q *queue, before int64) error {
	from, err := s.search(ctx, q, s.now()-s.lateWindow()-clockSkew.Milliseconds())
	if err != nil {
		return err
	}
	return s.scan(ctx, q, from, before, func(m *message.Message) error {
		if _, again := message.Property(m.Properties, propAfter); again {
			if key, ours := keyOf(m); ours {
				q.late.add(key, m.QueueOffset, m.StoreTimestamp, s.lateWindow())
			}
		}
		return nil
	})
}

// lookback is the keys of our messages in [from, to) of RocketMQ's offsets.
type lookback struct {
	from, to int64
	keys     firstCopies
}

// maxLookback is how many keys are kept to read on from; with more, the queue is looked through again.
const maxLookback = 1 << 16

// second reports whether the message at RocketMQ's offset is the second copy of one. It may read the queue.
func (d *doubles) second(ctx context.Context, st *stored, offset int64) (bool, error) {
	if !st.ours {
		return false, nil
	}
	if !st.again {
		return d.q.late.before(st.key, offset), nil
	}
	first, err := d.first(ctx, st.key, st.after, offset)
	if err != nil {
		return false, err
	}
	if first == offset {
		d.q.late.add(st.key, offset, st.at, d.s.lateWindow())
	}
	return first != offset, nil
}

// first is where the first copy stands of a message that was sent again, and was read at RocketMQ's offset.
func (d *doubles) first(ctx context.Context, key []byte, after resentAfter, offset int64) (int64, error) {
	if err := d.look(ctx, after, offset); err != nil {
		return 0, err
	}
	d.to = offset + 1
	if at, is := d.keys[string(key)]; is {
		return at, nil
	}
	d.keys[string(key)] = offset
	return offset, nil
}

// look has the keys between where a first copy can be and offset. Those up to the message before that was sent again were read already.
func (d *doubles) look(ctx context.Context, after resentAfter, offset int64) error {
	from := d.to
	if d.keys == nil || len(d.keys) > maxLookback || d.from > after.offset || d.to < after.offset || d.to > offset {
		d.lookback = lookback{}
		back, err := d.s.searchBack(ctx, d.q, after, offset)
		if err != nil {
			return err
		}
		from = back
		d.lookback = lookback{from: min(from, after.offset), keys: firstCopies{}}
	}
	err := d.s.scan(ctx, d.q, from, offset, func(m *message.Message) error {
		key, ours := keyOf(m)
		if _, is := d.keys[string(key)]; ours && !is {
			d.keys[string(key)] = m.QueueOffset
		}
		return nil
	})
	if err != nil {
		d.lookback = lookback{}
		return err
	}
	d.to = offset
	return nil
}

// keyOf returns the UNIQ_KEY of a message, and whether a proxy of this project wrote it.
func keyOf(m *message.Message) (key []byte, ours bool) {
	_, ours = message.Property(m.Properties, propNode)
	key, _ = message.Property(m.Properties, propUniqKey)
	return key, ours
}

// clockSkew is how far a broker's clock may be from ours.
const clockSkew = time.Minute

// searchBack is RocketMQ's offset at or above which a first copy must be, if there is one below offset.
func (s *Store) searchBack(ctx context.Context, q *queue, after resentAfter, offset int64) (int64, error) {
	from, err := s.search(ctx, q, after.since-clockSkew.Milliseconds())
	return min(max(from, after.offset), offset), err
}

// search is RocketMQ's offset at or below the first message of q that was stored at or after ms.
func (s *Store) search(ctx context.Context, q *queue, ms int64) (int64, error) {
	addr, err := q.reachable()
	if err != nil {
		return 0, err
	}
	lo, err := s.client.MinOffset(ctx, addr, q.name.topic, q.name.id)
	if err != nil {
		return 0, s.readError(q, err)
	}
	hi, err := s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id)
	if err != nil {
		return 0, s.readError(q, err)
	}
	at, err := s.client.SearchOffset(ctx, addr, q.name.topic, q.name.id, time.UnixMilli(ms))
	if err != nil {
		return 0, s.readError(q, err)
	}
	return max(lo, min(at, hi)), nil
}

// scan calls f for every message of q in [from, to) of RocketMQ's offsets.
func (s *Store) scan(ctx context.Context, q *queue, from, to int64, f func(*message.Message) error) error {
	p := puller{s: s, q: q, next: from}
	for p.next < to {
		res, err := p.pull(ctx, 0)
		if err != nil {
			return err
		}
		n := int64(0)
		err = each(res.Body, func(m *message.Message) error {
			n++
			if m.QueueOffset < p.next || m.QueueOffset >= to {
				return nil
			}
			return f(m)
		})
		if err != nil {
			return err
		}
		if res.NextOffset <= p.next {
			return nil // the end, or what the broker cannot read
		}
		p.advance(&res, n)
	}
	return nil
}

// findKey looks for the message with this key at or above the position at, among those stored between since and the longest that its
// sending can have taken.
func (s *Store) findKey(ctx context.Context, at store.Position, since int64, key string) (found store.Position, ok bool, err error) {
	q, err := s.mustKnow(at.Queue)
	if err != nil {
		return found, false, err
	}
	if err := s.mapped(ctx, q, at.Offset); err != nil {
		return found, false, err
	}
	from, err := s.search(ctx, q, since-clockSkew.Milliseconds())
	if err != nil {
		return found, false, err
	}
	addr, err := q.reachable()
	if err != nil {
		return found, false, err
	}
	end, err := s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id)
	if err != nil {
		return found, false, s.readError(q, err)
	}
	latest := since + s.opts.QueueFailover.Milliseconds() + 2*clockSkew.Milliseconds()
	err = s.scan(ctx, q, max(from, q.log.broker(at.Offset)), end, func(m *message.Message) error {
		if m.StoreTimestamp > latest {
			return errEnough
		}
		if k, ours := keyOf(m); ours && string(k) == key {
			found, ok = store.Position{Queue: q.key, Offset: q.log.logical(m.QueueOffset)}, true
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, ok, err
}
