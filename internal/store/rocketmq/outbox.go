package rocketmq

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// outbox is what is to be appended to one queue: group commit without a timer. One batch is under way, what comes meanwhile
// collects in the next; when nothing is under way a message is sent at once. So the order of a queue is that of the calls of Append,
// through everything that fails: what follows a batch that failed waits for it (protocols 2).
//
// Full: Append waits when the batch that collects has MaxBatchBytes or limit messages. Only messages that waited elsewhere already,
// for the changelog or in another outbox, make further batches; sending.room bounds them.
type outbox struct {
	s *Store
	q *queue

	mu      sync.Mutex
	room    sync.Cond // the batch that collects may have changed
	waiters int       // of room
	flight  *batch    // what is under way, or waits to be sent again; nil: nothing
	asked   bool      // flight is with the client, or with what its answer began: only that may touch it
	queue   []*batch  // what follows it; the last one collects
	limit   int       // messages of a batch that collects: less while the broker is busy
	acked   int64     // RocketMQ's offset behind the last message that was acknowledged; 0: not known

	receipts []*receipt // of messages that come into the queue when the changelog has them, in order

	outcomes []outcome // whose senders are not told yet, in order
	telling  bool      // somebody is telling them

	told atomic.Int64 // logical offset behind the last message whose sender was told, or is being told, that it is appended
}

// outcome is what became of messages that were in the outbox.
type outcome struct {
	b     *batch // to be used again; nil: not
	items []item
	first int64 // RocketMQ's offset of the first one, when err is nil
	err   error
}

func (o *outbox) init(s *Store, q *queue) {
	o.s, o.q = s, q
	o.room.L = &o.mu
	o.limit = maxBatchMessages
	s.sending.add(o)
}

// put adds a message to what collects, waiting for room. It returns false when the place of messages may have changed since epoch:
// nothing was added then.
func (o *outbox) put(e *item, out outgoing, epoch uint64) (bool, error) {
	o.mu.Lock()
	b, ok := o.admit(e, epoch)
	if !ok {
		o.mu.Unlock()
		if o.s.sending.closed.Load() {
			return false, store.ErrClosed
		}
		return false, nil
	}
	e.due = o.s.sending.due()
	err := b.add(e, out)
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
	return err == nil, err
}

// admit waits for a batch that has room for e. mu held; released while waiting.
func (o *outbox) admit(e *item, epoch uint64) (*batch, bool) {
	g := &o.s.sending
	for {
		if g.closed.Load() || !g.gate.is(epoch) {
			return nil, false
		}
		if b := o.open(e.size, e.lmq, false); b != nil {
			return b, true
		}
		o.waiters++
		o.room.Wait()
		o.waiters--
	}
}

// open is the batch that takes the next message, of size bytes; lmq: one for light queues. Unless extra is true, there is at most one that collects: nil, when that is
// full. mu held.
func (o *outbox) open(size int64, lmq, extra bool) *batch {
	if n := len(o.queue); n > 0 {
		if last := o.queue[n-1]; last.takes(size, o.s.opts.MaxBatchBytes, o.limit, lmq) {
			return last
		}
		if !extra {
			return nil
		}
	}
	b := o.s.sending.batch(o)
	o.queue = append(o.queue, b)
	return b
}

// next takes the batch that is to be sent now: nil, when one is under way or there is none. It is the caller's, to send without the
// lock. mu held.
func (o *outbox) next() *batch {
	if o.flight != nil {
		return nil
	}
	for len(o.queue) > 0 {
		b := o.queue[0]
		o.queue = append(o.queue[:0], o.queue[1:]...)
		if len(b.items) > 0 { // none: it could not be encoded
			o.flight, o.asked = b, true
			o.hasRoom()
			return b
		}
		o.s.sending.keep(b)
	}
	return nil
}

// hasRoom wakes who waits in put. mu held.
func (o *outbox) hasRoom() {
	if o.waiters > 0 {
		o.room.Broadcast()
	}
}

// Deadlines of one request. It ends when its first message is due, but it gets a moment: else what came last behind a slow batch would
// have no chance, and an outcome that nobody knows.
const (
	requestTimeout = 3 * time.Second
	requestMoment  = time.Second
)

// send hands b, which is under way, to the client. It does not block.
func (o *outbox) send(b *batch) {
	s := o.s
	if !s.pulse.Alive() {
		o.again(b, errPaused)
		return
	}
	if err := b.doubtWills(); err != nil {
		o.refuse(b, err)
		return
	}
	addr := o.q.broker.addr()
	if addr == "" {
		o.again(b, errNoMaster)
		return
	}
	if b.first == 0 {
		b.first = s.now()
	}
	if b.lmq {
		o.sendSingly(b, addr)
		return
	}
	s.stats.Sends.Add(1)
	if b.tries > 0 {
		s.stats.Resent.Add(1)
	}
	b.req = remoting.SendRequest{Topic: o.q.name.topic, QueueID: o.q.name.id, Born: s.opts.Clock(), Body: b.buf[b.from:], Batch: true}
	s.client.Send(addr, &b.req, time.Now().Add(o.patience(&b.items[0])), b.answered)
}

// patience is how long an answer is waited for when e is the first message.
func (o *outbox) patience(e *item) time.Duration {
	moment := min(requestMoment, o.s.opts.QueueFailover/4)
	return min(requestTimeout, max(e.due-o.s.sending.elapsed(), moment))
}

// appended ends a batch that the broker has appended, and sends the next one before anybody is told: the broker is not to wait
// for our publishers' connections.
func (o *outbox) appended(b *batch, res *remoting.SendResult) {
	n := int64(len(b.items))
	o.s.stats.Appended.Add(n)
	err := o.safe(len(b.items), res)
	o.mu.Lock()
	o.acked = res.QueueOffset + n
	o.limit = min(o.limit*2, maxBatchMessages)
	o.end(outcome{b: b, items: b.items, first: res.QueueOffset, err: err})
	o.flight, o.asked = nil, false
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
	o.tell(false)
}

// end has messages told what became of them. mu held.
func (o *outbox) end(out outcome) {
	if len(out.items) > 0 || out.b != nil {
		o.outcomes = append(o.outcomes, out)
	}
}

// tell tells the senders of all that has ended, in order, unless somebody else is at it and goes on. Without mayWait, as on the client's
// goroutines, what is slow is left to a goroutine.
func (o *outbox) tell(mayWait bool) {
	o.mu.Lock()
	if o.telling {
		o.mu.Unlock()
		return
	}
	o.telling = true
	o.tellOn(mayWait)
}

// tellOn is tell for who is telling. mu held; it is released.
func (o *outbox) tellOn(mayWait bool) {
	for len(o.outcomes) > 0 {
		out := o.outcomes[0]
		if !mayWait && slow(out.items) {
			o.mu.Unlock()
			o.s.tasks.Go(func() {
				o.mu.Lock()
				o.tellOn(true)
			})
			return
		}
		o.outcomes = append(o.outcomes[:0], o.outcomes[1:]...)
		o.mu.Unlock()
		o.tellOne(&out)
		o.mu.Lock()
	}
	clear(o.outcomes[:cap(o.outcomes)]) // they hold what was told
	o.telling = false
	o.mu.Unlock()
}

// tellOne tells the senders of one outcome, and then gives back the room that the messages had.
func (o *outbox) tellOne(out *outcome) {
	g := &o.s.sending
	var size int64
	at := store.Position{Queue: o.q.key}
	if n := len(out.items); n > 0 && out.err == nil {
		o.told.Store(max(o.told.Load(), o.q.log.logical(out.first+int64(n-1))+1)) // nobody else is telling
	}
	for i := range out.items {
		e := &out.items[i]
		if out.err == nil {
			at.Offset = o.q.log.logical(out.first + int64(i))
		}
		g.tell(e, at, out.err)
		size += e.size
	}
	if out.b != nil {
		g.keep(out.b)
	}
	g.room.give(size)
}

// tell tells the sender of one message.
func (g *sending) tell(e *item, at store.Position, err error) {
	switch {
	case err == nil:
	case e.qos0:
		g.s.stats.DroppedQoS0.Add(1)
	default:
		g.s.stats.Refused.Add(1)
	}
	if err != nil {
		at = store.Position{}
	}
	unsure := e.unsure || err != nil && isAppended(err)
	switch {
	case e.r != nil:
		g.ended(e.r, at, err, unsure)
	case e.w != nil:
		e.w.ended(at, err, unsure)
	case e.retain != nil:
		done, token := e.done, e.token // e is the batch's, which may be used again by then
		e.retain.write(at, err, unsure, func(err error) {
			if done != nil {
				done.Appended(token, at, err)
			}
		})
	case e.done != nil:
		e.done.Appended(e.token, at, err)
	}
}

// batch is an empty batch.
func (g *sending) batch(o *outbox) *batch {
	b := g.batches.Get().(*batch)
	b.o = o
	return b
}

// keep takes a batch back that nobody uses any more.
func (g *sending) keep(b *batch) {
	clear(b.items)
	b.items, b.buf = b.items[:0], b.buf[:0]
	if cap(b.buf) > keepBatchBytes {
		b.buf = nil
	}
	b.o, b.from, b.bytes, b.lmq, b.tries, b.first, b.err = nil, 0, 0, false, 0, 0, nil
	b.req = remoting.SendRequest{}
	g.batches.Put(b)
}
