package rocketmq

import (
	"bytes"
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

// Flood is sends of the bare client, to the queues in turn, as fast as the limit allows.
type Flood struct {
	Under   int // requests without an answer, at most
	Batch   int // messages in one request; 1: sent singly
	Payload int // bytes

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
	spec    Flood
	client  *remoting.Client
	addr    string
	ids     *message.IDs
	payload []byte
	slots   sync.WaitGroup

	mu       sync.Mutex
	measured bool // what is answered now counts
	stopped  bool
	queue    int32 // the next one
	err      error // of the slot that gave up first
	result   FloodResult
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
	f := &flood{spec: spec, client: client, addr: c.addr, ids: ids, payload: bytes.Repeat([]byte{'x'}, spec.Payload)}
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
	f    *flood
	key  []byte
	prop []byte
	body []byte
	req  remoting.SendRequest
	at   time.Time
	done func(remoting.SendResult, error)
}

func (f *flood) newSlot() *slot {
	s := &slot{f: f, req: remoting.SendRequest{Topic: flooded, Batch: f.spec.Batch > 1}}
	s.done = s.answered
	return s
}

// send makes a request as a producer of RocketMQ does: each message has an id of its own.
func (s *slot) send() {
	f := s.f
	if err := s.encode(); err != nil {
		f.gaveUp(err)
		return
	}
	f.mu.Lock()
	s.req.QueueID = f.queue
	f.queue = (f.queue + 1) % Queues
	f.mu.Unlock()
	s.at = time.Now()
	s.req.Born = s.at
	f.client.Send(f.addr, &s.req, s.at.Add(answerTime), s.done)
}

func (s *slot) encode() (err error) {
	s.body = s.body[:0]
	for range s.f.spec.Batch {
		s.key = s.f.ids.AppendNext(s.key[:0])
		if s.prop, err = message.AppendProperty(s.prop[:0], "UNIQ_KEY", s.key); err != nil {
			return err
		}
		if !s.req.Batch {
			s.req.Body, s.req.Properties = s.f.payload, string(s.prop)
			return nil
		}
		if s.body, err = message.AppendBatchEntry(s.body, 0, s.f.payload, s.prop); err != nil {
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
