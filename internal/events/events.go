// Package events makes messages of what happens to clients: connected, and disconnected with the reason.
//
// Each event is a QoS 1 message of the MQTT topic <topic>/<client id>, with a JSON object as its payload (Body), in the store where all messages are. So MQTT
// clients that subscribe to it get it, and on RocketMQ it is a message of the topic <topic>, with the tag CLIENT_EVENT and the client id as its
// key, in the queue that the client id decides.
//
// Whoever tells an event never waits: events wait in a buffer of MaxWaiting bytes, from which one goroutine hands them to the store, in the order in which
// they came. So the events that one process tells of one client are in the store in their order. When the buffer is full, or the store
// does not take an event, that event is lost, counted, and a line in the log says so.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Tag is what RocketMQ's consumers may filter by.
const Tag = "CLIENT_EVENT"

// Appender is what is asked of a store.Store.
type Appender interface {
	Append(m *store.Message, done store.Completion, token uint64)
}

// Options configure a Log. All are demanded but MaxWaiting.
type Options struct {
	Store      Appender
	Topic      string // first level of the events' topics
	Node       string // says in events which process they are of
	Log        *slog.Logger
	MaxWaiting int // bytes of events that wait for the store [16 MiB]
}

// Stats are the counters of a Log.
type Stats struct {
	Stored  atomic.Int64
	Full    atomic.Int64 // events dropped: too many wait for the store
	Refused atomic.Int64 // events dropped: the store did not take them, or not in time before the stop
}

// Log is where events go.
type Log struct {
	opts  Options
	stats Stats
	log   *throttle.Logger

	mu      sync.Mutex
	waiting []event       // in order
	bytes   int           // of waiting
	idle    chan struct{} // closed when the goroutine that hands events over ends; nil: there is none, and nothing waits
	closed  bool          // nothing more is taken
}

// event is a message that waits.
type event struct {
	level string // of its topic, behind the first: says which client's it is
	body  []byte
}

// overhead is what an event takes in memory beside its bytes.
const overhead = 64

func (e *event) size() int { return len(e.level) + len(e.body) + overhead }

// New returns a Log that is ready.
func New(o Options) *Log {
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 16 << 20
	}
	return &Log{opts: o, log: throttle.New(o.Log, 10*time.Second, time.Now)}
}

// Stats returns the counters, which go on counting.
func (l *Log) Stats() *Stats { return &l.stats }

// Tell takes an event. It does not block, and keeps nothing of e.
func (l *Log) Tell(e *session.Event) {
	if !l.put(event{level: level(e.Client), body: body(e, l.opts.Node)}) {
		l.stats.Full.Add(1)
		l.log.Warn("a client event is dropped: the store takes them more slowly than they happen", "client", e.Client)
	}
}

// put adds ev to what waits, when there is room. What comes after Close is refused.
func (l *Log) put(ev event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		l.stats.Refused.Add(1)
		return true
	case l.bytes+ev.size() > l.opts.MaxWaiting:
		return false
	}
	l.waiting = append(l.waiting, ev)
	l.bytes += ev.size()
	if l.idle == nil {
		l.idle = make(chan struct{})
		go l.send()
	}
	return true
}

// send hands events to the store until none waits. Close and Wait wait for it.
func (l *Log) send() {
	for {
		ev, ok := l.next()
		if !ok {
			return
		}
		l.opts.Store.Append(&store.Message{
			Topic: l.opts.Topic + "/" + ev.level, Payload: ev.body, QoS: 1, Tag: Tag, Key: ev.level,
		}, l, 0)
	}
}

// next takes the oldest event; without one the goroutine that asks is over.
func (l *Log) next() (ev event, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.waiting = nil
		close(l.idle)
		l.idle = nil
		return event{}, false
	}
	ev = l.waiting[0]
	l.waiting[0] = event{} // its memory is the store's from now on
	l.waiting = l.waiting[1:]
	l.bytes -= ev.size()
	return ev, true
}

// Appended implements store.Completion.
func (l *Log) Appended(_ uint64, _ store.Position, err error) {
	if err == nil {
		l.stats.Stored.Add(1)
		return
	}
	l.stats.Refused.Add(1)
	l.log.Warn("a client event was not stored, and is lost", "err", err)
}

// Close takes no more events and waits until the store was handed all that came before, at most until ctx ends: what waits then is dropped. To be called
// before the store is closed, and Wait after that.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	lost := len(l.waiting)
	l.waiting, l.bytes = nil, 0
	l.mu.Unlock()
	l.stats.Refused.Add(int64(lost))
	return fmt.Errorf("%d client events were not stored: %w", lost, ctx.Err())
}

// Wait returns when nothing of l runs any more, which after Close is so once the store is closed.
func (l *Log) Wait() {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle != nil {
		<-idle
	}
}
