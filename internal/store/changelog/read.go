package changelog

import (
	"encoding/hex"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Next is the offset at which reading queue q goes on, and the note that came with what was read last.
func (c *Changelog) Next(q int) (next int64, note []byte) {
	c.queues[q].reading.Lock()
	defer c.queues[q].reading.Unlock()
	return c.queues[q].next, c.queues[q].note
}

// Read takes what stands in queue q from Next on, in order and without a gap; next is where the log goes on behind it. note is kept for the reader, with what was
// read. An error is the view's: nothing was applied, and nothing more can be.
func (c *Changelog) Read(q int, entries []Entry, next int64, note []byte) error {
	read, err := c.apply(q, entries, next, note)
	if err != nil {
		return fmt.Errorf("update the view of sessions: %w", err)
	}
	var e effects
	c.mu.Lock()
	if !c.closed {
		for i := range read {
			c.happened(q, &read[i], &e)
		}
	}
	c.mu.Unlock()
	e.run(c)
	c.acted(q)
	return nil
}

// happening is a record that was read, and what became of it.
type happening struct {
	record
	outcome
	mine   bool // this node wrote it, under the id that it had then
	fenced bool // it is the fence of this node
	shares []shareNote
}

// now is what is known of the name since; nil: nothing.
func (hp *happening) now() *head {
	if hp.valid {
		return hp.is
	}
	return hp.was
}

// apply brings the view up to date.
func (c *Changelog) apply(q int, entries []Entry, next int64, note []byte) ([]happening, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := c.keeper.Failed(); err != nil {
		return nil, err
	}
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	if len(entries) > 0 && qu.since == 0 {
		qu.since = entries[0].Time
	}
	x := c.begin(q)
	defer x.Close()
	read := make([]happening, 0, len(entries))
	for i := range entries {
		en := &entries[i]
		if en.Offset < qu.next {
			continue
		}
		c.stats.Read.Add(1)
		qu.newest = max(qu.newest, en.Time)
		var hp happening
		if err := hp.parse(en.Data); err != nil {
			c.passOver(q, en.Offset, err)
			continue
		}
		x.rec = &view.Record{Offset: en.Offset, Time: en.Time, Run: int64(hp.node)}
		x.shares, x.unsound = nil, nil
		var err error
		if hp.outcome, err = x.apply(&hp.record); err != nil {
			return nil, fmt.Errorf("the record at offset %d of queue %d: %w", en.Offset, q, err)
		}
		if x.unsound != nil {
			c.passOver(q, en.Offset, x.unsound)
		}
		if !hp.valid {
			c.stats.Void.Add(1)
		}
		c.noteNode(qu, q, &hp)
		hp.shares = x.shares
		c.noteShares(hp.shares, x.now)
		hp.body = nil // the entry's
		read = append(read, hp)
	}
	if len(entries) > 0 {
		if err := qu.bury(x, entries[len(entries)-1].Time); err != nil {
			return nil, err
		}
	}
	c.tellDropped(x)
	qu.next, qu.note = max(qu.next, next), note
	if err := c.commit(x, qu); err != nil {
		return nil, err
	}
	return read, c.keeper.Failed()
}

// passOver tells that a record, or a part of it, does nothing here: a later version has written it, or it is damaged.
func (c *Changelog) passOver(q int, offset int64, err error) {
	c.stats.Unreadable.Add(1)
	c.log.Warn("a record of the sessions' changelog is passed over, or a part of it", "queue", q, "offset", offset, "err", err)
}

// begin begins a transaction of queue q. reading is held.
func (c *Changelog) begin(q int) *txn {
	t := view.Begin(c.db)
	t.Groups = &c.groups
	return &txn{Txn: t, q: uint16(q), origin: c.queues[q].origin, since: c.queues[q].since, peers: c.queues[q].peers, now: c.opts.Now()}
}

func (c *Changelog) commit(x *txn, qu *queue) error {
	more := x.Sessions()
	qu.sessions += more
	if err := x.Set(queueKey(keyQueue, x.q), qu.encode(nil)); err != nil {
		return err
	}
	if err := x.Apply(); err != nil {
		return err
	}
	c.sessions.Add(more)
	return nil
}

// noteNode notes what a record says of the nodes. reading is held.
func (c *Changelog) noteNode(qu *queue, q int, hp *happening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	me := c.nodes[q]
	hp.mine = hp.node == me
	switch {
	case hp.kind == kindBeat && hp.mine:
		now := c.opts.Now()
		if gap := now.Sub(qu.beats.seen); gap > 2*c.opts.Beat && !qu.beats.seen.IsZero() { // as those of others are about to
			qu.deafFor(gap, now)
		}
		qu.beats.landed(hp.valid, hp.seq, now)
	case hp.kind == kindFence && hp.valid && hp.name == nodeName(me):
		hp.fenced = true
		if !hp.mine {
			c.stats.Fenced.Add(1)
		}
		c.renewID(q) // what is read from here on is told apart
		qu.beats = beats{}
	}
}

// happened has the chains follow what was read. mu is held.
func (c *Changelog) happened(q int, hp *happening, e *effects) {
	switch {
	case !c.ready[q]: // what was read before is read again: chains follow when it was read to its end
		if ch := c.chains[hp.name]; ch != nil && hp.mine && ch.under != nil && ch.under.seq == hp.seq && ch.under.read == nil {
			ch.under.read = &hp.outcome
		}
		return
	case hp.fenced:
		c.fenced(q, hp.mine, e)
		c.tellShared(hp, e)
		return
	case hp.kind == kindBeat && hp.mine:
		c.overtaken(q, hp.seq, e)
	case hp.kind == kindFence && hp.valid && hp.name != nodeName(hp.node): // else it has left
		c.log.Warn("a node that was not heard of for too long is taken for dead: its clients' sessions can be taken over", "queue", q, "node", hex.EncodeToString([]byte(hp.name)))
	}
	defer c.tellShared(hp, e)
	if hp.kind == kindBeat || hp.kind == kindFence {
		return
	}
	ch := c.chains[hp.name]
	own := ch != nil && hp.mine && ch.under != nil && ch.under.seq == hp.seq
	if ch != nil && hp.valid {
		ch.head = *hp.is
	} else if own { // void: it was built on something old
		ch.head = head{last: none}
		if hp.was != nil {
			ch.head = *hp.was
		}
	}
	if own {
		c.landed(ch, &hp.outcome, e)
	} else if is := hp.now(); is != nil && is.owner == c.nodes[q] && (hp.kind == kindConnect && hp.valid || hp.kind == kindState) {
		c.stray(hp.name, is, e)
	}
	if ch != nil && hp.valid && c.chains[hp.name] == ch {
		c.heard(ch, &hp.record, !hp.mine, e)
	}
}

// tellShared tells of the groups that a record has changed.
func (c *Changelog) tellShared(hp *happening, e *effects) {
	for i := range hp.shares {
		filter := hp.shares[i].filter
		e.call(func() { c.opts.Shared(filter) })
	}
}

// fenced is told when this node has left queue q, or others took it for dead there: it owns nothing in it any more.
func (c *Changelog) fenced(q int, left bool, e *effects) {
	if !left {
		c.log.Error("other nodes took this one for dead, since it did not write to the sessions' changelog in time: its clients' sessions there may be taken over, "+
			"their connections end; look for a process that was stopped, or for a slow broker", "queue", q)
	}
	e.appends = nil // what was read before the fence, together with it, led to records under the new id, as if it were the former one
	for _, ch := range c.chainsOf(q) {
		c.unsend(ch, e)                      // it will come back under the former id, and says nothing then
		ch.head.owner, ch.head.former = 0, 0 // nearly: what is not so makes the next record void, which is made again
		if ch.role == waiting {
			c.giveUp(ch, e)
		} else {
			c.lost(ch, e)
		}
		c.settle(ch, e)
	}
}

// unsend has what is under way not come back. It is made again, unless it is about a connection before the one that is on its way now.
func (c *Changelog) unsend(ch *chain, e *effects) {
	f := ch.under
	if f == nil {
		return
	}
	ch.under = nil
	if f.kind == kindWill {
		ch.wills = append(f.items, ch.wills...)
		return
	}
	if ch.role == joining || ch.role == waiting {
		for i := range f.items {
			c.end(&f.items[i], false, ch.name, e)
		}
		return
	}
	ch.queued = append(f.items, ch.queued...)
}
