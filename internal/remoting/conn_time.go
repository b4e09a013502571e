package remoting

import (
	"context"
	"errors"
	"time"
)

// errSilent says that a deadline passed and nothing at all had come since its request was made: the peer or the way to it is taken for lost.
// Without this a connection whose peer vanished without a word would fail its requests one by one for a quarter of an hour.
var errSilent = errors.New("the peer is silent")

const (
	// silence is how long a request must have had until its deadline to count for errSilent.
	silence = time.Second
	// asleep is how late the deadline may be noticed, to count: later, this process was paused or starved, and answers wait to be read.
	asleep = time.Second
	// grain is how exact deadlines are. It bounds how often the pending requests are looked through.
	grain = time.Millisecond
)

// keepTime fails the requests whose deadline has passed. There is no heap: requests are bounded, nearly all are answered, and their
// deadlines come in about the order in which they are made, so to look through all of them when the earliest deadline that
// was seen passes happens about once in a request's lifetime.
func (c *conn) keepTime() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.tick:
		case <-timer.C:
			c.expire(time.Now())
		}
		c.mu.Lock()
		next := c.next
		c.mu.Unlock()
		if next.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(time.Until(next), grain))
		}
	}
}

// expire fails what is due, and finds out when the next is.
func (c *conn) expire(now time.Time) {
	var written, queued []pending
	c.mu.Lock()
	c.next = time.Time{}
	for opaque, p := range c.pending {
		switch {
		case p.deadline.After(now):
			if c.next.IsZero() || p.deadline.Before(c.next) {
				c.next = p.deadline
			}
			continue
		case p.start >= c.base:
			queued = append(queued, p)
		default:
			written = append(written, p)
		}
		delete(c.pending, opaque)
	}
	if len(queued) > 0 {
		c.unqueue(queued)
	}
	c.mu.Unlock()

	c.stats.expired.Add(uint64(len(queued) + len(written)))
	for _, p := range queued {
		p.fail(notSent(c.addr, context.DeadlineExceeded))
	}
	silent := false
	for _, p := range written {
		silent = silent || c.silentTo(&p, now)
		p.fail(unknown(c.addr, context.DeadlineExceeded))
	}
	if silent {
		c.fail(errSilent)
	}
}

// silentTo says whether a request that is due is a sign of errSilent.
func (c *conn) silentTo(p *pending, now time.Time) bool {
	return c.heard.Load() < p.asked.UnixNano() && p.deadline.Sub(p.asked) >= silence && now.Sub(p.deadline) < asleep
}
