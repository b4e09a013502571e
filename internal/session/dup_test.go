package session

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// What was sent before a crash has DUP when it is sent again, also when a connection in between ended in order before it got there [MQTT-3.3.1-1].
func TestDupAfterAnEndWhileCatchingUp(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	pub, _ := b.connect(mqtt.V5, "pub")
	for _, p := range []string{"0", "1", "2"} {
		pub.send("t", p, 1)
		sub.wantPublish("t", p, 1)
	}
	b.crash()
	narrow := func(p *mqtt.Connect) { p.ReceiveMaximum = 1 }
	sub, _ = b.connect(mqtt.V5, "sub", keep, narrow)
	if p := sub.wantPublish("t", "0", 1); !p.Dup {
		t.Error("0 came again without DUP")
	}
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	for _, want := range []string{"0", "1", "2"} {
		p := sub.wantPublish("t", want, 1)
		if !p.Dup {
			t.Errorf("%s came again without DUP", want)
		}
		sub.accept(p)
	}
}

// A QoS 2 delivery that waits for its record when the connection ends makes the session go back to it; what was sent after it has DUP then.
func TestDupAfterAnEndBeforeABeginning(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	came, release := h.hold(t, store.Send2, "sub")
	pub.send("t", "begins", 2)
	wait(t, "the beginning", came)
	pub.send("t", "waits", 2)
	pub.send("t", "overtakes", 1)
	sub.accept(sub.wantPublish("t", "overtakes", 1))
	sub.Close()
	eventually(t, "end", func() bool { sub.c.mu.Lock(); defer sub.c.mu.Unlock(); return sub.c.ended })
	release()
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	for seen := 0; seen < 3; {
		r := sub.packetOf(mqtt.PUBLISH)
		if r.h.Type != mqtt.PUBLISH {
			continue
		}
		seen++
		p := &mqtt.Publish{}
		if err := p.Decode(sub.version, r.h.Flags, r.body); err != nil {
			t.Fatal(err)
		}
		if string(p.Payload) == "overtakes" && !p.Dup {
			t.Error("came again without DUP, after it was acknowledged")
		}
	}
}
