package session

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// delivery says how one message goes to one client.
type delivery struct {
	qos    byte
	retain bool
	dup    bool
	ids    []uint32 // subscription identifiers; valid while Client.mu is held
	group  string   // shared subscription it comes through
	p2p    bool     // no filter of the client matches: it is addressed to the client

	retained bool // the retained message of a new subscription
}

// Deliver implements router.Target: the live path.
func (c *Client) Deliver(rec *store.Record, subs []*router.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	d, ok := c.merge(rec, subs)
	if ok && d.qos == 0 && rec.QoS > 0 && len(c.subs) > 1 { // the router knows but some of them while the session resumes
		d, ok = c.mergeAll(rec)
	}
	switch {
	case !ok:
	case d.qos == 0:
		c.sendQoS0(rec, &d)
	default:
		c.deliverLive(rec, &d)
	}
}

// merge makes one delivery of all subscriptions that match: the highest QoS, every identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4].
func (c *Client) merge(rec *store.Record, subs []*router.Subscription) (d delivery, ok bool) {
	d.ids = c.out.ids[:0]
	d.p2p = true
	for _, s := range subs {
		if s.Ended || !s.Wants(rec.Position) || s.NoLocal && rec.Origin == c.origin { // [MQTT-3.8.3-3]
			continue
		}
		ok = true
		d.p2p = d.p2p && s.Filter == store.P2P
		d.qos = max(d.qos, min(s.QoS, rec.QoS)) // [MQTT-3.8.4-8]
		d.retain = d.retain || s.RetainAsPublished && rec.Retain
		if s.ID != 0 {
			d.ids = append(d.ids, s.ID)
		}
	}
	c.out.ids = d.ids
	return d, ok
}

// mergeAll is merge with all subscriptions that match. c.mu is held.
func (c *Client) mergeAll(rec *store.Record) (d delivery, ok bool) {
	c.out.matched = c.subsIndex().match(c.out.matched[:0], rec.Topic)
	d, ok = c.merge(rec, c.out.matched)
	clear(c.out.matched)
	return d, ok
}

// sendQoS0 sends at most once, now: the client is connected and takes it, or it is dropped.
func (c *Client) sendQoS0(rec *store.Record, d *delivery) {
	if c.conn.Full() || len(c.out.overtaken) >= maxOvertaken {
		c.m.stats.Dropped[DropFull].Add(1)
		return
	}
	c.overtake(rec)
	if !c.expired(rec) && c.fits(rec, d) {
		c.write(rec, d, 0)
	}
}

// deliverLive sends what the tail hands over, or leaves the tail: then the message waits in the store.
func (c *Client) deliverLive(rec *store.Record, d *delivery) {
	p := c.out.places.find(rec.Queue)
	if p == nil {
		if p = c.beginPlace(rec.Queue, d); !p.live {
			c.m.work.schedule(c)
		}
	}
	if !p.live || rec.Offset < p.next {
		return
	}
	if !c.hasRoom() {
		p.live, p.next = false, rec.Offset
		c.out.waiting = true
		c.m.stats.Lagging.Add(1)
		return
	}
	p.next = rec.Offset + 1
	c.send(rec, d)
}

// beginPlace adds the place of a queue of which d is the first that is handed over. c.mu is held.
func (c *Client) beginPlace(q store.Queue, d *delivery) *place {
	if d.p2p && !slices.Contains(c.m.opts.Store.Queues(store.P2P), q) {
		return c.out.places.at(q) // it is read because of others: what was there before is not for this session
	}
	return c.out.begin(q)
}

// hasRoom reports whether one more message of QoS 1 or 2 may be sent [MQTT-3.3.4-9]. c.mu is held.
func (c *Client) hasRoom() bool {
	return c.windowRoom() && len(c.out.resend) == 0 && len(c.out.overtaken) < maxOvertaken
}

// windowRoom is hasRoom for what comes before new messages. c.mu is held.
func (c *Client) windowRoom() bool { return c.free() > 0 && !c.conn.Full() }

// free is how many messages may be sent before one is acknowledged. c.mu is held.
func (c *Client) free() int { return c.sendWindow - c.unacknowledged() }

// unacknowledged counts what was sent over this connection and not acknowledged. c.mu is held.
func (c *Client) unacknowledged() int { return c.out.window.Len() - len(c.out.resend) }

// room lets deliveries go on after an acknowledgement. c.mu is held.
func (c *Client) room() {
	if c.out.waiting {
		c.out.waiting = false
		c.m.work.schedule(c)
	}
	for _, g := range c.out.groups {
		if g.waiting.Swap(false) {
			c.m.work.schedule(g)
		}
	}
}

// send puts a message of QoS 1 or 2 into the window and sends it; QoS 2 of a session that outlives its connection is
// recorded first. There is room.
func (c *Client) send(rec *store.Record, d *delivery) {
	if !d.retained {
		c.overtake(rec)
	}
	if c.expired(rec) || !c.fits(rec, d) {
		return
	}
	in := store.Inflight{QoS: d.qos, At: rec.Position, Group: d.group, Retained: d.retained}
	id := c.out.window.Add(inflight.Entry{Inflight: in}, c.sendWindow)
	if d.qos == 2 && c.expiry != 0 {
		b := beginning{id: id, rec: *rec, delivery: *d}
		b.ids = append([]uint32(nil), d.ids...)
		c.out.records = append(c.out.records, b)
		c.out.noteBegun2(rec.Position)
		c.m.work.schedule(c)
		return
	}
	d.dup = !d.retained && below(rec.Position, c.out.old)
	c.write(rec, d, id)
}

// expired reports that rec has expired, and counts it as dropped [MQTT-3.3.2-5].
func (c *Client) expired(rec *store.Record) bool {
	if rec.Expires == 0 || c.m.now() <= rec.Expires {
		return false
	}
	c.m.stats.Dropped[DropExpired].Add(1)
	return true
}

// fits reports whether the client takes a packet of this size; else the message is dropped for it [MQTT-3.1.2-25].
func (c *Client) fits(rec *store.Record, d *delivery) bool {
	if c.clientMax == 0 {
		return true
	}
	o := c.header(rec, d, 1)
	if o.Size() <= int(c.clientMax) {
		return true
	}
	c.m.stats.Dropped[DropLarge].Add(1)
	c.m.log.Warn("message dropped: larger than the client's Maximum Packet Size",
		"client", c.id, "topic", rec.Topic, "bytes", o.Size(), "maximum", c.clientMax)
	return false
}

// write queues the PUBLISH.
func (c *Client) write(rec *store.Record, d *delivery, id uint16) {
	o := c.header(rec, d, id)
	c.alias(&o)
	b := o.AppendHeader(c.scratch[:0])
	c.keepScratch(b)
	c.conn.SendPublish(b, rec.Payload)
	c.m.stats.Out.publish(d.qos, len(rec.Payload))
}

func (c *Client) header(rec *store.Record, d *delivery, id uint16) mqtt.Outgoing {
	o := mqtt.Outgoing{
		Version:         c.version,
		Dup:             d.dup,
		QoS:             d.qos,
		Retain:          d.retain,
		Topic:           rec.Topic,
		PacketID:        id,
		Forward:         rec.Forward,
		SubscriptionIDs: d.ids,
		PayloadLen:      len(rec.Payload),
	}
	if rec.Expires != 0 { // what is left of it [MQTT-3.3.2-6], in full seconds begun
		o.HasMessageExpiry = true
		o.MessageExpiry = uint32((max(0, rec.Expires-c.m.now()) + 999) / 1000)
	}
	return o
}

// alias replaces the topic by an alias; the first topics sent to a client get theirs for the length of the connection.
func (c *Client) alias(o *mqtt.Outgoing) {
	if c.clientAliases == 0 {
		return
	}
	if a, known := c.out.aliases[o.Topic]; known {
		o.TopicAlias, o.Topic = a, ""
		return
	}
	if len(c.out.aliases) >= c.clientAliases {
		return
	}
	if c.out.aliases == nil {
		c.out.aliases = map[string]uint16{}
	}
	o.TopicAlias = uint16(len(c.out.aliases) + 1)
	c.out.aliases[o.Topic] = o.TopicAlias
}

// beginning is a QoS 2 delivery that is about to be recorded.
type beginning struct {
	delivery
	id  uint16
	rec store.Record
}
