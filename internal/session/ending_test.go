package session

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
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
