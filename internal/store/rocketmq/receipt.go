package rocketmq

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// receipt is an incoming QoS 2 message of a persistent session on its way into the log (protocols 6):
//
//	Receive durable -> appended -> Receipted -> the client is told
//	                \-> refused for certain -> Refused -> the client is told
//	                \-> not known what became of it: it stays pending; when the client sends it again, the queue is searched for its key
//
// So, whatever crashes when, the message is in the log once, and a client that was told so is not asked for it again.
type receipt struct {
	g      *sending
	client string
	id     uint16
	topic  string

	size   int64      // bytes taken of sending.room
	retain *retaining // the message is to be retained; nil: not, or its record was handed over. Whoever has the receipt has it
	raw    []byte     // encoded, until it is in the outbox; whoever has the receipt has it
	lmq    bool       // it names light queues
	again  bool       // it may be in its queue from an earlier time
	moved  atomic.Bool

	q       atomic.Pointer[queue] // where it goes
	turn    atomic.Uint64         // counts what the changelog was told of it: only the completion of the last counts
	durable store.Receipt         // what the changelog was told last; Key "": nothing

	// A receipt whose message is stored is kept while somebody may have loaded the session without seeing that: the client is then going to send the
	// message again over that connection. publishers.mu guards all of it.
	stored bool // and where
	at     store.Position
	known  bool // the changelog has it: whoever loads the session from now on sees it
	loaded bool // the session was loaded before that

	waiters  []waiter // guarded by publishers.mu
	underway bool     // guarded by publishers.mu; false: only known to be pending
	over     bool     // guarded by publishers.mu; its session is: what becomes of it is not told to the changelog
}

// waiter is who waits for a receipt.
type waiter struct {
	done  store.Completion
	token uint64
}

func (r *receipt) movable() bool { return !r.again && !r.moved.Load() }

// append2 is Append for an incoming QoS 2 message of a persistent session. It may wait for the network: when it is not known what became
// of the message, which the client has sent before.
func (g *sending) append2(m *store.Message, retain *retaining, done store.Completion, token uint64) {
	r, pending, err := g.publishers.enter(g, m, waiter{done, token})
	if r == nil || r.stored {
		retain.forget()
	}
	switch {
	case r != nil && r.stored:
		waiter{done, token}.tell(r.at, nil)
		return
	case err != nil:
		g.refuse(m, done, token, err)
		return
	case r == nil: // it is on its way: whoever is first told, all are
		return
	}
	r.retain = retain
	if pending && g.found(r) {
		return
	}
	if err := g.receive(r, m); err != nil {
		g.s.stats.Refused.Add(1)
		g.ended(r, store.Position{}, err, pending) // what is pending is looked for again
	}
}

// found looks for a message that is pending in its queue, and says whether r has ended with that.
func (g *sending) found(r *receipt) bool {
	ctx, cancel := context.WithTimeout(g.s.ctx, g.s.opts.QueueFailover)
	defer cancel()
	if g.s.queueOf(r.durable.At.Queue) == nil { // since the start nobody has asked for the topic
		_, _ = g.s.place(r.topic) // when that fails, findKey does
	}
	at, ok, err := g.s.findKey(ctx, r.durable.At, r.durable.Since, r.durable.Key)
	switch {
	case err != nil:
		g.s.stats.Refused.Add(1)
		g.ended(r, store.Position{}, fmt.Errorf("whether message %d of %.200q was stored before: %w", r.id, r.client, err), true)
		return true
	case ok:
		g.ended(r, at, nil, false)
		return true
	}
	return false
}

// receive encodes a message and has the changelog told that it is about to be sent.
func (g *sending) receive(r *receipt, m *store.Message) error {
	sc := g.scratches.Get().(*scratch)
	defer g.scratches.Put(sc)
	if r.durable.Key != "" {
		sc.key = append(sc.key[:0], r.durable.Key...)
	} else {
		sc.key = g.s.ids.AppendNext(sc.key[:0])
	}
	out, err := sc.enc.encode(m, g.s.node, sc.key)
	if err != nil {
		return err
	}
	out = g.s.lmq.dispatch(&sc.enc, m.Topic, out)
	size := int64(entryBytes(out))
	if err := g.room.take(size); err != nil {
		return err
	}
	r.size = size
	for {
		epoch := g.gate.epoch()
		q, err := g.placeOf(r)
		if err != nil {
			g.room.give(size)
			return err
		}
		if !g.gate.enter(epoch) {
			continue
		}
		err = g.receiveAt(r, q, out, string(sc.key))
		g.gate.leave()
		if err != nil {
			g.room.give(size)
		}
		return err
	}
}

// placeOf is where a message goes: if it may be in a queue already, then into that.
func (g *sending) placeOf(r *receipt) (*queue, error) {
	if r.durable.Key != "" {
		if q := g.s.queueOf(r.durable.At.Queue); q != nil && !q.broker.failed() {
			return q, nil
		}
	}
	return g.s.place(r.topic)
}

// receiveAt is receive for a queue, with the gate entered.
func (g *sending) receiveAt(r *receipt, q *queue, out outgoing, key string) error {
	if g.closed.Load() {
		return store.ErrClosed
	}
	props := out.props
	if r.again = r.durable.Key != "" && r.durable.At.Queue == q.key; r.again {
		// It was not found. But a request of the time before may still be on its way.
		props = appendAgain(props, resentAfter{offset: q.log.broker(r.durable.At.Offset), since: r.durable.Since})
	}
	raw, err := message.AppendBatchEntry(make([]byte, 0, r.size), 0, out.body, props)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	}
	r.raw, r.lmq = raw, out.lmq
	r.durable.PacketID, r.durable.Key = r.id, key
	g.expect(r, q)
	return nil
}

// expect tells the changelog that r goes to q, and has it put there when that is durable.
func (g *sending) expect(r *receipt, q *queue) {
	o := &q.out
	turn := r.turn.Add(1)
	r.q.Store(q)
	o.mu.Lock()
	if !r.again {
		r.durable.At = store.Position{Queue: q.key, Offset: q.log.logical(o.acked)}
	}
	r.durable.Since = g.s.now()
	durable := r.durable
	o.receipts = append(o.receipts, r)
	o.mu.Unlock()
	g.s.changelog.Change(&store.Change{Kind: store.Receive, Client: r.client, Receipt: durable}, r, turn)
}

// Appended implements store.Completion: for Receive.
func (r *receipt) Appended(turn uint64, _ store.Position, err error) {
	o := &r.q.Load().out
	o.mu.Lock()
	if !o.unexpect(r, turn) {
		o.mu.Unlock()
		return // it was moved: another turn ends
	}
	if err != nil {
		o.mu.Unlock()
		r.fail(err)
		return
	}
	e := item{topic: r.topic, r: r, size: r.size, lmq: r.lmq, due: o.s.sending.due(), slow: true, moved: r.moved.Load(), unsure: r.again}
	o.open(e.size, e.lmq, true).addRaw(&e, r.raw)
	r.raw = nil
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
}

// unexpect takes r out of what the changelog is to know, if this is its turn. mu held.
func (o *outbox) unexpect(r *receipt, turn uint64) bool {
	for i, other := range o.receipts {
		if other == r && r.turn.Load() == turn {
			o.receipts = append(o.receipts[:i], o.receipts[i+1:]...)
			return true
		}
	}
	return false
}

// fail ends r since the changelog takes nothing: nothing was sent, and there is nobody to tell that to but the client.
func (r *receipt) fail(err error) {
	g, size := r.g, r.size
	g.s.stats.Refused.Add(1)
	r.retain.forget()
	r.retain = nil
	for _, w := range g.publishers.leave(r, false) {
		w.tell(store.Position{}, err)
	}
	g.room.give(size)
}

// ended ends r: what became of it goes to the changelog, before its senders are told. unsure: the message may be in the log though err is
// not nil, or there twice. It may wait for the changelog. The room that the message had is the caller's to give back.
func (g *sending) ended(r *receipt, at store.Position, err error, unsure bool) {
	retain := r.retain
	r.retain = nil
	if retain == nil {
		g.endedAll(r, at, err, unsure)
		return
	}
	appended := err == nil
	retain.write(at, err, unsure, func(err error) {
		g.s.tasks.Go(func() { g.endedAll(r, at, err, unsure || appended) })
	})
}

// endedAll is ended for a message that need not be retained, or is.
func (g *sending) endedAll(r *receipt, at store.Position, err error, unsure bool) {
	switch known := r.durable.Key != ""; {
	case g.publishers.isOver(r):
	case err == nil:
		g.publishers.keep(r, at)
		g.s.changelog.Change(&store.Change{Kind: store.Receipted, Client: r.client, PacketID: r.id}, receipted{r}, 0)
	case unsure:
	case known:
		g.s.changelog.Change(&store.Change{Kind: store.Refused, Client: r.client, PacketID: r.id}, nil, 0)
	}
	for _, w := range g.publishers.leave(r, err != nil && unsure) {
		w.tell(at, err)
	}
}

// receipted is told when the changelog knows that a message is stored.
type receipted struct{ r *receipt }

// Appended implements store.Completion. If the changelog fails, so does the store.
func (c receipted) Appended(uint64, store.Position, error) {
	p := &c.r.g.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.r.known = true; !c.r.loaded && c.r.stored {
		p.remove(c.r)
	}
}

func (w waiter) tell(at store.Position, err error) {
	if w.done != nil {
		w.done.Appended(w.token, at, err)
	}
}

// maxWaiters is how many connections may wait for one message: a client that comes again and again while its broker is away.
const maxWaiters = 8

// publishers are the QoS 2 messages of persistent sessions that are on their way or of which it is not known what became of them: as many
// at most as the receive maximum for each client that is connected, or was when they began.
type publishers struct {
	mu      sync.Mutex
	clients map[string]map[uint16]*receipt
}

func (p *publishers) init() { p.clients = map[string]map[uint16]*receipt{} }

// enter is the receipt of a message: nil when it is on its way already, then w waits for that; pending when it was known before.
func (p *publishers) enter(g *sending, m *store.Message, w waiter) (r *receipt, pending bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r = p.clients[m.Client][m.PacketID]
	switch sum := sumOf(m); {
	case r == nil:
		r = &receipt{g: g, client: m.Client, id: m.PacketID, durable: store.Receipt{Sum: sum}}
		p.put(r)
	case r.stored && r.durable.Sum == sum:
		return r, false, nil
	case r.stored: // it was released, and the id is used again
		r = &receipt{g: g, client: m.Client, id: m.PacketID, durable: store.Receipt{Sum: sum}}
		p.put(r)
	case !r.underway && r.durable.Sum != sum: // the client was refused the one before, and uses its id again
		r.durable = store.Receipt{Sum: sum}
	case !r.underway:
		pending = true
	case len(r.waiters) >= maxWaiters:
		return nil, false, fmt.Errorf("%w: message %d of %.200q is still on its way", store.ErrAway, m.PacketID, m.Client)
	default:
		r.waiters = append(r.waiters, w)
		return nil, false, nil
	}
	r.topic, r.underway, r.waiters = m.Topic, true, append(r.waiters, w)
	return r, pending, nil
}

// sumOf is store.Receipt.Sum of a message.
func sumOf(m *store.Message) uint64 {
	var h xxhash.Digest
	h.Reset()
	_, _ = h.WriteString(m.Topic) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(m.Payload)
	return h.Sum64()
}

// put adds r. mu held.
func (p *publishers) put(r *receipt) {
	if p.clients[r.client] == nil {
		p.clients[r.client] = map[uint16]*receipt{}
	}
	p.clients[r.client][r.id] = r
}

// remove removes r, if it is there. mu held.
func (p *publishers) remove(r *receipt) {
	if ids := p.clients[r.client]; ids[r.id] == r {
		if delete(ids, r.id); len(ids) == 0 {
			delete(p.clients, r.client)
		}
	}
}

// keep notes that the message of r is stored.
func (p *publishers) keep(r *receipt, at store.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.stored, r.at = true, at
}

// leave ends the way of r, and returns who waits. keep: it is pending from now on. One that is stored goes when the changelog has it.
func (p *publishers) leave(r *receipt, keep bool) []waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep && !r.stored {
		p.remove(r)
	}
	w := r.waiters
	r.waiters, r.underway = nil, false
	r.raw, r.size = nil, 0
	r.moved.Store(false)
	return w
}

// loading comes before the session of a client is loaded.
func (g *sending) loading(client string) {
	p := &g.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.clients[client] {
		switch {
		case r.stored && r.known:
			p.remove(r) // it will be among what was received
		case r.stored || r.underway:
			r.loaded = true
		}
	}
}

// released says that a client has released a packet id.
func (g *sending) released(client string, id uint16) {
	p := &g.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.clients[client][id]; r != nil && r.stored {
		p.remove(r)
	}
}

// pending says which receipts of a client are not resolved, as its session was loaded. What is on its way is known better here.
func (g *sending) pending(client string, receipts []store.Receipt) {
	p := &g.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.clients[client] {
		if !r.underway && !r.stored {
			p.remove(r)
		}
	}
	for _, known := range receipts {
		if p.clients[client][known.PacketID] == nil {
			p.put(&receipt{g: g, client: client, id: known.PacketID, durable: known})
		}
	}
}

// forget ends what is known of a client whose session ends, or begins anew: a message with the same id is another one.
func (g *sending) forget(client string) {
	p := &g.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.clients[client] {
		r.over = true
	}
	delete(p.clients, client)
}

func (p *publishers) isOver(r *receipt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.over
}
