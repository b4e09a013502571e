package session

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// What comes after a connection's end and before that end is written waits for the session: the router hands it to a
// client that sends nothing any more.
func TestMessagesWhileEnding(t *testing.T) {
	ways := map[string]func(*client){
		"DISCONNECT": func(sub *client) { sub.c.Packet(mqtt.Header{Type: mqtt.DISCONNECT}, nil) },
		"an error":   func(sub *client) { sub.c.Packet(mqtt.Header{Type: mqtt.PINGRESP}, nil) },
		"EOF":        func(*client) {},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			sub, _ := b.connect(mqtt.V5, "sub", keep)
			sub.subscribe("t", 1)
			other, _ := b.connect(mqtt.V5, "other")
			other.subscribe("t", 0)
			pub, _ := b.connect(mqtt.V5, "pub")

			sub.driving.Lock() // until it is given back the end is not written
			end(sub)
			for _, payload := range []string{"one", "two"} {
				pub.send("t", payload, 1)
				other.wantPublish("t", payload, 0) // so the router has dealt with it
			}
			sub.driving.Unlock()
			sub.gone()

			sub, _ = b.connect(mqtt.V5, "sub", keep)
			sub.wantPublish("t", "one", 1)
			sub.wantPublish("t", "two", 1)
		})
	}
}

// What a member of a shared subscription has not acknowledged when it unsubscribes is under way to it until its connection ends
// [MQTT-3.10.4-3]; then another member gets it, or, when there is none, its session keeps it.
func TestUnsubscribeSharedUnacknowledged(t *testing.T) {
	const shared = "$share/g/t"
	for _, others := range []bool{true, false} {
		t.Run(fmt.Sprintf("others %t", others), func(t *testing.T) {
			b := newBroker(t)
			pub, _ := b.connect(mqtt.V5, "pub")
			sub, _ := b.connect(mqtt.V5, "sub", keep)
			sub.subscribe(shared, 1)
			pub.send("t", "1", 1)
			sent := sub.wantPublish("t", "1", 1)
			other, _ := b.connect(mqtt.V5, "other")
			if others {
				other.subscribe(shared, 1)
			}
			sub.packet(&mqtt.Unsubscribe{PacketID: 5, Filters: [][]byte{[]byte(shared)}})
			sub.next(mqtt.UNSUBACK, &mqtt.Suback{Type: mqtt.UNSUBACK})
			sub.gone()
			if others {
				other.accept(other.wantPublish("t", "1", 1))
			}
			for range 2 {
				sub, _ = b.connect(mqtt.V5, "sub", keep)
				if others {
					sub.nothing()
				} else if p := sub.wantPublish("t", "1", 1); !p.Dup || p.PacketID != sent.PacketID {
					t.Fatalf("DUP %t, packet id %d, want %d", p.Dup, p.PacketID, sent.PacketID)
				}
				sub.gone()
				b.restart()
			}
		})
	}
}

// A connection that is ended before CONNACK leaves the session as it was.
func TestEndBeforeConnack(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	for i, qos := range []byte{1, 2, 1, 2} {
		pub.send("t", string('0'+rune(i)), qos)
	}
	sent := map[string]*mqtt.Publish{}
	for range 4 {
		p := &mqtt.Publish{}
		sub.next(mqtt.PUBLISH, p)
		sent[string(p.Payload)] = p
	}
	sub.accept(sent["0"])
	sub.accept(sent["1"])
	sub.gone()

	b.endBeforeConnack(h, &mqtt.Connect{Version: mqtt.V5, ClientID: []byte("sub"), SessionExpiry: 3600, ReceiveMaximum: 100})

	sub, _ = b.connect(mqtt.V5, "sub", keep)
	for _, payload := range []string{"2", "3"} {
		was := sent[payload]
		again := sub.wantPublish("t", payload, was.QoS)
		if !again.Dup || again.PacketID != was.PacketID {
			t.Errorf("%+v", again)
		}
	}
	sub.nothing()
}

// endBeforeConnack sends p and takes its connection over between the record of it and the answer.
func (b *broker) endBeforeConnack(h *hooks, p *mqtt.Connect) {
	b.t.Helper()
	came, release := h.hold(b.t, store.Connect, string(p.ClientID))
	cl := b.dial(p.Version)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cl.packet(p)
	}()
	wait(b.t, "CONNECT is on its way to the store", came)
	cl.c.end(mqtt.SessionTakenOver, "")
	release()
	wait(b.t, "CONNECT is done with", done)
	cl.gone()
}
