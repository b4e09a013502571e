package rocketmq

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// topicOn is an MQTT topic below t whose messages go to a queue of this broker.
func topicOn(t *testing.T, s *sender, broker string, n int) string {
	t.Helper()
	for i := range 1000 {
		topic := fmt.Sprint("t/", i)
		if s.box(t, topic).q.name.broker == broker {
			if n--; n < 0 {
				return topic
			}
		}
	}
	t.Fatal("no topic goes to ", broker)
	return ""
}

// lose stops a broker, and waits until the client has noticed: what it writes to a connection that is lost may have arrived.
func (s *sender) lose(t *testing.T, b *farmBroker) {
	t.Helper()
	b.server.Stop()
	eventually(t, "the connection is lost", func() bool {
		_, err := s.client.MaxOffset(t.Context(), b.server.Addr(), "t", 0)
		return errors.Is(err, remoting.ErrNotSent)
	})
}

func TestMessagesOfADeadBrokerMoveInOrder(t *testing.T) {
	const publishers, each = 8, 60
	f := newFarm(t, 2, "t")
	s := f.start(t, Options{QueueFailover: 2 * time.Second})
	topics := make([]string, publishers)
	for i := range topics {
		topics[i] = topicOn(t, s, "broker-a", i)
	}
	s.lose(t, f.brokers[0])
	a := newAnswers(t)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if i > 0 && i%10 == 0 { // most of it comes while messages move and behind that
					mark := i / 10 * publishers
					eventually(t, "the others have come as far, or messages have moved", func() bool {
						return len(a.all()) >= mark || s.stats.Moved.Load() > 0 || i <= each/2
					})
				}
				s.publish(topics[p], fmt.Sprint(i), a, uint64(p*each+i))
			}
		})
	}
	wg.Wait()
	a.good(publishers * each)
	next := map[string]int{}
	for _, m := range f.brokers[1].appended() {
		if m.payload != fmt.Sprint(next[m.topic]) {
			t.Fatalf("%s: message %s, want %d", m.topic, m.payload, next[m.topic])
		}
		if m.after != "" {
			t.Errorf("%s: message %s says that it may be there already", m.topic, m.payload)
		}
		next[m.topic]++
	}
	if s.stats.Moved.Load() == 0 {
		t.Error("no message was counted as moved")
	}
}

func TestWhatMayBeInTheDeadBrokersLogDoesNotMove(t *testing.T) {
	f := newFarm(t, 2, "t")
	f.brokers[0].plan = func(int, []sent) reply { return reply{lost: true, append: true} }
	s := f.start(t, Options{QueueFailover: 400 * time.Millisecond})
	topic := topicOn(t, s, "broker-a", 0)
	a := newAnswers(t)
	s.publish(topic, "0", a, 0)
	eventually(t, "it is sent", func() bool { return len(f.brokers[0].asked()) > 0 })
	s.publish(topic, "1", a, 1)
	list := a.wait(2)
	for _, one := range list {
		if refused := one.err != nil; refused != (one.token == 0) {
			t.Errorf("append %d: %v", one.token, one.err)
		}
	}
	if got := payloads(f.brokers[1].appended()); got != "1" {
		t.Errorf("the other broker has %q, want only what was never sent", got)
	}
}

func TestQueueThatTakesNothingMoreIsLeft(t *testing.T) {
	f := newFarm(t, 2, "t")
	a0 := f.brokers[0]
	a0.plan = func(int, []sent) reply {
		a0.mu.Lock()
		defer a0.mu.Unlock()
		if a0.readOnly {
			return reply{code: 16, remark: "the broker sending message is forbidden"}
		}
		return reply{append: true}
	}
	s := f.start(t, Options{RouteInterval: time.Hour})
	topic := topicOn(t, s, "broker-a", 0)
	a0.mu.Lock()
	a0.readOnly = true
	a0.mu.Unlock()
	a := newAnswers(t)
	for i := range 5 {
		s.publish(topic, fmt.Sprint(i), a, uint64(i))
	}
	a.good(5)
	if got := payloads(f.brokers[1].appended()); got != "0 1 2 3 4" {
		t.Errorf("the other broker has %q", got)
	}
}

func TestQueueThatRefusesButIsWritableRefusesThePublisher(t *testing.T) {
	_, _, a := blocked(t, Options{}, 2, func(int, []sent) reply { return reply{code: 16, remark: "no rights"} })
	one := a.wait(2)[1]
	if one.err == nil || !strings.Contains(one.err.Error(), "no rights") || !strings.Contains(one.err.Error(), "perm") {
		t.Errorf("refused with %v", one.err)
	}
}

func TestQoS2MovesWithItsReceipt(t *testing.T) {
	f := newFarm(t, 2, "t")
	s := f.start(t, Options{QueueFailover: time.Second})
	topic := topicOn(t, s, "broker-a", 0)
	s.lose(t, f.brokers[0])
	a := newAnswers(t)
	for i := range 5 {
		s.Append(&store.Message{Topic: topic, Payload: []byte(fmt.Sprint(i)), QoS: 2, Client: "c", PacketID: uint16(i + 1)}, a, uint64(i))
	}
	list := a.good(5)
	inOrder(t, list)
	if got := payloads(f.brokers[1].appended()); got != "0 1 2 3 4" {
		t.Errorf("the other broker has %q", got)
	}
	s.changelog.mu.Lock()
	defer s.changelog.mu.Unlock()
	at := map[uint16]store.Queue{}
	for _, c := range s.changelog.changes {
		switch c.Kind {
		case store.Receive:
			at[c.Receipt.PacketID] = c.Receipt.At.Queue
		case store.Receipted:
			if at[c.PacketID] != list[0].at.Queue {
				t.Errorf("message %d was received in queue %x, its receipt says %x", c.PacketID, list[0].at.Queue, at[c.PacketID])
			}
		}
	}
}

// What waits for the changelog when its broker fails goes elsewhere with all the rest, before what comes after.
func TestQoS2ThatWaitsForTheChangelogMovesInOrder(t *testing.T) {
	f := newFarm(t, 2, "t")
	s := f.start(t, Options{})
	topic := topicOn(t, s, "broker-a", 0)
	s.changelog.holding = true
	a := newAnswers(t)
	publish := func(i int) {
		s.Append(&store.Message{Topic: topic, Payload: []byte(fmt.Sprint(i)), QoS: 2, Client: "c", PacketID: uint16(i + 1)}, a, uint64(i))
	}
	publish(0)
	publish(1)
	s.sending.fail(s.box(t, topic).q.broker)
	publish(2)
	s.changelog.release(t, 5) // three, and two again for the other queue
	inOrder(t, a.good(3))
	if got := payloads(f.brokers[1].appended()); got != "0 1 2" {
		t.Errorf("the other broker has %q", got)
	}
	if n := len(f.brokers[0].asked()); n != 0 {
		t.Errorf("the failed broker was sent %d requests", n)
	}
}
