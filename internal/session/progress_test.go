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

// A session that catches up goes on where the last checkpoint found it, not where it began: else one that is slow would begin again with every crash.
func TestProgressWhileCatchingUp(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ProgressInterval = time.Hour }) // the test calls checkpoint itself
	narrow := func(p *mqtt.Connect) { p.ReceiveMaximum = 1 }
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	sub.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	for i := range 5 {
		pub.send("t", fmt.Sprint(i), 1)
	}
	sub, _ = b.connect(mqtt.V5, "sub", keep, narrow)
	for i := range 3 {
		sub.accept(sub.wantPublish("t", fmt.Sprint(i), 1))
	}
	sub.wantPublish("t", "3", 1)
	b.m.checkpoint(nil)
	pub.send("other", "syncs the checkpoint", 1)
	b.crash()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.accept(sub.wantPublish("t", "3", 1))
	sub.accept(sub.wantPublish("t", "4", 1))
	sub.nothing()
}
