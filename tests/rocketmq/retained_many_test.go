package rocketmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

// Many retained messages: a "#" gets all of them, at a node that was there and at one that starts then. How long that takes is logged.
func TestRetainedMany(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	many := check.Number(t, "ROCKETMQTT_RETAINED", 5000)
	set := append([]string{fmt.Sprint("maxRetainedTopicNum=", many)}, metaOn...)
	one := node(t, c, set...)
	pub := connect(t, one.TCP, "many", &inbox{})
	payload := strings.Repeat("x", 64)
	began := time.Now()
	waits := make(chan (<-chan answer), 1000)
	go func() {
		defer close(waits)
		for i := range many {
			waits <- pub.send(&mqtt.Publish{QoS: 1, Retain: true, Topic: fmt.Appendf(nil, "many/%d/room/%d", i/100, i%100), Payload: []byte(payload)})
		}
	}()
	for w := range waits {
		must(t, within(w, "retain"))
	}
	t.Logf("%d published in %v", many, time.Since(began))
	began = time.Now()
	two := node(t, c, set...)
	t.Logf("a fresh node is ready after %v", time.Since(began))
	for i, n := range []string{one.TCP, two.TCP} {
		box := &inbox{}
		began := time.Now()
		sub := connect(t, n, fmt.Sprint("many-", i), box)
		must(t, sub.subscribe(0, "many/#"))
		eventually(t, "all come", func() bool { return box.times(payload) >= many }, box.state)
		t.Logf("all came within %v at node %d", time.Since(began), i)
		if n := len(box.latest()); n != many || box.times(payload) != many {
			t.Errorf("%d topics came in %d messages", n, box.times(payload))
		}
		sub.leave()
	}
}
