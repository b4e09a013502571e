package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// group is one shared subscription: each message goes to one connected member that has room, in turn; with none it waits in the
// store. What a member that leaves had at QoS 1 goes to another at once; QoS 2 that began stays with its session [MQTT-4.8.2-4].
type group struct {
	m    *Manager
	name string // "$share/name/filter"
	task taskFlag
	sub  router.Subscription

	waiting atomic.Bool // something is owed and no member had room

	mu          sync.Mutex // before Client.mu
	ended       bool
	members     []member            // connected
	stored      map[string]struct{} // client ids of members that outlive their connection
	founded     []store.Position    // start of the first of them: store.Group.Founded
	since       int64               // store.Group.Since
	turn        int
	places      places
	last        store.Queue                 // that was read last
	redo        []store.Position            // given back; to be handed out first, in order
	outstanding map[store.Position]struct{} // handed out and not acknowledged, and what is in redo
	exact       map[store.Position]struct{} // QoS 2 deliveries begun in an earlier process
	zero        map[store.Queue]int64       // what is below, at QoS 0, came before the group had a member here, or was given or dropped
	dirty       bool
	retrying    bool // a timer runs
	pause       readPause
	part        part
}

type member struct {
	c *Client
	s *subscription
}

func newGroup(m *Manager, name, filter string, start []store.Position) *group {
	g := &group{m: m, name: name, stored: map[string]struct{}{}, outstanding: map[store.Position]struct{}{}}
	g.sub.Target = g
	g.sub.Filter = filter
	if g.shared() { // where it stands is told with its units
		g.founded = start
		return g
	}
	g.sub.Start = start
	g.places.follow(start)
	return g
}

// Deliver implements router.Target.
func (g *group) Deliver(rec *store.Record, subs []*router.Subscription) {
	if !subs[0].Wants(rec.Position) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared() && g.part.units == 0 {
		return
	}
	if rec.QoS == 0 {
		g.giveZero(rec)
		return
	}
	p := g.place(rec.Queue)
	if !p.live || rec.Offset < p.next {
		return
	}
	if !g.mine(rec.Position) {
		p.next = rec.Offset + 1
		return
	}
	if !g.giveOrWait(rec) {
		p.live, p.next = false, rec.Offset
		g.m.stats.Lagging.Add(1)
		return
	}
	p.next = rec.Offset + 1
	g.dirty = true
}

// giveZero hands a message of QoS 0 out, or drops it, once: it comes from the tail, and where a store has it, also to a group that reads on. g.mu is held.
func (g *group) giveZero(rec *store.Record) {
	if rec.Offset >= 0 && rec.Offset < g.zero[rec.Queue] || !g.mine(rec.Position) {
		return
	}
	g.passZero(rec.Queue, rec.Offset+1)
	if !g.give(rec) && len(g.members) > 0 {
		g.m.stats.Dropped[DropFull].Add(1)
	}
}

// passZero moves zero on. g.mu is held.
func (g *group) passZero(q store.Queue, next int64) {
	if g.zero == nil {
		g.zero = map[store.Queue]int64{}
	}
	g.zero[q] = max(g.zero[q], next)
}

// place is where the group stands in q. A queue that comes to be known begins when the group did. g.mu is held.
func (g *group) place(q store.Queue) *place {
	p := g.places.find(q)
	if p == nil {
		p = g.places.at(q)
		p.live, p.since = false, g.since
		g.m.work.schedule(g)
	}
	return p
}

// giveOrWait is give; when it fails, the next member that has room schedules the group.
func (g *group) giveOrWait(rec *store.Record) bool {
	if g.give(rec) {
		return true
	}
	g.waiting.Store(true)
	if !g.give(rec) { // again: room may have come before anybody knew that the group waits
		return false
	}
	g.waiting.Store(false)
	return true
}

// give hands rec to the next member that takes it. g.mu is held.
func (g *group) give(rec *store.Record) bool {
	for range g.members {
		g.turn = (g.turn + 1) % len(g.members)
		to := g.members[g.turn]
		taken, acknowledged := to.c.offer(rec, to.s)
		if !taken {
			continue
		}
		if acknowledged {
			g.outstanding[rec.Position] = struct{}{}
		}
		return true
	}
	return false
}

// offer sends rec through the shared subscription s if there is room. acknowledged says that an acknowledgement will end the delivery.
func (c *Client) offer(rec *store.Record, s *subscription) (taken, acknowledged bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || s.Ended {
		return false, false
	}
	d := c.shared(rec, s)
	if d.qos == 0 {
		if c.conn.Full() {
			return false, false
		}
		c.sendQoS0(rec, &d)
		return true, false
	}
	if !c.hasRoom() {
		return false, false
	}
	before := c.out.window.Len()
	c.send(rec, &d)
	return true, c.out.window.Len() > before
}

// shared is the delivery of rec through the shared subscription s. c.mu is held.
func (c *Client) shared(rec *store.Record, s *subscription) delivery {
	d := delivery{qos: min(s.QoS, rec.QoS), retain: s.RetainAsPublished && rec.Retain, group: s.share}
	if s.ID != 0 {
		c.out.ids = append(c.out.ids[:0], s.ID)
		d.ids = c.out.ids
	}
	return d
}

func (g *group) flag() *taskFlag { return &g.task }

// run implements task: it hands out what was given back, then what no member had room for.
func (g *group) run() (again bool) {
	if !g.follow() || !g.redoAll() {
		return false
	}
	g.mu.Lock()
	p := g.places.behind(g.last)
	if p == nil || p.away || len(g.members) == 0 || g.ended {
		g.mu.Unlock()
		return false
	}
	free := g.room()
	if free == 0 {
		g.mu.Unlock()
		return false
	}
	at := *p
	g.last = at.queue
	g.mu.Unlock()

	from, err := g.m.begin(at)
	if err != nil {
		return g.readFailed(from, err)
	}
	filter := g.sub.Filter
	recs, next, missed, err := g.m.opts.Store.Read(from, &store.Query{Filters: []string{filter}, Match: matches(filter)}, readSize(free))
	if err != nil {
		return g.readFailed(from, err)
	}
	if missed > 0 {
		g.m.stats.Dropped[DropLost].Add(missed)
		g.m.log.Warn("a shared subscription waited for longer than messages are kept", "group", g.name, "offsets", missed)
	}
	return g.caughtUp(from, recs, next)
}

// room is how many messages the members take before one is acknowledged; 0, when they take none or more is waited for: then the group is
// scheduled. g.mu is held.
func (g *group) room() int {
	g.waiting.Store(true) // first: room may come before all members were asked
	free, window := 0, 0
	for _, m := range g.members {
		m.c.mu.Lock()
		if m.c.hasRoom() {
			free += m.c.free()
		}
		window += m.c.sendWindow
		m.c.mu.Unlock()
	}
	if free == 0 || !g.pause.over(free, window, g.afterPause) {
		return 0
	}
	g.waiting.Store(false)
	return free
}

func (g *group) afterPause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pause.end()
	g.m.work.schedule(g)
}

func (g *group) caughtUp(from store.Position, recs []store.Record, next int64) (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty = true
	p := g.places.at(from.Queue)
	p.next, p.since = from.Offset, 0
	for i := range recs {
		rec := &recs[i]
		p.next = rec.Offset
		if _, begun := g.exact[rec.Position]; begun || !g.sub.Wants(rec.Position) || !g.mine(rec.Position) {
			continue
		}
		if rec.QoS == 0 {
			g.giveZero(rec)
			continue
		}
		if !g.giveOrWait(rec) {
			return false
		}
	}
	p.next = next
	if next >= g.m.opts.Store.Next(from.Queue) {
		p.live = true
	}
	return !g.places.live()
}

// redoAll hands out what members gave back; it reports whether all of it was taken.
func (g *group) redoAll() bool {
	for {
		g.mu.Lock()
		if len(g.redo) == 0 || len(g.members) == 0 {
			empty := len(g.redo) == 0
			g.mu.Unlock()
			return empty
		}
		at := g.redo[0]
		g.mu.Unlock()
		rec, err := g.m.opts.Store.Get(at)
		if err != nil && !errors.Is(err, store.ErrExpired) {
			g.readFailed(at, err)
			return false
		}
		if !g.redone(&rec, at, err) {
			return false
		}
	}
}

func (g *group) redone(rec *store.Record, at store.Position, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.outstanding, at)
	switch {
	case err != nil:
		g.m.stats.Dropped[DropLost].Add(1)
	case !g.giveOrWait(rec):
		g.outstanding[at] = struct{}{}
		return false
	}
	g.redo = g.redo[1:]
	g.dirty = true
	return true
}

// readFailed is as Client.readFailed.
func (g *group) readFailed(from store.Position, err error) (again bool) {
	if errors.Is(err, store.ErrAway) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.places.at(from.Queue).away = true
		if !g.retrying && !g.ended {
			g.retrying = true
			time.AfterFunc(retryAfter, g.retry)
		}
		return true
	}
	g.m.log.Error("reading for a shared subscription failed; it stays where it is until a member joins", "group", g.name, "offset", from.Offset, "err", err)
	return false
}

// retry has what was out of reach tried again.
func (g *group) retry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retrying = false
	g.places.retry()
	g.m.work.schedule(g)
}

// acked ends the delivery of the message at p.
func (g *group) acked(p store.Position) {
	g.mu.Lock()
	delete(g.outstanding, p)
	g.dirty = true
	g.mu.Unlock()
}

// giveBack takes the messages of entries, which a member that leaves had not acknowledged, to hand them out again.
func (g *group) giveBack(entries []inflight.Entry) {
	if len(entries) == 0 {
		return
	}
	g.mu.Lock()
	for _, e := range entries {
		g.redo = append(g.redo, e.At)
		g.outstanding[e.At] = struct{}{} // it is, unless the group ended meanwhile and began again
	}
	g.dirty = true
	g.mu.Unlock()
	g.m.work.schedule(g)
}

// change describes the group for the store; nil when nothing changed or it is not stored.
func (g *group) change() *store.Change {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dirty || len(g.stored) == 0 || g.ended {
		return nil
	}
	g.dirty = false
	ch := &store.Change{Kind: store.GroupProgress, Cursor: g.places.cursor(g.m.opts.Router.Done)}
	ch.Subscription.Filter, ch.Subscription.Start = g.name, g.founded
	for p := range g.outstanding {
		ch.Outstanding = append(ch.Outstanding, p)
	}
	return ch
}
