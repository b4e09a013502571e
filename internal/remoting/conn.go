package remoting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errDead says that a connection was lost before a request was queued: the next connection is to be asked.
var errDead = errors.New("connection was lost")

// errTooLarge says that a request is larger than Options.MaxFrame.
var errTooLarge = errors.New("request is too large")

// conn is one connection, from before it is dialled until it is lost; it is never made again. Three goroutines serve it, which end with it:
// run dials and writes, read reads, keepTime looks after deadlines. The client waits for them.
//
// Bytes have positions in the stream of all that was queued: base is that of out[0], so what is below base was handed to the socket.
type conn struct {
	addr  string
	link  Link
	gen   uint64
	opts  *Options
	stats *stats
	lost  func(c *conn, cause error) // tells the client, before the requests fail

	ctx    context.Context // ends when the connection is lost
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1: out has something to write
	tick   chan struct{} // capacity 1: next has become earlier

	heard atomic.Int64 // when a frame came last, in nanoseconds of Unix time; 0: never

	mu      sync.Mutex
	nc      net.Conn          // nil while it is dialled
	out     []byte            // frames not handed to the socket
	spare   []byte            // becomes the next out
	base    uint64            // position of out[0]
	writing int               // bytes handed to the socket that it has not taken
	pending map[int32]pending // by opaque
	opaque  int32             // of the last request
	next    time.Time         // when keepTime looks again; zero: not
	dead    error             // the cause; set once, and then nothing is queued or pending
}

// do queues a request. An error means that p was not taken, and its callback was not and will not be called.
func (c *conn) do(req *command, p *pending) (opaque int32, err error) {
	size := req.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead != nil:
		return 0, errDead
	case size-4 > c.opts.MaxFrame:
		return 0, fmt.Errorf("%w: about %d bytes, the limit is %d", errTooLarge, size, c.opts.MaxFrame)
	case len(c.pending) >= c.opts.MaxPending:
		return 0, fmt.Errorf("%w: %d requests without an answer", ErrFull, len(c.pending))
	case len(c.out)+c.writing+size > c.opts.MaxQueued && len(c.out)+c.writing > 0:
		return 0, fmt.Errorf("%w: %d bytes are not written", ErrFull, len(c.out)+c.writing)
	}
	opaque = c.newOpaque()
	before := len(c.out)
	c.out = appendFrame(c.out, req, opaque)
	p.start, p.size = c.base+uint64(before), len(c.out)-before
	c.pending[opaque] = *p
	if c.next.IsZero() || p.deadline.Before(c.next) {
		c.next = p.deadline
		poke(c.tick)
	}
	if before == 0 {
		poke(c.wake)
	}
	return opaque, nil
}

// newOpaque is a number that no pending request has. mu held.
func (c *conn) newOpaque() int32 {
	for {
		c.opaque = (c.opaque + 1) & (1<<31 - 1)
		if _, used := c.pending[c.opaque]; !used {
			return c.opaque
		}
	}
}

// poke wakes whoever waits for ch.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// takePending takes a request out of the map: its callback is the caller's to call.
func (c *conn) takePending(opaque int32) (pending, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.pending[opaque]
	delete(c.pending, opaque)
	return p, ok
}

// drop ends a request before its answer. What is still queued is never written.
func (c *conn) drop(opaque int32, cause error) {
	c.mu.Lock()
	p, ok := c.pending[opaque]
	delete(c.pending, opaque)
	queued := ok && p.start >= c.base
	if queued {
		c.unqueue([]pending{p})
	}
	c.mu.Unlock()
	switch {
	case queued:
		p.fail(notSent(c.addr, cause))
	case ok:
		p.fail(unknown(c.addr, cause))
	}
}

// unqueue cuts the frames of ps out of what is queued. The frames behind them move up in the stream. mu held.
func (c *conn) unqueue(ps []pending) {
	slices.SortFunc(ps, func(a, b pending) int { return cmp.Compare(a.start, b.start) })
	first := int(ps[0].start - c.base)
	kept := c.out[:first]
	for i, p := range ps {
		end := len(c.out)
		if i+1 < len(ps) {
			end = int(ps[i+1].start - c.base)
		}
		kept = append(kept, c.out[int(p.start-c.base)+p.size:end]...)
	}
	c.out = kept
	for i := range ps[1:] {
		ps[i+1].size += ps[i].size // from here on: how much was cut up to it
	}
	for opaque, p := range c.pending {
		i, _ := slices.BinarySearchFunc(ps, p.start, func(a pending, start uint64) int { return cmp.Compare(a.start, start) })
		if i > 0 {
			p.start -= uint64(ps[i-1].size)
			c.pending[opaque] = p
		}
	}
}

// cause is why the connection was lost; nil, while it lives.
func (c *conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// fail ends the connection, once: all its requests fail, in the order in which they were made.
func (c *conn) fail(cause error) { c.failAt(cause, nil) }

// failAt is fail where the writer knows that the socket took no more than *sent bytes of the stream.
func (c *conn) failAt(cause error, sent *uint64) {
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		return
	}
	c.dead = cause
	limit, nc := c.base, c.nc
	if sent != nil {
		limit = *sent
	}
	ps := make([]pending, 0, len(c.pending))
	for _, p := range c.pending {
		ps = append(ps, p)
	}
	c.pending, c.out, c.spare = nil, nil, nil
	c.mu.Unlock()

	c.cancel()
	if nc != nil {
		_ = nc.Close() // its end is what is wanted; there is nobody to tell
	}
	c.lost(c, cause)
	slices.SortFunc(ps, func(a, b pending) int { return cmp.Compare(a.start, b.start) })
	failed, lost := notSent(c.addr, cause), unknown(c.addr, cause)
	for _, p := range ps {
		if p.start >= limit {
			p.fail(failed)
		} else {
			p.fail(lost)
		}
	}
}
