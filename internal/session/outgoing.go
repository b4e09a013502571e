package session

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// outgoing is what is under way to the client; Client.mu guards it.
type outgoing struct {
	window   inflight.Window
	places   places           // one for each queue that a subscription follows
	turn     store.Queue      // the queue that was read last
	since    int64            // where a queue that comes to be known begins for a session that was away; 0: with what is handed over
	resend   []inflight.Entry // sent by an earlier connection; first thing to send again, in order [MQTT-4.4.0-1]
	aside    []inflight.Entry // of those, what is out of reach; tried again later
	retrying bool             // a timer runs that will

	records []beginning       // QoS 2 messages in the window that wait to be recorded
	begins  int               // of them, those that the store was told of and has not answered
	begun   chan struct{}     // to be closed when there are none of these; nil: nobody waits
	sent2   []store.Position  // store.Session.Sent2
	first2  []store.Position  // above the QoS 2 deliveries that have begun, see goBack
	old     []store.Position  // store.Session.SentUpTo
	aliases map[string]uint16 // topic -> alias that the client knows
	index   *subIndex         // of the subscriptions that are not shared; nil: to be built

	ids     []uint32               // memory of delivery.ids
	matched []*router.Subscription // memory of catching up

	replays    []*replay         // retained messages that are owed, in the order of the subscriptions
	lastReplay uint64            // number of the last one that began
	overtaken  map[string]uint64 // topic of which something newer was sent -> lastReplay then; nil without replays

	groups  []*group // a member of a shared subscription
	pause   readPause
	waiting bool  // something is owed and there was no room: acknowledgements must schedule
	follows bool  // the last Progress said so
	stale   bool  // since the last Progress an entry of it was acknowledged, or the session read on
	held    int64 // Unix milliseconds since when the session holds the checkpoint back; 0: it does not
}

// place is where a session or a group stands in one queue. Live: every record from next on is handed to it by the router. Not
// live: it reads the store from next on until it meets the tail.
type place struct {
	queue store.Queue
	live  bool
	away  bool  // it was out of reach a moment ago
	next  int64 // offset: records below were dealt with
	since int64 // not 0: next is not known yet, it is where this time begins (store.Store.At)
}

// places is a vector of them; it is short.
type places []place

// at returns the place in q, made live if there is none yet.
func (ps *places) at(q store.Queue) *place {
	if p := ps.find(q); p != nil {
		return p
	}
	*ps = append(*ps, place{queue: q, live: true})
	return &(*ps)[len(*ps)-1]
}

// find returns the place in q; nil: there is none.
func (ps places) find(q store.Queue) *place {
	for i := range ps {
		if ps[i].queue == q {
			return &ps[i]
		}
	}
	return nil
}

// begin adds the place of a queue that came to be known.
func (o *outgoing) begin(q store.Queue) *place {
	o.places = append(o.places, place{queue: q, live: o.since == 0, since: o.since})
	return &o.places[len(o.places)-1]
}

// follow adds live places for queues that are not followed yet.
func (ps *places) follow(start []store.Position) {
	for _, p := range start {
		if pl := ps.at(p.Queue); pl.next == 0 && pl.live {
			pl.next = p.Offset
		}
	}
}

// resume adds, for a session that was away, where a subscription begins: in queues that are not in its Start, since it began. A
// place that another subscription has is the earlier one's.
func (ps *places) resume(s *subscription, queues []store.Queue) {
	begin := func(q store.Queue, next, since int64) {
		switch p := ps.at(q); {
		case p.live:
			*p = place{queue: q, next: next, since: since}
		case since != 0 && p.since != 0:
			p.since = min(p.since, since)
		case since != 0:
			p.next, p.since = 0, since
		case p.since == 0:
			p.next = min(p.next, next)
		}
	}
	for _, at := range s.Start {
		begin(at.Queue, at.Offset, 0)
	}
	for _, q := range queues {
		if !has(s.Start, q) {
			begin(q, 0, s.since)
		}
	}
}

func has(v []store.Position, q store.Queue) bool {
	return slices.ContainsFunc(v, func(p store.Position) bool { return p.Queue == q })
}

// behind returns a place that is not live, one that is not out of reach if there is one; nil when all are live. They have their turns: it is the next one
// after that in queue last, which was read last; else what comes faster than it is acknowledged would have the others wait for ever.
func (ps places) behind(last store.Queue) *place {
	var away *place
	first := 1 + slices.IndexFunc(ps, func(p place) bool { return p.queue == last })
	for i := range ps {
		switch p := &ps[(first+i)%len(ps)]; {
		case p.live:
		case !p.away:
			return p
		default:
			away = p
		}
	}
	return away
}

// live reports whether all places are.
func (ps places) live() bool { return ps.behind(0) == nil }

// retry has places that were out of reach tried again; it reports whether there are any.
func (ps places) retry() (any bool) {
	for i := range ps {
		any = any || ps[i].away
		ps[i].away = false
	}
	return any
}

// freeze makes every live place an offset, where it is now.
func (ps places) freeze(done func(store.Queue) int64) {
	for i := range ps {
		if p := &ps[i]; p.live {
			p.live, p.next = false, max(p.next, done(p.queue))
		}
	}
}

// cursor is the vector below which everything was handed over; done says how far the router is, see Router.Done.
func (ps places) cursor(done func(store.Queue) int64) []store.Position {
	v := make([]store.Position, 0, len(ps))
	for _, p := range ps {
		next := p.next
		if p.since != 0 {
			continue
		}
		if p.live {
			next = max(next, done(p.queue))
		}
		v = append(v, store.Position{Queue: p.queue, Offset: next})
	}
	return v
}

// sentUpTo is below what a message that cursor leaves to be read may have been sent before, by this connection or an earlier one; nil: none was.
func (o *outgoing) sentUpTo(cursor []store.Position, done func(store.Queue) int64) []store.Position {
	v := o.places.cursor(done)
	placed := len(v)
	for _, p := range o.old {
		i := slices.IndexFunc(v, func(at store.Position) bool { return at.Queue == p.Queue })
		if i >= 0 {
			v[i].Offset = max(v[i].Offset, p.Offset)
		} else {
			v = append(v, p) // it has no place yet: nothing of it was handed over by this connection
		}
	}
	ahead := len(v) > placed
	for i := range placed {
		ahead = ahead || below(cursor[i], v)
	}
	if !ahead {
		return nil
	}
	return v
}

// reaches reports whether p is at or above its queue's entry in v; not where there is none: that queue was out of reach, or came to be later.
func reaches(p store.Position, v []store.Position) bool {
	for _, at := range v {
		if at.Queue == p.Queue {
			return p.Offset >= at.Offset
		}
	}
	return false
}

// below reports whether p is below its queue's entry in v.
func below(p store.Position, v []store.Position) bool {
	for _, at := range v {
		if at.Queue == p.Queue {
			return p.Offset < at.Offset
		}
	}
	return false
}
