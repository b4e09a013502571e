package rocketmq

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/retained"
)

// retainedTag is the tag of the messages of the log of retained messages.
const retainedTag = "MQTT_SYS"

// retainedQueue is one queue of the log of retained messages: what is written to it, one message at a time, while the next one collects. A message carries many records,
// each behind its length. What has to be written is bounded by retainedLog.room, and by how much is written again at once.
type retainedQueue struct {
	*queue
	s      *Store
	reader *logReader
	begun  underway // messages of this node that are to be retained

	mu     sync.Mutex
	wait   []pendingRecord // in order
	under  bool            // a message is under way, or waits to be sent again
	end    int64           // RocketMQ's offset behind what this node has written last
	silent error           // why the last try to write failed; nil: it did not
	since  time.Duration   // when that began, see sending.elapsed
}

// pendingRecord is one that is to be written.
type pendingRecord struct {
	data []byte
	due  time.Duration // when it is given up, see sending.elapsed
	done func(error)   // called once, on any goroutine; must not block
}

// put adds a record to what collects.
func (q *retainedQueue) put(p pendingRecord) {
	q.mu.Lock()
	q.wait = append(q.wait, p)
	some := q.next()
	q.mu.Unlock()
	if some != nil {
		q.send(some, firstPause)
	}
}

// next takes the records of the message that is to be sent now; nil: none. mu is held.
func (q *retainedQueue) next() []pendingRecord {
	if q.under || len(q.wait) == 0 {
		return nil
	}
	n, size := 0, 0
	for ; n < len(q.wait) && (n == 0 || size+len(q.wait[n].data) <= sessionBody); n++ {
		size += len(q.wait[n].data)
	}
	some := q.wait[:n:n]
	if q.wait = q.wait[n:]; len(q.wait) == 0 {
		q.wait = nil
	}
	q.under = true
	return some
}

// send sends records in one message. It may come to stand there twice: the second one says nothing new.
func (q *retainedQueue) send(some []pendingRecord, wait time.Duration) {
	addr, err := q.reachable()
	if err != nil {
		q.failed(some, wait, err)
		return
	}
	var body []byte
	for i := range some {
		body = append(binary.AppendUvarint(body, uint64(len(some[i].data))), some[i].data...)
	}
	props, err := message.AppendProperty(nil, propUniqKey, q.s.ids.AppendNext(nil))
	if err == nil {
		props, err = message.AppendProperty(props, "TAGS", retainedTag)
	}
	if err != nil {
		q.failed(some, wait, err)
		return
	}
	now := time.Now()
	q.s.client.Send(addr, &remoting.SendRequest{
		Topic: q.name.topic, QueueID: q.name.id, BrokerName: q.name.broker, Born: now, Properties: string(props), Body: body,
	}, now.Add(requestTimeout), func(res remoting.SendResult, err error) { q.sent(some, wait, res.QueueOffset, err) })
}

// sent is told what became of a message, which stands at offset.
func (q *retainedQueue) sent(some []pendingRecord, wait time.Duration, offset int64, err error) {
	if err != nil {
		q.failed(some, wait, err)
		return
	}
	q.mu.Lock()
	q.silent, q.under, q.end = nil, false, offset+1
	next := q.next()
	q.mu.Unlock()
	if next != nil {
		q.send(next, firstPause)
	}
	for i := range some {
		some[i].done(nil)
	}
}

// failed gives up what is due, or can never be written, and sends the rest again, a little later.
func (q *retainedQueue) failed(some []pendingRecord, wait time.Duration, err error) {
	now := q.s.sending.elapsed()
	q.mu.Lock()
	said := q.silent != nil
	q.silent = fmt.Errorf("topic %s on broker %s: %w", q.name.topic, q.name.broker, err)
	if !said {
		q.since = now
	}
	silent := q.silent
	q.mu.Unlock()
	if !said {
		q.s.log.Warn("retained messages cannot be written down at a broker: those of some topics are refused to their publishers until it answers",
			"topic", q.name.topic, "broker", q.name.broker, "queue", q.name.id, "err", err)
	}
	verdict, _ := judge(err, 1)
	over := q.s.ctx.Err() != nil || verdict == sendNever && len(some) == 1
	var again, gone []pendingRecord
	for _, p := range some {
		if over || p.due <= now {
			gone = append(gone, p)
		} else {
			again = append(again, p)
		}
	}
	if verdict == sendNever && len(again) > 1 { // one of them is the reason: they are sent one by one
		q.mu.Lock()
		q.wait = append(append([]pendingRecord(nil), again[1:]...), q.wait...)
		q.mu.Unlock()
		again = again[:1]
	}
	for i := range gone {
		gone[i].done(fmt.Errorf("%w: that it is retained could not be written down: %w", store.ErrAway, silent))
	}
	if len(again) > 0 {
		q.s.sending.later(wait, func() { q.send(again, min(2*wait, longestPause)) })
		return
	}
	q.mu.Lock()
	q.under = false
	next := q.next()
	q.mu.Unlock()
	if next != nil {
		q.s.sending.later(wait, func() { q.send(next, min(2*wait, longestPause)) })
	}
}

// written is RocketMQ's offset behind what this node has written last: brokers may show it a moment after they have acknowledged it.
func (q *retainedQueue) written() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end
}

// refuses says why nothing should be published that is to be written here; nil: it may.
func (q *retainedQueue) refuses(now, patience time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.silent == nil || now-q.since < patience {
		return nil
	}
	return fmt.Errorf("%w: retained messages cannot be written down: %w", store.ErrAway, q.silent)
}

// retaining is a message that becomes a retained one, on its way: its own append, then that of its record, then its publisher is told.
type retaining struct {
	l    *retainedLog
	q    *retainedQueue
	rec  []byte
	size int64    // bytes taken of retainedLog.room
	part *stretch // of retainedQueue.begun
}

// admit begins to retain m: nothing was written when it is refused. It waits for room.
func (l *retainedLog) admit(m *store.Message) (*retaining, error) {
	g := &l.s.sending
	q := l.queues[l.view.QueueOf(m.Topic)]
	if err := q.refuses(g.elapsed(), l.s.opts.QueueFailover); err != nil {
		return nil, err
	}
	if err := l.view.Fits(m); err != nil {
		return nil, fmt.Errorf("publish to %.200q with RETAIN: %w", m.Topic, err)
	}
	r := &retaining{l: l, q: q, size: int64(retained.SizeOf(m))}
	if most := int64(l.s.opts.MaxMessageBytes) + maxProperties + againRoom; r.size > most {
		return nil, fmt.Errorf("publish to %.200q with RETAIN: %d bytes with topic and properties, the limit is %d: %w", m.Topic, r.size, most, store.ErrTooLarge)
	}
	if err := l.room.take(r.size); err != nil {
		return nil, err
	}
	l.some.Store(true)
	r.part = q.begun.begin()
	r.rec = retained.AppendRecord(make([]byte, 0, r.size), m, l.s.now())
	return r, nil
}

// write appends the record of the message, which stands at at unless err says why not, and tells done. It does not block. What may stand there twice (unsure) counts where it
// stands first.
func (r *retaining) write(at store.Position, err error, unsure bool, done func(error)) {
	if err != nil {
		r.release()
		done(err)
		return
	}
	due := r.l.s.sending.due()
	if !unsure {
		r.record(at, due, done)
		return
	}
	r.l.s.findFirst(lastCopy{at: at, due: due, done: func(at store.Position, err error) {
		if err != nil {
			r.recorded(err, done)
			return
		}
		r.record(at, due, done)
	}})
}

// record appends the record of the message that counts at at.
func (r *retaining) record(at store.Position, due time.Duration, done func(error)) {
	retained.Place(r.rec, at)
	r.q.put(pendingRecord{data: r.rec, due: due, done: func(err error) { r.recorded(err, done) }})
}

// recorded is told what became of the record.
func (r *retaining) recorded(err error, done func(error)) {
	if err != nil {
		r.l.s.stats.NotRetained.Add(1)
	}
	r.release()
	done(err)
}

// forget is release for a message that was not taken; r may be nil.
func (r *retaining) forget() {
	if r != nil {
		r.release()
	}
}

// release gives back the room that the record had.
func (r *retaining) release() {
	r.q.begun.end(r.part)
	r.l.room.give(r.size)
}
