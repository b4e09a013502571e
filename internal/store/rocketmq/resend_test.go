package rocketmq

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// blocked publishes n messages to t/a of which the first is a batch of its own and the others are the next, and returns the answers. The plan
// has the requests from the second on, counted from 0.
func blocked(t *testing.T, o Options, n int, plan func(n int, batch []sent) reply) (*farm, *sender, *answers) {
	t.Helper()
	f := newFarm(t, 1, "t")
	first, free := make(chan struct{}), make(chan struct{})
	f.brokers[0].plan = func(n int, batch []sent) reply {
		if n == 0 {
			close(first)
			<-free
			return reply{append: true}
		}
		return plan(n-1, batch)
	}
	s := f.start(t, o)
	a := newAnswers(t)
	s.publish("t/a", "0", a, 0)
	<-first
	for i := 1; i < n; i++ {
		s.publish("t/a", fmt.Sprint(i), a, uint64(i))
	}
	close(free)
	return f, s, a
}

// inOrder fails when the answers are not those of 0, 1, 2...
func inOrder(t *testing.T, list []told) {
	t.Helper()
	for i, one := range list {
		if one.token != uint64(i) {
			t.Fatalf("answer %d is that of append %d", i, one.token)
		}
	}
}

func TestBusyBrokerIsSentTheSameBatchAgainAndSmallerOnesThen(t *testing.T) {
	f, s, a := blocked(t, Options{}, 6, func(n int, _ []sent) reply {
		if n < 3 {
			return reply{code: 2, remark: "[TIMEOUT_CLEAN_QUEUE]broker busy"}
		}
		return reply{append: true}
	})
	inOrder(t, a.good(6))
	if got := payloads(f.brokers[0].appended()); got != "0 1 2 3 4 5" {
		t.Errorf("appended %s", got)
	}
	for _, m := range f.brokers[0].appended() {
		if m.after != "" {
			t.Errorf("message %s says that it may be there already: %s", m.payload, m.after)
		}
	}
	o := s.box(t, "t/a")
	o.mu.Lock()
	defer o.mu.Unlock()
	if want := maxBatchMessages / 8 * 2; o.limit != want { // halved three times, doubled once
		t.Errorf("batches of %d messages, want %d", o.limit, want)
	}
	if n := s.stats.Resent.Load(); n != 3 {
		t.Errorf("resent %d times", n)
	}
}

func TestUnknownOutcomeIsSentAgainWithWhereItMayBe(t *testing.T) {
	before := time.Now().UnixMilli()
	f, _, a := blocked(t, Options{}, 4, func(n int, _ []sent) reply {
		return reply{append: true, lost: n < 2}
	})
	inOrder(t, a.good(4))
	reqs := f.brokers[0].asked()
	if len(reqs) != 4 {
		t.Fatalf("%d requests", len(reqs))
	}
	for i, m := range reqs[1] {
		if m.after != "" {
			t.Errorf("the first copy of %s says %s", m.payload, m.after)
		}
		for _, again := range reqs[2:] {
			if again[i].key != m.key || again[i].payload != m.payload {
				t.Errorf("copy of %s is of %s, key %s, want %s", m.payload, again[i].payload, again[i].key, m.key)
			}
			after, ok := parseAfter([]byte(again[i].after))
			if !ok || after.offset != 1 || after.since < before || after.since > time.Now().UnixMilli() {
				t.Errorf("copy of %s says %q", m.payload, again[i].after)
			}
			if n := strings.Count(string(again[i].raw.Properties), propAfter); n != 1 {
				t.Errorf("copy of %s has %s %d times", m.payload, propAfter, n)
			}
		}
	}
	if last := a.all()[3]; last.at.Offset != 9 {
		t.Errorf("the last message is at %d, want that of the copy that was answered, 9", last.at.Offset)
	}
}

func TestSilentBrokerIsSentTheSameAgain(t *testing.T) {
	f, _, a := blocked(t, Options{QueueFailover: 20 * time.Second}, 3, func(n int, _ []sent) reply {
		return reply{append: true, silent: n == 0}
	})
	inOrder(t, a.good(3))
	if got := payloads(f.brokers[0].appended()); got != "0 1 2 1 2" {
		t.Errorf("appended %s", got)
	}
}

func TestOneBadMessageIsRefusedAlone(t *testing.T) {
	for _, code := range []int32{1, 13} {
		t.Run(fmt.Sprint("code ", code), func(t *testing.T) {
			f, _, a := blocked(t, Options{}, 6, func(_ int, batch []sent) reply {
				for _, m := range batch {
					if m.payload == "3" {
						return reply{code: code, remark: "the message is illegal"}
					}
				}
				return reply{append: true}
			})
			list := a.wait(6)
			inOrder(t, list)
			for i, one := range list {
				if (one.err != nil) != (i == 3) {
					t.Errorf("append %d: %v", i, one.err)
				}
			}
			if got := errors.Is(list[3].err, store.ErrTooLarge); got != (code == 13) {
				t.Errorf("refused with %v", list[3].err)
			}
			if text := list[3].err.Error(); !strings.Contains(text, "broker-a") || !strings.Contains(text, "topic t") || !strings.Contains(text, "illegal") {
				t.Errorf("the error does not say what and where: %v", text)
			}
			if got := payloads(f.brokers[0].appended()); got != "0 1 2 4 5" {
				t.Errorf("appended %s", got)
			}
		})
	}
}

func TestStatusThatIsNotOKIsNotSentAgain(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprint("RequireSendOK ", strict), func(t *testing.T) {
			f, s, a := blocked(t, Options{RequireSendOK: strict}, 3, func(int, []sent) reply {
				return reply{append: true, code: int32(remoting.FlushDiskTimeout)}
			})
			list := a.wait(3)
			if refused := list[2].err != nil; refused != strict {
				t.Errorf("answered with %v", list[2].err)
			}
			if got := payloads(f.brokers[0].appended()); got != "0 1 2" {
				t.Errorf("appended %s", got)
			}
			if n := s.stats.NotOK.Load(); n != 2 {
				t.Errorf("NotOK is %d, want 2", n)
			}
		})
	}
}

func TestDeadBrokerRefusesEachMessageInItsTimeAndTakesThemWhenItIsBack(t *testing.T) {
	const failover = 400 * time.Millisecond
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{QueueFailover: failover})
	a := newAnswers(t)
	s.publish("t/a", "0", a, 0)
	a.good(1)
	f.brokers[0].server.Stop()
	began := time.Now()
	for i := range 10 {
		s.publish("t/a", fmt.Sprint(i+1), a, uint64(i+1))
	}
	list := a.wait(11)
	inOrder(t, list)
	if d := time.Since(began); d < failover {
		t.Errorf("refused after %v, before %v were over", d, failover)
	}
	for _, one := range list[1:] {
		if !errors.Is(one.err, store.ErrAway) || !strings.Contains(one.err.Error(), "broker-a") {
			t.Errorf("append %d: %v", one.token, one.err)
		}
	}
	o := s.box(t, "t/a")
	if !o.q.broker.failed() {
		t.Error("the broker is not taken for failed")
	}
	s.publish("t/a", "11", a, 11)
	f.brokers[0].server.Restart()
	a.wait(12)
	s.publish("t/a", "12", a, 12)
	if list := a.wait(13); list[12].err != nil {
		t.Errorf("the broker is back, but: %v", list[12].err)
	}
}

func TestBusyBrokerIsNotTakenForFailed(t *testing.T) {
	_, s, a := blocked(t, Options{QueueFailover: 300 * time.Millisecond}, 3, func(int, []sent) reply {
		return reply{code: 2, remark: "busy"}
	})
	for _, one := range a.wait(3)[1:] {
		if !errors.Is(one.err, store.ErrAway) || !strings.Contains(one.err.Error(), "busy") {
			t.Errorf("append %d: %v", one.token, one.err)
		}
	}
	if s.box(t, "t/a").q.broker.failed() {
		t.Error("the broker is taken for failed")
	}
}

// A message that came last behind a batch without an answer is not refused with it.
func TestWhatIsNotDueIsTriedOn(t *testing.T) {
	const failover = time.Second
	f := newFarm(t, 1, "t")
	var busy atomic.Bool
	busy.Store(true)
	f.brokers[0].plan = func(int, []sent) reply {
		if busy.Load() {
			return reply{code: 2, remark: "busy"}
		}
		return reply{append: true}
	}
	s := f.start(t, Options{QueueFailover: failover})
	a := newAnswers(t)
	s.publish("t/a", "0", a, 0)
	eventually(t, "half of its time is over", func() bool { return s.stats.Resent.Load() > 3 })
	s.publish("t/a", "1", a, 1)
	a.wait(1)
	busy.Store(false)
	if list := a.wait(2); list[0].err == nil || list[1].err != nil {
		t.Errorf("answered %v, want only the first refused", list)
	}
}

func TestBatchesThatAreTooLargeForTheBrokerAreHalved(t *testing.T) {
	f, _, a := blocked(t, Options{}, 101, func(_ int, batch []sent) reply {
		if len(batch) > 30 {
			return reply{code: 13, remark: "the message is illegal"}
		}
		return reply{append: true}
	})
	inOrder(t, a.good(101))
	if n := len(f.brokers[0].asked()); n > 1+1+2+4 {
		t.Errorf("%d requests", n)
	}
}
