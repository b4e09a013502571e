package session

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// With Options.P2P a client gets what is published to first/p2p/client id, or below, without SUBSCRIBE, at the QoS that it was published with. That is a subscription as every other, but for
// its name, store.P2P, which no client can use: it begins at CONNECT, is kept with the session, has no retained messages, cannot be ended by the
// client, and is not counted. The router finds it by the client's id, not by a filter.

// p2p reports whether s is that subscription.
func (s *subscription) p2p() bool { return s.Filter == store.P2P }

// addressed reports whether the client has it.
func (c *Client) addressed() bool { return c.m.opts.P2P && topic.Addressable(c.id) }

// beginP2P gives it to a session that does not have it yet: a new one, or one that began where or when there was none. A session that outlives its connection has
// it in the store when beginP2P returns, so before CONNACK. The reading goroutine's.
func (c *Client) beginP2P() error {
	if !c.addressed() || c.subs[store.P2P] != nil {
		return nil
	}
	s := &subscription{since: c.m.now(), retainHandling: retainNever}
	s.Filter, s.QoS = store.P2P, 2
	var err error
	if s.Start, err = c.m.opts.Store.Watch(store.P2P); err != nil {
		return err
	}
	s.Start = c.inherit(s, s.Start)
	if c.expiry != 0 && len(s.Start) > 0 { // else it is not kept: nothing is handed over for it alone
		err = c.m.change(&store.Change{Kind: store.Subscribe, Client: c.id, Subscription: s.stored()})
	}
	if err != nil {
		c.m.opts.Store.Unwatch(store.P2P)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs[store.P2P] = s
	return nil
}

// endP2P takes it from a stored session: what is addressed to the client from here on is not kept for it.
func (c *Client) endP2P() {
	c.m.opts.Store.Change(&store.Change{Kind: store.Unsubscribe, Client: c.id, Subscription: store.Subscription{Filter: store.P2P}}, nil, 0)
}

// routeP2P routes that of a session that begins; resume does it for the others. c.mu is held.
func (c *Client) routeP2P() {
	s := c.subs[store.P2P]
	if s == nil {
		return
	}
	s.Target = c
	c.out.places.follow(s.Start)
	c.goBack(s)
	if len(s.missing) > 0 {
		s.missing = nil // beginP2P has stored it
		c.m.work.schedule(c)
	}
	c.routeTo(s)
}

// routeTo has the router hand over what s wants, which is not shared.
func (c *Client) routeTo(s *subscription) {
	if s.p2p() {
		c.m.opts.Router.Address(c.id, &s.Subscription)
		return
	}
	c.m.opts.Router.Add(&s.Subscription)
}

// unrouteFrom ends routeTo.
func (c *Client) unrouteFrom(s *subscription) {
	if s.p2p() {
		c.m.opts.Router.Unaddress(c.id, &s.Subscription)
		return
	}
	c.m.opts.Router.Remove(&s.Subscription)
}

// filters is how many subscriptions the client has made. c.mu is held.
func (c *Client) filters() int {
	n := len(c.subs)
	if c.subs[store.P2P] != nil {
		n--
	}
	return n
}
