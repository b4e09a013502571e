package rocketmq

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Codes of requests.
const (
	askCreate  = 17
	askRoute   = 105
	askCluster = 106
	askSend    = 310
)

// routing makes a store of which only brokers, routes and topics run, and opens it. It ends with the test.
func routing(t testing.TB, namesrv string, o Options) *Store {
	t.Helper()
	s := closedRouting(t, namesrv, o)
	if err := s.topics.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func closedRouting(t testing.TB, namesrv string, o Options) *Store {
	t.Helper()
	c, err := remoting.New(remoting.Options{Namesrv: []string{namesrv}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := message.NewIDs(netip.MustParseAddr("127.0.0.1"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxFirstTopics == 0 {
		o.MaxFirstTopics = 10_000 // the tests of this package share a registry
	}
	o = o.withDefaults()
	s := &Store{
		opts: o, client: c, ids: ids,
		log: throttle.New(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Second, time.Now),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tail.init()
	s.routes.init(s)
	s.topics.init(s)
	t.Cleanup(func() {
		s.cancel()
		s.tasks.Wait()
		c.Close()
	})
	return s
}

// peer is a name server and broker whose requests are counted, and may be answered by the test.
type peer struct {
	remotingtest.Broker
	server *remotingtest.Server
	asked  [1024]atomic.Int64 // by code
	hook   atomic.Pointer[func(*remotingtest.Request) bool]
}

func fakePeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{}
	p.Hook = func(r *remotingtest.Request) bool {
		p.asked[r.Code].Add(1)
		h := p.hook.Load()
		return h != nil && (*h)(r)
	}
	p.server = remotingtest.Start(t, p.Handle)
	p.At(p.server.Addr())
	return p
}

func (p *peer) on(hook func(*remotingtest.Request) bool) { p.hook.Store(&hook) }

// deny refuses requests with this code about the topic as access control does; "": about any.
func (p *peer) deny(code int32, topic string) {
	p.on(func(r *remotingtest.Request) bool {
		if r.Code != code || topic != "" && r.Fields["topic"] != topic {
			return false
		}
		r.Reply(16, "no right", nil, nil)
		return true
	})
}

// placed is the RocketMQ topic that place finds, within patience: it waits for brokers no longer than s does, which is short in tests.
func placed(t testing.TB, s *Store, topic string) string {
	t.Helper()
	return placeOf(t, s, topic).name.topic
}

func placeOf(t testing.TB, s *Store, topic string) (q *queue) {
	t.Helper()
	eventually(t, topic+" has a place", func() bool {
		var err error
		q, err = s.place(topic)
		return err == nil
	})
	return q
}
