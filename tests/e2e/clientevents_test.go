package e2e

import (
	"encoding/json"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// What happens to clients reaches who subscribes to it, in order, and nobody else can say such things.
func TestClientEvents(t *testing.T) { onStores(t, testClientEvents) }

func testClientEvents(t *testing.T, start starter) {
	topic := prefix(t)
	b := start(t, broker.Options{Set: []string{"clientEventTopic=" + topic, "localAddress=node-a"}})
	watcher := dialAs(t, b, "watcher")
	send(t, watcher, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(topic + "/device%2F1"), QoS: 1}}})
	if a := read[*mqtt.Suback](t, watcher); a.Codes[0] >= mqtt.UnspecifiedError {
		t.Fatalf("SUBACK %v", a.Codes)
	}

	first := dialAs(t, b, "device/1")
	send(t, first, &mqtt.Publish{QoS: 1, PacketID: 2, Topic: []byte(topic + "/device%2F1"), Payload: []byte("forged")})
	if a := read[*mqtt.Ack](t, first); a.Code != mqtt.TopicNameInvalid {
		t.Errorf("PUBACK %v", a.Code)
	}
	second := dialAs(t, b, "device/1") // takes over
	send(t, second, &mqtt.Disconnect{})
	if p, err := second.Read(patience); err == nil {
		t.Errorf("after DISCONNECT came %T", p)
	}
	third := dialAs(t, b, "device/1")
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ event, by string }{
		{"connect", ""},
		{"disconnect", "server"},
		{"connect", ""},
		{"disconnect", "client"},
		{"connect", ""},
		{"disconnect", "network"},
	} {
		p := read[*mqtt.Publish](t, watcher)
		var e struct{ Event, By, ClientID, Node, RemoteIP string }
		if err := json.Unmarshal(p.Payload, &e); err != nil {
			t.Fatalf("%s: %v", p.Payload, err)
		}
		if e.Event != want.event || e.By != want.by || e.ClientID != "device/1" || e.Node != "node-a" || e.RemoteIP != "127.0.0.1" || p.Retain {
			t.Errorf("event %d: %s on %s, want %v", i, p.Payload, p.Topic, want)
		}
	}
}

// dialAs connects a client whose session ends with its connection.
func dialAs(t *testing.T, b *broker.Broker, id string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(b.TCP, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	send(t, c, &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id), ReceiveMaximum: 10})
	if a := read[*mqtt.Connack](t, c); a.Code != mqtt.Success {
		t.Fatalf("CONNACK %v", a.Code)
	}
	return c
}

func send(t *testing.T, c *wire.Conn, p wire.Packet) {
	t.Helper()
	if err := c.Send(p); err != nil {
		t.Fatal(err)
	}
}

func read[P any](t *testing.T, c *wire.Conn) P {
	t.Helper()
	got, err := c.Read(patience)
	p, ok := got.(P)
	if err != nil || !ok {
		t.Fatalf("got %T %v (%v), want %T", got, got, err, p)
	}
	return p
}
