package rocketmq

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// payloads are what was appended, in order.
func payloads(list []sent) string {
	var all []string
	for _, m := range list {
		all = append(all, m.payload)
	}
	return strings.Join(all, " ")
}

func TestAppendKeepsOrderAndTellsThePlaces(t *testing.T) {
	const publishers, each = 16, 200
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{})
	answers := newAnswers(t)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				s.publish(fmt.Sprint("t/", p), fmt.Sprint(i), answers, uint64(p*each+i))
			}
		})
	}
	wg.Wait()
	list := answers.good(publishers * each)
	last := map[string]int{}
	for _, m := range f.brokers[0].appended() {
		want := fmt.Sprint(last[m.topic])
		if m.payload != want {
			t.Fatalf("%s: message %s, want %s", m.topic, m.payload, want)
		}
		last[m.topic]++
	}
	next := map[store.Queue]int64{}
	for _, one := range list {
		if one.at.Offset != next[one.at.Queue] {
			t.Fatalf("append %d was told %v, want offset %d", one.token, one.at, next[one.at.Queue])
		}
		next[one.at.Queue]++
	}
	if n := s.stats.Appended.Load(); n != publishers*each || s.stats.Sends.Load() > n {
		t.Errorf("%d appended in %d requests", n, s.stats.Sends.Load())
	}
}

func TestWhatComesMeanwhileIsOneBatch(t *testing.T) {
	f := newFarm(t, 1, "t")
	first, go_ := make(chan struct{}), make(chan struct{})
	f.brokers[0].plan = func(n int, _ []sent) reply {
		if n == 0 {
			close(first)
			<-go_
		}
		return reply{append: true}
	}
	s := f.start(t, Options{})
	answers := newAnswers(t)
	s.publish("t/a", "0", answers, 0)
	<-first
	for i := range 100 {
		s.publish("t/a", fmt.Sprint(i+1), answers, uint64(i+1))
	}
	close(go_)
	answers.good(101)
	if reqs := f.brokers[0].asked(); len(reqs) != 2 || len(reqs[0]) != 1 || len(reqs[1]) != 100 {
		t.Errorf("%d requests, the first of %d messages", len(reqs), len(reqs[0]))
	}
}

func TestBatchesAreLimited(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{MaxBatchBytes: 10_000})
	answers := newAnswers(t)
	for i := range 100 {
		s.publish("t/a", strings.Repeat("x", 1000), answers, uint64(i))
	}
	answers.good(100)
	for _, req := range f.brokers[0].asked() {
		if len(req) > 10 {
			t.Errorf("a batch of %d messages of 1,000 bytes, the limit is 10,000", len(req))
		}
	}
}

func TestPublishersWaitBeyondMaxPendingBytes(t *testing.T) {
	const most = 64 << 10
	f := newFarm(t, 1, "t")
	go_ := make(chan struct{})
	f.brokers[0].plan = func(int, []sent) reply { <-go_; return reply{append: true} }
	s := f.start(t, Options{MaxPendingBytes: most})
	answers := newAnswers(t)
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := range 50 {
				s.publish(fmt.Sprint("t/", p), strings.Repeat("x", 1000), answers, uint64(p*50+i))
			}
		})
	}
	eventually(t, "publishers wait", func() bool { return s.sending.room.queued.Load() == 8 })
	if used := s.sending.room.used.Load(); used > most {
		t.Errorf("%d bytes are pending, the limit is %d", used, most)
	}
	close(go_)
	wg.Wait()
	answers.good(400)
	eventually(t, "all room is free again", func() bool { return s.sending.room.used.Load() == 0 })
}

func TestTooLarge(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{MaxMessageBytes: 1000})
	answers := newAnswers(t)
	s.publish("t/a", strings.Repeat("x", 1001), answers, 0)
	s.publish("t/"+strings.Repeat("x", 40_000), "", answers, 1)
	for _, one := range answers.wait(2) {
		if !errors.Is(one.err, store.ErrTooLarge) {
			t.Errorf("append %d: %v", one.token, one.err)
		}
	}
	if used := s.sending.room.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

func TestCloseRefusesAndWaits(t *testing.T) {
	f := newFarm(t, 1, "t")
	asked, go_ := make(chan struct{}), make(chan struct{})
	f.brokers[0].plan = func(n int, _ []sent) reply {
		if n == 0 {
			close(asked)
			<-go_
		}
		return reply{append: true}
	}
	s := f.start(t, Options{})
	answers := newAnswers(t)
	s.publish("t/a", "0", answers, 0)
	<-asked
	s.publish("t/a", "1", answers, 1)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	eventually(t, "closing", s.sending.closed.Load)
	late := newAnswers(t)
	s.publish("t/a", "2", late, 0)
	if one := late.wait(1)[0]; !errors.Is(one.err, store.ErrClosed) {
		t.Errorf("an append after Close: %v", one.err)
	}
	close(go_)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	answers.good(2)
	if n := len(answers.all()); n != 2 {
		t.Errorf("%d answers when Close returned, want 2", n)
	}
}

func TestQoS0IsToldAtOnce(t *testing.T) {
	f := newFarm(t, 1, "t")
	go_ := make(chan struct{})
	f.brokers[0].plan = func(int, []sent) reply { <-go_; return reply{code: 13, remark: "illegal"} }
	s := f.start(t, Options{})
	answers := newAnswers(t)
	s.Append(&store.Message{Topic: "t/a", Payload: []byte("x")}, answers, 0)
	if one := answers.good(1)[0]; one.at.Offset != -1 {
		t.Errorf("told %v", one.at)
	}
	close(go_)
	eventually(t, "it is counted as dropped", func() bool { return s.stats.DroppedQoS0.Load() == 1 })
}
