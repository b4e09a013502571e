package session

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// idle reports whether no task waits or runs.
func (p *pool) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) == 0 && p.running == 0
}

// wantIdle fails the test unless the pool comes to rest and stays so: nobody waits by running in circles.
func (b *broker) wantIdle() {
	b.t.Helper()
	rest := 0
	eventually(b.t, "the pool comes to rest", func() bool {
		if rest++; !b.m.work.idle() {
			rest = 0
		}
		return rest >= 20
	})
}

// A session that has no room for what it is owed costs nothing while it waits, whatever fills its window.
func TestPoolRestsWhileSessionsWait(t *testing.T) {
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			b := newBroker(t)
			sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
			sub.subscribe("t", 2)
			sub.subscribe("$share/g/t", 2)
			pub, _ := b.connect(mqtt.V5, "pub")
			for i := range 10 {
				pub.send("t", fmt.Sprint(i), qos)
			}
			for range 2 {
				sub.next(mqtt.PUBLISH, &mqtt.Publish{})
			}
			b.wantIdle()
			sub.gone()
			sub, _ = b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 1 })
			sub.next(mqtt.PUBLISH, &mqtt.Publish{})
			b.wantIdle()
		})
	}
}

// It also costs nothing when the session began to wait while its task was at work.
func TestPoolRestsAfterWaitBeganInRun(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 1 })
	sub.subscribe("t", 2)
	came, release := h.hold(t, store.Send2, "sub")
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "fills the window", 2)
	wait(t, "the task records it", came)
	pub.send("t", "waits", 2)
	eventually(t, "the session has left the tail", func() bool { return b.m.Stats().Lagging.Load() == 1 })
	release()
	p := sub.wantPublish("t", "fills the window", 2)
	b.wantIdle()
	sub.accept(p)
	sub.accept(sub.wantPublish("t", "waits", 2))
}
