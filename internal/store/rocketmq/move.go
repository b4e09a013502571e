package rocketmq

import (
	"context"
	"time"
)

// moving is a message on its way from one outbox to another.
type moving struct {
	item
	raw []byte // as it was encoded; nil: it is r's
	to  *queue
}

// fail has a broker taken for failed, and moves what waits in its outboxes to where its topics go now.
func (g *sending) fail(br *broker) {
	boxes := g.all(func(o *outbox) bool { return o.q.broker == br })
	g.gate.shut()
	defer g.gate.open()
	g.s.brokerFailed(br)
	for _, o := range boxes {
		g.moveFrom(o)
	}
}

// move moves what waits in o and has its place elsewhere by now. It looks before it shuts the gate: mostly there is no other place, and to
// find that out may take as long as place does.
func (g *sending) move(o *outbox) {
	if len(g.elsewhere(o)) == 0 {
		return
	}
	g.gate.shut()
	defer g.gate.open()
	g.moveFrom(o)
}

// elsewhere is the places that messages of o have by now, by topic, where they are others.
func (g *sending) elsewhere(o *outbox) map[string]*queue {
	places := map[string]*queue{}
	for _, topic := range o.topics() {
		if q, err := g.s.place(topic); err == nil && q != o.q {
			places[topic] = q
		}
	}
	return places
}

// moveFrom moves, in order, what has never been sent, or never arrived for certain, and was not moved before. The gate is shut.
func (g *sending) moveFrom(o *outbox) {
	places := g.elsewhere(o)
	if len(places) == 0 {
		return
	}
	list := o.take(places)
	for i := range list {
		g.arrive(&list[i])
	}
	if n := len(list); n > 0 {
		g.s.stats.Moved.Add(int64(n))
		g.s.log.Warn("messages go to other queues of their topic since theirs takes none; their order is kept among themselves, not with those before",
			"topic", o.q.name.topic, "broker", o.q.name.broker, "queue", o.q.name.id, "messages", n)
	}
}

// topics lists the MQTT topics of the messages that may be moved.
func (o *outbox) topics() []string {
	seen := map[string]bool{}
	var topics []string
	add := func(topic string) {
		if !seen[topic] {
			seen[topic] = true
			topics = append(topics, topic)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.idle() {
		for i := range b.items {
			if b.items[i].movable() {
				add(b.items[i].topic)
			}
		}
	}
	for _, r := range o.receipts {
		if r.movable() {
			add(r.topic)
		}
	}
	return topics
}

// idle is the batches that nobody is asked for. mu held.
func (o *outbox) idle() []*batch {
	if o.flight != nil && !o.asked {
		return append([]*batch{o.flight}, o.queue...)
	}
	return o.queue
}

func (e *item) movable() bool { return !e.unsure && !e.moved }

// take takes the messages out whose topics are in places.
func (o *outbox) take(places map[string]*queue) []moving {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []moving
	for _, b := range o.idle() {
		list = b.take(list, places)
	}
	var stay []*receipt
	for _, r := range o.receipts {
		if to := places[r.topic]; to != nil && r.movable() {
			list = append(list, moving{item: item{r: r, topic: r.topic, size: r.size}, to: to})
		} else {
			stay = append(stay, r)
		}
	}
	o.receipts = stay
	o.hasRoom()
	return list
}

// take takes the messages out of b whose topics are in places, and appends them to list.
func (b *batch) take(list []moving, places map[string]*queue) []moving {
	old := *b
	b.buf, b.from, b.items, b.bytes = nil, 0, nil, 0
	for i := range old.items {
		e := &old.items[i]
		if to := places[e.topic]; to != nil && e.movable() {
			list = append(list, moving{item: *e, raw: old.raw(i), to: to})
		} else {
			stays := *e
			b.addRaw(&stays, old.raw(i))
		}
	}
	return list
}

// arrive puts a message where it goes now. A QoS 2 message of a persistent session waits there until the changelog knows.
func (g *sending) arrive(m *moving) {
	m.moved = true
	if r := m.r; r != nil {
		r.moved.Store(true)
		if m.raw != nil {
			r.raw = m.raw
		}
		g.expect(r, m.to)
		return
	}
	o := &m.to.out
	o.mu.Lock()
	m.due = g.due()
	o.open(m.size, m.lmq, true).addRaw(&m.item, m.raw)
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
}

// routeTimeout is how long a route may be asked for before a refusal counts.
const routeTimeout = 3 * time.Second

// reroute goes on after the broker has refused the queue of b: b's messages go where their place is according to a new route, or are refused
// if that is still here.
func (o *outbox) reroute(b *batch, err error) {
	s := o.s
	ctx, cancel := context.WithTimeout(s.ctx, routeTimeout)
	_, failed := s.route(ctx, o.q.name.topic)
	cancel()
	if failed != nil {
		s.log.Warn("the route of a topic whose broker refused messages was not found", "topic", o.q.name.topic, "err", failed)
	}
	o.mu.Lock()
	o.asked = false
	o.mu.Unlock()
	s.sending.move(o)
	if o.left(b) {
		err = o.lasting(err)
	}
	o.refuse(b, err)
}

// left reports whether messages are left in b.
func (o *outbox) left(b *batch) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(b.items) > 0
}
