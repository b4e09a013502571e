// Package cluster runs several processes of the broker in front of one RocketMQ, mostly with the meta module off: a session that outlives its connections goes on at whatever node
// its client comes to, whatever becomes of nodes, of their connections to RocketMQ, and of its brokers meanwhile.
//
// What is checked everywhere: nothing that was acknowledged is lost; QoS 2 comes once; first deliveries come in order of publisher, topic and QoS; what
// comes again says so (DUP); and session present is true.
package cluster

import (
	"os"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const patience = 60 * time.Second // how long a test waits for what must happen

// shared is the RocketMQ of all tests that do not stop it. All nodes in front of it are one cluster, so each test has client ids and topics of its own.
var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

func nodeOptions(namesrv string, set ...string) broker.Options {
	set = append([]string{"NAMESRV_ADDR=" + namesrv, "enableMetaModule=false", "localAddress=127.0.0.1"}, set...)
	return broker.Options{Kind: broker.Rocketmqtt, Set: set}
}

// startNodes starts n nodes side by side.
func startNodes(t *testing.T, n int, o broker.Options) []*broker.Broker {
	t.Helper()
	var all []*broker.Broker
	for range n {
		o.Dir = "" // its own
		all = append(all, broker.Start(t, o))
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	check.OK(t, err)
}

func eventually(t testing.TB, what string, ok func() bool, state ...func() string) {
	t.Helper()
	check.Eventually(t, patience, what, ok, state...)
}
