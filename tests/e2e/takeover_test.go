package e2e

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// A second connection with a client id ends the first, which is told why where its version has words for it, and
// goes on with the session.
func TestTakeover(t *testing.T) { onStores(t, testTakeover) }

func testTakeover(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		open, topic := l.open(t, b), prefix(t)
		same := connectOptions{version: v, id: topic, keep: true}
		first, second, pub := open(), open(), open()
		mustConnect(t, first, same)
		mustSubscribe(t, first, topic, 1)
		if got := mustConnect(t, second, same); got.present != same.toldPresent() {
			t.Errorf("session present %t for the second connection", got.present)
		}
		code := first.inbox().downs.next(t, "end of the first connection")
		if v == mqtt.V5 && code != byte(mqtt.SessionTakenOver) {
			t.Errorf("the first connection was ended with code %#x, want %#x", code, byte(mqtt.SessionTakenOver))
		}
		mustConnect(t, pub, connectOptions{version: v, id: topic + "-pub"})
		mustPublish(t, pub, message{Topic: topic, QoS: 1, Payload: []byte("to the second")})
		wantText(t, second, topic, 1, "to the second")
		if m, ok := first.inbox().messages.take(); ok {
			t.Errorf("the first connection got %q", m.Payload)
		}
	})
}
