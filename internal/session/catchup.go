package session

import (
	"errors"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// readBytes is about what one run of a task reads from the store.
const readBytes = 256 << 10

// readPause is for who reads into a window that is nearly full. A read costs as much for one message as for many, so the next one waits a moment for more
// acknowledgements. The zero value is ready.
type readPause struct{ running, ended bool }

// readPatience is that moment: a client that acknowledges nothing more gets what there is room for.
const readPatience = 2 * time.Millisecond

// over reports whether it is time to read, with room for free messages of as many as may be under way. If not, then is called when it is.
func (p *readPause) over(free, window int, then func()) bool {
	if free >= min(64, (window+1)/2) || p.ended {
		p.ended = false
		return true
	}
	if !p.running {
		p.running = true
		time.AfterFunc(readPatience, then)
	}
	return false
}

// end is for whoever was called.
func (p *readPause) end() { p.running, p.ended = false, true }

func (c *Client) afterPause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.pause.end()
	c.m.work.schedule(c)
}

// readSize is about what is read for so many messages that may be sent: what is more is read again.
func readSize(messages int) int {
	const message = 512 // bytes, and more than most of them have
	return min(messages*message, readBytes)
}

func (c *Client) flag() *taskFlag { return &c.task }

// run implements task: it begins QoS 2 deliveries, sends again what an earlier connection left, and reads what the session missed.
func (c *Client) run() (again bool) {
	if !c.beginAll() || !c.resendAll() || !c.replayAll() {
		return false
	}
	c.mu.Lock()
	p := c.out.places.behind(c.out.turn)
	if c.ended || p == nil {
		c.mu.Unlock()
		return false
	}
	if !c.hasRoom() || !c.out.pause.over(c.free(), c.sendWindow, c.afterPause) {
		c.out.waiting = true
		c.mu.Unlock()
		return false
	}
	if p.away {
		c.mu.Unlock()
		return false
	}
	at := *p
	c.out.turn = at.queue
	c.out.waiting = false
	bytes := readSize(c.free())
	index := c.subsIndex()
	q := &store.Query{Filters: index.filters(), Match: index.matches}
	c.mu.Unlock()

	from, err := c.m.begin(at)
	if err != nil {
		return c.readFailed(from, err)
	}
	recs, next, missed, err := c.m.opts.Store.Read(from, q, bytes)
	if err != nil {
		return c.readFailed(from, err)
	}
	if missed > 0 {
		c.m.stats.Dropped[DropLost].Add(missed)
		c.m.log.Warn("a session was away for longer than messages are kept", "client", c.id, "offsets", missed)
	}
	return c.caughtUp(from, index, recs, next)
}

// begin is the position of a place. It may wait for the store.
func (m *Manager) begin(p place) (store.Position, error) {
	const skew = 60_000 // milliseconds that clocks may differ
	at := store.Position{Queue: p.queue, Offset: p.next}
	if p.since == 0 {
		return at, nil
	}
	var err error
	at.Offset, err = m.opts.Store.At(p.queue, p.since-skew)
	return at, err
}

// caughtUp delivers what was read, as far as there is room, and rejoins the tail when it is reached. What was read for
// subscriptions that have changed since is read again.
func (c *Client) caughtUp(from store.Position, index *subIndex, recs []store.Record, next int64) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.index != index {
		return true
	}
	p := c.out.places.at(from.Queue)
	p.next, p.since = from.Offset, 0
	if next > from.Offset {
		c.out.stale = true // no checkpoint tells how far it is
	}
	for i := range recs {
		if c.ended {
			return false
		}
		rec := &recs[i]
		if !c.hasRoom() {
			p.next = rec.Offset
			c.out.waiting = true
			return false
		}
		p.next = rec.Offset + 1
		c.deliverMissed(rec)
	}
	p.next = next
	if next >= c.m.opts.Store.Next(from.Queue) {
		p.live = true // what comes now waits for c.mu in Deliver
	}
	return !c.out.places.live()
}

func (c *Client) deliverMissed(rec *store.Record) {
	d, ok := c.mergeAll(rec)
	if !ok || d.qos == 0 { // QoS 0 is for those who are there when it happens
		return
	}
	if d.qos == 2 && c.begun2(rec.Position) {
		return
	}
	c.send(rec, &d)
}

// begun2 reports whether the QoS 2 delivery of the record at p began already, see store.Session.Sent2.
func (c *Client) begun2(p store.Position) bool {
	for _, at := range c.out.sent2 {
		if at.Queue == p.Queue {
			return p.Offset <= at.Offset
		}
	}
	return false
}

// subsIndex is the index of the subscriptions. c.mu is held.
func (c *Client) subsIndex() *subIndex {
	if c.out.index == nil {
		c.out.index = newSubIndex(c.id, c.subs)
	}
	return c.out.index
}

// readFailed: what is out of reach is tried again later, and holds up nothing else; anything else ends the connection.
// It reports whether there is more to do at once.
func (c *Client) readFailed(from store.Position, err error) (again bool) {
	if errors.Is(err, store.ErrAway) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out.places.at(from.Queue).away = true
		c.retryLater()
		return true
	}
	c.m.log.Error("reading missed messages failed; closing the connection, the session keeps its place",
		"client", c.id, "offset", from.Offset, "err", err)
	c.end(mqtt.UnspecifiedError, "the store is not available")
	return false
}

// retryAfter is how long what was out of reach is left alone.
const retryAfter = time.Second

// retryLater has what was out of reach tried again. c.mu is held.
func (c *Client) retryLater() {
	if c.out.retrying || c.ended {
		return
	}
	c.out.retrying = true
	time.AfterFunc(retryAfter, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out.retrying = false
		c.out.places.retry()
		c.out.resend = append(c.out.resend, c.out.aside...)
		c.out.aside = nil
		c.m.work.schedule(c)
	})
}

// beginAll records the QoS 2 messages that wait for it; each is sent when its record is durable. It reports whether the session goes on.
func (c *Client) beginAll() bool {
	for {
		more, alive := c.beginNext()
		if !more {
			return alive
		}
	}
}

func (c *Client) beginNext() (more, alive bool) {
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	if c.ended || len(c.out.records) == 0 {
		ended := c.ended
		c.mu.Unlock()
		return false, !ended
	}
	b := c.out.records[0]
	c.out.records[0] = beginning{}
	c.out.records = c.out.records[1:]
	e := c.out.window.Get(b.id)
	if e == nil { // acknowledged before it was sent
		c.mu.Unlock()
		return true, true
	}
	e.Recorded = true
	c.out.begins++
	ch := store.Change{Kind: store.Send2, Client: c.id, Inflight: []store.Inflight{e.Inflight}}
	c.mu.Unlock()
	c.m.opts.Store.Change(&ch, &recorded2{c, b}, 0)
	return true, true
}

// recorded2 sends a QoS 2 message whose beginning is durable.
type recorded2 struct {
	c *Client
	b beginning
}

// Appended implements store.Completion.
func (r *recorded2) Appended(_ uint64, _ store.Position, err error) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.beginAnswered()
	e := c.out.window.Get(r.b.id)
	if e != nil && err != nil {
		e.Recorded = false // it has not begun: whoever goes on with the session is to read it
	}
	if c.ended {
		return
	}
	if err != nil {
		c.endFor(err, "the beginning of a QoS 2 delivery not stored")
		return
	}
	if e != nil {
		c.write(&r.b.rec, &r.b.delivery, r.b.id)
	}
}

// beginAnswered notes that the store has answered the beginning of a QoS 2 delivery. Client.mu is held.
func (o *outgoing) beginAnswered() {
	if o.begins--; o.begins == 0 && o.begun != nil {
		close(o.begun)
		o.begun = nil
	}
}

// awaitBegins waits until the store has answered all that was to begin, after which nothing more begins: a store that several processes share may refuse
// it, and then it must not count as begun in what is said of the end of the connection.
func (c *Client) awaitBegins() {
	c.mu.Lock()
	var begun chan struct{}
	if c.out.begins > 0 {
		begun = make(chan struct{})
		c.out.begun = begun
	}
	c.mu.Unlock()
	if begun != nil {
		<-begun
	}
}

// resendAll sends again, with DUP, what was sent before the client came back [MQTT-4.4.0-1] [MQTT-3.3.1-1]. It reports whether all of it was sent.
func (c *Client) resendAll() bool {
	for sent := false; ; sent = true {
		c.mu.Lock()
		if c.ended || len(c.out.resend) == 0 {
			ended := c.ended
			if sent {
				c.room() // groups had to wait for this
			}
			c.mu.Unlock()
			return !ended
		}
		e := c.out.resend[0]
		if c.conn.Full() || !e.Released && c.unacknowledged() >= c.sendWindow {
			c.out.waiting = true
			c.mu.Unlock()
			return false
		}
		c.out.resend = c.out.resend[1:]
		c.mu.Unlock()
		if !c.resend(&e) {
			return false
		}
	}
}

func (c *Client) resend(e *inflight.Entry) bool {
	if e.Released {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sendAck(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: e.PacketID})
		return true
	}
	rec, err := c.m.opts.Store.Get(e.At)
	switch {
	case errors.Is(err, store.ErrExpired):
		c.m.stats.Dropped[DropLost].Add(1)
		c.abandon(e)
		return true
	case errors.Is(err, store.ErrAway): // nothing else waits for it
		c.mu.Lock()
		defer c.mu.Unlock()
		c.out.aside = append(c.out.aside, *e)
		c.retryLater()
		return true
	case err != nil:
		return c.readFailed(e.At, err)
	}
	c.mu.Lock()
	d := c.again(&rec, e)
	ok := (e.QoS == 2 || !c.expired(&rec)) && c.fits(&rec, &d) // a QoS 2 exchange is ended, whatever has expired [MQTT-4.3.3-7]
	if ok {
		c.write(&rec, &d, e.PacketID)
	}
	c.mu.Unlock()
	if !ok {
		c.abandon(e)
	}
	return true
}

// again is the delivery as it was, as far as the subscriptions are still what they were. c.mu is held.
func (c *Client) again(rec *store.Record, e *inflight.Entry) delivery {
	var d delivery
	if s := c.subs[e.Group]; s != nil {
		d = c.shared(rec, s)
	} else if e.Group == "" {
		d, _ = c.mergeAll(rec)
	}
	d.qos, d.dup = e.QoS, true
	d.retain = d.retain || e.Retained
	return d
}

// abandon ends a delivery that cannot be made any more.
func (c *Client) abandon(e *inflight.Entry) {
	c.mu.Lock()
	_, was := c.out.window.Remove(e.PacketID)
	c.mu.Unlock()
	if was && e.QoS == 2 {
		c.m.opts.Store.Change(&store.Change{Kind: store.Done2, Client: c.id, Inflight: []store.Inflight{e.Inflight}}, nil, 0)
	}
}
