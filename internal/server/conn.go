package server

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/rocketmqtt/rocketmqtt/internal/session"
)

// conn is one connection; the session sees it as session.Conn.
//
// One goroutine at a time reads it, from open until end (see run); none while it is parked. Another one, or a worker of the flusher's, writes while there is
// something to write. Times are ticks of the scanner's.
type conn struct {
	sock   sock
	l      *listener
	s      *Server
	stream io.ReadWriter // MQTT's bytes: &sock, a *tls.Conn or a *wsStream
	client Client        // set before opened
	index  int           // in Server.conns; Server.mu guards it

	// The reading goroutine's.
	onReadable func(fd uintptr) bool // c.readable, made once
	in         *chunk                // what was read and not yet handled; nil while nothing comes
	readErr    error                 // what readable found
	last       int                   // bytes of the last read
	need       int                   // bytes of the packet that in holds the beginning of; 0: not known
	maxPacket  int                   // 0: ask
	connected  bool
	hot        bool // a read filled its buffer: use larger ones
	begun      int8 // see beginning

	opened    atomic.Bool
	courtesy  bool          // beyond Options.MaxConn: is told so
	stop      atomic.Bool   // no more packets are handled
	awake     atomic.Bool   // a goroutine reads or waits; the scanner has it parked when the connection is idle
	parked    atomic.Int32  // descriptor + 1 while parked
	full      atomic.Bool   // the queue went above its high-water mark, and not below the low one since
	connectBy atomic.Uint32 // when CONNECT must have been accepted; 0: it was
	keepAlive atomic.Uint32 // ticks without a packet; 0: for ever
	active    atomic.Uint32 // when the last packet came; 0: packets are being handled
	partial   atomic.Uint32 // when the last byte of an incomplete packet came; 0: none is
	pending   atomic.Uint32 // since when there is something to write; 0: nothing
	closeAt   atomic.Uint32 // when Close was called

	mu      sync.Mutex // guards what follows; taken with the session's lock held, never held during IO or a callback
	out     queue
	writing int // bytes of out that a worker of the flusher's has taken, and did not note yet as written
	over    int // bytes queued since full
	writer  writerState
	asked   bool           // Full reported true and Drained is owed
	closing bool           // nothing more is queued; end when the queue is empty
	flushed bool           // closing, and the queue was written
	dead    bool           // the socket is closed or broken
	ended   bool           // Closed is being called or was: no more calls
	wake    chan struct{}  // closed for a goroutine that waits for any of these to change
	reason  string         // why the connection ended
	calls   sync.WaitGroup // Drained and KeepAliveExpired under way

	next *conn // in the flusher's list; flusher.mu guards it
}

// beginning is how many times packets are read before a connection stays on one goroutine.
const beginning = 4

// open does what is to be done before packets can be read, and then reads; on a goroutine of its own.
func (c *conn) open() {
	state, err := c.l.handshake(c)
	if err != nil {
		c.s.stats.handshakes.Add(1)
		c.s.seldom.Debug("handshake failed", "peer", c.sock.peer(), "listener", c.l.kind, "err", err)
		c.kill("handshake failed", false)
		c.end()
		return
	}
	if c.courtesy {
		c.client = &busyClient{conn: c}
	} else {
		c.client = c.s.opts.Handler.Accept(c, session.Peer{Addr: c.sock.peer(), Listener: string(c.l.kind), TLS: state})
	}
	c.active.Store(c.s.now())
	c.opened.Store(true)
	c.run()
}

// run reads and handles packets until the connection ends or is parked. While it waits it holds no buffer, but its stack, and
// a stack that was deep once stays large. So when the connection has been idle for a second the scanner pokes it, and it parks; and
// what clients begin with, CONNECT above all, for which the session looks into the store, is handled on goroutines that end with it: in
// a second thousands may connect.
func (c *conn) run() {
	c.awake.Store(true)
	for {
		err := c.receive()
		switch {
		case err == nil:
			switch ok := c.packets(); {
			case ok && c.connected && c.begun < beginning:
				c.begun++
				go c.run()
				return
			case ok:
				continue
			}
		case isTimeout(err):
			_ = c.sock.SetReadDeadline(time.Time{})
			if !c.stop.Load() {
				if c.s.parker == nil || !c.s.parker.park(c) {
					go c.run() // at least on a small stack
				}
				return
			}
		default:
			c.kill(readReason(err), false)
		}
		c.end()
		return
	}
}

// claim reports whether the caller is the one who wakes c: it was parked until now.
func (c *conn) claim() bool {
	fd := c.parked.Swap(0)
	if fd == 0 {
		return false
	}
	c.s.parker.forget(int(fd)-1, c)
	return true
}

// unpark lets a goroutine read c again if it is parked.
func (c *conn) unpark() {
	if c.claim() {
		go c.run()
	}
}

// poke makes a goroutine look at c's state: the one that reads, whose read fails with a timeout, or a new one.
func (c *conn) poke() {
	c.sock.interrupt()
	c.unpark()
}

// end finishes the connection: what is queued is written, the session is told, the client is given time to read it. In this order:
// who takes over the session does not wait for a client that is gone.
func (c *conn) end() {
	if c.in != nil {
		c.s.inPool.put(c.in)
		c.in = nil
	}
	c.shut("closed by the server")
	c.await(func() bool { return c.writer == writerIdle && (c.flushed || c.dead) })
	c.mu.Lock()
	c.ended = true
	dead, reason := c.dead, c.reason
	c.mu.Unlock()
	c.calls.Wait()
	if c.client != nil {
		c.client.Closed(reason)
	}
	if ws, ok := c.stream.(*wsStream); ok {
		if !dead {
			ws.goodbye(websocket.StatusNormalClosure)
		}
		_ = ws.CloseNow()
	} else if !dead {
		b := c.s.inPool.get(minChunk)
		c.sock.linger(c.s.opts.Linger, b.mem)
		c.s.inPool.put(b)
	}
	_ = c.sock.Close()
	c.s.goroutines.Done()
}

// shut lets the queue be written and then ends the connection; reason is kept when it is the first.
func (c *conn) shut(reason string) {
	c.mu.Lock()
	if c.closing || c.dead {
		c.mu.Unlock()
		return
	}
	c.closing, c.reason = true, reason
	c.closeAt.Store(c.s.now())
	c.stop.Store(true)
	start := c.wantWriter()
	c.signal()
	c.mu.Unlock()
	if start {
		c.startWriter()
	}
}

// kill ends the connection at once; what is queued is dropped. abort: the kernel too shall forget what it has.
func (c *conn) kill(reason string, abort bool) {
	c.mu.Lock()
	if c.dead || c.ended {
		c.mu.Unlock()
		return
	}
	c.dieLocked(reason)
	c.mu.Unlock()
	if abort {
		c.sock.abort()
	} else {
		_ = c.sock.Close()
	}
	c.unpark()
}

// dieLocked marks c dead. mu held.
func (c *conn) dieLocked(reason string) {
	c.dead = true
	if c.reason == "" {
		c.reason = reason
	}
	c.stop.Store(true)
	if c.writer == writerIdle {
		c.out.drop(&c.s.outPool)
	}
	c.signal()
}

// await waits until ok, which is called with mu held, says yes.
func (c *conn) await(ok func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !ok() {
		if c.wake == nil {
			c.wake = make(chan struct{})
		}
		wake := c.wake
		c.mu.Unlock()
		<-wake
		c.mu.Lock()
	}
}

// signal wakes who waits in await. mu held.
func (c *conn) signal() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// call runs f, which calls the client, on a goroutine that end waits for.
func (c *conn) call(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callLocked(f)
}

// callLocked is call with mu held.
func (c *conn) callLocked(f func()) {
	if !c.ended {
		c.calls.Go(f)
	}
}

// adopt takes over what was agreed on in CONNECT.
func (c *conn) adopt() {
	ticks := uint32(0)
	if d := c.client.KeepAlive(); d > 0 {
		ticks = c.s.ticks(d + d/2) // [MQTT-3.1.2-22]
	}
	c.keepAlive.Store(ticks)
	c.connectBy.Store(0)
}

// readReason says why reading ended, for the log.
func readReason(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "closed by the client"
	case errors.Is(err, errTextFrame):
		return errTextFrame.Error()
	case websocket.CloseStatus(err) != -1:
		return "closed by the client, WebSocket status " + websocket.CloseStatus(err).String()
	}
	return "read failed: " + err.Error()
}
