package session

import (
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A client that comes from another broker on the same messages, a Java proxy, has places there (Options.Missed). When it begins a session here that outlives its connection, a subscription of it
// begins at these, and not at the end of the log: what lies between is read as whatever a session has missed, in order and before what is new. That holds for the first
// SUBSCRIBE of a filter only. So it ends with the first subscription that ends, and with the connection; but for a client whose connection broke before it could subscribe.

// inheritFor is how long a session without subscriptions may be what remains of such a connection.
const inheritFor = time.Minute

// mayInherit tells whether the session, which goes on from old, has had no subscription yet; of an older one that cannot be told.
func (c *Client) mayInherit(old *store.Session) bool {
	switch {
	case c.m.opts.Missed == nil || c.expiry == 0:
		return false
	case old == nil:
		return true
	}
	subscribed := slices.ContainsFunc(old.Subscriptions, func(s store.Subscription) bool { return s.Filter != store.P2P })
	return !subscribed && c.m.now()-old.Created < inheritFor.Milliseconds()
}

// takeOver puts what the client was sent elsewhere and has not acknowledged into the window of its new session, in the store too: it is sent first, with DUP. The reading
// goroutine's.
func (c *Client) takeOver(old *store.Session) error {
	if !c.inherits || old != nil {
		return nil
	}
	list := c.m.opts.Unacknowledged(c.id)
	if len(list) == 0 {
		return nil
	}
	c.mu.Lock()
	for _, at := range list {
		c.out.window.Add(inflight.Entry{Inflight: store.Inflight{QoS: 1, At: at}}, len(list))
	}
	c.out.resend = c.out.window.InOrder()
	ch := c.progressLocked()
	c.mu.Unlock()
	return c.m.change(ch)
}

// inherit has s, which is not routed yet, begin where the client has missed something elsewhere. It may wait for the network. The reading goroutine's.
func (c *Client) inherit(s *subscription, start []store.Position) []store.Position {
	if !c.inherits || s.share != "" || c.subscription(s.name()) != nil {
		return start
	}
	for _, at := range c.m.opts.Missed(c.id, s.Filter) {
		switch i := slices.IndexFunc(start, func(p store.Position) bool { return p.Queue == at.Queue }); {
		case i < 0:
			start = append(start, at)
		case at.Offset < start[i].Offset:
			start[i] = at
		default:
			continue
		}
		s.missing = append(s.missing, at)
	}
	return start
}

// goBack has the session read from where s has missed something. What lies there is not for the other subscriptions, which have had it: those of them whose
// start moved are in s.moved. A QoS 2 delivery that has begun above would have those that did not begin below it be taken for begun too (store.Session.Sent2): then s gets
// QoS 1 [MQTT-3.8.4-7]. None may wait to be recorded: that is still to be read by its own subscription. The caller
// schedules the session. c.mu is held.
func (c *Client) goBack(s *subscription) {
	for _, at := range s.missing {
		if below(at, c.out.first2) {
			s.QoS = min(s.QoS, 1)
		}
		p := c.out.places.find(at.Queue)
		if p == nil {
			c.out.places = append(c.out.places, place{queue: at.Queue, next: at.Offset})
			continue
		}
		now := p.next
		if p.live {
			now = max(now, c.m.opts.Router.Done(at.Queue))
		}
		if p.since != 0 || now <= at.Offset { // it is read from before that anyway
			continue
		}
		for _, other := range c.subs {
			if other != s && other.share == "" && other.beginAt(store.Position{Queue: at.Queue, Offset: now}) {
				s.moved = append(s.moved, other)
			}
		}
		p.live, p.next = false, at.Offset
	}
	if len(s.missing) > 0 {
		c.out.follows = false
	}
}

// recordAll has the QoS 2 messages recorded that wait for it, before s goes back. c.mu is held, and released in between.
func (c *Client) recordAll(s *subscription) {
	for len(s.missing) > 0 && len(c.out.records) > 0 && !c.ended {
		c.mu.Unlock()
		c.beginAll()
		c.mu.Lock()
	}
}

// noteBegun2 notes, for goBack, that a QoS 2 delivery of the record at p is begun. c.mu is held.
func (o *outgoing) noteBegun2(p store.Position) {
	for i := range o.first2 {
		if o.first2[i].Queue == p.Queue {
			o.first2[i].Offset = max(o.first2[i].Offset, p.Offset+1)
			return
		}
	}
	o.first2 = append(o.first2, store.Position{Queue: p.Queue, Offset: p.Offset + 1})
}

// beginAt moves the start of s in one queue on, and reports whether it was below. Client.mu is held.
func (s *subscription) beginAt(at store.Position) bool {
	i := slices.IndexFunc(s.Start, func(p store.Position) bool { return p.Queue == at.Queue })
	if i >= 0 && s.Start[i].Offset >= at.Offset {
		return false
	}
	s.Start = slices.Clone(s.Start) // the store may be reading it
	if i < 0 {
		s.Start = append(s.Start, at)
	} else {
		s.Start[i] = at
	}
	return true
}

// storeBack has the store know that the session has gone back for s, and of the subscriptions that moved on. c.order is held.
func (c *Client) storeBack(s *subscription) {
	if len(s.missing) == 0 {
		return
	}
	c.mu.Lock()
	changes := []*store.Change{c.progressLocked()}
	for _, other := range s.moved {
		changes = append(changes, &store.Change{Kind: store.Subscribe, Client: c.id, Subscription: other.stored()})
	}
	s.moved, s.missing = nil, nil
	c.mu.Unlock()
	for _, ch := range changes {
		c.m.opts.Store.Change(ch, nil, 0)
	}
}
