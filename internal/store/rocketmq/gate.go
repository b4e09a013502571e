package rocketmq

import (
	"sync"
	"sync/atomic"
)

// gate is what makes order hold when messages move to another queue. While it is shut, place may give other answers than before, and
// messages that wait are put where it says now; a message that comes meanwhile must not be there before them. So Append asks for
// the epoch, then for the place, and its message is taken only if, under the outbox's lock, the epoch is still the same: either the move finds
// the message in the old outbox, or the message finds the moved ones in the new outbox.
//
// It is a lock for those who move, held while they may wait for the network and the changelog; for Append it is one atomic read.
type gate struct {
	n atomic.Uint64 // odd while it is shut

	mu     sync.Mutex
	change sync.Cond
	inside int
}

func (g *gate) init() { g.change.L = &g.mu }

// epoch waits until the gate is open, and numbers the time until it is shut again.
func (g *gate) epoch() uint64 {
	if n := g.n.Load(); n&1 == 0 {
		return n
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n.Load()&1 == 1 {
		g.change.Wait()
	}
	return g.n.Load()
}

// is reports whether the gate was not shut since.
func (g *gate) is(epoch uint64) bool { return g.n.Load() == epoch }

// enter keeps the gate from shutting until leave, if it was not shut since epoch.
func (g *gate) enter(epoch uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n.Load() != epoch {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.change.Broadcast()
}

// shut waits for other moves, and for those inside.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n.Load()&1 == 1 {
		g.change.Wait()
	}
	g.n.Add(1)
	for g.inside > 0 {
		g.change.Wait()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n.Add(1)
	g.change.Broadcast()
}
