package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// A checkpoint allocates nothing for sessions that are idle: with many of them it would be garbage every second, and
// memory that grows to twice what is needed.
func TestCheckpointOfIdleSessions(t *testing.T) {
	const clients = 100
	b := newBroker(t, func(b *broker) { b.limits.ProgressInterval = time.Hour }) // the test calls checkpoint itself
	for i := range clients {
		cl, _ := b.connect(mqtt.V5, fmt.Sprintf("idle%d", i), keep)
		cl.subscribe("t", 1)
	}
	last := b.m.checkpoint(nil) // writes that they follow
	if n := testing.AllocsPerRun(10, func() { last = b.m.checkpoint(last) }); n >= clients/2 {
		t.Errorf("%v allocations for %d idle sessions", n, clients)
	}
}
