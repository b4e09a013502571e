package remoting

import (
	"fmt"
	"net"
	"time"
)

// read reads answers until the connection is lost, and calls the callbacks.
func (c *conn) read(nc net.Conn) {
	r := newFrameReader(nc, c.opts.MaxFrame, readBuffer)
	for {
		h, body, err := r.next()
		if err != nil {
			c.fail(fmt.Errorf("read: %w", err))
			return
		}
		c.heard.Store(time.Now().UnixNano())
		if h.flag&flagResponse == 0 {
			c.refuse(&h)
			continue
		}
		p, ok := c.takePending(h.opaque)
		if !ok {
			c.stats.stray.Add(1) // late, twice, or never asked for
			continue
		}
		p.answer(c, &h, body)
	}
}

// refuse answers a request of the peer's that wants an answer: code 3. Those that brokers send to consumers and producers (consumer ids
// changed, check a transaction) want none. An answer that finds no room is left out: the peer's deadline ends its wait.
func (c *conn) refuse(h *header) {
	c.stats.foreign.Add(1)
	if h.flag&flagOneway != 0 {
		return
	}
	cmd := command{code: CodeNotSupported, flag: flagResponse}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead != nil || len(c.out)+c.writing+cmd.size() > c.opts.MaxQueued {
		return
	}
	c.out = appendFrame(c.out, &cmd, h.opaque)
	poke(c.wake)
}
