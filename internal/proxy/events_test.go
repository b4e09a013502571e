package proxy

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Messages about clients do not go where RocketMQ or this broker keeps its own.
func TestEventTopicIsNotReserved(t *testing.T) {
	for topic, refused := range map[string]bool{"": false, "clients": false, "MQTT_SYS_SESSION": true, "RMQ_SYS_TRACE_TOPIC": true} {
		p := &Proxy{cfg: &config.Config{ClientEventTopic: topic}}
		err := p.openEvents()
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "clientEventTopic="+topic) {
			t.Errorf("%q: %v", topic, err)
		}
		if (p.events != nil) != (topic == "clients") {
			t.Errorf("%q: events %v", topic, p.events)
		}
	}
}

// Who reads events can tell the nodes apart, whether or not they have labels.
func TestNodeName(t *testing.T) {
	if nodeName("a") != "a" || nodeName("") == "" {
		t.Errorf("%q and %q", nodeName("a"), nodeName(""))
	}
}

// stuck is a store that takes nothing until it is closed.
type stuck struct {
	storage
	closed chan struct{}
}

// Append implements store.Store.
func (s stuck) Append(_ *store.Message, done store.Completion, token uint64) {
	<-s.closed
	done.Appended(token, store.Position{}, store.ErrClosed)
}

// Close implements store.Store.
func (s stuck) Close() error {
	close(s.closed)
	return nil
}

// A store that takes no events does not hold up a stop beyond half of its time, nor make it fail.
func TestStopWithEventsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(output)
		cfg := &config.Config{ClientEventTopic: "clients", StopTimeout: 10 * time.Second}
		p := &Proxy{cfg: cfg, log: slog.New(slog.NewTextHandler(log, nil)), store: stuck{closed: make(chan struct{})}}
		if err := p.openEvents(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			p.events.Tell(&session.Event{Client: "c"})
		}
		synctest.Wait() // the store has one in its hands
		begun := time.Now()
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if !strings.Contains(log.String(), "2 client events were not stored") || p.events.Stats().Refused.Load() != 3 {
			t.Errorf("%d lost; log: %s", p.events.Stats().Refused.Load(), log)
		}
	})
}
