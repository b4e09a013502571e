// Package rocketmq runs processes of the broker in front of real RocketMQ servers, meta module off: what a client of one node publishes
// must reach those of all, whatever becomes of brokers, name servers and nodes meanwhile.
package rocketmq

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const patience = 60 * time.Second // how long a test waits for what must happen; nothing is asserted about how soon it does

// shared is one broker as it is installed, for all tests that stop none.
var shared = rocketmqtest.Shared{Options: rocketmqtest.Options{Version: rocketmqtest.V540}}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// node starts a process of the broker in front of c.
func node(t *testing.T, c *rocketmqtest.Cluster, set ...string) *broker.Broker {
	t.Helper()
	return broker.Start(t, nodeOptions(c, set...))
}

func nodeOptions(c *rocketmqtest.Cluster, set ...string) broker.Options {
	set = append([]string{"NAMESRV_ADDR=" + c.Namesrv(), "enableMetaModule=false", "localAddress=127.0.0.1"}, set...)
	return broker.Options{Kind: broker.Rocketmqtt, Set: set, Exporter: true}
}

// admin is a client of RocketMQ itself.
func admin(t *testing.T, c *rocketmqtest.Cluster) *remoting.Client {
	t.Helper()
	client, err := remoting.New(remoting.Options{Namesrv: []string{c.Namesrv()}})
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

func must(t testing.TB, err error) {
	t.Helper()
	check.OK(t, err)
}

// eventually polls until ok, or fails with what state says.
func eventually(t testing.TB, what string, ok func() bool, state ...func() string) {
	t.Helper()
	check.Eventually(t, patience, what, ok, state...)
}

// metric reads one number of a node's /metrics, by its name without the prefix of all.
func metric(t testing.TB, b *broker.Broker, name string) float64 {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + b.Exporter + "/metrics")
	must(t, err)
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	must(t, err)
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "rocketmqtt_"+name+" "); ok {
			n, err := strconv.ParseFloat(v, 64)
			must(t, err)
			return n
		}
	}
	t.Fatalf("no metric %s in\n%s", name, body)
	return 0
}
