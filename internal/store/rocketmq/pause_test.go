package rocketmq

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// jumping is a clock that goes on and can be moved, as it is for a process that was stopped.
type jumping struct{ by atomic.Int64 }

func (j *jumping) now() time.Time       { return time.Now().Add(time.Duration(j.by.Load())) }
func (j *jumping) jump(d time.Duration) { j.by.Add(int64(d)) }

// While the gate is shut no outbox sends, and no broker is blamed for it: what waits is refused in its time, or goes out when the gate opens, in order.
func TestOutboxesAtThePauseGate(t *testing.T) {
	f := newFarm(t, 2, "t")
	s := f.start(t, Options{QueueFailover: 500 * time.Millisecond})
	clock := &jumping{}
	s.pulse = pulse.New(time.Hour, clock.now)
	answers := newAnswers(t)
	s.publish("t/a", "before", answers, 0)
	answers.good(1)

	clock.jump(2 * time.Hour)
	s.publish("t/a", "late", answers, 1)
	if one := answers.wait(2)[1]; !errors.Is(one.err, store.ErrAway) || !errors.Is(one.err, errPaused) {
		t.Errorf("it was told %v", one.err)
	}
	if err := s.Accepting(); !errors.Is(err, errPaused) {
		t.Errorf("load balancers are told %v", err)
	}
	s.publish("t/a", "after 1", answers, 2)
	s.publish("t/a", "after 2", answers, 3)
	s.pulse.Tick()
	s.pulse.Open()
	for _, one := range answers.wait(4)[2:] {
		if one.err != nil {
			t.Errorf("append %d: %v", one.token, one.err)
		}
	}
	if n, m := s.stats.BrokersFailed.Load(), s.stats.Moved.Load(); n != 0 || m != 0 {
		t.Errorf("%d brokers failed, %d messages moved", n, m)
	}
	var got []string
	for _, b := range f.brokers {
		for _, m := range b.appended() {
			got = append(got, m.payload)
		}
	}
	if len(got) != 3 || got[0] != "before" || got[1] != "after 1" || got[2] != "after 2" {
		t.Errorf("the brokers have %q", got)
	}
}

// A broker is not blamed for the time in which this process was stopped: what was under way is sent again, to the same queue, and nothing moves.
func TestBatchUnderWayDuringAStop(t *testing.T) {
	const stop = time.Hour
	f := newFarm(t, 2, "t")
	clock := &jumping{}
	came, answer := make(chan struct{}, 1), make(chan struct{})
	for _, b := range f.brokers {
		b.plan = func(n int, _ []sent) reply {
			if n > 0 {
				return reply{append: true}
			}
			came <- struct{}{}
			<-answer
			return reply{lost: true}
		}
	}
	s := f.start(t, Options{QueueFailover: patience, monotonic: clock.now})
	s.pulse = pulse.New(pauseLimit, clock.now)
	answers := newAnswers(t)
	s.publish("t/a", "under way", answers, 0)
	<-came
	s.publish("t/a", "behind it", answers, 1)
	clock.jump(stop)
	close(answer)
	s.pulse.Tick()
	s.pulse.Open()
	answers.good(2)
	if n, m := s.stats.BrokersFailed.Load(), s.stats.Moved.Load(); n != 0 || m != 0 {
		t.Errorf("%d brokers failed, %d messages moved", n, m)
	}
}

// paused is a node whose clock can be moved on.
func paused(t *testing.T, c *rocketmqtest.Cluster) (*Store, *jumping) {
	t.Helper()
	client, err := remoting.New(remoting.Options{Namesrv: []string{c.Namesrv()}, BackoffMax: 100 * time.Millisecond})
	ok(t, err)
	t.Cleanup(client.Close)
	clock := &jumping{}
	s, err := Open(Options{
		Client: client, Dir: t.TempDir(), SessionTopic: sessionsOf(time.Now().UnixNano()), Logger: slog.New(slog.DiscardHandler), MaxFirstTopics: 10_000,
		monotonic: clock.now,
	})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	return s, clock
}

// A node whose clock was moved on sends nothing from that moment on, until it has read a beat that it appended since.
func TestPause(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	s, clock := paused(t, c)
	s.Pulse().Wait()
	woke := clock.now().Add(2 * pauseLimit)
	clock.jump(2 * pauseLimit)
	if s.Pulse().Alive() { // nobody has ticked since
		t.Fatal("the node serves on")
	}
	w := make(waited, 1)
	s.Append(&store.Message{Topic: fresh(t, "paused") + "/a", Payload: []byte("x"), QoS: 1}, w, 0)
	ok(t, <-w)
	for _, q := range s.sessions.queues {
		if h := s.sessions.log.Heard(q.reader.n); h.Before(woke) {
			t.Errorf("the message was sent when the last beat that was heard in queue %d was appended %v before the stop ended", q.reader.n, woke.Sub(h))
		}
	}
	if s.stats.Paused.Load() == 0 {
		t.Error("no stop was counted")
	}
}

// A broker that is away does not keep a node that was stopped from serving for long.
func TestPauseWithoutBroker(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540})
	s, clock := paused(t, c)
	ok(t, c.Broker(0).Kill())
	clock.jump(2 * pauseLimit)
	began := time.Now()
	s.Pulse().Wait()
	if d := time.Since(began); d < pausePatience || s.stats.Paused.Load() == 0 {
		t.Errorf("it served after %v, want %v; %d stops were counted", d, pausePatience, s.stats.Paused.Load())
	}
	ok(t, c.Broker(0).Start())
}
