package rocketmq

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// served is a session that node serves, with a subscription to topic, which stands at start.
func served(t *testing.T, node *Store, client, topic string) (start []store.Position) {
	t.Helper()
	if _, err := node.Connect(&store.Change{Kind: store.Connect, Client: client, Expiry: 3600}); err != nil {
		t.Fatal(err)
	}
	start, err := node.Watch(topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*store.Change{
		{Kind: store.Subscribe, Client: client, Subscription: store.Subscription{Filter: topic, QoS: 1, Start: start}},
		{Kind: store.Progress, Client: client, Cursor: start, Follows: true},
	} {
		done := newAnswers(t)
		node.Change(c, done, 0)
		if a := done.wait(1)[0]; a.err != nil {
			t.Fatal(a.err)
		}
	}
	return start
}

// What the session's former node says of how far it has sent is what the next one is told.
func TestHandoverKeepsWhatWasSent(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	here, there := node(t, c.Namesrv()), node(t, c.Namesrv())
	topic := fresh(t, "handover")
	client := topic
	first := sendOne(t, here, topic)
	start := served(t, here, client, topic)
	sent := []store.Position{{Queue: first.Queue, Offset: 1000}}
	here.Taken(func(string) {
		here.Change(&store.Change{Kind: store.Detach, Client: client, Expiry: 3600, Cursor: start, SentUpTo: sent}, nil, 0)
	})
	old, err := there.Connect(&store.Change{Kind: store.Connect, Client: client, Expiry: 3600})
	if err != nil {
		t.Fatal(err)
	}
	if old == nil || fmt.Sprint(old.SentUpTo) != fmt.Sprint(sent) {
		t.Errorf("the session is %+v, want SentUpTo %v", old, sent)
	}
}

// A node that does not answer may have sent all that was there until a moment ago, also what came after the next node had opened the queue.
func TestTakenOverWithoutAnAnswer(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	here, there := node(t, c.Namesrv()), node(t, c.Namesrv())
	topic := fresh(t, "taken")
	client := topic
	sendOne(t, here, topic)
	served(t, here, client, topic)
	if _, err := there.Watch(topic); err != nil {
		t.Fatal(err)
	}
	last := sendOne(t, here, topic)
	old, err := there.Connect(&store.Change{Kind: store.Connect, Client: client, Expiry: 3600})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range old.SentUpTo {
		if p.Queue == last.Queue && p.Offset > last.Offset {
			return
		}
	}
	t.Errorf("SentUpTo is %v, and %v may have been sent", old.SentUpTo, last)
}

// sendOne appends a message and returns where it is.
func sendOne(t *testing.T, s *Store, topic string) store.Position {
	t.Helper()
	done := newAnswers(t)
	s.Append(&store.Message{Topic: topic, Payload: []byte("x"), QoS: 1}, done, 0)
	a := done.wait(1)[0]
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.at
}
