package rocketmq

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// BenchmarkStart is a fresh node in front of a real RocketMQ until it is ready, and one that has its view. ROCKETMQTT_REPLAY=100000 says how many sessions there
// are: each connects, subscribes to a filter and ends its connection. Ten times as many messages are beats.
func BenchmarkStart(b *testing.B) {
	c := shared.Cluster(b)
	if c == nil {
		return
	}
	sessions := 2000
	if s := os.Getenv("ROCKETMQTT_REPLAY"); s != "" {
		var err error
		if sessions, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	p := &place{namesrv: c.Namesrv(), dir: b.TempDir(), sessions: sessionsOf(cases.Add(1)), clock: storetest.NewClock()}
	one, err := p.open()
	if err != nil {
		b.Fatal(err)
	}
	writeSessions(b, one.Store, sessions)
	writeBeats(b, one, 10*sessions)
	if err := one.Close(); err != nil {
		b.Fatal(err)
	}
	fresh := *p
	fresh.dir = b.TempDir()
	b.Run("fresh", func(b *testing.B) { startNode(b, &fresh, sessions) })
	b.Run("restart", func(b *testing.B) { startNode(b, &fresh, sessions) })
}

// writeSessions has so many sessions begin, and end their connection.
func writeSessions(b *testing.B, s *Store, sessions int) {
	b.Helper()
	var all sync.WaitGroup
	room := make(chan struct{}, 500)
	for i := range sessions {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			client := fmt.Sprintf("vehicle-%08d", i)
			if _, err := s.Connect(&store.Change{Kind: store.Connect, Client: client, Principal: "fleet", Expiry: 7 * 86400}); err != nil {
				b.Error(err)
				return
			}
			at := []store.Position{{Queue: 7, Offset: int64(i)}, {Queue: 8, Offset: int64(i)}}
			done := make(waited, 2)
			s.Change(&store.Change{Kind: store.Subscribe, Client: client, Subscription: store.Subscription{Filter: "devices/" + client + "/#", QoS: 1, Start: at}}, done, 0)
			s.Change(&store.Change{Kind: store.Detach, Client: client, Expiry: 7 * 86400, ExpiresAt: 1 << 50, Cursor: at, SentUpTo: at}, done, 0)
			for range 2 {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// writeBeats writes what is there of nodes that are long dead: each beat is a message of its own. Here they come in batches of RocketMQ's, which are as many messages.
func writeBeats(b *testing.B, s *openedStore, beats int) {
	b.Helper()
	const size = 100
	queues := s.sessions.queues
	room := make(chan struct{}, 16)
	for i := range beats / size {
		q := queues[i%len(queues)]
		req := remoting.SendRequest{Topic: q.name.topic, QueueID: q.name.id, Born: time.Now(), Batch: true}
		for k := range size {
			beat := append([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 7}, byte(k), 1, 0, 0)
			var err error
			if req.Body, err = message.AppendBatchEntry(req.Body, 0, append([]byte{byte(len(beat))}, beat...), nil); err != nil {
				b.Fatal(err)
			}
		}
		room <- struct{}{}
		s.client.Send(q.broker.addr(), &req, time.Now().Add(patience), func(_ remoting.SendResult, err error) {
			if err != nil {
				b.Error(err)
			}
			<-room
		})
	}
	for range cap(room) {
		room <- struct{}{}
	}
	eventually(b, "all is read", func() bool { return s.sessions.log.Stats().Read.Load() >= int64(beats) })
}

// startNode opens a store, and closes it.
func startNode(b *testing.B, p *place, sessions int) {
	b.Helper()
	for range b.N {
		began := time.Now()
		s, err := p.open()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric(float64(s.sessions.log.Stats().Read.Load()), "records")
		if n := s.Sessions(); n != int64(sessions) {
			b.Errorf("%d sessions, want %d", n, sessions)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}
