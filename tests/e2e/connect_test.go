package e2e

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// A client connects, is told that there is no session, hears what it publishes itself, and goes.
func TestConnect(t *testing.T) { onStores(t, testConnect) }

func testConnect(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		open := l.open(t, b)
		c, topic := open(), prefix(t)+"/echo"
		if got := mustConnect(t, c, connectOptions{version: v, id: prefix(t)}); got.present {
			t.Error("a session is present for a client id that was never used")
		}
		mustSubscribe(t, c, topic, 1)
		mustPublish(t, c, message{Topic: topic, QoS: 1, Payload: []byte("hello")})
		wantText(t, c, topic, 1, "hello")
		mustDisconnect(t, c)
	})
}

// A client without a client id is given one; with MQTT 5 it is told which.
func TestConnectWithoutClientID(t *testing.T) { onStores(t, testConnectWithoutClientID) }

func testConnectWithoutClientID(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		if l.name == mqttjs().name || v == mqtt.V31 {
			return // MQTT.js makes up an id of its own, and 3.1 knows no empty one
		}
		open := l.open(t, b)
		one, two := open(), open()
		first := mustConnect(t, one, connectOptions{version: v})
		second := mustConnect(t, two, connectOptions{version: v})
		if v == mqtt.V5 && (first.assigned == "" || first.assigned == second.assigned) {
			t.Errorf("assigned client ids %q and %q, want two different ones", first.assigned, second.assigned)
		}
		topic := prefix(t)
		mustSubscribe(t, one, topic, 0)
		mustPublish(t, two, message{Topic: topic, QoS: 1, Payload: []byte("both live")})
		wantText(t, one, topic, 0, "both live")
	})
}
