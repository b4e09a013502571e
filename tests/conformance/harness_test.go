package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// brokers are the processes that the tests share.
type brokers struct {
	open  *broker.Broker // as it comes: nobody has to log in
	login *broker.Broker // asks for a login
	bare  *broker.Broker // without retained messages and wills
	full  *broker.Broker // has no room for a message; nil with RocketMQ

	level string // what topics begin with
}

// run is one test as it shows one statement, in one version of MQTT.
type run struct {
	*testing.T
	*brokers
	v     mqtt.Version
	topic string // nobody else's; the test's other topics and client identifiers begin with it
}

var runs atomic.Int64

func newRun(t *testing.T, v mqtt.Version, b *brokers) *run {
	return &run{T: t, brokers: b, v: v, topic: fmt.Sprint(b.level, "t", runs.Add(1))}
}

func (r *run) isV5() bool { return r.v == mqtt.V5 }

// client is one connection and what its client must know to go on.
type client struct {
	*wire.Conn
	r      *run
	lastID uint16
	passed []any // read while another packet was waited for, and still to be read
}

// dial opens a connection to the open broker. Nothing is sent.
func (r *run) dial() *client { return r.dialTo(r.open) }

func (r *run) dialTo(b *broker.Broker) *client {
	r.Helper()
	c, err := wire.Dial(b.TCP, r.v)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, r: r}
}

// edit changes a CONNECT.
type edit func(p *mqtt.Connect)

// hello is a CONNECT of a session that ends with its connection.
func (r *run) hello(name string, edits ...edit) *mqtt.Connect {
	p := &mqtt.Connect{Version: r.v, ClientID: []byte(r.topic + "-" + name), CleanStart: true, RequestProblem: true}
	for _, e := range edits {
		e(p)
	}
	return p
}

// kept makes the session outlive its connection, and go on when it was there.
func kept(p *mqtt.Connect) {
	p.CleanStart = false
	if p.Version == mqtt.V5 {
		p.SessionExpiry = 3600
	}
}

func receiveMaximum(n uint16) edit { return func(p *mqtt.Connect) { p.ReceiveMaximum = n } }

func packetSize(n uint32) edit { return func(p *mqtt.Connect) { p.MaximumPacketSize = n } }

// connect is a client whose CONNECT was accepted; name is the end of its client identifier.
func (r *run) connect(name string, edits ...edit) *client {
	r.Helper()
	c, _ := r.connack(name, edits...)
	return c
}

func (r *run) connack(name string, edits ...edit) (*client, *mqtt.Connack) {
	r.Helper()
	c := r.dial()
	c.send(r.hello(name, edits...))
	a := read[mqtt.Connack](c)
	if a.Code != mqtt.Success {
		r.Fatalf("CONNECT was answered with %s", a.Code)
	}
	return c, a
}

func (c *client) send(packets ...wire.Packet) {
	c.r.Helper()
	if err := c.Send(packets...); err != nil {
		c.r.Fatalf("send %T: %v", packets[0], err)
	}
}

// bytes writes bytes as they are.
func (c *client) bytes(b []byte) {
	c.r.Helper()
	if _, err := c.Net().Write(b); err != nil {
		c.r.Fatalf("send % x: %v", b, err)
	}
}

// read reads the next packet, which must be a P.
func read[P any](c *client) *P {
	c.r.Helper()
	p := c.next()
	got, ok := p.(*P)
	if !ok {
		c.r.Fatalf("read %T, want %T: %+v", p, new(P), p)
	}
	return got
}

func (c *client) next() any {
	c.r.Helper()
	if len(c.passed) > 0 {
		p := c.passed[0]
		c.passed = c.passed[1:]
		return p
	}
	return c.fresh()
}

// fresh reads from the connection.
func (c *client) fresh() any {
	c.r.Helper()
	p, err := c.Read(patience)
	if err != nil {
		c.r.Fatalf("read a packet: %v", err)
	}
	return p
}

// ack reads the next packet, which must be the acknowledgement typ of id.
func (c *client) ack(typ mqtt.Type, id uint16) *mqtt.Ack {
	c.r.Helper()
	a := read[mqtt.Ack](c)
	if a.Type != typ || a.PacketID != id {
		c.r.Fatalf("read %s of %d, want %s of %d", a.Type, a.PacketID, typ, id)
	}
	return a
}

func (c *client) sendAck(typ mqtt.Type, id uint16) {
	c.r.Helper()
	c.send(&mqtt.Ack{Type: typ, PacketID: id})
}

// pong asks for a PINGRESP, which must be the next packet: nothing else was on its way to this client.
func (c *client) pong() {
	c.r.Helper()
	c.send(wire.Ping{})
	if p := c.next(); p != any(wire.Ping{}) {
		c.r.Fatalf("read %T before PINGRESP: %+v", p, p)
	}
}

func (c *client) id() uint16 {
	c.lastID++
	return c.lastID
}

// filter is a topic filter with its QoS.
func filter(name string, qos byte) mqtt.SubscribeFilter {
	return mqtt.SubscribeFilter{Filter: []byte(name), QoS: qos}
}

// subscribe subscribes to one filter; it must be granted.
func (c *client) subscribe(name string, qos byte, edits ...func(p *mqtt.Subscribe)) {
	c.r.Helper()
	p := &mqtt.Subscribe{PacketID: c.id(), Filters: []mqtt.SubscribeFilter{filter(name, qos)}}
	for _, e := range edits {
		e(p)
	}
	if codes := c.subscribeAll(p); len(codes) != 1 || codes[0] != mqtt.ReasonCode(qos) {
		c.r.Fatalf("SUBSCRIBE to %q with QoS %d was answered with %v", name, qos, codes)
	}
}

// subscribeAll is any SUBSCRIBE, and the codes of its SUBACK.
func (c *client) subscribeAll(p *mqtt.Subscribe) []mqtt.ReasonCode {
	c.r.Helper()
	c.send(p)
	return c.suback(mqtt.SUBACK, p.PacketID)
}

// suback reads the answer to a request. Messages may come before it.
func (c *client) suback(typ mqtt.Type, id uint16) []mqtt.ReasonCode {
	c.r.Helper()
	for {
		p := c.fresh()
		a, ok := p.(*mqtt.Suback)
		if !ok {
			c.passed = append(c.passed, p)
			continue
		}
		if a.Type != typ || a.PacketID != id {
			c.r.Fatalf("read %s of %d, want %s of %d", a.Type, a.PacketID, typ, id)
		}
		return a.Codes
	}
}

func (c *client) unsubscribe(names ...string) []mqtt.ReasonCode {
	c.r.Helper()
	p := &mqtt.Unsubscribe{PacketID: c.id()}
	for _, n := range names {
		p.Filters = append(p.Filters, []byte(n))
	}
	c.send(p)
	return c.suback(mqtt.UNSUBACK, p.PacketID)
}

// message is a PUBLISH; its packet identifier is the client's next.
func (c *client) message(name, payload string, qos byte) *mqtt.Publish {
	p := &mqtt.Publish{Topic: []byte(name), Payload: []byte(payload), QoS: qos}
	if qos > 0 {
		p.PacketID = c.id()
	}
	return p
}

// publish publishes and goes through the exchange of the QoS.
func (c *client) publish(name, payload string, qos byte) {
	c.r.Helper()
	c.publishAs(c.message(name, payload, qos))
}

func (c *client) publishAs(p *mqtt.Publish) {
	c.r.Helper()
	c.send(p)
	switch p.QoS {
	case 1:
		if a := c.ack(mqtt.PUBACK, p.PacketID); a.Code >= mqtt.UnspecifiedError {
			c.r.Fatalf("PUBLISH was answered with %s", a.Code)
		}
	case 2:
		if a := c.ack(mqtt.PUBREC, p.PacketID); a.Code >= mqtt.UnspecifiedError {
			c.r.Fatalf("PUBLISH was answered with %s", a.Code)
		}
		c.sendAck(mqtt.PUBREL, p.PacketID)
		c.ack(mqtt.PUBCOMP, p.PacketID)
	}
}

// want reads the next packet, which must be the message with that payload and QoS. It is not acknowledged.
func (c *client) want(name, payload string, qos byte) *mqtt.Publish {
	c.r.Helper()
	p := read[mqtt.Publish](c)
	if string(p.Topic) != name || string(p.Payload) != payload || p.QoS != qos {
		c.r.Fatalf("message %q of %q with QoS %d, want %q of %q with QoS %d", p.Payload, p.Topic, p.QoS, payload, name, qos)
	}
	return p
}

// take is want, and acknowledges to the end.
func (c *client) take(name, payload string, qos byte) *mqtt.Publish {
	c.r.Helper()
	p := c.want(name, payload, qos)
	c.accept(p)
	return p
}

// accept acknowledges to the end. Other packets may come before PUBREL.
func (c *client) accept(p *mqtt.Publish) {
	c.r.Helper()
	switch p.QoS {
	case 1:
		c.sendAck(mqtt.PUBACK, p.PacketID)
	case 2:
		c.sendAck(mqtt.PUBREC, p.PacketID)
		for {
			in := c.fresh()
			if a, ok := in.(*mqtt.Ack); ok && a.Type == mqtt.PUBREL && a.PacketID == p.PacketID {
				break
			}
			c.passed = append(c.passed, in)
		}
		c.sendAck(mqtt.PUBCOMP, p.PacketID)
	}
}

// until waits for a moment that the protocol names, such as the end of an expiry.
func (r *run) until(at time.Time) {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	<-timer.C
}
