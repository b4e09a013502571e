package rocketmq

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

// patience is how long the last messages may take.
const patience = 2 * time.Second

// Tail is sends of the bare client at a fixed rate, one message each, to the queues in turn, and long polls of the same queues by a second client.
type Tail struct {
	Rate    float64 // messages a second; 0: the next one when the reader has the last
	Payload int     // bytes

	Warmup, Measure time.Duration

	// Edge is called when measuring begins and when it ends.
	Edge func(begin bool)
}

// TailResult is what it gave. Times count from when a message was to be sent and are of the measured part, faults of the whole.
type TailResult struct {
	Elapsed   time.Duration
	Delivered uint64

	Lost       uint64 // messages that did not come
	Reordered  uint64 // that came after a later one of their queue
	Damaged    uint64 // that are none of ours
	Unanswered uint64 // that the broker refused, since it was busy, or did not answer

	Latency stats.Histogram // until the reader has it
	Ack     stats.Histogram // until the broker's answer is there
	Behind  stats.Histogram // until it was sent
}

// tail is one that runs.
type tail struct {
	spec           Tail
	addr           string
	sender, puller *remoting.Client
	mark           uint32
	base           time.Time
	over           chan struct{} // closed when all that was sent has arrived
	arrival        chan struct{} // has one when something has arrived since somebody looked

	mu         sync.Mutex
	begin, end int64 // of measuring; 0: not yet
	sent       uint64
	acked      uint64
	refused    uint64
	got        uint64
	stopped    bool
	err        error // the first
	result     TailResult
}

// Tail sends and reads.
func (c *Cluster) Tail(spec Tail) (*TailResult, error) {
	t := &tail{spec: spec, addr: c.addr, mark: rand.Uint32(), base: time.Now(), over: make(chan struct{}), arrival: make(chan struct{}, 1)}
	var err error
	if t.sender, err = c.client(); err != nil {
		return nil, err
	}
	defer t.sender.Close()
	if t.puller, err = c.client(); err != nil {
		return nil, err
	}
	defer t.puller.Close()
	if err := t.follow(); err != nil {
		return nil, err
	}
	t.produce()
	t.await()
	t.sender.Close()
	t.puller.Close() // now nobody calls back
	t.result.Lost = t.acked - min(t.got, t.acked)
	t.result.Unanswered = t.sent - t.acked
	return &t.result, t.err
}

// now is the clock of payloads, in nanoseconds.
func (t *tail) now() int64 { return int64(time.Since(t.base)) }

// follow has a long poll of every queue under way, from its end on.
func (t *tail) follow() error {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	for queue := range int32(Queues) {
		at, err := t.puller.MaxOffset(ctx, t.addr, tailed, queue)
		if err != nil {
			return err
		}
		(&reader{t: t, queue: queue, at: at}).pull()
	}
	return nil
}

// produce sends until the time is over. It has a thread for itself, which the kernel wakes on time: the timers of Go's runtime are up to
// a millisecond late.
func (t *tail) produce() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started := t.now()
	for i := uint64(0); ; i++ {
		at := t.due(i, started)
		switch {
		case t.begin == 0 && time.Duration(at-started) >= t.spec.Warmup:
			t.edge(true)
		case t.begin > 0 && time.Duration(at-t.begin) >= t.spec.Measure:
			t.edge(false)
			return
		}
		t.send(i, at)
	}
}

// due waits until message i is to be sent, and returns when that was.
func (t *tail) due(i uint64, started int64) int64 {
	if t.spec.Rate > 0 {
		at := started + int64(float64(i)*float64(time.Second)/t.spec.Rate)
		t.sleepUntil(at)
		return at
	}
	if i > 0 {
		t.awaitArrival()
	}
	return t.now()
}

// awaitArrival returns when the reader has got something, or does not get it. A message is then counted as lost.
func (t *tail) awaitArrival() {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-t.arrival:
	case <-late.C:
	}
}

func (t *tail) sleepUntil(at int64) {
	for left := at - t.now(); left > 0; left = at - t.now() {
		d := unix.NsecToTimespec(left)
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &d, nil) // a signal ends it early
	}
}

func (t *tail) edge(begin bool) {
	if t.spec.Edge != nil {
		t.spec.Edge(begin)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if begin {
		t.begin = t.now()
		return
	}
	t.end, t.stopped = t.now(), true
	t.result.Elapsed = time.Duration(t.end - t.begin)
	t.check()
}

// send sends message i, which was to be sent at this time.
func (t *tail) send(i uint64, at int64) {
	queue := int32(i % Queues)
	body := make([]byte, t.spec.Payload)
	wire.Payload{Stream: uint32(queue), Mark: t.mark, Seq: i / Queues, Time: at}.Put(body)
	t.mu.Lock()
	t.sent++
	if t.begin > 0 {
		t.result.Behind.Add(time.Duration(t.now() - at))
	}
	t.mu.Unlock()
	req := remoting.SendRequest{Topic: tailed, QueueID: queue, Born: time.Now(), Body: body}
	t.sender.Send(t.addr, &req, time.Now().Add(answerTime), func(_ remoting.SendResult, err error) { t.answered(at, err) })
}

func (t *tail) answered(at int64, err error) {
	var refused *remoting.ResponseError
	if err != nil && !errors.As(err, &refused) {
		t.broken(err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.refused++
	} else if t.acked++; t.counts(at) {
		t.result.Ack.Add(time.Duration(t.now() - at))
	}
	t.check()
}

// arrived takes what was in one message. mu held.
func (t *tail) arrived(p wire.Payload) {
	t.got++
	select {
	case t.arrival <- struct{}{}:
	default:
	}
	if t.begin > 0 && t.end == 0 {
		t.result.Delivered++
	}
	if t.counts(p.Time) {
		t.result.Latency.Add(time.Duration(t.now() - p.Time))
	}
}

// counts reports whether a message that was to be sent at this time is one of those measured. mu held.
func (t *tail) counts(at int64) bool {
	return t.begin > 0 && at >= t.begin && (t.end == 0 || at < t.end)
}

// check ends the waiting when nothing is missing. mu held.
func (t *tail) check() {
	if t.stopped && t.acked+t.refused == t.sent && t.got == t.acked {
		t.stopped = false // once
		close(t.over)
	}
}

// await waits for what is under way.
func (t *tail) await() {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-t.over:
	case <-late.C:
	}
}

// broken keeps what went wrong first. The end of a client is none: what is without an answer then is counted.
func (t *tail) broken(err error) {
	if errors.Is(err, remoting.ErrClosed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = cmp.Or(t.err, err)
}
