package session

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// replay is the retained messages that a new subscription begins with [MQTT-3.3.1-9]. The session's task reads and
// sends them, in the client's window as everything else.
//
// They are the state as of the moment at which the subscription was routed: what is published later comes through the log, or, at QoS 0,
// on its own way, and must not be followed by what it replaced. So a retained record is left out when it, by its place, if it has one,
// comes through the log (routedFrom), or when a newer one of its topic was sent since SUBSCRIBE came (outgoing.overtaken).
type replay struct {
	sub    *subscription
	number uint64           // counts the replays of this connection
	routed bool             // the subscription is, and end and below are set
	end    []store.Position // of the log at that moment: what was appended before it is waited for
	below  []store.Position // what is at or above comes through the log for certain
	begun  bool             // it is being read
	after  string           // where to go on reading
	read   bool             // all of them
	late   bool             // it is one message that comes late; see Manager.late
	recs   []store.Record

	resumed bool // the session is back: of what is left to be read, QoS 0 is not
}

// maxOvertaken bounds the topics that are remembered while a session is sent retained messages. Beyond it live
// messages wait until that is done.
const maxOvertaken = 1024

// replays reports whether a SUBSCRIBE is answered with retained messages [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11].
func (c *Client) replays(s *subscription) bool {
	switch {
	case !c.m.opts.Capabilities.Retain || s.share != "" || !c.m.opts.Store.MayRetain(): // a shared one gets none
		return false
	case s.retainHandling == retainIfNew:
		return !s.replaces
	}
	return s.retainHandling == retainAlways
}

// Values of Retain Handling.
const (
	retainAlways = 0
	retainIfNew  = 1
	retainNever  = 2
)

// oweRetained begins the replay that SUBSCRIBE with s asks for, if it does; effective is the subscription that is, or will be, routed: s itself or the one
// that has become it. readyReplay follows. c.mu is held.
func (c *Client) oweRetained(s, effective *subscription) {
	if !c.replays(s) {
		return
	}
	s.replay, effective.replay = c.expiry != 0, c.expiry != 0
	s.owed = c.beginReplay(effective)
}

// readyReplay says that the subscription is routed.
func (c *Client) readyReplay(s *subscription) {
	if !c.m.opts.Capabilities.Retain || s.share != "" || s.replaces && s.owed == nil {
		return
	}
	end, from := c.routedFrom(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.replaces {
		s.routed = from
	}
	if s.owed != nil {
		s.owed.routed, s.owed.end, s.owed.below = true, end, slices.Clip(from)
	}
}

// routedFrom is the end of the log, and from where on messages come from the tail for certain, to a subscription that is routed: not what was handed out by now, nor
// what is below its start. The start may be above what was handed out: what was acknowledged by then was before SUBSCRIBE.
func (c *Client) routedFrom(s *subscription) (end, from []store.Position) {
	// Once more: what was handed over since the first Watch, before this was routed, is to be found retained, or told of by Store.Late. So Retained has to wait for the end
	// as of now, which is above what Next says (a QoS 0 message is handed over before it is in the view), and Late tells only of what lies below a place that Watch returned.
	end, err := c.m.opts.Store.Watch(s.Filter)
	if err != nil {
		return nil, nil
	}
	c.m.opts.Store.Unwatch(s.Filter)
	starts := make(map[store.Queue]int64, len(s.Start))
	for _, p := range s.Start {
		starts[p.Queue] = p.Offset
	}
	from = slices.Clone(end)
	for i := range from {
		p := &from[i]
		p.Offset = max(c.m.opts.Store.Next(p.Queue), starts[p.Queue])
	}
	return end, from
}

// cameMeanwhile is routedFrom for queues of recs that were not known when the subscription was routed.
func (c *Client) cameMeanwhile(r *replay, recs []store.Record) []store.Position {
	if !slices.ContainsFunc(recs, func(rec store.Record) bool { return !has(r.below, rec.Queue) }) {
		return nil
	}
	_, from := c.routedFrom(r.sub)
	return slices.DeleteFunc(from, func(p store.Position) bool { return has(r.below, p.Queue) })
}

// isLive reports whether rec comes to the subscription without the replay.
func (r *replay) isLive(rec *store.Record) bool {
	return reaches(rec.Position, r.below) && (rec.QoS > 0 || !r.resumed)
}

// beginReplay owes s its retained messages, once more when that has begun already. c.mu is held; the task is to be scheduled.
func (c *Client) beginReplay(s *subscription) *replay {
	o := &c.out
	o.replays = slices.DeleteFunc(o.replays, func(r *replay) bool { return r.sub.Ended || r.sub == s && !r.begun })
	o.lastReplay++
	r := &replay{sub: s, number: o.lastReplay}
	o.replays = append(o.replays, r)
	if o.overtaken == nil {
		o.overtaken = map[string]uint64{}
	}
	return r
}

// overtake notes that rec is being sent: to the replays that there are, a retained message of its topic that was published before is no news. c.mu is held.
func (c *Client) overtake(rec *store.Record) {
	if !rec.Retain {
		return
	}
	for _, r := range c.out.replays {
		c.out.overtaken[rec.Topic] = c.out.lastReplay
		if (!r.routed || below(rec.Position, r.below)) && len(r.sub.between) < maxOvertaken {
			r.sub.between = append(r.sub.between, rec.Position)
		}
	}
}

// replayAll sends the retained messages that are owed; it reports whether all of them were sent.
func (c *Client) replayAll() bool {
	for {
		r, done := c.replaySome()
		if r == nil {
			return done
		}
		if r.read {
			c.replayed(r)
			continue
		}
		recs, next, err := c.m.opts.Store.Retained(r.sub.Filter, r.after, r.end, readBytes)
		if err != nil {
			c.m.log.Error("reading retained messages failed; closing the connection, a session that is kept gets them when it is back", "client", c.id, "err", err)
			c.end(mqtt.UnspecifiedError, "the store is not available")
			return false
		}
		came := c.cameMeanwhile(r, recs)
		c.mu.Lock()
		r.recs, r.after, r.read = recs, next, next == ""
		r.below = append(r.below, came...)
		c.mu.Unlock()
	}
}

// replaySome sends what was read. r is the replay that needs more; nil: there is none (done), or no room.
func (c *Client) replaySome() (r *replay, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.ended {
			return nil, false
		}
		if len(c.out.replays) == 0 {
			return nil, true
		}
		r = c.out.replays[0]
		if !r.routed && !r.sub.Ended {
			return nil, false // SUBSCRIBE is being handled; it schedules the task
		}
		for len(r.recs) > 0 && !r.sub.Ended {
			if !c.windowRoom() {
				c.out.waiting = true
				return nil, false
			}
			c.sendRetained(r, &r.recs[0])
			r.recs = r.recs[1:]
		}
		if !r.sub.Ended {
			r.begun = true
			return r, false
		}
		c.forgetReplay(r)
	}
}

// forgetReplay takes the first replay, r, from the list. c.mu is held.
func (c *Client) forgetReplay(r *replay) {
	c.out.replays = slices.DeleteFunc(c.out.replays, func(o *replay) bool { return o == r })
	if len(c.out.replays) == 0 {
		c.out.replays, c.out.overtaken = nil, nil
	}
}

// sendRetained sends one retained message as the subscription gets it [MQTT-3.3.1-8]. c.mu is held.
func (c *Client) sendRetained(r *replay, rec *store.Record) {
	s := r.sub
	overtaken := c.out.overtaken[rec.Topic] >= r.number
	if overtaken || r.isLive(rec) || s.NoLocal && rec.Origin == c.origin {
		return
	}
	d := delivery{qos: min(s.QoS, rec.QoS), retain: !r.late || s.RetainAsPublished, retained: true}
	if s.ID != 0 {
		c.out.ids = append(c.out.ids[:0], s.ID)
		d.ids = c.out.ids
	}
	if d.qos > 0 {
		c.send(rec, &d)
	} else if !c.expired(rec) && c.fits(rec, &d) {
		c.write(rec, &d, 0)
	}
}

// replayed ends a replay. What of it is under way is written: QoS 2 as it begins, QoS 1 with the session's progress. Then the store need
// not know any more that it was owed.
func (c *Client) replayed(r *replay) {
	c.beginAll()
	c.order.Lock()
	defer c.order.Unlock()
	progress, settled := c.settleReplay(r)
	if progress != nil {
		c.m.opts.Store.Change(progress, nil, 0)
		c.m.opts.Store.Change(settled, nil, 0)
	}
}

// settleReplay takes r from the list and returns what the store must know of that; nil: nothing.
func (c *Client) settleReplay(r *replay) (progress, settled *store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetReplay(r)
	again := slices.ContainsFunc(c.out.replays, func(o *replay) bool { return o.sub == r.sub })
	if !r.sub.replay || r.sub.Ended || c.ended || again {
		return nil, nil
	}
	r.sub.replay = false
	return c.progressLocked(), &store.Change{Kind: store.Subscribe, Client: c.id, Subscription: r.sub.stored()}
}
