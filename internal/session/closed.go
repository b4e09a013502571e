package session

import (
	"errors"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Closed ends the connection for the session: what must outlive it is written, everything else forgotten. It may
// wait for the store.
func (c *Client) Closed(reason string) {
	c.mu.Lock()
	c.leaveTail()
	c.live.Store(false)
	claimed := c.subs != nil
	c.mu.Unlock()
	if !claimed {
		close(c.gone)
		return
	}
	c.m.log.Debug("client disconnected", "client", c.id, "peer", c.peer.Addr, "reason", reason)
	c.disconnected(reason)
	c.awaitBegins()
	c.unroute()
	willAt := c.willAtEnd()
	c.order.Lock()
	defer c.order.Unlock()
	ch := c.lastChange(willAt)
	if ch == nil {
		if c.owner.Load() {
			c.m.opts.Store.Gone(c.id)
		}
		c.m.forget(c)
		return
	}
	c.m.opts.Store.Change(ch, detached{c, ch.WillAt == store.AtOnce}, 0)
	if c.m.opts.Left != nil && ch.Kind == store.Detach && ch.Expiry != 0 && c.left == nil {
		c.leaves(ch)
	}
}

// leaves tells Options.Left where the session stands, as ch says.
func (c *Client) leaves(ch *store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var filters []string
	for _, s := range c.subs {
		if s.share == "" {
			filters = append(filters, s.Filter)
		}
	}
	var open []store.Position
	for _, e := range c.out.window.InOrder() {
		if e.Group == "" && !e.Released { // else the client has it
			open = append(open, e.At)
		}
	}
	c.m.opts.Left(c.id, filters, ch.Cursor, open)
}

// detached forgets a client once its end is durable, and its will is owed.
type detached struct {
	c    *Client
	will bool
}

// Appended implements store.Completion.
func (d detached) Appended(_ uint64, _ store.Position, err error) {
	if err != nil && !errors.Is(err, store.ErrTaken) { // else another process owns the session
		d.c.m.log.Error("the end of a session's connection was not written; after a restart unacknowledged messages are sent again",
			"client", d.c.id, "err", err)
	}
	if d.will {
		d.c.m.publishAtOnce(d.c)
	}
	d.c.m.forget(d.c)
}

// unroute takes every subscription out of the router and gives back what groups handed to this member.
func (c *Client) unroute() {
	for _, s := range c.subs { // the reading goroutine has ended: nobody else changes it
		if s.share == "" {
			c.unrouteFrom(s)
		}
	}
	c.m.groups.leave(c)
	for _, s := range c.subs {
		c.m.opts.Store.Unwatch(s.Filter)
	}
}

// lastChange is what the store must know about the end of the connection; nil: nothing. willAt is when the will is due; 0: there is none.
func (c *Client) lastChange(willAt int64) *store.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.left != nil:
		return c.m.detach(c.left)
	case c.expiry == 0 && willAt == store.AtOnce:
		return &store.Change{Kind: store.Remove, Client: c.id, WillAt: willAt}
	case c.expiry != 0 || willAt != 0: // without expiry: until the will is published
		ch := c.progressLocked()
		ch.Kind = store.Detach
		ch.Follows, c.out.follows = false, false
		ch.Expiry = c.expiry
		ch.WillAt = willAt
		ch.SentUpTo = c.out.sentUpTo(ch.Cursor, c.m.opts.Router.Done)
		ch.ExpiresAt = c.m.expiresAt(c.expiry)
		return ch
	case c.recorded.Load():
		return &store.Change{Kind: store.Remove, Client: c.id}
	}
	return nil
}

const neverExpires = 0xFFFFFFFF
