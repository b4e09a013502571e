package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// crowd is sessions that roam among nodes, readers and writers.
type crowd struct {
	t       *testing.T
	addrs   []string
	stable  bool
	ordered bool // no topic moves to another queue
	readers []*reader
	writers []*writer
	roamers []*roamer
	streams []*stream

	ctx     context.Context
	end     context.CancelFunc
	roaming sync.WaitGroup
	stop    chan struct{} // closed: nothing new is published
	writing sync.WaitGroup
}

func newCrowd(t *testing.T, addrs []string) *crowd {
	t.Helper()
	c := &crowd{t: t, addrs: addrs, ordered: true, stop: make(chan struct{})}
	c.ctx, c.end = context.WithCancel(context.Background())
	t.Cleanup(func() {
		c.end()
		c.roaming.Wait()
	})
	return c
}

// versions are those that clients have by turns.
func version(i int) mqtt.Version { return []mqtt.Version{mqtt.V5, mqtt.V311}[i%2] }

// stream adds a stream to a topic below the crowd's first level.
func (c *crowd) stream(topic string, qos byte) *stream {
	s := &stream{topic: topic, name: topic, qos: qos}
	c.streams = append(c.streams, s)
	return s
}

// populate adds writers and readers of first/#, by turns of every version and QoS, at the nodes by turns.
func (c *crowd) populate(first string, writers, readers int) {
	c.t.Helper()
	var streams []*stream
	for i := range writers {
		streams = append(streams, c.stream(fmt.Sprintf("%s/%d", first, i), byte(1+i%2)))
	}
	for i := range readers {
		r := newReader(fmt.Sprintf("%s-reader-%d", first, i), version(i/2), byte(1+i%2), first+"/#", streams)
		r.ordered = c.ordered
		c.read(r, i)
	}
	for i, s := range streams {
		c.write(newWriter(fmt.Sprintf("%s-writer-%d", first, i), version(i/2), s), i)
	}
}

// read has a reader subscribe at a node.
func (c *crowd) read(r *reader, at int) {
	c.t.Helper()
	c.readers = append(c.readers, r)
	l := c.join(r.session, at)
	must(c.t, r.subscribe())
	c.keep(l)
}

func (c *crowd) write(w *writer, at int) {
	c.t.Helper()
	c.writers = append(c.writers, w)
	c.keep(c.join(w.session, at))
}

// join connects a session.
func (c *crowd) join(s *session, at int) *link {
	c.t.Helper()
	r := newRoamer(s, c.addrs, at%len(c.addrs))
	r.stable = c.stable
	c.roamers = append(c.roamers, r)
	l, err := r.come(c.ctx, at)
	must(c.t, err)
	return l
}

// keep has the last session that joined roam.
func (c *crowd) keep(l *link) {
	r := c.roamers[len(c.roamers)-1]
	c.roaming.Go(func() {
		if err := r.roam(c.ctx, l); err != nil && c.ctx.Err() == nil {
			c.t.Error(err)
			c.end()
		}
	})
}

// order moves a session and returns when it is there.
func (c *crowd) order(r *roamer, to int, p part) error {
	done := make(chan error, 1)
	select {
	case r.orders <- order{to, p, done}:
		return <-done
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

// goAll has sessions go to nodes at once, leaving their connections as they are.
func (c *crowd) goAll(some []*roamer, to []int) {
	c.t.Helper()
	began := time.Now()
	errs := make([]error, len(some))
	var going sync.WaitGroup
	for i, r := range some {
		going.Go(func() { errs[i] = c.order(r, to[i%len(to)], forgotten) })
	}
	going.Wait()
	for _, err := range errs {
		must(c.t, err)
	}
	c.t.Logf("%d clients were served by other nodes within %v", len(some), time.Since(began).Round(time.Millisecond))
}

// publish has the writers publish until quiet, most messages each.
func (c *crowd) publish(pace time.Duration, most int) {
	for _, w := range c.writers {
		c.writing.Go(func() { w.publish(c.stop, pace, most) })
	}
}

// progress waits until each stream has so many more messages taken.
func (c *crowd) progress(what string, more int) {
	c.t.Helper()
	c.progressOf(c.streams, what, more)
}

// progressOf is progress for some streams.
func (c *crowd) progressOf(some []*stream, what string, more int) {
	c.t.Helper()
	before := make([]int, len(some))
	for i, s := range some {
		_, before[i], _ = s.count()
	}
	eventually(c.t, what+": publishing goes on", func() bool {
		for i, s := range some {
			if _, taken, _ := s.count(); taken < before[i]+more {
				return c.broken()
			}
		}
		return true
	}, c.state)
	c.checked(what)
}

// broken says that waiting is of no use.
func (c *crowd) broken() bool { return c.ctx.Err() != nil }

// checked fails when something was wrong so far.
func (c *crowd) checked(what string) {
	c.t.Helper()
	var all []string
	for _, r := range c.roamers {
		all = append(all, r.wrong()...)
	}
	if len(all) > 0 {
		c.t.Fatalf("%s: %d faults:\n%s", what, len(all), join(all))
	}
	if c.broken() {
		c.t.Fatalf("%s: a client has given up", what)
	}
}

func join(lines []string) string {
	const most = 20
	var b []byte
	for _, l := range lines[:min(len(lines), most)] {
		b = append(append(b, l...), '\n')
	}
	return string(b)
}

func (c *crowd) state() string {
	var lines []string
	for _, w := range c.writers {
		begun, taken, refused := w.count()
		lines = append(lines, fmt.Sprintf("%s at node %d: %d begun, %d taken, %d refused, connected %d times", w.id, c.where(w.session), begun, taken, refused, w.connectedTimes()))
	}
	for _, r := range c.readers {
		lines = append(lines, fmt.Sprintf("%s at node %d: %d came, connected %d times", r.id, c.where(r.session), r.arrived(), r.connectedTimes()))
	}
	for _, r := range c.roamers {
		lines = append(lines, r.wrong()...)
	}
	return join(lines)
}

func (c *crowd) where(s *session) int {
	for _, r := range c.roamers {
		if r.session == s {
			return r.node()
		}
	}
	return -1
}

// quiet ends publishing, and waits until all is answered and has arrived.
func (c *crowd) quiet() {
	c.t.Helper()
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.writing.Wait()
	eventually(c.t, "all is answered", func() bool {
		return c.broken() || !slices.ContainsFunc(c.writers, func(w *writer) bool { return !w.idle() })
	}, c.state)
	eventually(c.t, "all arrives", func() bool {
		return c.broken() || !slices.ContainsFunc(c.readers, func(r *reader) bool { return r.missing() != "" })
	}, c.state, c.missing)
	c.checked("at the end")
}

func (c *crowd) missing() string {
	var all []string
	for _, r := range c.readers {
		if m := r.missing(); m != "" {
			all = append(all, m)
		}
	}
	return join(all)
}

// unrefused fails when a publish was refused.
func (c *crowd) unrefused() {
	c.t.Helper()
	for _, s := range c.streams {
		if _, _, refused := s.count(); refused > 0 {
			c.t.Errorf("%s: %d publishes were refused", s.name, refused)
		}
	}
}
