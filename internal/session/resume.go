package session

import (
	"cmp"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// watchAgain has the messages for the subscriptions of the stored session handed over again, before it can be live. unroute
// ends that.
func (c *Client) watchAgain(old *store.Session) error {
	subs := make(map[string]*subscription, len(old.Subscriptions))
	for i := range old.Subscriptions {
		s := subscriptionOf(&old.Subscriptions[i])
		if s.p2p() && !c.addressed() {
			c.endP2P()
			continue
		}
		if _, err := c.m.opts.Store.Watch(s.Filter); err != nil {
			for _, s := range subs {
				c.m.opts.Store.Unwatch(s.Filter)
			}
			return err
		}
		subs[s.name()] = s
	}
	c.mu.Lock()
	c.subs = subs
	c.mu.Unlock()
	return nil
}

// resume takes over the stored session: its subscriptions are routed again, and a task sends first what was sent before and not
// acknowledged, then what was missed. c.mu is held.
func (c *Client) resume(old *store.Session) {
	slices.SortStableFunc(old.Inflight, inOrder)
	for _, in := range old.Inflight {
		c.out.window.Restore(inflight.Entry{Inflight: in, Recorded: true})
	}
	c.out.resend = c.out.window.InOrder()
	c.out.sent2 = old.Sent2
	for _, at := range old.Sent2 {
		c.out.noteBegun2(at)
	}
	c.out.old = old.SentUpTo
	for _, id := range old.Received {
		c.in.receive(id, stored)
		if c.in.resumed == nil {
			c.in.resumed = map[uint16]bool{}
		}
		c.in.resumed[id] = true
	}
	for _, s := range c.subs {
		if s.share == "" {
			s.Target = c
			c.out.places.resume(s, c.m.opts.Store.Queues(s.Filter))
			if c.out.since == 0 || s.since < c.out.since {
				c.out.since = s.since
			}
		}
	}
	c.out.rewind(old)
	c.oweAgain()
	c.setMany(c.filters() > 1)
	for _, s := range c.subs {
		if s.share == "" {
			c.routeTo(s)
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

// oweAgain owes the retained messages that subscriptions began with and did not get; what is published from here on, and what the session is still
// to read, comes through the log.
func (c *Client) oweAgain() {
	if !c.m.opts.Capabilities.Retain {
		return
	}
	for _, s := range c.subs {
		if s.replay {
			r := c.beginReplay(s)
			r.routed, r.resumed, r.below = true, true, c.out.places.cursor(c.m.opts.Router.Done)
		}
	}
}

// rewind puts every place back to the stored cursor.
func (o *outgoing) rewind(old *store.Session) {
	for _, at := range old.Cursor {
		p := o.places.at(at.Queue)
		p.live, p.next, p.since = false, at.Offset, 0
	}
}
