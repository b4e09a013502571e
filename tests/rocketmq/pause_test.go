package rocketmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// A node is stopped for 12 s. Meanwhile its client goes to another node, and the other one takes the first for dead. What the client's old connection holds then is
// neither acknowledged nor stored when the first node goes on, at any QoS; and that node serves whoever connects to it.
func TestStoppedNode(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	o := nodeOptions(c)
	o.Errors = true // that it was taken for dead
	a, b := broker.Start(t, o), node(t, c)
	var got, left, right inbox
	must(t, connect(t, b.TCP, "stopped-watch", &got).subscribe(2, "stopped/#"))
	old := wireClient(t, a, "stopped-wanderer")
	must(t, old.Send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("stopped/a"), Payload: []byte("before")}))
	if p, err := old.Read(patience); err != nil || p.(*mqtt.Ack).Code != mqtt.Success {
		t.Fatalf("the first message was answered with %+v, %v", p, err)
	}

	a.Pause()
	stopped := time.Now()
	const late = 30
	for i := range late {
		must(t, old.Send(&mqtt.Publish{QoS: byte(i % 3), PacketID: uint16(i%3) * uint16(i+2), Topic: []byte("stopped/a"), Payload: fmt.Append(nil, "late ", i)}))
	}
	new_ := connect(t, b.TCP, "stopped-wanderer", &right, keep)
	if !new_.present {
		t.Error("the other node has not found the session")
	}
	must(t, new_.publish("stopped/a", "meanwhile", 1))
	eventually(t, "12 s are over", func() bool { return time.Since(stopped) > 12*time.Second })
	a.Resume()

	for _, p := range rest(t, old) {
		if d, ok := p.(*mqtt.Disconnect); !ok || d.Code != mqtt.SessionTakenOver {
			t.Errorf("the old connection got %+v", p)
		}
	}
	other := connectSoon(t, a.TCP, "stopped-other", &left)
	must(t, other.subscribe(1, "stopped/#"))
	for i := range 10 {
		must(t, other.publish("stopped/a", fmt.Sprint("after ", i), byte(i%3)))
		must(t, new_.publish("stopped/a", fmt.Sprint("there ", i), byte(i%3)))
	}
	must(t, other.publish("stopped/a", "last", 1)) // behind all that this node has sent to that queue
	for _, box := range []*inbox{&got, &left} {
		for _, want := range []string{"last", "after 9", "there 9"} {
			_, err := box.await(want)
			must(t, err)
		}
	}
	for _, d := range got.deliveries() {
		if strings.HasPrefix(d.payload, "late") {
			t.Errorf("%q, which the stopped node held, came to a subscriber", d.payload)
		}
	}
	must(t, once(&got))
	eventually(t, "the node says that it was taken for dead", func() bool { return metric(t, a, "rocketmq_node_lost_total") > 0 })
	if n := metric(t, a, "rocketmq_node_paused_total"); n == 0 {
		t.Error("the node does not say that it was stopped")
	}
	if n := metric(t, a, "rocketmq_brokers_failed_total"); n != 0 {
		t.Errorf("the node took %v brokers for failed", n)
	}
}

// wireClient is a client of MQTT 5 with a session that is kept, which does nothing by itself.
func wireClient(t *testing.T, n *broker.Broker, id string) *wire.Conn {
	t.Helper()
	conn, err := wire.Dial(n.TCP, mqtt.V5)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.Send(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte(id), SessionExpiry: 3600, ReceiveMaximum: 65535}))
	p, err := conn.Read(patience)
	must(t, err)
	if ack, ok := p.(*mqtt.Connack); !ok || ack.Code != mqtt.Success {
		t.Fatalf("CONNECT was answered with %+v", p)
	}
	return conn
}

// rest is all that comes until the server ends the connection.
func rest(t *testing.T, c *wire.Conn) (all []any) {
	t.Helper()
	until := time.Now().Add(patience)
	for {
		p, err := c.Read(time.Until(until))
		switch {
		case err == nil:
			all = append(all, p)
		case time.Now().After(until):
			t.Fatalf("the server does not end the connection; it sent %+v", all)
		default:
			return all
		}
	}
}
