package server

import (
	"errors"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

const (
	smallRead = 2 << 10  // bytes of the buffer that reading begins with
	largeRead = 32 << 10 // and of the one that a busy connection gets
	// aliveBytes of an incomplete packet count as a sign of life: a client that sends a large packet over a slow link cannot send
	// PINGREQ meanwhile.
	aliveBytes = 1000
	alone      = 512      // bytes of a read up to which its packets count as come alone
	freeGrowth = 64 << 10 // a packet's buffer may grow to this whatever Options.MaxPartial says
)

// receive waits until something came and reads it into c.in. While it waits in a callback of raw.Read and no packet is
// incomplete, it holds no buffer.
func (c *conn) receive() error {
	if c.sock.raw == nil {
		return c.receiveBlocking()
	}
	c.readErr = nil
	if err := c.sock.raw.Read(c.onReadable); err != nil {
		return err
	}
	return c.readErr
}

// readable reads what there is; false: nothing, wait.
func (c *conn) readable(fd uintptr) bool {
	c.sock.fd = int(fd)
	defer func() { c.sock.fd = -1 }()
	for {
		n, err := c.stream.Read(c.space())
		switch {
		case n > 0:
			c.got(n)
			return true
		case err == nil:
		case errors.Is(err, errWouldBlock):
			c.shrink()
			return false
		default:
			c.readErr = err
			return true
		}
	}
}

func (c *conn) receiveBlocking() error {
	c.shrink()
	n, err := c.stream.Read(c.space())
	if n > 0 {
		c.got(n)
		return nil
	}
	return err
}

// space is where to read to; it is never empty. A full buffer holds the beginning of a packet, and grows to at most twice what came
// of it, never by what it claims.
func (c *conn) space() []byte {
	in, p := c.in, &c.s.inPool
	switch {
	case in == nil && c.hot:
		c.in = p.get(largeRead)
	case in == nil:
		c.in = p.get(smallRead)
	case c.hot && len(in.mem) < largeRead:
		c.move(largeRead)
	case in.w == len(in.mem):
		c.move(min(2*in.w, c.need))
	}
	return c.in.free()
}

// move replaces c.in by a chunk of at least n bytes.
func (c *conn) move(n int) {
	to := c.s.inPool.get(n)
	to.w = copy(to.mem, c.in.mem[c.in.r:c.in.w])
	c.s.inPool.put(c.in)
	c.in = to
}

func (c *conn) got(n int) {
	c.last = n
	c.hot = c.hot || n == len(c.in.free())
	c.in.w += n
	c.s.stats.bytesIn.Add(uint64(n))
}

// shrink gives back the memory that is not needed to wait for more.
func (c *conn) shrink() {
	c.hot = c.hot && c.last >= smallRead
	switch {
	case c.in == nil:
	case c.in.w == 0:
		c.s.inPool.put(c.in)
		c.in = nil
	case len(c.in.mem) > minChunk && len(c.in.mem) > 4*c.in.w:
		c.move(2 * c.in.w)
	}
}

// packets hands the client every whole packet in c.in [MQTT-6.0.0-2]; false: the connection is to be ended. What came while this process was
// stopped waits until it is known whose client it is now; it is not waited for before it was read, where the process may be stopped as well.
func (c *conn) packets() bool {
	before := c.active.Load()
	c.active.Store(0)
	c.s.opts.Pulse.Wait()
	handled, ok := c.handle()
	if handled > 0 || c.last >= aliveBytes {
		before = c.s.now()
	}
	c.active.Store(before)
	return ok
}

func (c *conn) handle() (handled int, ok bool) {
	in := c.in
	c.need = 0
	for in.r < in.w {
		b := in.mem[in.r:in.w]
		h, n, err := mqtt.ParseHeader(b)
		if err != nil {
			return handled, c.bad(err)
		}
		if n == 0 {
			break
		}
		if c.need = n + h.Length; c.need > c.limit() {
			return handled, c.bad(&mqtt.Error{Code: mqtt.PacketTooLarge, Reason: "packet is larger than the maximum packet size"})
		}
		if len(b) < c.need {
			break
		}
		if !c.packet(h, b[n:c.need:c.need]) {
			return handled, false
		}
		handled++
		in.r += c.need
		c.need = 0
	}
	return handled, c.keep()
}

// packet hands one packet to the client. As long as too much is queued for a client it is not listened to: its packets would
// only be answered with more.
func (c *conn) packet(h mqtt.Header, body []byte) bool {
	if c.full.Load() {
		c.await(func() bool { return c.over <= c.s.opts.HardCap/16 || c.dead || c.closing })
	}
	if c.stop.Load() || !c.hand(h, body) {
		return false
	}
	if !c.connected && c.client.Connected() {
		c.connected, c.maxPacket = true, c.client.MaxPacket()
		c.adopt()
	}
	return true
}

// hand calls Packet. What a message of QoS 0 that came alone is to become, this goroutine writes itself: handling it waits for nothing.
func (c *conn) hand(h mqtt.Header, body []byte) bool {
	if c.last > alone || h.Type != mqtt.PUBLISH || h.Flags != 0 {
		return c.client.Packet(h, body)
	}
	c.s.flusher.promise()
	defer c.s.flusher.keep()
	return c.client.Packet(h, body)
}

// limit is the largest packet that may come now, in bytes.
func (c *conn) limit() int {
	if c.connected {
		return c.maxPacket
	}
	return c.client.MaxPacket()
}

// keep readies c.in for the next read: an incomplete packet moves to its beginning.
func (c *conn) keep() bool {
	in := c.in
	in.w = copy(in.mem, in.mem[in.r:in.w])
	in.r = 0
	if in.w == 0 {
		c.partial.Store(0)
		return true
	}
	c.partial.Store(c.s.now())
	if in.w == len(in.mem) && 2*in.w > freeGrowth && c.s.inPool.held.Load() > c.s.opts.MaxPartial {
		return c.bad(&mqtt.Error{Code: mqtt.QuotaExceeded, Reason: "too much memory is in use for incomplete packets"})
	}
	return true
}

// bad lets the client answer what is no packet, and ends.
func (c *conn) bad(err error) bool {
	if !c.stop.Load() {
		c.client.Bad(err)
		c.shut(err.Error())
	}
	return false
}
