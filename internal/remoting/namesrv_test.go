package remoting

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

func TestNamesrvFailover(t *testing.T) {
	ctx := context.Background()
	asked := new(atomic.Int64)
	good := &remotingtest.Broker{Hook: func(*remotingtest.Request) bool { asked.Add(1); return false }}
	good.AddTopic("T", 1)
	up := remotingtest.Start(t, good.Handle)
	down := remotingtest.Start(t, good.Handle)
	down.Stop()
	silent := remotingtest.Start(t, func(*remotingtest.Request) {})
	starting := remotingtest.Start(t, func(r *remotingtest.Request) { r.Reply(1, "name server not ready", nil, nil) })

	c := client(t, Options{
		Namesrv:        []string{down.Addr(), silent.Addr(), starting.Addr(), up.Addr()},
		RequestTimeout: 300 * time.Millisecond, BackoffMin: time.Millisecond,
	})
	eventually(t, "a route", func() bool { _, err := c.Route(ctx, "T"); return err == nil })
	// It stays with the one that answered, refusals included.
	before, requests := silent.Accepted(), asked.Load()
	if _, err := c.Route(ctx, "unknown"); !errors.Is(err, ErrTopicNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := c.Route(ctx, "T"); err != nil {
		t.Errorf("%v", err)
	}
	if silent.Accepted() != before || asked.Load() != requests+2 {
		t.Errorf("the others were asked again; %d requests", asked.Load()-requests)
	}
	up.Stop()
	_, err := c.Route(ctx, "T")
	if err == nil || !strings.Contains(err.Error(), up.Addr()) || !strings.Contains(err.Error(), silent.Addr()) {
		t.Errorf("%v", err)
	}
	up.Restart()
	eventually(t, "a route", func() bool { _, err := c.Route(ctx, "T"); return err == nil })
}

// The time of one context is shared out, so that a silent name server does not use it up.
func TestNamesrvFailoverInOneContext(t *testing.T) {
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	up := remotingtest.Start(t, b.Handle)
	silent := remotingtest.Start(t, func(*remotingtest.Request) {})
	c := client(t, Options{Namesrv: []string{silent.Addr(), up.Addr()}})
	eventually(t, "a route", func() bool { // half of a second each is little on a busy machine
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := c.Route(ctx, "T")
		return err == nil
	})
}

func TestNamesrvByName(t *testing.T) {
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	s := remotingtest.Start(t, b.Handle)
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, Options{Namesrv: []string{net.JoinHostPort("localhost", port)}})
	if _, err := c.Route(context.Background(), "T"); err != nil {
		t.Error(err)
	}
}

func TestNoNamesrv(t *testing.T) {
	c := client(t, Options{})
	if _, err := c.Route(context.Background(), "T"); !errors.Is(err, errNoNamesrv) || !errors.Is(err, ErrNotSent) {
		t.Errorf("%v", err)
	}
	if err := c.PutKV(context.Background(), "N", "k", "v"); !errors.Is(err, errNoNamesrv) {
		t.Errorf("%v", err)
	}
}
