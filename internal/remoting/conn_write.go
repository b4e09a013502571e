package remoting

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// writeChunk is how many bytes one Write may have: WriteTimeout is for so many.
	writeChunk = 1 << 20
	// keepBuffer is the largest outgoing buffer that is kept when it is empty.
	keepBuffer = 4 << 20
)

// run dials, then writes what is queued until the connection is lost. readers gets the goroutine that reads.
func (c *conn) run(readers *sync.WaitGroup) {
	nc, err := c.dial()
	if err != nil {
		c.fail(err)
		return
	}
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		_ = nc.Close() // lost while it was dialled
		return
	}
	c.nc = nc
	c.mu.Unlock()
	readers.Go(func() { c.read(nc) })
	for {
		for buf := c.take(); buf != nil; buf = c.take() {
			if !c.write(nc, buf) {
				return
			}
		}
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return
		}
	}
}

// dial makes the TCP or TLS connection. The host's name is resolved each time.
func (c *conn) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.DialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil || c.opts.TLS == nil {
		return nc, err
	}
	conf := c.opts.TLS
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(c.addr)
		if err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("address %q: %w", c.addr, err)
		}
		conf = conf.Clone()
		conf.ServerName = host
	}
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return tc, nil
}

// take hands over all that is queued, in one piece; nil, when there is nothing or the connection is lost.
func (c *conn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = 0
	if len(c.out) == 0 {
		return nil
	}
	buf := c.out
	c.out, c.spare = c.spare[:0], buf
	if cap(buf) > keepBuffer {
		c.spare = nil
	}
	c.base += uint64(len(buf))
	c.writing = len(buf)
	return buf
}

// write writes buf, which ends at c.base as of when it was taken, and says whether the connection lives.
func (c *conn) write(nc net.Conn, buf []byte) bool {
	for rest := buf; len(rest) > 0; {
		if err := nc.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout)); err != nil {
			c.fail(fmt.Errorf("write: %w", err))
			return false
		}
		n, err := nc.Write(rest[:min(len(rest), writeChunk)])
		rest = rest[n:]
		if err != nil {
			c.writeFailed(nc, err, len(rest))
			return false
		}
	}
	return true
}

// writeFailed ends the connection after a Write that left the last left bytes of what was taken.
func (c *conn) writeFailed(nc net.Conn, err error, left int) {
	err = fmt.Errorf("write: %w", err)
	if _, ok := nc.(*net.TCPConn); !ok {
		// TLS may have sent records beyond what Write says.
		c.fail(err)
		return
	}
	c.mu.Lock()
	sent := c.base - uint64(left)
	c.mu.Unlock()
	c.failAt(err, &sent)
}
