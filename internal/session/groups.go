package session

import (
	"slices"
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// groups are the shared subscriptions. A group begins with its first member and ends with its last, connected or stored.
type groups struct {
	shared bool // other processes have members too; then a group is here while this one has, and stored is not used

	mu      sync.Mutex // before group.mu
	byName  map[string]*group
	emptied chan struct{} // not nil: to be closed when there are none
}

func matches(filter string) func(string) bool {
	return func(name string) bool { return topic.Match(filter, name) }
}

// load brings the stored groups back; nobody is connected yet.
func (gs *groups) load(m *Manager) error {
	gs.byName = map[string]*group{}
	if gs.shared = m.opts.Store.Shared(gs.shareChanged); gs.shared {
		return nil
	}
	all, err := m.opts.Store.Groups()
	if err != nil {
		return err
	}
	for i := range all {
		from := &all[i]
		_, filter, _, err := topic.ParseShare(from.Filter)
		if err != nil {
			return err
		}
		g := newGroup(m, from.Filter, filter, nil)
		g.restore(from)
		gs.byName[g.name] = g
		m.opts.Router.Add(&g.sub)
	}
	return nil
}

func (g *group) restore(from *store.Group) {
	g.founded, g.since = from.Founded, from.Since
	for _, id := range from.Members {
		g.stored[id] = struct{}{}
	}
	for _, at := range from.Cursor {
		g.places = append(g.places, place{queue: at.Queue, next: at.Offset})
	}
	g.exact = map[store.Position]struct{}{}
	for _, p := range from.Exact {
		g.exact[p] = struct{}{}
	}
	for _, p := range from.Outstanding {
		g.outstanding[p] = struct{}{}
		if _, begun := g.exact[p]; !begun {
			g.redo = append(g.redo, p)
		}
	}
	slices.SortFunc(g.redo, func(a, b store.Position) int { return int(a.Offset - b.Offset) })
}

// join makes c a connected member through s, in place of what it had under the same name. c.mu is not held.
func (gs *groups) join(c *Client, s *subscription) *group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byName[s.share]
	if g == nil {
		g = newGroup(c.m, s.share, s.Filter, s.Start)
		g.since = s.since
		gs.byName[s.share] = g
		c.m.opts.Router.Add(&g.sub)
	}
	g.mu.Lock()
	if len(g.members) == 0 { // QoS 0 is for those who are there when it happens
		for _, q := range c.m.opts.Store.Queues(s.Filter) {
			g.passZero(q, c.m.opts.Store.Next(q))
		}
	}
	g.members = slices.DeleteFunc(g.members, func(m member) bool { return m.c == c })
	g.members = append(g.members, member{c, s})
	if c.expiry != 0 && !gs.shared {
		if len(g.stored) == 0 {
			g.founded = s.Start
		}
		g.stored[c.id] = struct{}{}
	}
	if !gs.shared {
		for _, q := range c.m.opts.Store.Queues(s.Filter) {
			g.place(q)
		}
	}
	g.dirty = true
	g.mu.Unlock()
	c.mu.Lock()
	if !slices.Contains(c.out.groups, g) {
		c.out.groups = append(c.out.groups, g)
	}
	c.mu.Unlock()
	g.look()
	return g
}

// leave ends c's connection to all its groups; as a stored member it stays.
func (gs *groups) leave(c *Client) {
	c.mu.Lock()
	mine := c.out.groups
	back := c.giveBack()
	stays := c.expiry != 0
	c.mu.Unlock()
	for _, g := range mine {
		gs.part(g, c, !stays)
		g.giveBack(back[g.name])
		delete(back, g.name)
		c.settleShared(g, !stays)
	}
	c.m.groups.endUnused(mine)
	for name, entries := range back {
		gs.giveBackLeft(c, name, entries)
	}
}

// giveBackLeft gives back what came through a group that c had left before. When the group has ended, what was sent stays
// c's: a delivery that began before UNSUBSCRIBE is completed [MQTT-3.10.4-3].
func (gs *groups) giveBackLeft(c *Client, name string, entries []inflight.Entry) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g := gs.byName[name]; g != nil {
		g.giveBack(entries)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		if e.QoS == 1 {
			e.Group = ""
			c.out.window.Restore(e)
		}
	}
}

// inherit makes c's own what came through s, which c has left, if the group has ended with that: a delivery that has begun is
// completed [MQTT-3.10.4-3], over a crash too. It returns the record of that; nil: there is nothing.
func (gs *groups) inherit(c *Client, s *subscription) *store.Change {
	if s.share == "" {
		return nil
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g := gs.byName[s.share]
	if g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !gs.shared || len(g.members) > 0 {
			return nil
		}
		g.dirty = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for e := range c.out.window.All() {
		if e.Group == s.share && e.QoS == 1 {
			e.Group, found = "", true
			if g != nil {
				delete(g.outstanding, e.At)
			}
		}
	}
	if !found {
		return nil
	}
	return c.progressLocked()
}

// leaveOne ends c's membership through s; what is under way is completed [MQTT-3.10.4-3].
func (gs *groups) leaveOne(c *Client, s *subscription) {
	gs.mu.Lock()
	g := gs.byName[s.share]
	gs.mu.Unlock()
	if g == nil {
		return
	}
	gs.part(g, c, true)
	gs.endUnused([]*group{g})
	c.mu.Lock()
	c.out.groups = slices.DeleteFunc(slices.Clone(c.out.groups), func(o *group) bool { return o == g })
	c.mu.Unlock()
}

func (gs *groups) part(g *group, c *Client, forGood bool) {
	g.mu.Lock()
	g.members = slices.DeleteFunc(g.members, func(m member) bool { return m.c == c })
	if len(g.members) == 0 { // nobody watches any more: what comes is read when somebody joins
		g.places.freeze(g.m.opts.Router.Done)
	}
	if forGood {
		delete(g.stored, c.id)
	}
	g.dirty = true
	g.mu.Unlock()
}

// endUnused ends those of some groups that have no member left.
func (gs *groups) endUnused(some []*group) {
	if gs.shared { // in this process, once the others know
		for _, g := range some {
			g.look()
		}
		return
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range some {
		g.mu.Lock()
		if len(g.members) == 0 && len(g.stored) == 0 && !g.ended {
			g.ended = true
			delete(gs.byName, g.name)
			g.m.opts.Router.Remove(&g.sub)
		}
		g.mu.Unlock()
	}
}

// forget ends the memberships of a session that was removed; QoS 2 deliveries begun with it are lost [MQTT-4.8.2-5].
func (gs *groups) forget(m *Manager, old *store.Session) {
	for i := range old.Inflight {
		if in := &old.Inflight[i]; in.Group != "" {
			m.stats.Dropped[DropShared].Add(1)
			gs.acked(in)
		}
	}
	gs.mu.Lock()
	var mine []*group
	for i := range old.Subscriptions {
		if g := gs.byName[old.Subscriptions[i].Filter]; g != nil {
			mine = append(mine, g)
		}
	}
	gs.mu.Unlock()
	for _, g := range mine {
		g.mu.Lock()
		delete(g.stored, old.Client)
		g.mu.Unlock()
	}
	gs.endUnused(mine)
}

// acked ends a delivery that came through a group.
func (gs *groups) acked(in *store.Inflight) {
	gs.mu.Lock()
	g := gs.byName[in.Group]
	gs.mu.Unlock()
	if g != nil {
		g.acked(in.At)
	}
}

// save writes where the groups stand.
func (gs *groups) save(m *Manager) {
	gs.mu.Lock()
	all := make([]*group, 0, len(gs.byName))
	for _, g := range gs.byName {
		all = append(all, g)
	}
	gs.mu.Unlock()
	for _, g := range all {
		if gs.shared {
			g.saveShare()
		} else if ch := g.change(); ch != nil {
			m.opts.Store.Change(ch, nil, 0)
		}
	}
}

// giveBack takes what groups handed to this client and another member may have instead out of the window, by group: QoS 1, and
// QoS 2 that was not sent. c.mu is held and nothing is sent any more.
func (c *Client) giveBack() map[string][]inflight.Entry {
	var back map[string][]inflight.Entry
	for _, e := range c.out.window.InOrder() {
		if e.Group != "" && (e.QoS == 1 || c.expiry != 0 && !e.Recorded) {
			if back == nil {
				back = map[string][]inflight.Entry{}
			}
			c.out.window.Remove(e.PacketID)
			back[e.Group] = append(back[e.Group], e)
		}
	}
	return back
}

// settleShared settles the QoS 2 messages of g that a session had under way. They are its own since their delivery began [MQTT-4.8.2-4]: the group has done with
// them, whether they are completed, or dropped with a session that ends here [MQTT-4.8.2-5].
func (c *Client) settleShared(g *group, ends bool) {
	c.mu.Lock()
	entries := c.out.window.InOrder()
	c.mu.Unlock()
	for _, e := range entries {
		if e.Group != g.name {
			continue
		}
		if ends {
			c.m.stats.Dropped[DropShared].Add(1)
		}
		g.acked(e.At)
	}
}
