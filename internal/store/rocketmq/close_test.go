package rocketmq

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A message of QoS 2 that waits for the sessions' changelog, whose broker is away, does not keep the store from being closed.
func TestCloseWhileTheChangelogIsAway(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.Default) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{})
	client, err := remoting.New(remoting.Options{Namesrv: []string{c.Namesrv()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s, err := Open(Options{
		Client: client, Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), DefaultTopic: "MQTT_DEFAULT", MaxFirstTopics: 10,
		QueueFailover: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	sendOne(t, s, "close")
	if _, err := s.Connect(&store.Change{Kind: store.Connect, Client: "close", Expiry: 3600}); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker(0).Kill(); err != nil {
		t.Fatal(err)
	}
	done := newAnswers(t)
	s.Append(&store.Message{Topic: "close", Client: "close", PacketID: 1, Payload: []byte("x"), QoS: 2}, done, 0)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not close")
	}
	if a := done.wait(1)[0]; !errors.Is(a.err, store.ErrClosed) {
		t.Errorf("the message is answered with %+v", a)
	}
}
