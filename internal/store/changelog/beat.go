package changelog

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// beats are this node's own in one queue. queue.reading guards them.
type beats struct {
	under  bool
	record record                // that is under way
	tried  time.Time             // when that was appended last
	began  time.Time             // when the one under way was appended
	next   time.Time             // when the next one is due
	heard  time.Time             // when the last one that was read back was appended
	known  time.Time             // and when the last one was before which all that was read has been acted on
	seen   time.Time             // and when it was read
	vector map[store.Queue]int64 // what was said of positions by beats that were read back
	said   []store.Position      // and by the one under way
}

// landed is told when a beat of this node was read.
func (b *beats) landed(valid bool, seq uint64, now time.Time) {
	if !b.under || b.record.seq != seq {
		return // it came twice
	}
	b.under = false
	if !valid {
		b.vector = nil
		return
	}
	b.heard, b.seen = b.began, now
	if b.vector == nil {
		b.vector = map[store.Queue]int64{}
	}
	for _, p := range b.said {
		b.vector[p.Queue] = p.Offset
	}
}

// changed returns the positions of v that were not said yet.
func (b *beats) changed(v []store.Position) []store.Position {
	var out []store.Position
	for _, p := range v {
		if at, ok := b.vector[p.Queue]; !ok || at != p.Offset {
			out = append(out, p)
		}
	}
	return out
}

// nodeName is how records name a node.
func nodeName(node uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], node)
	return string(b[:])
}

// Tick does what the time asks for: beats, fences, and going on without former owners. To be called every tenth of Options.Beat, or so.
func (c *Changelog) Tick() {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return
	}
	var e effects
	now := c.opts.Now()
	for q := range c.queues {
		c.tick(q, now, &e)
	}
	c.watchShares(&e)
	e.run(c)
	c.takeOver()
}

// tick is Tick for one queue.
func (c *Changelog) tick(q int, now time.Time, e *effects) {
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && qu.begun {
		c.beat(q, now, e)
		c.watch(q, now, e)
	}
}

// Begin is told when queue q was read up to where it ended after Open, or Rebuild: from then on this node says that it lives.
func (c *Changelog) Begin(q int) error {
	done, err := c.keeper.Use()
	if err != nil {
		return err
	}
	c.queues[q].reading.Lock()
	c.mu.Lock()
	var e effects
	c.live(q)
	c.ready[q] = true
	err = c.repair(q, &e)
	c.mu.Unlock()
	if err == nil {
		err = c.loadShares(q, &e)
	}
	c.queues[q].reading.Unlock()
	done()
	e.run(c)
	return err
}

// live has this node live in queue q. reading and mu are held.
func (c *Changelog) live(q int) {
	now := c.opts.Now()
	c.queues[q].listen(now)
	c.queues[q].begun, c.queues[q].live = true, now
}

// listen begins to wait for beats: nothing was heard of other nodes for a while, but then nobody listened. reading is held.
func (qu *queue) listen(now time.Time) {
	for _, p := range qu.peers {
		p.seen = now
	}
}

// deafFor says that for so long, until now, one's own beats did not come back: that is no time in which others were not heard of. reading is held.
func (qu *queue) deafFor(d time.Duration, now time.Time) {
	for _, p := range qu.peers {
		if p.seen = p.seen.Add(d); p.seen.After(now) {
			p.seen = now
		}
	}
}

// Heard is when the last beat was appended that this node has read back in queue q: what others wrote there before that, it knows, and whoever
// was to be told has been (Options.Taken). Zero: the first beat has not come back.
func (c *Changelog) Heard(q int) time.Time {
	c.queues[q].reading.Lock()
	defer c.queues[q].reading.Unlock()
	return c.queues[q].beats.known
}

// acted is told when what was read of queue q has had its effects.
func (c *Changelog) acted(q int) {
	c.queues[q].reading.Lock()
	defer c.queues[q].reading.Unlock()
	b := &c.queues[q].beats
	b.known = b.heard
}

// heardAll is when the oldest of the last beats was appended that this node has read back, over all queues: what others wrote before that to any queue is in the view.
// Zero: there is a queue whose first beat has not come back. The reading of all queues is held.
func (c *Changelog) heardAll() time.Time {
	oldest := c.queues[0].beats.heard
	for q := range c.queues {
		if h := c.queues[q].beats.heard; h.Before(oldest) {
			oldest = h
		}
	}
	return oldest
}

// beat appends a beat when it is time. reading and mu are held.
func (c *Changelog) beat(q int, now time.Time, e *effects) {
	b := &c.queues[q].beats
	if b.under {
		if now.Sub(b.tried) >= 3*c.opts.Beat { // it may be lost
			b.tried = now
			e.appends = append(e.appends, appended{q, b.record.append(nil)})
		}
		return
	}
	if now.Before(b.next) || c.leaves {
		return
	}
	c.seq++
	b.under, b.began, b.tried, b.next = true, now, now, now.Add(c.opts.Beat)
	b.said = b.changed(c.vectors[q].said)
	r := record{kind: kindBeat, node: c.nodes[q], seq: c.seq, base: none, at: c.queues[q].from(now), name: nodeName(c.processes[q])}
	if p := c.queues[q].peers[r.node]; p != nil {
		r.base = p.last
	}
	if len(b.said) > 0 {
		r.body = view.AppendPositions(nil, b.said)
	}
	b.record = r
	e.appends = append(e.appends, appended{q, r.append(nil)})
}

// watch fences the nodes that were not heard of. reading and mu are held.
func (c *Changelog) watch(q int, now time.Time, e *effects) {
	qu := &c.queues[q]
	if !c.hears(q, now) {
		return
	}
	for _, node := range slices.Sorted(maps.Keys(qu.peers)) {
		p := qu.peers[node]
		if p.fenced || node == c.nodes[q] || now.Sub(p.seen) < c.opts.FenceAfter || now.Sub(p.try) < c.opts.FenceAfter {
			continue
		}
		p.try = now
		c.fence(q, node, p.last, e)
	}
}

func (c *Changelog) fence(q int, node uint64, last int64, e *effects) {
	c.stats.Fences.Add(1)
	c.seq++
	r := record{kind: kindFence, node: c.nodes[q], seq: c.seq, base: last, name: nodeName(node)}
	e.appends = append(e.appends, appended{q, r.append(nil)})
}

// Leave fences this node itself, in good order: its clients have gone, and others need not wait to find that out. It counts although beats are under way, and no
// other one begins.
func (c *Changelog) Leave() {
	var e effects
	for q := range c.queues {
		c.leaveQueue(q, &e)
	}
	e.run(c)
}

func (c *Changelog) leaveQueue(q int, e *effects) {
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaves = true
	if (qu.begun || qu.peers[c.nodes[q]] != nil) && !c.closed { // else it has written nothing there
		c.fence(q, c.nodes[q], none, e)
	}
}
