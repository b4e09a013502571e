package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// pullGroup is the consumer group of all pulls, as of the Java proxy, so that access rules for that hold for this. Its prefix makes it
// a system group, which brokers know without its being created.
const pullGroup = "CID_RMQ_SYS_LMQ_PULL"

const (
	pullMost    = 1024             // messages asked for; brokers have a lower limit of their own: 32 by default
	pullBytes   = 1 << 20          // and bytes, which 5.x reads
	pullPatient = 5 * time.Second  // for an answer, beside what the broker was asked to wait
	pullAhead   = 4                // pulls under way for a reader that is behind
	pullHold    = 15 * time.Second // a long poll
	pullExtra   = 15 * time.Second // that the broker may take beyond that: it looks only every 5 s for polls that are over (PullRequestHoldService)
)

// pulled is the answer to a pull.
type pulled struct {
	remoting.PullResult
	err error
}

// startPull asks for what is at RocketMQ's offset of q and above. The answer comes through the channel, whoever still waits for it.
func (s *Store) startPull(q *queue, offset int64, most int32, hold time.Duration) <-chan pulled {
	answer := make(chan pulled, 1)
	s.pullTo(q, offset, most, hold, func(res remoting.PullResult, err error) { answer <- pulled{res, err} })
	return answer
}

// pullTo is startPull with a callback, on any goroutine, which must not block.
func (s *Store) pullTo(q *queue, offset int64, most int32, hold time.Duration, answered func(remoting.PullResult, error)) {
	addr := q.broker.addr()
	if addr == "" {
		answered(remoting.PullResult{}, fmt.Errorf("broker %s is in no route", q.name.broker))
		return
	}
	r := remoting.PullRequest{
		Group: pullGroup, Topic: q.name.topic, QueueID: q.name.id, Offset: offset, MaxMsgs: most, MaxBytes: pullBytes, Suspend: hold,
	}
	s.client.Pull(addr, &r, time.Now().Add(pullLimit(hold)), answered)
}

// pullLimit is how long an answer to a pull may take that the broker may hold.
func pullLimit(hold time.Duration) time.Duration {
	if hold == 0 {
		return pullPatient
	}
	return hold + pullExtra
}

// wait waits for the answer, or the end of ctx.
func (s *Store) wait(ctx context.Context, q *queue, answer <-chan pulled) (remoting.PullResult, error) {
	select {
	case a := <-answer:
		if a.err != nil {
			return a.PullResult, s.readError(q, a.err)
		}
		return a.PullResult, nil
	case <-ctx.Done():
		return remoting.PullResult{}, s.readError(q, ctx.Err())
	}
}

func (s *Store) pullOnce(ctx context.Context, q *queue, offset int64, most int32) (remoting.PullResult, error) {
	return s.wait(ctx, q, s.startPull(q, offset, most, 0))
}

// readError is what err, of a question about q, is to a reader. Whatever it is, it is to be tried again: nothing that a broker says makes
// what it keeps be gone.
func (s *Store) readError(q *queue, err error) error {
	if s.ctx.Err() != nil {
		return store.ErrClosed
	}
	return fmt.Errorf("%w: topic %s on broker %s: %w", store.ErrAway, q.name.topic, q.name.broker, err)
}

// puller reads one queue onwards. While it is behind it has several pulls under way, since a broker answers each with few
// messages only. It is for one goroutine.
type puller struct {
	s      *Store
	q      *queue
	next   int64 // RocketMQ's offset: what is below was returned
	limit  int64 // RocketMQ's offset from which on nothing is asked for ahead; 0: there is none
	flying []flight
	share  bool  // with others who read the queue, see ranges
	step   int64 // messages that the broker answers with at most, as far as is known
	single int   // pulls to come that are made one by one, since guessing where the next one begins went wrong
}

type flight struct {
	offset int64
	answer <-chan pulled
}

// pull returns what is at p.next; hold is how long the broker may wait for something to come. advance follows.
func (p *puller) pull(ctx context.Context, hold time.Duration) (remoting.PullResult, error) {
	if len(p.flying) == 0 {
		p.start(p.next, hold)
	}
	f := p.flying[0]
	p.flying = p.flying[1:]
	res, err := p.s.wait(ctx, p.q, f.answer)
	if err != nil {
		p.flying = nil
	}
	return res, err
}

func (p *puller) start(offset int64, hold time.Duration) {
	if p.share {
		p.flying = append(p.flying, flight{offset, p.s.ranges.ask(p.s, p.q, offset)})
		return
	}
	p.flying = append(p.flying, flight{offset, p.s.startPull(p.q, offset, pullMost, hold)})
}

// most is how many messages are asked for at an offset.
func (p *puller) most(offset int64) int64 {
	if p.share {
		return rangeMost(offset)
	}
	return pullMost
}

// after is where the answer to a full pull at an offset ends.
func (p *puller) after(offset int64) int64 { return offset + min(p.step, p.most(offset)) }

// advance goes on behind res, in which n messages were found, and asks ahead when there is more.
func (p *puller) advance(res *remoting.PullResult, n int64) {
	if n < p.most(p.next) || !p.share { // else it says nothing of what the broker would give
		p.step = n
	}
	p.next = res.NextOffset
	if len(p.flying) > 0 && p.flying[0].offset != p.next {
		p.flying = nil
		p.single = 16
	}
	if p.single > 0 {
		p.single--
		return
	}
	at := p.next
	if k := len(p.flying); k > 0 {
		at = p.after(p.flying[k-1].offset)
	}
	for n > 0 && p.step > 0 && len(p.flying) < pullAhead && at < res.MaxOffset && (p.limit == 0 || at < p.limit) {
		p.start(at, 0)
		at = p.after(at)
	}
}

// jump goes on at another offset.
func (p *puller) jump(offset int64) {
	p.next, p.flying = offset, nil
}

// each calls f for the messages of a pull's answer until it returns an error. What is not a whole message ends it: the
// next pull begins there.
func each(body []byte, f func(m *message.Message) error) error {
	for len(body) > 0 {
		m, rest, err := message.Decode(body)
		switch {
		case errors.Is(err, message.ErrTruncated):
			return nil
		case err != nil:
			return err
		}
		if err := f(&m); err != nil {
			return err
		}
		body = rest
	}
	return nil
}
