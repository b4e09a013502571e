package rocketmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
)

// readMost bounds the messages that one Read looks at.
const readMost = 4096

// Read returns what q wants from a place on; see store.Store. What was read lately comes from memory.
func (s *Store) Read(from store.Position, q *store.Query, maxBytes int) (recs []store.Record, next, missed int64, err error) {
	qu, err := s.mustKnow(from.Queue)
	if err != nil {
		return nil, from.Offset, 0, err
	}
	if !s.mayHold(qu.name.topic, q.Filters) {
		return nil, max(from.Offset, qu.next.Load()), 0, nil
	}
	wants := func(r *store.Record) bool { return q.Match(r.Topic) }
	if fo := s.tail.follower(qu); fo != nil {
		if recs, next, ok := fo.recent.read(from.Offset, wants, maxBytes); ok {
			return recs, next, 0, nil
		}
	}
	ctx, cancel := s.asking()
	defer cancel()
	if err := s.mapped(ctx, qu, from.Offset); err != nil {
		return nil, from.Offset, 0, err
	}
	r := reading{
		s: s, q: qu, wants: wants, in: s.index.wantedIn(qu.name.topic, q.Filters), decoder: s.decoder(), doubles: doubles{s: s, q: qu}, left: maxBytes, block: -1,
		indexing: indexing{x: s.index, q: qu},
	}
	defer s.decoders.Put(r.decoder)
	return r.read(ctx, from.Offset)
}

// decoder is one to put back.
func (s *Store) decoder() *decoder {
	if d, ok := s.decoders.Get().(*decoder); ok {
		return d
	}
	return newDecoder()
}

// mayHold reports whether a RocketMQ topic may have messages for one of the filters.
func (s *Store) mayHold(topic string, filters []string) bool {
	if topic == s.opts.DefaultTopic {
		return len(filters) > 0
	}
	return slices.ContainsFunc(filters, func(filter string) bool {
		first, all := filterFirst(filter)
		return all || first == topic
	})
}

// follower is the one of q; nil when it is not followed.
func (t *tail) follower(q *queue) *follower {
	t.mu.Lock()
	f := t.topics[q.name.topic]
	t.mu.Unlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.followers[q.key]
}

// reading is one Read.
type reading struct {
	s       *Store
	q       *queue
	wants   func(*store.Record) bool
	in      blocks.Wanted // what wants can be true for
	decoder *decoder
	doubles doubles
	left    int // bytes
	recs    []store.Record

	block    int64 // that was looked for in the index last
	indexing indexing
}

// read begins at a logical offset.
func (r *reading) read(ctx context.Context, from int64) (recs []store.Record, next, missed int64, err error) {
	p := puller{s: r.s, q: r.q, next: r.q.log.broker(from), share: true}
	for looked := int64(0); r.left > 0 && looked < readMost; {
		r.skip(&p)
		res, err := p.pull(ctx, 0)
		if err != nil {
			return r.sofar(from, p.next, missed, err)
		}
		switch {
		case res.Status == remoting.OffsetIllegal && p.next > res.MaxOffset:
			return nil, from, missed, r.s.beyond(ctx, r.q, from, res.MaxOffset)
		case res.Status == remoting.OffsetIllegal && p.next < res.MinOffset:
			missed += res.MinOffset - p.next
			p.jump(res.MinOffset)
			continue
		case res.Status != remoting.Found && res.NextOffset <= p.next:
			return r.sofar(from, p.next, missed, nil)
		}
		n, end, err := r.take(ctx, &res, p.next)
		if err != nil {
			return r.sofar(from, p.next, missed, err)
		}
		if looked += n; end {
			p.jump(res.NextOffset)
			break
		}
		p.advance(&res, n)
	}
	return r.sofar(from, p.next, missed, nil)
}

// skip passes over blocks that have nothing that is wanted, once for each block. What was gone from them is not missed.
func (r *reading) skip(p *puller) {
	block := r.q.log.logical(p.next) >> blocks.Shift
	if block == r.block {
		return
	}
	first, end := r.s.index.find(r.q.key, block, &r.in)
	r.block, p.limit = first, 0
	if end != math.MaxInt64 {
		p.limit = r.q.log.broker(end << blocks.Shift)
	}
	if to := r.q.log.broker(first << blocks.Shift); first > block && to > p.next {
		r.s.stats.Skipped.Add(to - p.next)
		p.jump(to)
	}
}

// sofar is the result up to RocketMQ's offset next. An error counts only if nothing was read before it.
func (r *reading) sofar(from, next, missed int64, err error) ([]store.Record, int64, int64, error) {
	at := max(from, r.q.log.logicalBefore(next))
	if next == r.q.log.broker(from) {
		at = from
	}
	if err != nil && at > from {
		err = nil
	}
	return r.recs, at, missed, err
}

// take gathers what is wanted of an answer. It ends where enough was gathered, and says so.
func (r *reading) take(ctx context.Context, res *remoting.PullResult, from int64) (n int64, full bool, err error) {
	next := from
	err = each(res.Body, func(m *message.Message) error {
		n++
		if m.QueueOffset < next {
			return nil
		}
		if err := r.one(ctx, m); err != nil {
			return err
		}
		next = m.QueueOffset + 1
		if r.left <= 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		full, err = true, nil
	}
	if next > from {
		res.NextOffset = next
	}
	return n, full, err
}

func (r *reading) one(ctx context.Context, m *message.Message) error {
	st, err := r.decoder.decode(m)
	r.indexing.add(r.q.log.logical(m.QueueOffset), st.rec.Topic)
	if err != nil {
		return nil //nolint:nilerr // the tail counts and logs it
	}
	if !r.wants(&st.rec) {
		return nil
	}
	second, err := r.doubles.second(ctx, &st, m.QueueOffset)
	if err != nil || second {
		return err
	}
	st.rec.Position = store.Position{Queue: r.q.key, Offset: r.q.log.logical(m.QueueOffset)}
	r.recs = append(r.recs, st.rec)
	r.left -= len(st.rec.Payload) + len(st.rec.Topic)
	return nil
}

// beyond: somebody was at the logical offset at, which lies beyond the end of q. So the queue went back when nobody saw it.
func (s *Store) beyond(ctx context.Context, q *queue, at, end int64) error {
	q.log.mu.Lock()
	defer q.log.mu.Unlock()
	if q.log.logical(end) < at {
		return s.bend(ctx, q, end, at)
	}
	return nil
}

// Get returns one record; see store.Store. What is retained is there when brokers do not have it any more.
func (s *Store) Get(at store.Position) (rec store.Record, err error) {
	rec, err = s.get(at)
	if err == nil || s.retained == nil {
		return rec, err
	}
	kept, found, bad := s.retained.view.Get(at)
	if bad != nil || !found {
		return rec, err
	}
	return kept, nil
}

func (s *Store) get(at store.Position) (rec store.Record, err error) {
	q, err := s.mustKnow(at.Queue)
	if err != nil {
		return rec, err
	}
	if fo := s.tail.follower(q); fo != nil {
		if rec, ok := fo.recent.get(at.Offset); ok {
			return rec, nil
		}
	}
	ctx, cancel := s.asking()
	defer cancel()
	if err := s.mapped(ctx, q, at.Offset); err != nil {
		return rec, err
	}
	offset := q.log.broker(at.Offset)
	gone := fmt.Errorf("%w: offset %d of %s", store.ErrExpired, at.Offset, q.name)
	if q.log.logical(offset) != at.Offset {
		return rec, gone // the log went back
	}
	res, err := s.pullOnce(ctx, q, offset, 1)
	if err != nil {
		return rec, err
	}
	decoder := s.decoder()
	defer s.decoders.Put(decoder)
	err = each(res.Body, func(m *message.Message) error {
		if m.QueueOffset != offset {
			return gone
		}
		st, err := decoder.decodeAny(m) // whoever knows the place may have it
		if err != nil {
			return fmt.Errorf("%w: %w", gone, err)
		}
		st.rec.Position = at
		rec = st.rec
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return rec, nil
	}
	return rec, cmp.Or(err, gone)
}
