package session

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// subscribe handles SUBSCRIBE: each filter is routed at once, and SUBACK sent when all are durable.
func (c *Client) subscribe(h mqtt.Header, body []byte) error {
	var p mqtt.Subscribe
	if err := p.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	subs := make([]*subscription, len(p.Filters))
	codes := make([]mqtt.ReasonCode, len(p.Filters))
	for i := range p.Filters {
		var err error
		if subs[i], codes[i], err = c.newSubscription(&p, &p.Filters[i]); err != nil {
			return err
		}
	}
	w := &suback{c: c, left: 1, subs: subs, Suback: mqtt.Suback{Type: mqtt.SUBACK, PacketID: p.PacketID, Codes: codes}}
	for i, s := range subs {
		if s == nil {
			continue
		}
		if code := c.route(s); code != mqtt.Success {
			codes[i] = code
			continue
		}
		codes[i] = mqtt.ReasonCode(s.QoS) // goBack may have lowered it
		c.writeSubscription(s, w, uint64(i))
	}
	w.one(-1, nil)
	return nil
}

// newSubscription checks one filter; without a subscription, code says why.
func (c *Client) newSubscription(p *mqtt.Subscribe, f *mqtt.SubscribeFilter) (*subscription, mqtt.ReasonCode, error) {
	filter := string(f.Filter)
	group, inner, shared, err := topic.ParseShare(filter)
	if err != nil || !topic.ValidFilter(inner) || !router.MaySubscribe(topic.First(inner)) {
		c.m.log.Warn("subscription refused: not a valid topic filter, or a reserved first level", "client", c.id)
		return nil, mqtt.TopicFilterInvalid, nil
	}
	if shared && f.NoLocal { // [MQTT-3.8.3-4]
		return nil, 0, &mqtt.Error{Code: mqtt.ProtocolError, Reason: "No Local on a shared subscription"}
	}
	s := &subscription{retainHandling: f.RetainHandling}
	s.Filter = inner
	s.QoS = f.QoS
	s.NoLocal = f.NoLocal
	s.RetainAsPublished = f.RetainAsPublished
	s.ID = p.SubscriptionID
	if shared {
		s.share = "$share/" + group + "/" + inner
	} else {
		s.Target = c
	}
	return s, mqtt.ReasonCode(f.QoS), nil
}

// name is the topic filter as subscribed.
func (s *subscription) name() string {
	if s.share != "" {
		return s.share
	}
	return s.Filter
}

// route makes s effective in place of what its filter named before [MQTT-3.8.4-3]. It may wait for the store.
func (c *Client) route(s *subscription) mqtt.ReasonCode {
	s.since = c.m.now()
	start, err := c.m.opts.Store.Watch(s.Filter)
	if err != nil {
		if code := c.storeCode(err, "subscription refused"); code != mqtt.TopicNameInvalid {
			return code
		}
		return mqtt.TopicFilterInvalid
	}
	entered := c.enter(s, c.inherit(s, start))
	if !entered || s.replaces { // what it replaces watches
		c.m.opts.Store.Unwatch(s.Filter)
	}
	if !entered {
		return mqtt.QuotaExceeded
	}
	c.readyReplay(s)
	if s.share != "" && !s.replaces {
		if err := c.m.groups.join(c, s).await(); err != nil {
			c.unrouteOne(s)
			return c.storeCode(err, "subscription refused")
		}
	}
	return mqtt.Success
}

// enter: a subscription that is there already takes over the options of s and stays in the router, so that no message on its way is
// missed or seen twice.
func (c *Client) enter(s *subscription, start []store.Position) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recordAll(s)
	if old := c.subs[s.name()]; old != nil {
		s.replaces = true
		s.Start, s.since = old.Start, old.since // what the old one owed is owed still
		old.become(s)
		c.out.index = nil
		c.oweRetained(s, old)
		return true
	}
	if c.filters() >= c.m.opts.Limits.Subscriptions {
		return false
	}
	s.Start = start
	c.subs[s.name()] = s
	c.out.index = nil
	if s.share != "" {
		return true
	}
	c.goBack(s)
	c.out.places.follow(start)
	c.oweRetained(s, s)
	c.setMany(c.filters() > 1)
	c.m.opts.Router.Add(&s.Subscription)
	return true
}

// become takes over the options of next. Client.mu is held.
func (s *subscription) become(next *subscription) {
	s.QoS = next.QoS
	s.NoLocal = next.NoLocal
	s.RetainAsPublished = next.RetainAsPublished
	s.ID = next.ID
	s.retainHandling = next.retainHandling
}

func (c *Client) setMany(many bool) {
	for _, s := range c.subs {
		s.SetMany(many)
	}
}

// writeSubscription makes s durable for sessions that outlive their connection.
func (c *Client) writeSubscription(s *subscription, w *suback, i uint64) {
	if c.expiry == 0 {
		return
	}
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	w.left++
	var upgrade *store.Change
	if s.QoS == 2 && c.out.window.Len() > 0 {
		// What was sent at QoS 1 and is not acknowledged must not be taken for a QoS 2 delivery begun (store.Session.Sent2).
		upgrade = c.progressLocked()
	}
	c.mu.Unlock()
	if upgrade != nil {
		c.m.opts.Store.Change(upgrade, nil, 0)
	}
	c.storeBack(s)
	c.m.opts.Store.Change(&store.Change{Kind: store.Subscribe, Client: c.id, Subscription: s.stored()}, w, i)
}

func (s *subscription) stored() store.Subscription {
	return store.Subscription{
		Filter:            s.name(),
		QoS:               s.QoS,
		NoLocal:           s.NoLocal,
		RetainAsPublished: s.RetainAsPublished,
		RetainHandling:    s.retainHandling,
		ID:                s.ID,
		Start:             s.Start,
		Since:             s.since,
		Replay:            s.replay,
	}
}

func subscriptionOf(from *store.Subscription) *subscription {
	s := &subscription{retainHandling: from.RetainHandling}
	s.Filter = from.Filter
	if _, inner, shared, err := topic.ParseShare(from.Filter); shared && err == nil {
		s.share, s.Filter = from.Filter, inner
	}
	s.QoS = from.QoS
	s.NoLocal = from.NoLocal
	s.RetainAsPublished = from.RetainAsPublished
	s.ID = from.ID
	s.Start, s.since = from.Start, from.Since
	s.replay = from.Replay
	return s
}

// suback is a SUBACK or UNSUBACK that waits for the store.
type suback struct {
	mqtt.Suback
	c    *Client
	subs []*subscription // begun, or ended; nil for a filter that is refused
	left int             // changes under way, and one for the reading goroutine; guarded by c.mu
}

// Appended implements store.Completion.
func (w *suback) Appended(i uint64, _ store.Position, err error) { w.one(int(i), err) }

func (w *suback) one(i int, err error) {
	if err != nil {
		w.failed(i, err)
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.Type == mqtt.UNSUBACK && i >= 0 && err == nil {
		w.c.leaveQueues(w.subs[i])
	}
	if w.left--; w.left == 0 && !w.c.ended {
		w.c.sendSmall(&w.Suback)
		if len(w.c.out.replays) > 0 || !w.c.out.places.live() { // goBack
			w.c.m.work.schedule(w.c)
		}
	}
}

// failed takes back what the store refused. Where the session held another subscription in the store before, only a new
// connection gets that one back: then this one ends.
func (w *suback) failed(i int, err error) {
	code := w.c.storeCode(err, "change of a subscription not stored")
	if code == mqtt.SessionTakenOver {
		w.c.end(code, takenElsewhere)
		return
	}
	if w.Type == mqtt.UNSUBACK || w.subs[i].replaces {
		w.c.end(code, "the store is not available")
		return
	}
	w.c.mu.Lock()
	w.Codes[i] = code
	w.c.mu.Unlock()
	w.c.unrouteOne(w.subs[i])
}

// unsubscribe handles UNSUBSCRIBE.
func (c *Client) unsubscribe(h mqtt.Header, body []byte) error {
	var p mqtt.Unsubscribe
	if err := p.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	w := &suback{
		c: c, left: 1, subs: make([]*subscription, len(p.Filters)),
		Suback: mqtt.Suback{Type: mqtt.UNSUBACK, PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(p.Filters))},
	}
	for i, f := range p.Filters {
		if !c.unsubscribeOne(string(f), w, uint64(i)) {
			w.Codes[i] = mqtt.NoSubscriptionExisted
		}
	}
	w.one(-1, nil)
	return nil
}

// unsubscribeOne ends the subscription with this filter; false: there is none.
func (c *Client) unsubscribeOne(filter string, w *suback, i uint64) bool {
	c.order.Lock()
	defer c.order.Unlock()
	s := c.subscription(filter)
	if s == nil || s.p2p() {
		return false
	}
	c.unrouteOne(s)
	c.inherits = false // the filter may come again
	if c.expiry == 0 {
		return true
	}
	c.mu.Lock()
	w.left++
	w.subs[i] = s
	c.mu.Unlock()
	if mine := c.m.groups.inherit(c, s); mine != nil {
		c.m.opts.Store.Change(mine, nil, 0)
	}
	c.m.opts.Store.Change(&store.Change{Kind: store.Unsubscribe, Client: c.id, Subscription: store.Subscription{Filter: filter}}, w, i)
	return true
}

// leaveQueues forgets the places in queues that only s had messages in: a session that comes back would read them for nothing. c.mu is held.
func (c *Client) leaveQueues(s *subscription) {
	if s.share != "" {
		return
	}
	left := c.m.opts.Store.Queues(s.Filter)
	for _, other := range c.subs {
		if len(left) == 0 {
			return
		}
		if other.share == "" {
			theirs := c.m.opts.Store.Queues(other.Filter)
			left = slices.DeleteFunc(left, func(q store.Queue) bool { return slices.Contains(theirs, q) })
		}
	}
	c.out.places = slices.DeleteFunc(c.out.places, func(p place) bool { return slices.Contains(left, p.queue) })
}

// subscription is the one with this filter; nil: none.
func (c *Client) subscription(filter string) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs[filter]
}

// unrouteOne ends s, unless another subscription has taken its place or all are being ended.
func (c *Client) unrouteOne(s *subscription) {
	c.mu.Lock()
	if c.ended || c.subs[s.name()] != s {
		c.mu.Unlock()
		return
	}
	delete(c.subs, s.name())
	s.Ended = true
	c.out.index = nil
	c.mu.Unlock()
	if s.share != "" {
		c.m.groups.leaveOne(c, s)
	} else {
		c.m.opts.Router.Remove(&s.Subscription)
	}
	c.m.opts.Store.Unwatch(s.Filter)
}
