package rocketmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// sessionTag is the tag of the messages of the sessions' changelog.
const sessionTag = "MQTT_SYS"

// sessionQueue is one queue of the sessions' changelog: what is written to it, one message at a time, while the next one collects. A
// message carries many records, each behind its length.
type sessionQueue struct {
	*queue
	l      *sessions
	reader *logReader

	mu     sync.Mutex
	wait   [][]byte // records that the next message takes. Beside what changelog.Options.MaxPending bounds it is a few for each client
	under  bool     // a message is under way, or waits to be sent again
	closed bool
	idle   chan struct{} // not nil: to be closed when there is nothing to write
	silent error         // why the last try to write failed; nil: it did not
}

// sessionBody is about how many bytes of records one message takes.
const sessionBody = 512 << 10

// Append implements changelog.Log.
func (l *sessions) Append(n int, record []byte) {
	q := l.queues[n]
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.wait = append(q.wait, record)
	body := q.next()
	q.mu.Unlock()
	if body != nil {
		q.send(body, firstPause)
	}
}

// Away implements changelog.Log.
func (l *sessions) Away(n int) error {
	q := l.queues[n]
	if err := q.reader.notRead(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.silent
}

// next takes the records of the message that is to be sent now; nil: none. mu is held.
func (q *sessionQueue) next() []byte {
	if q.under || len(q.wait) == 0 {
		return nil
	}
	n, size := 0, 0
	for ; n < len(q.wait) && (n == 0 || size+len(q.wait[n]) <= sessionBody); n++ {
		size += len(q.wait[n]) + binary.MaxVarintLen32
	}
	body := make([]byte, 0, size)
	for _, record := range q.wait[:n] {
		body = append(binary.AppendUvarint(body, uint64(len(record))), record...)
	}
	clear(q.wait[:n])
	if q.wait = q.wait[n:]; len(q.wait) == 0 {
		q.wait = nil
	}
	q.under = true
	return body
}

// send sends a message, and when that fails, after wait again: it must come to stand there, and may twice.
func (q *sessionQueue) send(body []byte, wait time.Duration) {
	s := q.l.s
	addr, err := q.reachable()
	if err != nil {
		q.sent(body, wait, err)
		return
	}
	props, err := message.AppendProperty(nil, propUniqKey, s.ids.AppendNext(nil))
	if err == nil {
		props, err = message.AppendProperty(props, "TAGS", sessionTag)
	}
	if err != nil {
		q.sent(body, wait, err)
		return
	}
	now := time.Now()
	s.client.Send(addr, &remoting.SendRequest{
		Topic: q.name.topic, QueueID: q.name.id, BrokerName: q.name.broker, Born: now, Properties: string(props), Body: body,
	}, now.Add(requestTimeout), func(_ remoting.SendResult, err error) { q.sent(body, wait, err) })
}

// sent is told what became of a message.
func (q *sessionQueue) sent(body []byte, wait time.Duration, err error) {
	q.mu.Lock()
	said := q.silent != nil
	q.silent = nil
	if err != nil {
		q.silent = fmt.Errorf("topic %s on broker %s: %w", q.name.topic, q.name.broker, err)
	}
	var next []byte
	if err == nil || q.closed && q.l.s.ctx.Err() != nil {
		q.under = false
		if next = q.next(); next == nil && q.idle != nil {
			close(q.idle)
			q.idle = nil
		}
	}
	q.mu.Unlock()
	switch {
	case err != nil && next == nil && q.l.s.ctx.Err() == nil:
		if !said {
			q.l.s.log.Warn("the sessions' changelog cannot be written to: persistent sessions of some clients cannot begin or go on, and QoS 2 waits; it is tried again",
				"topic", q.name.topic, "broker", q.name.broker, "err", err)
		}
		q.l.s.sending.later(wait, func() { q.send(body, min(2*wait, longestPause)) })
	case next != nil:
		q.send(next, firstPause)
	}
}

// flush waits until all is written, at most for d, and ends writing.
func (q *sessionQueue) flush(d time.Duration) error {
	q.mu.Lock()
	q.closed = true
	var idle chan struct{}
	if q.under {
		idle = make(chan struct{})
		q.idle = idle
	}
	q.mu.Unlock()
	if idle == nil {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-idle:
		return nil
	case <-t.C:
		return errors.New("the end of this node's part in the sessions' changelog was not written in time: other nodes find out by themselves")
	}
}

// records takes a message's body apart. What is damaged ends it.
func records(body []byte, f func(record []byte)) bool {
	for len(body) > 0 {
		n, size := binary.Uvarint(body)
		if size <= 0 || n > uint64(len(body)-size) {
			return false
		}
		f(body[size:][:n:n])
		body = body[size:][n:]
	}
	return true
}

var _ changelog.Log = (*sessions)(nil)
