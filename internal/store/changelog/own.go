package changelog

import (
	"errors"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Connect makes this node the owner of c.Client: c is a store.Connect. done is told once, when the changelog says so and the former owner has handed
// over, or will not; with the session as it was left, or nil when there was none or c.Clean. store.ErrPrincipal: the client id belongs to somebody else.
// store.ErrTaken: another node wants it since. To be called when this node does not own the client id, and nobody else here waits for it.
func (c *Changelog) Connect(ch *store.Change, done func(old *store.Session, err error)) {
	if err := c.opts.Log.Away(c.queueOf(ch.Client)); err != nil {
		done(nil, fmt.Errorf("%w: %w", store.ErrAway, err))
		return
	}
	c.join(ch, done)
}

// Announce is Connect for a session that ends with its connection: nobody waits for it. A node that owned the client id finds out, and so does this one when
// another owns it from then on, or when it is somebody else's (Options.Taken). Remove ends it.
func (c *Changelog) Announce(client, principal string) {
	c.join(&store.Change{Kind: store.Connect, Client: client, Principal: principal, Clean: true}, nil)
}

func (c *Changelog) join(ch *store.Change, done func(*store.Session, error)) {
	j := &join{connect: view.AppendChange(nil, ch), clean: ch.Clean, done: done}
	if len(j.connect) > maxChange {
		j.fail(fmt.Errorf("CONNECT of %d bytes, the limit is %d: %w", len(j.connect), maxChange, store.ErrTooLarge))
		return
	}
	c.enter(ch.Client, j)
}

func (j *join) fail(err error) {
	if j.done != nil {
		j.done(nil, err)
	}
}

// enter begins the way to the ownership of a client id. Nobody waits for one that was announced: a new one takes its place. One that comes while the
// connection before it still has to say where it stood, to another node, begins when that was said.
func (c *Changelog) enter(client string, j *join) {
	chain, err := c.lockChain(client)
	if err != nil {
		j.fail(err)
		return
	}
	waited := chain.join != nil && chain.join.done != nil && !chain.join.abandoned
	if chain.role == leaving {
		waited = chain.after != nil && chain.after.done != nil
	}
	if waited { // the caller has not kept to it; what it had is not lost by that
		c.mu.Unlock()
		j.fail(fmt.Errorf("client %.200q: its former connection is not over: %w", client, store.ErrAway))
		return
	}
	if chain.role == leaving {
		chain.after = j
		c.mu.Unlock()
		return
	}
	var e effects
	delete(c.waiting, chain)
	c.endQueued(chain, (*item).ends, &e) // it would end the session that is about to begin or go on
	chain.role, chain.join = joining, j
	c.settle(chain, &e)
	c.mu.Unlock()
	e.run(c)
}

// enterAfter begins what has waited for the end of the connection before it.
func (c *Changelog) enterAfter(ch *chain, e *effects) {
	if j := ch.after; j != nil {
		ch.after = nil
		e.call(func() { c.enter(ch.name, j) })
	}
}

// endQueued ends changes that were not sent yet and do not count any more.
func (c *Changelog) endQueued(ch *chain, which func(it *item) bool, e *effects) {
	n := 0
	for i := range ch.queued {
		if it := ch.queued[i]; which(&it) {
			c.end(&it, false, ch.name, e)
		} else {
			ch.queued[n] = it
			n++
		}
	}
	ch.queued = ch.queued[:n:n]
}

// Abandon is told when whoever called Connect does not wait any longer. What this node comes to own by it, it gives up. false: it comes too late, done
// is told, or was.
func (c *Changelog) Abandon(client string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.chains[client]
	if ch != nil && ch.after != nil {
		ch.after = nil
		return true
	}
	if ch == nil || ch.join == nil {
		return false
	}
	ch.join.done = nil
	ch.join.abandoned = true
	return true
}

// connected is told when a connect of this node was read back.
func (c *Changelog) connected(ch *chain, o *outcome, e *effects) {
	j := ch.join
	switch {
	case o.refused:
		c.fail(ch, store.ErrPrincipal, e)
	case !o.valid && j.abandoned:
		ch.join, ch.role = nil, outsider
	case !o.valid && ch.head.old && ch.head.last == none:
		c.fail(ch, store.ErrAway, e)
	case !o.valid: // it is made again, on the record that came first
	case ch.head.former != 0:
		j.present = o.present
		ch.role, ch.until = waiting, c.opts.Now().Add(c.opts.Handover)
		c.waiting[ch] = struct{}{}
	default:
		j.present = o.present
		c.joined(ch, e)
	}
}

// joined ends the way to the ownership of a client id.
func (c *Changelog) joined(ch *chain, e *effects) {
	j := ch.join
	ch.join, ch.role = nil, owner
	delete(c.waiting, ch)
	switch {
	case j.abandoned:
		ch.role = giving
	case j.done == nil:
	case !j.present:
		e.call(func() { j.done(nil, nil) })
	default:
		e.call(func() { j.done(c.Load(ch.name)) })
	}
}

// heard is told of every valid record about a client id of which this node has a chain, once chain.head is what it made of it. foreign: another node wrote it.
func (c *Changelog) heard(ch *chain, r *record, foreign bool, e *effects) {
	me := c.nodes[ch.q]
	switch {
	case ch.role == waiting && ch.head.owner == me && ch.head.former == 0: // final, or take
		c.joined(ch, e)
	case r.kind == kindConnect && foreign:
		c.lost(ch, e)
	case r.kind == kindState && ch.under == nil:
		c.reconcile(ch, e)
	}
	c.settle(ch, e)
}

// lost is told when this node does not own a client id any more, or does not get it: since another one wants it, or it was fenced.
func (c *Changelog) lost(ch *chain, e *effects) {
	switch ch.role {
	case waiting:
		c.giveUp(ch, e)
	case owner:
		c.stats.Taken.Add(1)
		c.drop(ch, e)
		ch.role = leaving
		e.call(func() { c.opts.Taken(ch.name) })
	case leaving: // what was under way then has become void without coming back
		c.drop(ch, e)
	case outsider, joining: // what is left from a connection before is about what was before that other one
		if ch.under != nil {
			ch.under.late = true
		}
		c.endQueued(ch, func(it *item) bool { return ch.role == outsider || !it.ends() }, e)
	}
}

// reconcile has what this node is to a client id follow what the log says, after a part of that was lost or written again.
func (c *Changelog) reconcile(ch *chain, e *effects) {
	mine, alone := ch.head.owner == c.nodes[ch.q], ch.head.former == 0
	if ch.role == leaving && mine && !ch.refused { // that another one wanted it is lost
		ch.role = owner
		if ch.final != nil {
			c.queue(ch, *ch.final)
			ch.final = nil
		}
	}
	switch {
	case ch.role == waiting && !mine:
		c.giveUp(ch, e)
	case ch.role == waiting && alone:
		c.joined(ch, e)
	case ch.role == owner && !mine:
		c.lost(ch, e)
	case ch.role == owner && !alone: // that the former owner has handed over, or has not, is lost
		c.send(ch, kindTake, nil, nil, e)
	case ch.role == leaving:
		c.drop(ch, e)
	case ch.role == giving && !mine:
		ch.role = outsider
	case ch.role == outsider && mine:
		ch.role = giving
	}
}

// giveUp ends a way to the ownership of a client id that another node has gone meanwhile [MQTT-3.1.4-3].
func (c *Changelog) giveUp(ch *chain, e *effects) {
	delete(c.waiting, ch)
	c.fail(ch, store.ErrTaken, e)
}

// fail tells whoever wanted the client id that it is not to be had. Of one that was announced the end is waited for then, so that it is not taken for the end of the
// session that somebody else has.
func (c *Changelog) fail(ch *chain, err error, e *effects) {
	j := ch.join
	ch.join, ch.role = nil, outsider
	switch {
	case j.done != nil:
		e.call(func() { j.done(nil, fmt.Errorf("client %.200q: %w", ch.name, err)) })
	case !j.abandoned:
		ch.role, ch.refused = leaving, errors.Is(err, store.ErrPrincipal)
		c.drop(ch, e)
		e.call(func() { c.opts.Taken(ch.name) })
	}
}

// drop ends the changes that the former owner has not sent; where the session stands is kept for the new one.
func (c *Changelog) drop(ch *chain, e *effects) {
	for i := range ch.queued {
		if it := &ch.queued[i]; it.ends() {
			c.unqueue(ch.q, it)
			ch.final = it
		} else {
			c.end(it, false, ch.name, e)
		}
	}
	ch.queued = nil
}

// takeOver appends take where the former owner has not answered in time.
func (c *Changelog) takeOver() {
	var e effects
	c.mu.Lock()
	now := c.opts.Now()
	var due []*chain
	for ch := range c.waiting {
		if ch.under == nil && c.ready[ch.q] && !now.Before(ch.until) {
			due = append(due, ch)
		}
	}
	for _, ch := range byName(due) {
		c.stats.Waited.Add(1)
		c.send(ch, kindTake, nil, nil, &e)
	}
	c.mu.Unlock()
	e.run(c)
}

// stray is told of a client id that this node owns though nobody here asked for it, or does not any more: by a connect that came twice, and late; or since what
// was lost by the log ended that.
func (c *Changelog) stray(name string, h *head, e *effects) {
	ch := c.chains[name]
	if ch == nil {
		ch = &chain{name: name, q: c.queueOf(name), head: *h}
		c.chains[name] = ch
	}
	if ch.role == outsider {
		ch.role = giving
	}
	c.settle(ch, e)
}
