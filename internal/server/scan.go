package server

import (
	"math"
	"time"
)

// The scanner looks at every connection once a tick and enforces all timeouts; there is no timer for a connection. Time is counted in
// ticks that were really made: when the process or the machine was stopped for an hour, no client is told to have been silent.

// now is the current tick. Never 0 while the server runs, until it wraps around.
func (s *Server) now() uint32 { return max(s.clock.Load(), 1) }

// ticks is d in whole ticks, rounded up, at least one.
func (s *Server) ticks(d time.Duration) uint32 {
	return uint32(min(max((d+s.opts.tick-1)/s.opts.tick, 1), math.MaxInt32))
}

// since is the number of ticks from then to now; then may be a little ahead.
func since(now, then uint32) int32 { return int32(now - then) }

// limits are the timeouts of Options in ticks.
type limits struct{ connect, packet, write, close, idle int32 }

// scanBatch is how many connections are taken from the list at a time.
const scanBatch = 512

func (s *Server) scan() {
	defer close(s.scanned)
	t := time.NewTicker(s.opts.tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.stopScan:
			return
		}
		now := s.clock.Add(1)
		var batch [scanBatch]*conn
		for i := 0; ; i += scanBatch {
			n := s.batch(batch[:], i)
			for _, c := range batch[:n] {
				c.look(now)
			}
			if n < scanBatch {
				break
			}
		}
	}
}

// batch copies connections from index i on to b. Removal moves the last one to the gap: it may be missed, until the next tick.
func (s *Server) batch(b []*conn, i int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copy(b, s.conns[min(i, len(s.conns)):])
}

// look closes or wakes c when it is time.
func (c *conn) look(now uint32) {
	t := &c.s.limits
	if by := c.connectBy.Load(); by != 0 && since(now, by) >= 0 {
		c.connectBy.Store(0)
		c.connectExpired()
	}
	if at := c.closeAt.Load(); at != 0 && since(now, at) > t.close {
		c.kill("closed before everything was written", true)
		return
	}
	if p := c.pending.Load(); p != 0 && since(now, p) > t.write && since(now, c.sock.wrote.Load()) > t.write {
		c.s.stats.slow.Add(1)
		c.kill("the client does not read", true)
		return
	}
	active := c.active.Load()
	if active == 0 || !c.opened.Load() || c.stop.Load() {
		return
	}
	idle := since(now, active)
	if p := c.partial.Load(); p != 0 && since(now, p) > t.packet {
		c.s.stats.timeouts.Add(1)
		c.kill("a packet did not arrive whole", false)
		return
	}
	if k := c.keepAlive.Load(); k != 0 && idle > int32(k) {
		c.keepAlive.Store(0)
		c.keepAliveExpired()
		return
	}
	if idle > t.idle && c.sock.raw != nil && c.awake.CompareAndSwap(true, false) {
		c.sock.interrupt()
	}
}

// connectExpired closes unless CONNECT was accepted in the meantime, which the reading goroutine may not have seen.
func (c *conn) connectExpired() {
	if !c.opened.Load() {
		c.s.stats.timeouts.Add(1)
		c.kill("handshake took too long", false)
		return
	}
	c.call(func() {
		if c.client.Connected() {
			c.adopt()
			return
		}
		c.s.stats.timeouts.Add(1)
		c.kill("no CONNECT was accepted in time", false)
	})
}

func (c *conn) keepAliveExpired() {
	c.s.stats.timeouts.Add(1)
	c.call(func() {
		c.client.KeepAliveExpired()
		c.shut("keep-alive expired")
	})
}
