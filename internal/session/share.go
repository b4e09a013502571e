package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// part is a group's part among several processes: which units of the messages are this one's, and what it tells the others. In a process that shares its store
// with no other, units are all for ever, and nothing else is used. group.mu guards it, but for told.
//
// A report is made again until the store has it, so what is in it is not this process's any more from when it is made: units that it gives are not handed out,
// and messages that it gives back are forgotten here.
type part struct {
	units store.Units
	ahead [store.ShareUnits][]store.Position // where units are that are ahead of the group's places; nil: they are not
	told  atomic.Bool                        // store.Store.Share is to be looked at

	share  store.Share        // as looked at last; Version 0: not yet, or there is none
	report *store.ShareReport // that the store does not have yet; nil: none
	under  bool               // it is on its way there
	made   int                // reports that the store has
	said   int                // Members of the last of them
	joins  []chan error       // of those who wait for a report to get there
}

// joinPatience is how long a SUBSCRIBE waits until other processes can know that the group has a member.
const joinPatience = 5 * time.Second

// mine says whether the record at p is this process's to hand out. g.mu is held.
func (g *group) mine(p store.Position) bool {
	if p.Offset < 0 || !g.shared() {
		return true
	}
	u := store.UnitOf(p)
	return g.part.units.Has(u) && !below(p, g.part.ahead[u])
}

// shared says whether other processes have parts in groups.
func (g *group) shared() bool { return g.m.groups.shared }

// shareChanged is told that this process's part in a group may have changed.
func (gs *groups) shareChanged(filter string) {
	gs.mu.Lock()
	g := gs.byName[filter]
	gs.mu.Unlock()
	if g != nil {
		g.look()
	}
}

// look has the group's part looked at by its task.
func (g *group) look() {
	g.part.told.Store(true)
	g.m.work.schedule(g)
}

// follow makes this process's part what the store says, and answers with a report if one is due. It is the task's, as all that moves places back: nobody reads
// meanwhile. false: it failed.
func (g *group) follow() bool {
	if !g.shared() || !g.part.told.Swap(false) {
		return true
	}
	g.mu.Lock()
	made, seen := g.part.made, g.part.share.Version
	g.mu.Unlock()
	sh, err := g.m.opts.Store.Share(g.name, seen)
	if err != nil {
		switch {
		case errors.Is(err, store.ErrAway):
			g.part.told.Store(true) // saveShare has it looked at again
		case !errors.Is(err, store.ErrClosed):
			g.m.log.Error("a shared subscription cannot be looked up", "group", g.name, "err", err)
		}
		return false
	}
	queues := g.m.opts.Store.Queues(g.sub.Filter)
	g.mu.Lock()
	if g.part.made != made { // what was read is older than what was said
		g.part.told.Store(true)
		g.mu.Unlock()
		return g.follow()
	}
	g.become(sh, queues)
	due, over := g.due(), g.unused()
	g.mu.Unlock()
	switch {
	case over:
		g.m.groups.retire(g)
	case due:
		g.tell()
	}
	return true
}

// become takes over what the store says of the group; nil: it is not there. g.mu is held.
func (g *group) become(sh *store.Share, queues []store.Queue) {
	p := &g.part
	if sh == nil {
		p.units, p.ahead, p.share, p.said = 0, [store.ShareUnits][]store.Position{}, store.Share{}, 0
		return
	}
	if sh.Born != p.share.Born {
		p.units = 0
	}
	p.share, p.said = *sh, sh.Members
	p.units &= sh.Mine // the rest others took away, since they took this process for dead
	g.since = sh.Since
	g.exact = map[store.Position]struct{}{}
	for _, at := range sh.Exact {
		g.exact[at] = struct{}{}
	}
	if taken := sh.Mine &^ p.units &^ g.given(); taken != 0 {
		g.take(taken, queues)
	}
	for _, at := range sh.Redo {
		g.owe(at)
	}
	slices.SortFunc(g.redo, func(a, b store.Position) int { return cmp.Compare(a.Offset, b.Offset) })
}

// given are the units that a report gives which the store does not have yet. g.mu is held.
func (g *group) given() store.Units {
	if g.part.report == nil {
		return 0
	}
	return g.part.report.Give
}

// owe has a message handed out again that another process had handed out. g.mu is held.
func (g *group) owe(at store.Position) {
	if _, begun := g.exact[at]; begun {
		return
	}
	if _, has := g.outstanding[at]; !has {
		g.outstanding[at] = struct{}{}
		g.redo = append(g.redo, at)
	}
}

// take begins to hand out units where they stand. A place that is ahead of that goes back; then the units that were there are ahead of it. g.mu is held.
func (g *group) take(units store.Units, queues []store.Queue) {
	p := &g.part
	if p.units == 0 { // what the places are was of units that are others' now
		g.places = nil
	}
	for u := range store.ShareUnits {
		if !units.Has(u) {
			continue
		}
		p.ahead[u] = slices.Clone(p.share.At[u])
		for _, at := range p.share.At[u] {
			if !slices.Contains(queues, at.Queue) {
				queues = append(queues, at.Queue)
			}
		}
	}
	for _, q := range queues {
		g.goBack(q, units)
	}
	p.units |= units
	g.dirty = true
	g.m.work.schedule(g)
}

// goBack has the place in q be where the first of some units is that are taken. g.mu is held.
func (g *group) goBack(q store.Queue, units store.Units) {
	to, known := g.first(q, units)
	pl := g.places.find(q)
	switch {
	case pl == nil && (g.part.units != 0 || !known): // nothing was dealt with there
		g.places = append(g.places, place{queue: q, since: g.since})
	case pl == nil:
		g.places = append(g.places, place{queue: q, next: to})
	case pl.since != 0:
	default:
		is := pl.next
		if pl.live {
			is = max(is, g.m.opts.Router.Done(q))
		}
		if known && to >= is {
			return
		}
		g.putAhead(store.Position{Queue: q, Offset: is})
		*pl = place{queue: q, next: to}
		if !known {
			*pl = place{queue: q, since: g.since}
		}
	}
}

// first is the lowest place in q of some units as the store has it; not known: one of them begins with the queue, or the group. g.mu is held.
func (g *group) first(q store.Queue, units store.Units) (offset int64, known bool) {
	known = true
	found := false
	for u := range store.ShareUnits {
		if !units.Has(u) {
			continue
		}
		i := slices.IndexFunc(g.part.share.At[u], func(p store.Position) bool { return p.Queue == q })
		if i < 0 {
			known = false
			continue
		}
		if at := g.part.share.At[u][i].Offset; !found || at < offset {
			offset, found = at, true
		}
	}
	return offset, known
}

// putAhead says that the units which this process has have dealt with what is below at. g.mu is held.
func (g *group) putAhead(at store.Position) {
	for u := range store.ShareUnits {
		if !g.part.units.Has(u) {
			continue
		}
		v := &g.part.ahead[u]
		if i := slices.IndexFunc(*v, func(p store.Position) bool { return p.Queue == at.Queue }); i < 0 {
			*v = append(*v, at)
		} else {
			(*v)[i].Offset = max((*v)[i].Offset, at.Offset)
		}
	}
}

// due says whether the others are to be told something at once. g.mu is held.
func (g *group) due() bool {
	p := &g.part
	sh := &p.share
	return len(g.members) > 0 && (sh.Members == 0 || (sh.Give&p.units|sh.Take) != 0) || g.leaves()
}

// leaves says that no member is left, and that others do not know all of that. g.mu is held.
func (g *group) leaves() bool {
	return len(g.members) == 0 && (g.part.share.Members > 0 || g.part.units != 0 || len(g.redo) > 0)
}

// unused says that nothing of the group is left in this process. g.mu is held.
func (g *group) unused() bool {
	p := &g.part
	return len(g.members) == 0 && p.report == nil && p.said == 0 && p.share.Mine == 0 && p.share.Members == 0 && len(g.outstanding) == 0 && len(g.redo) == 0
}

// tell makes a report, if there is none under way, and hands it to the store. g.mu is not held.
func (g *group) tell() {
	g.mu.Lock()
	if g.part.under || g.ended {
		g.mu.Unlock()
		return
	}
	if g.part.report == nil {
		g.part.report = g.newReport()
	}
	g.part.under = true
	r := g.part.report
	g.mu.Unlock()
	g.m.opts.Store.Report(r, reported{g}, 0)
}

// newReport is what there is to tell. g.mu is held.
func (g *group) newReport() *store.ShareReport {
	p := &g.part
	r := &store.ShareReport{
		Filter: g.name, Start: g.founded, Since: g.since, Born: p.share.Born, Seen: p.share.Version,
		Members: len(g.members), Units: p.units, Cursor: g.places.cursor(g.m.opts.Router.Done),
		Give: p.share.Give & p.units, Take: p.share.Take,
	}
	if r.Members == 0 {
		r.Give, r.Take = p.units, 0
		r.Back, g.redo = g.redo, nil
		for _, at := range r.Back {
			delete(g.outstanding, at)
		}
	}
	if len(r.Cursor) > 0 { // a group that the log has lost goes on where it is
		r.Start = r.Cursor
	}
	for u := range store.ShareUnits {
		if v := g.trimAhead(u, r.Cursor); v != nil {
			r.Ahead = append(r.Ahead, store.ShareAhead{Unit: u, At: v})
		}
	}
	p.units &^= r.Give
	for at := range g.outstanding {
		r.Outstanding = append(r.Outstanding, at)
	}
	g.dirty = false
	return r
}

// trimAhead returns a copy of where unit u is ahead of cursor, and forgets the rest. g.mu is held.
func (g *group) trimAhead(u int, cursor []store.Position) []store.Position {
	v := &g.part.ahead[u]
	*v = slices.DeleteFunc(*v, func(p store.Position) bool {
		return !g.part.units.Has(u) || has(cursor, p.Queue) && !slices.ContainsFunc(cursor, func(c store.Position) bool { return c.Queue == p.Queue && c.Offset < p.Offset })
	})
	if len(*v) == 0 {
		*v = nil
	}
	return slices.Clone(*v)
}

// reported is told what became of a report.
type reported struct{ g *group }

// Appended implements store.Completion.
func (r reported) Appended(_ uint64, _ store.Position, err error) {
	g := r.g
	g.mu.Lock()
	p := &g.part
	p.under = false
	if err == nil {
		p.said, p.report = p.report.Members, nil
		p.made++
	}
	joins := p.joins
	p.joins = nil
	g.mu.Unlock()
	for _, w := range joins {
		w <- err
	}
	if err != nil && !errors.Is(err, store.ErrTaken) && !errors.Is(err, store.ErrClosed) {
		g.m.log.Warn("other processes are not told how far a shared subscription is; it is tried again", "group", g.name, "err", err)
	}
	if err == nil || errors.Is(err, store.ErrTaken) { // this process was taken for dead: that is to be read; and it is told again with the next progress
		g.look()
	}
}

// await returns when the other processes can know that this one has a member of the group, so that the group is there and does not end.
func (g *group) await() error {
	t := time.NewTimer(joinPatience)
	defer t.Stop()
	for {
		g.mu.Lock()
		if !g.shared() || g.part.said > 0 {
			g.mu.Unlock()
			return nil
		}
		w := make(chan error, 1)
		g.part.joins = append(g.part.joins, w)
		g.mu.Unlock()
		g.tell()
		select {
		case err := <-w:
			if err != nil && !errors.Is(err, store.ErrTaken) {
				return err
			}
		case <-t.C:
			return fmt.Errorf("%w: nobody can tell within %v whether the group %.200q is there", store.ErrAway, joinPatience, g.name)
		}
	}
}

// saveShare tells how far the group is, if that has changed, or what could not be told.
func (g *group) saveShare() {
	g.mu.Lock()
	tell := !g.part.under && (g.part.report != nil || g.dirty)
	g.mu.Unlock()
	if tell {
		g.tell()
	}
	if g.part.told.Load() {
		g.m.work.schedule(g)
	}
}

// retire forgets a group of which nothing is left in this process.
func (gs *groups) retire(g *group) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended || !g.unused() {
		return
	}
	g.ended = true
	delete(gs.byName, g.name)
	g.m.opts.Router.Remove(&g.sub)
	if len(gs.byName) == 0 && gs.emptied != nil {
		close(gs.emptied)
		gs.emptied = nil
	}
}

// leavePatience is how long a process that stops waits until the others know that it has no members any more. If they do not, they find out.
const leavePatience = 2 * time.Second

// leaveAll waits until the other processes have what this one's groups were about; there are no members any more.
func (gs *groups) leaveAll() {
	gs.mu.Lock()
	if !gs.shared || len(gs.byName) == 0 {
		gs.mu.Unlock()
		return
	}
	emptied := make(chan struct{})
	gs.emptied = emptied
	gs.mu.Unlock()
	t := time.NewTimer(leavePatience)
	defer t.Stop()
	select {
	case <-emptied:
	case <-t.C:
	}
}
