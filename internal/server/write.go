package server

import (
	"crypto/tls"
	"errors"
	"net"
)

// writerState says who writes what is queued.
type writerState uint8

const (
	writerIdle writerState = iota // nobody; nothing is queued
	writerBusy                    // a worker of the flusher's, or a goroutine in writeAll
)

const (
	pieces    = 32        // most pieces in one write
	turnBytes = 256 << 10 // about what one connection may write before another has its turn
	pressed   = 4 << 10   // what a connection may queue when all together are above Options.MaxQueued
)

// Send implements session.Conn.
func (c *conn) Send(b []byte) { c.send(b, nil) }

// SendPublish implements session.Conn.
func (c *conn) SendPublish(header, payload []byte) { c.send(header, payload) }

func (c *conn) send(b, payload []byte) {
	pool := &c.s.outPool
	c.mu.Lock()
	if c.closing || c.dead {
		c.mu.Unlock()
		c.s.stats.dropped.Add(1)
		return
	}
	c.out.copyIn(pool, b)
	if len(payload) <= copyMost {
		c.out.copyIn(pool, payload)
	} else {
		c.out.reference(pool, payload)
	}
	start := c.wantWriter()
	if !c.mark(len(b) + len(payload)) {
		c.s.stats.slow.Add(1)
		c.dieLocked("too much was queued that the client did not read")
		c.callLocked(func() { c.sock.abort(); c.unpark() }) // closing a socket may wait; a sender must not
	}
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
}

// mark notes that n bytes were queued; false: more than may ever be. mu held.
func (c *conn) mark(n int) bool {
	o := &c.s.opts
	if c.full.Load() {
		c.over += n
		return c.over <= o.HardCap
	}
	if waits := c.out.size - c.writing; waits > pressed && (waits > o.HighWater || c.s.outPool.held.Load() > o.MaxQueued) {
		c.full.Store(true)
	}
	return true
}

// Full implements session.Conn.
func (c *conn) Full() bool {
	if !c.full.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full.Load() {
		c.asked = true
		return true
	}
	return false
}

// Close implements session.Conn.
func (c *conn) Close() { c.shut("closed by the session") }

// wantWriter reports that startWriter is to be called once mu is released. mu held.
func (c *conn) wantWriter() bool {
	if c.writer != writerIdle {
		return false
	}
	c.writer = writerBusy
	c.pending.Store(c.s.now())
	return true
}

func (c *conn) startWriter() {
	if c.direct() {
		c.s.flusher.push(c)
	} else {
		go c.writeAll()
	}
}

// direct reports whether MQTT's bytes go to the socket as they are, and whether they fit can be seen.
func (c *conn) direct() bool { return c.sock.raw != nil && c.stream == &c.sock }

// writeAll writes until nothing is queued, waiting as long as it takes; the scanner bounds that.
func (c *conn) writeAll() {
	op := newWriteOp(pieces / 4)
	op.wait = true
	for c.take(op) {
		err := c.write(op)
		if !c.settle(op.n, err) {
			return
		}
	}
}

// flush writes once without waiting, on a worker.
func (c *conn) flush(op *writeOp) {
	if !c.take(op) {
		return
	}
	err := c.write(op)
	switch {
	case !c.settle(op.n, err):
	case op.n == 0:
		go c.writeAll() // the socket is full: waiting is for a goroutine of its own
	default:
		c.s.flusher.push(c)
	}
}

// take gathers what is to be written; false: the connection is dead and the writer has ended.
func (c *conn) take(op *writeOp) bool {
	c.s.opts.Pulse.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		c.idle()
		return false
	}
	op.bufs = c.out.gather(op.bufs[:0], turnBytes)
	if !op.wait { // else they may wait for ever
		c.writing = op.size()
	}
	return true
}

// write writes op.bufs, or what fits of them, and sets op.n.
func (c *conn) write(op *writeOp) error {
	op.n, op.err = 0, nil
	if len(op.bufs) == 0 {
		return nil
	}
	if c.direct() {
		if err := c.sock.raw.Write(op.try); err != nil {
			return err
		}
		if op.n > 0 {
			c.sock.wrote.Store(c.s.now())
		}
		return op.err
	}
	for _, b := range op.bufs {
		n, err := c.stream.Write(b)
		op.n += n
		if err != nil {
			return err
		}
	}
	return nil
}

// settle notes that n bytes were written; false: the writer has ended.
func (c *conn) settle(n int, err error) bool {
	c.s.stats.bytesOut.Add(uint64(n))
	c.mu.Lock()
	c.writing = 0
	c.out.advance(&c.s.outPool, n)
	if err != nil || c.dead {
		c.idle()
		c.mu.Unlock()
		if err != nil {
			c.kill(writeReason(err), false)
		}
		return false
	}
	c.unmark()
	more := c.out.size > 0
	finish := !more && c.closing
	if !more && !finish {
		c.idle()
	}
	c.mu.Unlock()
	if finish {
		c.finish()
	}
	return more
}

// unmark lets the session and the reader go on when there is room again. mu held.
func (c *conn) unmark() {
	if !c.full.Load() || c.out.size > c.s.opts.LowWater {
		return
	}
	c.full.Store(false)
	c.over = 0
	if c.asked {
		c.asked = false
		c.callLocked(c.client.Drained)
	}
	c.signal()
}

// idle ends the writer. mu held.
func (c *conn) idle() {
	c.writer = writerIdle
	c.pending.Store(0)
	if c.dead {
		c.out.drop(&c.s.outPool)
	}
	if c.stop.Load() {
		c.signal()
	}
}

// finish says that nothing more comes when everything was written, and makes the reading goroutine end the connection.
func (c *conn) finish() {
	switch s := c.stream.(type) {
	case *wsStream: // its goodbye waits for an answer: see end
	case *tls.Conn:
		_ = s.CloseWrite()
		c.sock.closeWrite()
	default:
		c.sock.closeWrite()
	}
	c.poke() // before flushed is set, when lingering sets a deadline of its own
	c.mu.Lock()
	c.flushed = true
	c.idle()
	c.mu.Unlock()
}

func writeReason(err error) string {
	if errors.Is(err, net.ErrClosed) {
		return "closed while writing"
	}
	return "write failed: " + err.Error()
}

// writeOp is one write to a socket, with memory that is used again.
type writeOp struct {
	bufs [][]byte
	n    int // bytes that were written
	err  error
	wait bool // until something fits
	try  func(fd uintptr) bool
}

func newWriteOp(pieces int) *writeOp {
	op := &writeOp{bufs: make([][]byte, 0, pieces)}
	op.try = op.writable
	return op
}

// size is how many bytes are to be written.
func (op *writeOp) size() (n int) {
	for _, b := range op.bufs {
		n += len(b)
	}
	return n
}

// writable is called by raw.Write; false: wait.
func (op *writeOp) writable(fd uintptr) bool {
	op.n, op.err = writeFD(int(fd), op.bufs)
	return op.n > 0 || op.err != nil || !op.wait
}
