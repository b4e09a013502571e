package session

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A retained message that another process publishes is in the log a moment before it is among the retained ones. Who subscribes within that moment gets it neither
// way: it lies below where the subscription begins, and was not there when the retained ones were read. The store tells of it later (store.Store.Late). While the retained ones
// are being sent it is one of them; after that it is sent as what it is for that subscription, a message that was published after SUBSCRIBE. A session that
// is not connected then does not get it.

// maxLate bounds the replays of a connection to which late messages are added, each as one. Beyond it the client takes nothing: they are dropped and counted.
const maxLate = 1000

// late is store.Store.Late's.
func (m *Manager) late(rec *store.Record) {
	if !m.opts.Capabilities.Retain {
		return
	}
	told := map[*Client]bool{}
	m.opts.Router.Match(rec.Topic, func(s *router.Subscription) {
		if c, ok := s.Target.(*Client); ok && !told[c] {
			told[c] = true
			c.late(rec)
		}
	})
}

// missed says that a retained message, which came to be known now, was not sent for this subscription and should have been. Client.mu is held.
func (s *subscription) missed(at store.Position) bool {
	return s.retainHandling <= retainIfNew && (below(at, s.Start) || below(at, s.routed) && !slices.Contains(s.between, at))
}

// late has rec sent for the subscriptions that begin above it.
func (c *Client) late(rec *store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	var begun []*subscription
	for _, is := range c.subsIndex().match(nil, rec.Topic) {
		if s := c.subs[is.Filter]; s != nil && &s.Subscription == is && s.missed(rec.Position) {
			begun = append(begun, s)
		}
	}
	if len(begun) == 0 {
		return
	}
	o := &c.out
	if len(o.replays) >= maxLate {
		c.m.stats.Dropped[DropFull].Add(1)
		return
	}
	if o.overtaken == nil {
		o.overtaken = map[string]uint64{}
	}
	if len(o.replays) > 0 { // what they have of this topic is older
		o.overtaken[rec.Topic] = o.lastReplay
	}
	for _, s := range begun {
		before := slices.ContainsFunc(o.replays, func(r *replay) bool { return r.sub == s && !r.late })
		if before && len(rec.Payload) == 0 { // what it ends is not sent, see overtaken
			continue
		}
		o.lastReplay++
		o.replays = append(o.replays, &replay{
			sub: s, number: o.lastReplay, routed: true, begun: true, read: true, late: !before, recs: []store.Record{*rec},
		})
	}
	c.m.work.schedule(c)
}
