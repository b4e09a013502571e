package rocketmq

import (
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store/blocks"
)

// ranges are pulls that sessions which catch up share, since many come back at once and want the same: who asks for a place of which the answer is on its
// way, or came a moment ago, gets that one. So that they ask for the same places, nobody asks beyond a multiple of 128. What is kept is bounded, the oldest
// goes first; and it is of one state of the queue: when that has gone back, it is asked for again.
type ranges struct {
	mu    sync.Mutex
	known map[rangeKey]*sharedPull
	kept  []rangeKey // whose answers are kept, oldest first
	bytes int        // of these
}

// rangeKey is where a pull begins.
type rangeKey struct {
	q      *queue
	number int64 // of the queue, see offsets.number
	offset int64 // RocketMQ's
}

type sharedPull struct {
	waiting []chan<- pulled // nil: it is answered
	answer  pulled
	since   time.Time // of the answer
}

const (
	rangesBytes = 32 << 20
	rangesTime  = 5 * time.Second
)

// rangeMost is how many messages a shared pull at RocketMQ's offset asks for.
func rangeMost(offset int64) int64 { return blocks.Size - offset%blocks.Size }

// ask is startPull, shared.
func (r *ranges) ask(s *Store, q *queue, offset int64) <-chan pulled {
	answer := make(chan pulled, 1)
	at := rangeKey{q, q.log.number(), offset}
	r.mu.Lock()
	p := r.known[at]
	switch {
	case p == nil:
		p = &sharedPull{waiting: []chan<- pulled{answer}}
		if r.known == nil {
			r.known = map[rangeKey]*sharedPull{}
		}
		r.known[at] = p
		r.mu.Unlock()
		s.pullTo(q, offset, int32(rangeMost(offset)), 0, func(res remoting.PullResult, err error) { r.answered(at, p, pulled{res, err}) })
		return answer
	case p.waiting != nil:
		p.waiting = append(p.waiting, answer)
	default:
		answer <- p.answer
	}
	r.mu.Unlock()
	s.stats.Shared.Add(1)
	return answer
}

// answered tells those who wait, and keeps what was found.
func (r *ranges) answered(at rangeKey, p *sharedPull, answer pulled) {
	r.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	if answer.err == nil && answer.Status == remoting.Found {
		p.answer, p.since = answer, time.Now()
		r.kept = append(r.kept, at)
		r.bytes += len(answer.Body)
		r.forget(func(*sharedPull) bool { return r.bytes > rangesBytes })
	} else {
		delete(r.known, at)
	}
	r.mu.Unlock()
	for _, w := range waiting {
		w <- answer
	}
}

// forget drops answers, the oldest first, while over. mu is held.
func (r *ranges) forget(over func(*sharedPull) bool) {
	for len(r.kept) > 0 && over(r.known[r.kept[0]]) {
		r.bytes -= len(r.known[r.kept[0]].answer.Body)
		delete(r.known, r.kept[0])
		if r.kept = r.kept[1:]; len(r.kept) == 0 {
			r.kept = nil
		}
	}
}

// tidy drops what was answered a while before now.
func (r *ranges) tidy(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(func(p *sharedPull) bool { return now.Sub(p.since) > rangesTime })
}
