package local

import "sync/atomic"

// gate counts the callers inside a resource, so that closing it can wait for them. A caller may enter again from
// inside, which a sync.RWMutex would not allow once somebody waits to close.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	left   chan struct{} // capacity 1: somebody may have been the last to leave
}

// enter is false once the gate is closed. leave must follow when it is true.
func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		select {
		case g.left <- struct{}{}:
		default:
		}
	}
}

// close lets nobody in any more and waits for those inside. To be called once.
func (g *gate) close() {
	g.closed.Store(true)
	for g.inside.Load() != 0 {
		<-g.left
	}
}
