package rocketmq

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
)

const (
	waveMessages = 64 // of a batch that is sent message by message
	waveWindow   = 16 // requests of it under way at once; more make brokers busy, not faster
)

// wave is a batch on its way message by message: brokers add no entries to light queues for what comes in a batch. Brokers handle requests side by
// side, so of one MQTT topic one message is under way at a time, in order; those of different topics are under way together, and may come
// into the queue in any order. When one fails no more are begun. What was not appended stays the batch under way, and nothing overtakes it.
type wave struct {
	o *outbox
	b *batch // as it is until finish: nobody changes it

	addr string

	mu    sync.Mutex
	list  []single // one for each item of b
	ready []int    // those whose turn has come
	away  int      // requests under way
	stop  bool     // one has failed
	over  bool     // finish is called
}

// single is what becomes of one message.
type single struct {
	next   int // the next one of the same MQTT topic; 0: there is none
	ended  bool
	res    remoting.SendResult
	err    error // why it is not known to be appended, when it has ended
	unsafe error // it is appended, but not as safe as is demanded
}

// sendSingly hands b, which is under way, to the client message by message. It does not block.
func (o *outbox) sendSingly(b *batch, addr string) {
	w := &wave{o: o, b: b, addr: addr, list: make([]single, len(b.items))}
	last := make(map[string]int, len(b.items))
	for i := range b.items {
		topic := b.items[i].topic
		if before, ok := last[topic]; ok {
			w.list[before].next = i
		} else {
			w.ready = append(w.ready, i)
		}
		last[topic] = i
	}
	w.run()
}

// run begins what may be under way, and ends the wave when nothing is any more.
func (w *wave) run() {
	for {
		i, over := w.take()
		switch {
		case over:
			w.finish()
			return
		case i < 0:
			return
		}
		w.send(i)
	}
}

// take is the message to be sent now; -1: none. over: all has ended, and the caller ends the wave.
func (w *wave) take() (i int, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stop && w.away < waveWindow && len(w.ready) > 0 {
		i, w.ready = w.ready[0], w.ready[1:]
		w.away++
		return i, false
	}
	over = w.away == 0 && !w.over
	w.over = w.over || over
	return -1, over
}

func (w *wave) send(i int) {
	s := w.o.s
	one, _, err := message.DecodeBatchEntry(w.b.raw(i))
	if err != nil {
		w.answered(i, remoting.SendResult{}, fmt.Errorf("a message that was encoded: %w: %w", err, remoting.ErrNotSent)) // a bug of ours
		return
	}
	s.stats.Sends.Add(1)
	if w.b.tries > 0 {
		s.stats.Resent.Add(1)
	}
	r := remoting.SendRequest{
		Topic: w.o.q.name.topic, QueueID: w.o.q.name.id, Born: s.opts.Clock(), Flag: one.Flag, Properties: string(one.Properties), Body: one.Body,
	}
	s.client.Send(w.addr, &r, time.Now().Add(w.o.patience(&w.b.items[i])), func(res remoting.SendResult, err error) { w.answered(i, res, err) })
}

// answered is told of every request, on a goroutine of the client's, or on that of run when it is refused at once.
func (w *wave) answered(i int, res remoting.SendResult, err error) {
	var unsafe error
	if err == nil {
		unsafe = w.o.safe(1, &res)
	}
	w.mu.Lock()
	one := &w.list[i]
	one.ended, one.res, one.err, one.unsafe = true, res, err, unsafe
	w.away--
	switch {
	case err != nil:
		w.stop = true
	case one.next > 0:
		w.ready = append(w.ready, one.next)
	}
	w.mu.Unlock()
	w.run()
}

// fate is what is to be done about what is left of a wave.
type fate struct {
	again     error // it is to be sent again a little later
	elsewhere error // the queue takes no messages
}

// finish ends what was appended or is refused, and goes on with the rest. All requests have ended.
func (w *wave) finish() {
	o, b := w.o, w.b
	refused, f := w.judge()
	o.mu.Lock()
	w.settle(refused)
	left := len(b.items) > 0
	next := b
	if !left {
		o.s.sending.keep(b)
		o.flight, o.asked = nil, false
		next = o.next()
	}
	o.mu.Unlock()
	switch {
	case left && f.elsewhere != nil:
		o.s.tasks.Go(func() { o.reroute(b, f.elsewhere) })
	case left && f.again != nil:
		o.again(b, f.again)
	case next != nil:
		o.send(next)
	}
	o.tell(false)
}

// judge decides about those that failed: the errors of those that are refused, by index, and what is to be done about the rest.
func (w *wave) judge() (refused map[int]error, f fate) {
	refused = map[int]error{}
	for i := range w.list {
		err := w.list[i].err
		if err == nil {
			continue
		}
		switch v, _ := judge(err, 1); v {
		case sendElsewhere:
			f.elsewhere = err
		case sendAgain, sendUnsure:
			f.again = err
		default:
			refused[i] = w.o.lasting(err)
		}
	}
	return refused, f
}

// settle has those told that have ended, and makes b of the rest. mu of the outbox is held.
func (w *wave) settle(refused map[int]error) {
	o, b := w.o, w.b
	old := *b
	items := slices.Clone(b.items)
	b.buf, b.from, b.items, b.bytes, b.lmq = nil, 0, nil, 0, false
	after := resentAfter{offset: o.acked, since: b.first}
	var acked int64
	for i := range items {
		e, one := items[i:i+1:i+1], &w.list[i]
		if one.err != nil {
			_, unsure := judge(one.err, 1)
			w.leave(&e[0], old.raw(i), refused[i], unsure, after)
			continue
		}
		if !one.ended {
			b.addRaw(&e[0], old.raw(i))
			continue
		}
		o.s.stats.Appended.Add(1)
		acked = max(acked, one.res.QueueOffset+1)
		b.tries = 0
		o.end(outcome{items: e, first: one.res.QueueOffset, err: one.unsafe})
	}
	if acked > 0 { // lower than before when the queue went back
		o.acked = acked
	}
	if len(b.items) == 0 {
		o.limit = min(o.limit*2, maxBatchMessages)
	}
}

// leave ends a message that failed, or leaves it in the batch. mu of the outbox is held.
func (w *wave) leave(e *item, raw []byte, refused error, unsure bool, after resentAfter) {
	if refused == nil && unsure && !e.unsure {
		again, err := appendMarked(nil, raw, after)
		if err == nil {
			raw = again
		}
		refused = err
	}
	e.unsure = e.unsure || unsure
	if refused != nil {
		w.o.end(outcome{items: []item{*e}, err: refused})
		return
	}
	w.b.addRaw(e, raw)
}
