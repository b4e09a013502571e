package changelog

import (
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// watched is what time will tell of groups. Who changes it holds the reading of a queue and Changelog.watching, or that of all queues. Times are when this node read that it is so.
type watched struct {
	torn map[string]time.Time // groups with units whose last holder is dead: this node takes none before it has read what that one wrote to other queues, all of it
	idle map[string]time.Time // groups that no node has members of; later, where sessions that are away are members
	next time.Time            // when to look next
}

func newWatched() watched {
	return watched{torn: map[string]time.Time{}, idle: map[string]time.Time{}}
}

func (w *watched) note(n *shareNote, now time.Time) {
	note := func(m map[string]time.Time, is bool) {
		if !is {
			delete(m, n.filter)
		} else if _, was := m[n.filter]; !was {
			m[n.filter] = now
		}
	}
	note(w.torn, n.torn)
	note(w.idle, n.idle)
}

// noteShares notes what became of groups. The reading of their queue is held.
func (c *Changelog) noteShares(notes []shareNote, now time.Time) {
	if len(notes) == 0 {
		return
	}
	c.watching.Lock()
	defer c.watching.Unlock()
	for i := range notes {
		c.watched.note(&notes[i], now)
	}
}

// lockQueues holds the reading of all queues until done is called: what is asked of them is as of one moment.
func (c *Changelog) lockQueues() (done func()) {
	for q := range c.queues {
		c.queues[q].reading.Lock()
	}
	return func() {
		for q := range c.queues {
			c.queues[q].reading.Unlock()
		}
	}
}

// Report appends what this node says of its part in a group; see store.Store.
func (c *Changelog) Report(r *store.ShareReport, done store.Completion, token uint64) {
	it := item{done: done, token: token}
	err := view.Nameable(r.Filter)
	if err == nil {
		it.body = appendReport(nil, r)
		err = c.enqueue(shareName(r.Filter), it)
	}
	if err != nil {
		it.tell(err)
	}
}

// Share is this node's part in a group; see store.Store.
func (c *Changelog) Share(filter string, seen int64) (*store.Share, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	q := c.queueOf(shareName(filter))
	defer c.lockQueues()()
	c.mu.Lock()
	me, ready := c.nodes[q], c.ready[q]
	c.mu.Unlock()
	if !ready {
		return nil, fmt.Errorf("group %.200q: what is known of it is being read: %w", filter, store.ErrAway)
	}
	s, err := shareOf(c.db, q, filter)
	if err != nil || s == nil {
		return nil, err
	}
	out := s.part(me, filter, seen)
	if at, torn := c.watched.torn[filter]; torn && (!c.heardAll().After(at) || c.halfDead(func(int, uint64, *peer) {})) {
		out.Take &^= s.tornUnits()
	}
	out.Exact, err = view.Exact(c.db, filter)
	return out, err
}

// part is the part that a node has, and is to have.
func (s *share) part(me uint64, filter string, seen int64) *store.Share {
	out := &store.Share{Version: s.version, Born: s.born, Founded: s.founded, Since: s.since}
	if n := s.node(me); n != nil {
		out.Members = int(n.members)
	}
	for u := range s.units {
		un := &s.units[u]
		mine, due := un.holder == me, s.due(filter, u)
		switch {
		case mine && due != me:
			out.Give = out.Give.With(u)
		case un.holder == 0 && due == me:
			out.Take = out.Take.With(u)
		}
		if !mine {
			continue
		}
		out.Mine = out.Mine.With(u)
		out.At[u] = un.at
		for _, o := range un.redo {
			if o.since > seen {
				out.Redo = append(out.Redo, o.at)
			}
		}
	}
	return out
}

func (s *share) tornUnits() (us store.Units) {
	for u := range s.units {
		if s.units[u].torn {
			us = us.With(u)
		}
	}
	return us
}

// mostTickets is how many members of a node count when units are divided.
const mostTickets = 64

// due is the node that is to hold a unit, by a rendezvous hash in which each connected member has a ticket; 0: no node has a member. It is a part of the contract
// between nodes and versions.
func (s *share) due(filter string, u int) uint64 {
	var best, most uint64
	key := slices.Concat([]byte(filter), []byte{byte(u)})
	for i := range s.nodes {
		n := &s.nodes[i]
		for ticket := range min(n.members, mostTickets) {
			if w := xxhash.Sum64(slices.Concat(key, []byte(nodeName(n.id)), []byte{byte(ticket)})); best == 0 || w > most {
				best, most = n.id, w
			}
		}
	}
	return best
}

// watchShares has groups looked at about which only time could tell more. reading and mu are not held.
func (c *Changelog) watchShares(e *effects) {
	done, err := c.keeper.Use()
	if err != nil {
		return
	}
	defer done()
	defer c.lockQueues()()
	now, w := c.opts.Now(), &c.watched
	if now.Before(w.next) {
		return
	}
	w.next = now.Add(c.opts.Beat)
	heard := c.heardAll()
	torn := due(w.torn, heard)
	if len(torn) > 0 && !c.finish(now, e) {
		torn = nil
	}
	for _, filter := range torn {
		delete(w.torn, filter)
		e.call(func() { c.opts.Shared(filter) })
	}
	for _, filter := range due(w.idle, heard) {
		if c.unused(filter) {
			w.idle[filter] = now // once more, if it is lost
			e.call(func() { c.endShare(filter) })
		} else {
			w.idle[filter] = now.Add(idleAgain)
		}
	}
}

// idleAgain is how long after it was found that sessions which are away are members of a group, or that another node is to end it, that is looked at again.
const idleAgain = time.Minute

// due lists the groups whose time is before heard, in an order that a simulation can repeat.
func due(times map[string]time.Time, heard time.Time) (filters []string) {
	for filter, at := range times {
		if heard.After(at) {
			filters = append(filters, filter)
		}
	}
	slices.Sort(filters)
	return filters
}

// unused says whether a group that no node has members of is over, and this node is to say so: no session that is away is a member either, as far as
// sessions were written when the last connected member left. reading is held.
func (c *Changelog) unused(filter string) bool {
	h, err := c.headOf(shareName(filter))
	if err != nil || !c.isMyName(shareName(filter), &h) {
		return false
	}
	members, err := view.HasMembers(c.db, filter)
	return err == nil && !members
}

// endShare ends a group, if it still has no members when that is read.
func (c *Changelog) endShare(filter string) {
	if err := c.enqueue(shareName(filter), item{body: []byte{shareEnds}}); err != nil {
		c.log.Warn("the end of a shared subscription is not written; it is tried again", "group", filter, "err", err)
	}
}

// loadShares has the groups of a queue that was read to its end followed from now on. reading is held.
func (c *Changelog) loadShares(q int, e *effects) error {
	prefix := queueKey(keyShare, uint16(q))
	now := c.opts.Now()
	return view.Each(c.db, prefix, func(key, value []byte) error {
		filter := string(key[len(prefix):])
		s, err := parseShare(value)
		if err != nil {
			return fmt.Errorf("the shared subscription %.200q: %w", filter, err)
		}
		c.noteShares([]shareNote{{filter, s.torn(), len(s.nodes) == 0}}, now)
		e.call(func() { c.opts.Shared(filter) })
		return nil
	})
}
