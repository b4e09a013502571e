package rocketmq

import (
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

var cases atomic.Int64

// The suite of every store, on a real broker as it is installed.
func TestConformance(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	conformance(t, c)
}

func conformance(t *testing.T, c *rocketmqtest.Cluster) {
	t.Helper()
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) storetest.Backend {
		n := cases.Add(1)
		p := &place{namesrv: c.Namesrv(), dir: t.TempDir(), sessions: sessionsOf(n), retained: retainedOf(n), clock: clock}
		return storetest.Backend{
			Open:       func() (store.Store, error) { return p.open() },
			TooLarge:   4 << 20,
			Prefix:     fmt.Sprint("conformance-", os.Getpid()%1000, "-", n),
			ManyQueues: true,
			Later:      true,
			Shared:     true,

			LongestTopic: 20_000,
		}
	})
}

// sessionsOf is a topic for the sessions of test n: the nodes of one RocketMQ are one cluster.
func sessionsOf(n int64) string { return fmt.Sprintf("%s_%d_%d", sessionTopic, os.Getpid(), n) }

// retainedOf is the same for its retained messages.
func retainedOf(n int64) string { return fmt.Sprintf("%s_%d_%d", retainedTopic, os.Getpid(), n) }

// place is a RocketMQ and a node's data directory.
type place struct {
	namesrv, dir string
	sessions     string
	retained     string
	clock        *storetest.Clock
	recent       int64 // Options.MaxRecentBytes
	index        int64 // Options.MaxIndexBytes
}

// openedStore is a store with what it needs.
type openedStore struct {
	*Store
	client *remoting.Client
}

// Close closes all of it.
func (o *openedStore) Close() error {
	err := o.Store.Close()
	o.client.Close()
	return err
}

func (p *place) open() (*openedStore, error) {
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("STORE_LOG") != "" {
		log = slog.Default()
	}
	client, err := remoting.New(remoting.Options{Namesrv: []string{p.namesrv}})
	if err != nil {
		return nil, err
	}
	s, err := Open(Options{Client: client, Dir: p.dir, SessionTopic: p.sessions, RetainedTopic: p.retained, Retained: &Retained{}, Clock: p.clock.Now, Logger: log, DefaultTopic: "MQTT_DEFAULT", MaxRecentBytes: p.recent, MaxIndexBytes: p.index})
	if err != nil {
		client.Close()
		return nil, err
	}
	return &openedStore{s, client}, nil
}
