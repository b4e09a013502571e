package changelog

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// A node has an id in each queue, and is taken for dead in each by itself. Shared subscriptions are the one thing that stands in more than one: a group's units are in its
// queue, and the QoS 2 deliveries of its messages in those of the sessions. So a node that is fenced where the group is must not begin deliveries elsewhere when others
// take its units. Beats say of which process they are, and nobody takes such units before the process is dead in all queues: what its
// sessions had by then is in the view, and what comes later is void.
//
// A process that was fenced somewhere is another one from then on. Its ids in other queues stay what they are, until they are fenced as well.

// renewID gives this node a new id in a queue, where it was fenced. mu is held.
func (c *Changelog) renewID(q int) {
	id := c.opts.NewID()
	if c.processes[q] == c.process {
		c.process = id
	}
	c.nodes[q], c.processes[q] = id, c.process
}

// processIn is the process that a beat names; 0: none.
func processIn(r *record) uint64 {
	if len(r.name) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(r.name))
}

// halfDead says whether a process that is dead in one queue lives in another one, or may. With each, its ids that live are handed to f. The reading of all queues is held.
func (c *Changelog) halfDead(f func(q int, node uint64, p *peer)) (any bool) {
	dead := map[uint64]bool{}
	for q := range c.queues {
		for _, p := range c.queues[q].peers {
			if p.fenced && p.process != 0 {
				dead[p.process] = true
			}
		}
	}
	for q := range c.queues {
		for _, node := range slices.Sorted(maps.Keys(c.queues[q].peers)) {
			p := c.queues[q].peers[node]
			if p.fenced || p.process != 0 && !dead[p.process] {
				continue
			}
			any = true
			f(q, node, p)
		}
	}
	return any
}

// finish fences in all queues whoever is dead in one, as far as this node hears of it there. It returns false when that is not read yet. The reading of all queues is held.
func (c *Changelog) finish(now time.Time, e *effects) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.halfDead(func(q int, node uint64, p *peer) {
		if p.process != 0 && c.hears(q, now) && now.Sub(p.try) >= c.opts.Beat { // else it was not heard of yet: watch
			p.try = now
			c.fence(q, node, p.last, e)
		}
	})
}

// hears says whether this node's beats come back in a queue: else nothing is known of others there. reading is held.
func (c *Changelog) hears(q int, now time.Time) bool {
	qu := &c.queues[q]
	return qu.begun && now.Sub(qu.beats.seen) <= 2*c.opts.Beat
}
