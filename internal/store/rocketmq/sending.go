package rocketmq

import (
	"sync"
	"sync/atomic"
	"time"
)

// sending is what all outboxes share. Its limits: MaxPendingBytes of encoded messages that RocketMQ has not acknowledged (room), beyond
// which Append waits; and in each outbox one batch under way and one that collects (outbox.put).
//
// Locks, in their order: gate.mu, publishers.mu, outbox.mu, budget.mu. None is held while anything is called that may
// wait: the client, the changelog, place, a Completion.
type sending struct {
	s     *Store
	began time.Time // deadlines are counted from here (elapsed), so that they do not follow the wall clock

	room       budget
	gate       gate       // messages move to other queues while it is shut
	publishers publishers // QoS 2 of persistent sessions

	scratches sync.Pool // of *scratch
	batches   sync.Pool // of *batch
	closed    atomic.Bool

	mu    sync.Mutex
	boxes []*outbox // of all queues ever seen
}

// scratch is what encoding one message needs.
type scratch struct {
	enc encoder
	key []byte
}

func (g *sending) init(s *Store) {
	g.s, g.began = s, s.opts.monotonic()
	g.room.init(s.opts.MaxPendingBytes)
	g.gate.init()
	g.publishers.init()
	g.scratches.New = func() any { return new(scratch) }
	g.batches.New = func() any { return newBatch() }
}

// elapsed is the time of this process, for deadlines: without that in which it was stopped, which no broker is to be blamed for. The clock comes
// first: when the process is stopped between the two, the result is too early, not too late.
func (g *sending) elapsed() time.Duration {
	d := g.s.opts.monotonic().Sub(g.began)
	return d - g.s.pulse.Stopped()
}

// due is when a message that is taken now is refused at the latest.
func (g *sending) due() time.Duration { return g.elapsed() + g.s.opts.QueueFailover }

// later calls f in a goroutine of the store when d has passed. Close waits for it: d is short.
func (g *sending) later(d time.Duration, f func()) {
	g.s.tasks.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		<-t.C
		f()
	})
}

// add has an outbox known.
func (g *sending) add(o *outbox) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.boxes = append(g.boxes, o)
}

// all is the outboxes that keep returns true for.
func (g *sending) all(keep func(*outbox) bool) []*outbox {
	g.mu.Lock()
	defer g.mu.Unlock()
	var boxes []*outbox
	for _, o := range g.boxes {
		if keep(o) {
			boxes = append(boxes, o)
		}
	}
	return boxes
}

// close refuses new messages and waits until all that were taken are answered: QueueFailover, twice for those that move, and a little for
// the last request, at most. What is left then are messages of QoS 2 that were not sent, as the changelog cannot be written to: it answers them when it is closed. It must
// be called before the store's context ends and the client and the changelog are closed. Again, it waits too.
func (g *sending) close() {
	g.closed.Store(true)
	g.room.close()
	if l := g.s.retained; l != nil {
		l.room.close()
	}
	for _, o := range g.all(func(*outbox) bool { return true }) {
		o.mu.Lock()
		o.room.Broadcast()
		o.mu.Unlock()
	}
	t := time.NewTimer(2*g.s.opts.QueueFailover + requestTimeout)
	defer t.Stop()
	select {
	case <-g.room.idle:
		if l := g.s.retained; l != nil {
			select {
			case <-l.room.idle:
			case <-t.C:
			}
		}
	case <-t.C:
		g.s.log.Warn("messages of QoS 2 are left to their publishers: the sessions' changelog could not be written to")
	}
}
