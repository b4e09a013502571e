package session

import (
	"cmp"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// resume takes over the stored session: its subscriptions are routed again, and a task sends first what was sent before and not
// acknowledged, then what was missed. c.mu is held.
func (c *Client) resume(old *store.Session) {
	slices.SortStableFunc(old.Inflight, inOrder)
	for _, in := range old.Inflight {
		c.out.window.Restore(inflight.Entry{Inflight: in, Recorded: true})
	}
	c.out.resend = c.out.window.InOrder()
	c.out.sent2 = old.Sent2
	c.out.old = old.SentUpTo
	for _, id := range old.Received {
		c.in.receive(id, stored)
		if c.in.resumed == nil {
			c.in.resumed = map[uint16]bool{}
		}
		c.in.resumed[id] = true
	}
	for i := range old.Subscriptions {
		c.restore(&old.Subscriptions[i])
	}
	c.out.rewind(old)
	c.oweAgain()
	c.setMany(len(c.subs) > 1)
	for _, s := range c.subs {
		if s.share == "" {
			c.m.opts.Router.Add(&s.Subscription)
		}
	}
	c.m.work.schedule(c)
}

// inOrder sorts what is sent again: PUBREL in the order of PUBREC, as stored, then PUBLISH in the order of the log [MQTT-4.6.0-1] [MQTT-4.6.0-4].
func inOrder(a, b store.Inflight) int {
	switch {
	case a.Released && b.Released:
		return 0
	case a.Released:
		return -1
	case b.Released:
		return 1
	}
	return cmp.Compare(a.At.Offset, b.At.Offset)
}

// joinAll makes the client a connected member of the groups that it resumed.
func (c *Client) joinAll() {
	for _, s := range c.subs { // the reading goroutine's, as this is
		if s.share != "" {
			c.m.groups.join(c, s)
		}
	}
}

func (c *Client) restore(from *store.Subscription) {
	s := subscriptionOf(from)
	c.subs[s.name()] = s
	if s.share != "" {
		return
	}
	s.Target = c
	c.out.places.follow(s.Start)
}

// oweAgain owes the retained messages that subscriptions began with and did not get; what is published from here on, and what the session is still
// to read, comes through the log.
func (c *Client) oweAgain() {
	if !c.m.opts.Capabilities.Retain {
		return
	}
	for _, s := range c.subs {
		if s.replay {
			r := c.beginReplay(s)
			r.routed, r.below = true, c.out.places.cursor(c.m.opts.Router.Done)
		}
	}
}

// rewind puts every place back to the stored cursor, or to the start of the oldest subscription where there is none.
func (o *outgoing) rewind(old *store.Session) {
	for i := range o.places {
		p := &o.places[i]
		p.live = false
		for _, at := range old.Cursor {
			if at.Queue == p.queue {
				p.next = at.Offset
			}
		}
	}
}
