package rocketmq

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// placesOf is where a node was handed payloads.
type placesOf struct {
	mu sync.Mutex
	at map[string]store.Position
}

func (p *placesOf) take(batch []store.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range batch {
		p.at[string(batch[i].Payload)] = batch[i].Position
	}
}

func (p *placesOf) all() map[string]store.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.at)
}

// A queue goes back. Nodes that had read what is gone, one that had not, and one that starts later give what comes then the same places, above all that were handed
// out, so that a session can go on at each of them. The registry that says so may have gone back as well.
func TestNodesAgreeOnAQueueThatWentBack(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540})
	var seen []*placesOf
	join := func() *Store {
		s, p := node(t, c.Namesrv()), &placesOf{at: map[string]store.Position{}}
		s.Follow(p.take)
		if _, err := s.Watch("back/#"); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, p)
		return s
	}
	one := join()
	join()
	publish := func(what string) {
		t.Helper()
		for i := range 10 {
			payload := fmt.Sprint(what, " ", i)
			eventually(t, payload+" is taken", func() bool {
				done := newAnswers(t)
				one.Append(&store.Message{Topic: "back/x", Payload: []byte(payload), QoS: 1}, done, 0)
				return done.wait(1)[0].err == nil
			})
			for n, p := range seen {
				eventually(t, fmt.Sprint("node ", n, " has ", payload), func() bool { _, has := p.all()[payload]; return has })
			}
		}
	}
	publish("kept")
	b := c.Broker(0)
	for round := range 2 { // the second time the first one's entry is in what is restored, and so is all else
		must(t, b.Kill())
		snapshot, err := b.SnapshotStore()
		must(t, err)
		must(t, b.Start())
		publish(fmt.Sprint("lost ", round))
		highest := int64(0)
		for _, at := range seen[0].all() {
			highest = max(highest, at.Offset)
		}
		must(t, b.Kill())
		must(t, b.RestoreStore(snapshot))
		must(t, b.Start())
		publish(fmt.Sprint("first ", round))
		join()
		publish(fmt.Sprint("then ", round))
		for _, what := range []string{"first ", "then "} {
			for i := range 10 {
				payload := fmt.Sprint(what, round, " ", i)
				want := seen[0].all()[payload]
				for n, p := range seen {
					if at, has := p.all()[payload]; has && at != want {
						t.Errorf("%s is at %v on node %d, at %v on the first", payload, at, n, want)
					}
				}
				if want.Offset <= highest {
					t.Errorf("%s is at %v, and something that is gone at %d", payload, want, highest)
				}
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
