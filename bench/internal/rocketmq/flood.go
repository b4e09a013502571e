package rocketmq

import (
	"cmp"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// answerTime is how long an answer may take.
const answerTime = 10 * time.Second

// Flood is sends of the bare client, as fast as the limit allows.
type Flood struct {
	Under    int       // requests without an answer, at most
	Batch    int       // messages in one request, all of them for its queue; 1: sent singly
	Messages []Message // what is sent, in turn

	Warmup, Measure time.Duration

	// Edge is called when measuring begins and when it ends.
	Edge func(begin bool)
}

// FloodResult is of the measured part.
type FloodResult struct {
	Elapsed time.Duration
	Stored  uint64          // messages that the broker has acknowledged
	Refused uint64          // requests that it has not, over the whole: it was busy
	Ack     stats.Histogram // of requests, from sending on
}

// flood is one that runs. Each of its slots has one request under way, and sends the next when the answer comes, on the goroutine that reads
// the connection.
type flood struct {
	spec   Flood
	client *remoting.Client
	addr   string
	ids    *message.IDs
	slots  sync.WaitGroup

	mu       sync.Mutex
	measured bool // what is answered now counts
	stopped  bool
	turns    turns
	err      error // of the slot that gave up first
	result   FloodResult
}

// turns says which message is sent next.
type turns struct {
	all    []Message
	next   int
	queues [Queues]struct {
		all  []*Message
		next int
	}
}

func newTurns(all []Message) (t turns) {
	t.all = all
	for i := range all {
		q := &t.queues[all[i].queue]
		q.all = append(q.all, &all[i])
	}
	return t
}

// take appends the messages of a request to dst: n of the queue whose turn it is, so that each queue has the share that it has of the messages.
func (t *turns) take(dst []*Message, n int) []*Message {
	q := &t.queues[t.all[t.next].queue]
	t.next = (t.next + 1) % len(t.all)
	for range n {
		dst = append(dst, q.all[q.next])
		q.next = (q.next + 1) % len(q.all)
	}
	return dst
}

// Flood sends.
func (c *Cluster) Flood(spec Flood) (*FloodResult, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ids, err := message.NewIDs(netip.AddrFrom4([4]byte{127, 0, 0, 1}), os.Getpid())
	if err != nil {
		return nil, err
	}
	f := &flood{spec: spec, client: client, addr: c.addr, ids: ids, turns: newTurns(spec.Messages)}
	for range spec.Under {
		f.slots.Add(1)
		f.newSlot().send()
	}
	time.Sleep(spec.Warmup)
	began := f.edge(true)
	time.Sleep(spec.Measure)
	f.result.Elapsed = f.edge(false).Sub(began)
	f.slots.Wait()
	return &f.result, f.err
}

// edge begins the measured part, or ends it and the sending.
func (f *flood) edge(begin bool) time.Time {
	if f.spec.Edge != nil {
		f.spec.Edge(begin)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.measured, f.stopped = begin, !begin
	return time.Now()
}

// slot is one request after the other.
type slot struct {
	f        *flood
	messages []*Message
	key      []byte
	prop     []byte
	body     []byte
	req      remoting.SendRequest
	at       time.Time
	done     func(remoting.SendResult, error)
}

func (f *flood) newSlot() *slot {
	s := &slot{f: f, req: remoting.SendRequest{Topic: Flooded, Batch: f.spec.Batch > 1}}
	s.done = s.answered
	return s
}

// send makes a request as a producer of RocketMQ does: each message has an id of its own.
func (s *slot) send() {
	f := s.f
	f.mu.Lock()
	s.messages = f.turns.take(s.messages[:0], f.spec.Batch)
	f.mu.Unlock()
	if err := s.encode(); err != nil {
		f.gaveUp(err)
		return
	}
	s.at = time.Now()
	s.req.Born = s.at
	f.client.Send(f.addr, &s.req, s.at.Add(answerTime), s.done)
}

func (s *slot) encode() (err error) {
	s.req.QueueID = s.messages[0].queue
	s.body = s.body[:0]
	for _, m := range s.messages {
		s.key = s.f.ids.AppendNext(s.key[:0])
		s.prop = m.appendProperties(s.prop[:0], s.key)
		if !s.req.Batch {
			s.req.Body, s.req.Properties = m.body, string(s.prop)
			return nil
		}
		if s.body, err = message.AppendBatchEntry(s.body, 0, m.body, s.prop); err != nil {
			return err
		}
	}
	s.req.Body = s.body
	return nil
}

// answered takes an answer and sends the next request. A broker that is busy refuses some: they are counted.
func (s *slot) answered(_ remoting.SendResult, err error) {
	f := s.f
	var refused *remoting.ResponseError
	if err != nil && !errors.As(err, &refused) {
		f.gaveUp(err)
		return
	}
	if f.count(time.Since(s.at), err == nil) {
		f.slots.Done()
		return
	}
	s.send()
}

// count counts one answer; it returns true when there is to be no further request.
func (f *flood) count(took time.Duration, stored bool) (stop bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !stored:
		f.result.Refused++
	case f.measured:
		f.result.Stored += uint64(f.spec.Batch)
		f.result.Ack.Add(took)
	}
	return f.stopped
}

// gaveUp ends a slot.
func (f *flood) gaveUp(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = cmp.Or(f.err, err)
	f.slots.Done()
}
