package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A publish that cannot be placed waits for QueueFailover and is refused; what is known goes on without name servers.
func TestNameServerAway(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", QueueFailover: 300 * time.Millisecond, RouteInterval: 50 * time.Millisecond})
	placed(t, s, "f/x")
	failed := s.stats.RouteErrors.Load()
	p.server.Stop()
	began := time.Now()
	_, err := s.place("g/x")
	if !errors.Is(err, store.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	if d := time.Since(began); d < 250*time.Millisecond || d > 20*time.Second {
		t.Errorf("it waited %v", d)
	}
	eventually(t, "a round of refresh fails", func() bool { return s.stats.RouteErrors.Load() > failed+2 })
	if got := placed(t, s, "f/y"); got != "f" {
		t.Errorf("f/y is in %s", got)
	}
	p.server.Restart()
	eventually(t, "the name server is used again", func() bool {
		_, err := s.place("g/x")
		return err == nil
	})
}

// A name server that says nothing is as bad as none.
func TestNameServerIsSilent(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{QueueFailover: 200 * time.Millisecond})
	p.on(func(*remotingtest.Request) bool { return true })
	if _, err := s.place("f/x"); !errors.Is(err, store.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	s.cancel()
	if _, err := s.place("f/x"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// Callers that wait while the name server is asked share the next fetch, which begins after they came.
func TestFetchesAreShared(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{RouteInterval: time.Hour})
	r := s.routes.enter("f", false)
	defer s.routes.leave(r)
	r.turn <- struct{}{} // a fetch is under way
	before := p.asked[askRoute].Load()
	const callers = 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if got, err := s.route(t.Context(), "f"); err != nil || got != r {
				t.Error(got, err)
			}
		})
	}
	eventually(t, "all wait", func() bool {
		s.routes.mu.RLock()
		defer s.routes.mu.RUnlock()
		return r.users == callers+1
	})
	<-r.turn
	wg.Wait()
	if n := p.asked[askRoute].Load() - before; n < 1 || n > callers/2 { // one, but for callers who were late by a hair
		t.Errorf("%d callers asked %d times", callers, n)
	}
}

// The time of one caller says nothing about the others'.
func TestFetchOfAnImpatientCaller(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{RouteInterval: time.Hour})
	var first atomic.Bool
	held := make(chan struct{})
	p.on(func(r *remotingtest.Request) bool {
		if r.Code == askRoute && r.Fields["topic"] == "f" && !first.Swap(true) {
			close(held)
			return true // never answered
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.route(ctx, "f"); err == nil {
			t.Error("no answer, and no error")
		}
	})
	<-held
	wg.Go(func() {
		if _, err := s.route(t.Context(), "f"); err != nil {
			t.Errorf("the patient one: %v", err)
		}
	})
	cancel()
	wg.Wait()
}

// Filters name topics that do not exist. They are looked for, as many as there may be, until they do or nobody waits.
func TestTopicsThatDoNotExist(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{RouteInterval: 20 * time.Millisecond})
	if _, err := s.route(t.Context(), "later"); !errors.Is(err, remoting.ErrTopicNotExist) {
		t.Fatal(err)
	}
	if s.known("later") != nil {
		t.Error("it is known though it does not exist")
	}
	p.AddTopic("later", 2)
	eventually(t, "it is found", func() bool { return s.known("later") != nil })

	absent := func() int {
		s.routes.mu.RLock()
		defer s.routes.mu.RUnlock()
		return len(s.routes.absent)
	}
	before := absent()
	if _, err := s.route(t.Context(), "never"); !errors.Is(err, remoting.ErrTopicNotExist) {
		t.Fatal(err)
	}
	if absent() != before+1 {
		t.Errorf("%d are looked for, want one more than %d", absent(), before)
	}
	s.release("never")
	eventually(t, "nobody waits any more", func() bool { return absent() == before })
	for i := range maxAbsent + 100 {
		s.routes.leave(s.routes.enter(fmt.Sprintf("n%d", i), true))
	}
	if absent() > maxAbsent {
		t.Errorf("%d are looked for", absent())
	}
}

func TestFailedBrokerIsProbed(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	q, err := s.place("f/x")
	if err != nil {
		t.Fatal(err)
	}
	p.server.Stop()
	s.brokerFailed(q.broker)
	s.brokerFailed(q.broker)
	if !q.broker.failed() || s.stats.BrokersFailed.Load() != 1 {
		t.Errorf("failed %t, %d times", q.broker.failed(), s.stats.BrokersFailed.Load())
	}
	if got, err := s.place("f/x"); err != nil || got != q {
		t.Errorf("there is no other broker, and place has %v, %v", got, err)
	}
	p.server.Restart()
	eventually(t, "the broker is back", func() bool { return !q.broker.failed() })
}
