package session

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// tick keeps what the store knows about acknowledged messages within an interval of the truth, and ends sessions whose
// time is over.
func (m *Manager) tick() {
	t := time.NewTicker(m.opts.Limits.ProgressInterval)
	defer t.Stop()
	var last []store.Position
	var drops dropLog
	for {
		select {
		case <-m.stop:
			return
		case <-m.opts.Store.Failed():
			return
		case <-t.C:
		}
		last = m.checkpoint(last)
		m.groups.save(m)
		m.sweepWills()
		m.sweep()
		drops.tell(m)
		m.ticked.Add(1)
	}
}

// checkpoint writes one vector for all sessions that keep up (protocols 4), and a record of their own for those that would hold it
// back. last is the vector written before; the new one is returned.
func (m *Manager) checkpoint(last []store.Position) []store.Position {
	var v []store.Position
	for _, q := range m.opts.Store.Queues("#") {
		v = append(v, store.Position{Queue: q, Offset: m.opts.Router.Done(q)})
	}
	slices.SortFunc(v, func(a, b store.Position) int { return cmp.Compare(a.Queue, b.Queue) })
	now := m.now()
	m.recorded = m.recordedClients(m.recorded[:0])
	for _, c := range m.recorded {
		c.saveProgress(v, now)
	}
	clear(m.recorded)
	if !slices.Equal(v, last) {
		m.opts.Store.Change(&store.Change{Kind: store.Checkpoint, Cursor: v}, nil, 0)
	}
	return v
}

// recordedClients appends to all the clients that the store has a session of, those included whose end is being written.
func (m *Manager) recordedClients(all []*Client) []*Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.clients {
		if c.recorded.Load() && c.kept {
			all = append(all, c)
		}
	}
	return all
}

func (c *Client) saveProgress(v []store.Position, now int64) {
	c.order.Lock()
	defer c.order.Unlock()
	if ch := c.progress(v, now); ch != nil {
		c.m.opts.Store.Change(ch, nil, 0)
	}
}

// progress lowers v to what this session has dealt with, if it follows the checkpoint. It returns the record that the
// session must write for itself, nil for none; then v is lowered only as far as that record leaves open.
func (c *Client) progress(v []store.Position, now int64) *store.Change {
	const patience = 5000 // milliseconds that one session may hold back the checkpoint of all
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live.Load() {
		if c.out.follows { // it is ending: until the store knows, the checkpoint is about it
			c.lowest(v)
		}
		return nil
	}
	live := c.out.places.live()
	holds := c.out.follows && c.holdsBack(v)
	switch {
	case !holds:
		c.out.held = 0
	case c.out.held == 0:
		c.out.held = now
	}
	write := c.out.stale || live && !c.out.follows && len(c.out.places) > 0 || holds && now-c.out.held >= patience
	var ch *store.Change
	if write {
		ch = c.progressLocked()
		ch.Follows = live
		c.out.follows, c.out.stale, c.out.held = live, false, 0
	}
	if c.out.follows {
		c.lowest(v)
	}
	return ch
}

// lowest lowers v, which is sorted by queue, to the oldest places that only this session knows of. c.mu is held.
func (c *Client) lowest(v []store.Position) {
	for p := range c.own() {
		if i, found := entry(v, p.Queue); found {
			v[i].Offset = min(v[i].Offset, p.Offset)
		}
	}
}

// holdsBack reports whether lowest would lower anything. c.mu is held.
func (c *Client) holdsBack(v []store.Position) bool {
	for p := range c.own() {
		if i, found := entry(v, p.Queue); found && p.Offset < v[i].Offset {
			return true
		}
	}
	return false
}

// own are the places that only this session knows of: where it reads on, and what it has sent since its last record. c.mu is held.
func (c *Client) own() iter.Seq[store.Position] {
	return func(yield func(store.Position) bool) {
		for _, p := range c.out.places {
			if !p.live && !yield(store.Position{Queue: p.queue, Offset: p.next}) {
				return
			}
		}
		for e := range c.out.window.All() {
			if !e.Recorded && e.Group == "" && !e.Retained && !yield(e.At) { // retained: see replayed
				return
			}
		}
	}
}

// entry finds the one of queue q in v, which is sorted by queue.
func entry(v []store.Position, q store.Queue) (i int, found bool) {
	return slices.BinarySearchFunc(v, q, func(p store.Position, q store.Queue) int { return cmp.Compare(p.Queue, q) })
}

// progressLocked describes where the session stands; all of its window counts as recorded from here on. c.mu is held.
func (c *Client) progressLocked() *store.Change {
	ch := &store.Change{Kind: store.Progress, Client: c.id, Follows: c.out.follows, Cursor: c.out.places.cursor(c.m.opts.Router.Done)}
	for _, e := range c.out.window.InOrder() {
		switch {
		case e.Group != "": // its group has it
		case e.QoS == 1:
			ch.Inflight = append(ch.Inflight, e.Inflight)
			c.out.window.Get(e.PacketID).Recorded = true
		case e.Retained: // the subscription is owed it
		case !e.Recorded: // a QoS 2 delivery that has not begun: it is still to be read
			lowerTo(ch.Cursor, e.At)
		}
	}
	return ch
}

func lowerTo(v []store.Position, p store.Position) {
	for i := range v {
		if v[i].Queue == p.Queue {
			v[i].Offset = min(v[i].Offset, p.Offset)
		}
	}
}

// sweep removes the sessions whose expiry has passed, a bounded number at a time.
func (m *Manager) sweep() {
	ids, err := m.opts.Store.Expired(m.opts.Now(), sweepMost)
	if err != nil {
		m.log.Error("listing expired sessions failed", "err", err)
		return
	}
	for _, id := range ids {
		m.alone(id, func(old *store.Session) {
			if !m.over(old) {
				return
			}
			if err := m.remove(old); err != nil && !errors.Is(err, store.ErrTaken) { // else another process was faster
				m.log.Error("removing an expired session failed; it is tried again", "client", id, "err", err)
			}
		})
	}
}

// sweepMost is how many sessions one sweep deals with.
const sweepMost = 1000

// alone calls f with the stored session of a client that is not connected, and owns the client id meanwhile.
func (m *Manager) alone(id string, f func(*store.Session)) {
	c := &Client{m: m, id: id, gone: make(chan struct{}), ended: true}
	m.mu.Lock()
	if m.closing || m.clients[id] != nil {
		m.mu.Unlock()
		return
	}
	m.clients[id] = c
	m.mu.Unlock()
	defer m.forget(c)
	old, err := m.opts.Store.Load(id)
	if err != nil {
		m.log.Error("loading a session failed", "client", id, "err", err)
	}
	if err == nil && old != nil {
		f(old)
	}
}

// remove ends a session that is not connected: its will is published if it is owed, all else forgotten.
func (m *Manager) remove(old *store.Session) error {
	if err := m.settleWill(old, true); err != nil {
		return err
	}
	if err := m.change(&store.Change{Kind: store.Remove, Client: old.Client}); err != nil {
		return err
	}
	m.groups.forget(m, old)
	return nil
}

// over reports whether the time of a session has passed that is not connected to this process.
func (m *Manager) over(s *store.Session) bool {
	return s.Expiry == 0 && !s.Connected || s.ExpiresAt != 0 && m.now() >= s.ExpiresAt
}
