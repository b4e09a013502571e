package metrics

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Each connection that is not let in, each that is ended, and each publish that is not taken counts under its reason.
func TestRefused(t *testing.T) {
	b := start(t, "maxConn=2", "username=u", "secretKey=k", "bindAddress=127.0.0.1", "allowAnonymous=true", "maxSessions=1")
	refused := func(change func(*mqtt.Connect), want mqtt.ReasonCode) {
		t.Helper()
		c := dial(t, b)
		p := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("x")}
		change(p)
		c.send(p)
		if a := read[mqtt.Connack](c); a.Code != want {
			t.Fatalf("CONNACK %v, want %v", a.Code, want)
		}
		_ = c.Close()
		expect(t, b, "the connection is gone", values{"connections_open": 0})
	}
	for range 3 {
		refused(func(p *mqtt.Connect) { p.HasUsername, p.Username = true, []byte("nobody") }, mqtt.BadUserNameOrPassword)
	}
	refused(func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("x") }, mqtt.BadAuthMethod)
	nc, err := net.Dial("tcp", b.TCP)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(nc, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "it is no MQTT", values{`connections_refused_total{reason="protocol"}`: 1})
	_ = nc.Close()
	ws, err := net.Dial("tcp", b.WS)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if _, err := fmt.Fprint(ws, "GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "it is no WebSocket", values{`connections_refused_total{reason="handshake"}`: 1, "connections_open": 0})

	connect(t, b, "first")
	first := connect(t, b, "first", keep)
	expect(t, b, "one connection is left", values{`connections_closed_total{reason="taken_over"}`: 1, "connections_open": 1})
	refused2 := dial(t, b)
	p := &mqtt.Connect{Version: mqtt.V5, ClientID: []byte("second")}
	keep(p)
	refused2.send(p)
	if a := read[mqtt.Connack](refused2); a.Code != mqtt.QuotaExceeded {
		t.Fatalf("CONNACK %v", a.Code)
	}
	_ = refused2.Close()
	expect(t, b, "the connection is gone", values{"connections_open": 1})
	connect(t, b, "second")
	third := dial(t, b)
	third.send(p)
	if a := read[mqtt.Connack](third); a.Code != mqtt.ServerBusy {
		t.Fatalf("CONNACK %v", a.Code)
	}
	if code, body, err := get(b, "/readyz"); code != 503 || body != "there are 2 connections, as many as maxConn allows\n" {
		t.Errorf("/readyz: %d %q %v", code, body, err)
	}
	first.send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("$SYS/x")})
	first.wantAck(mqtt.PUBACK, mqtt.TopicNameInvalid)
	first.send(p) // a second CONNECT
	if d := read[mqtt.Disconnect](first); d.Code != mqtt.ProtocolError {
		t.Fatalf("DISCONNECT %v", d.Code)
	}
	expect(t, b, "all was counted", values{
		`connections_refused_total{reason="login"}`: 3, `connections_refused_total{reason="unsupported"}`: 1, `connections_refused_total{reason="protocol"}`: 1,
		`connections_refused_total{reason="handshake"}`: 1, `connections_refused_total{reason="quota"}`: 1, `connections_refused_total{reason="limit"}`: 1,
		`connections_refused_total{reason="unavailable"}`: 0, `connections_closed_total{reason="protocol"}`: 1,
		`publishes_refused_total{reason="topic"}`: 1, `publishes_refused_total{reason="full"}`: 0, "connects_total": 3,
	})
}

// What is dropped is counted with its reason, and what is not dropped was sent.
func TestDropped(t *testing.T) {
	b := start(t, "highWater=65536")
	small := connect(t, b, "small", func(p *mqtt.Connect) { p.MaximumPacketSize = 100 })
	small.subscribe("small", 1)
	late := connect(t, b, "late", keep)
	late.subscribe("late", 1)
	_ = late.Close()
	deaf := connect(t, b, "deaf")
	deaf.subscribe("deaf", 0)
	expect(t, b, "it is away", values{"sessions_connected": 2})

	pub := connect(t, b, "pub")
	for range 3 {
		pub.publish("small", bytes.Repeat([]byte("x"), 200), 1)
	}
	for range 4 {
		pub.send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("late"), HasMessageExpiry: true, MessageExpiry: 1})
		pub.wantAck(mqtt.PUBACK, mqtt.Success)
	}
	const n, size = 1000, 64 << 10 // far more than sockets hold
	payload := make([]byte, size)
	for range n {
		pub.publish("deaf", payload, 0)
	}
	var dropped float64
	eventually(t, "each of its messages was sent or dropped", func() bool {
		v := scrape(t, b)
		dropped = v[`messages_dropped_total{reason="full"}`]
		return dropped > 0 && dropped+v[`messages_sent_total{qos="0"}`] == n && v[`messages_received_total{qos="0"}`] == n
	})
	eventually(t, "the messages have expired", func() bool {
		back := connect(t, b, "late", keep)
		defer func() { _ = back.Close() }()
		back.send(&mqtt.Subscribe{PacketID: 2, Filters: []mqtt.SubscribeFilter{{Filter: []byte("other")}}})
		for {
			p, err := back.Read(patience)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := p.(*mqtt.Suback); ok {
				break
			}
		}
		return scrape(t, b)[`messages_dropped_total{reason="expired"}`] == 4
	})
	expect(t, b, "the rest", values{`messages_dropped_total{reason="too_large"}`: 3, `messages_dropped_total{reason="full"}`: dropped})
}

// A subscriber that does not acknowledge is behind by what it has not got; when it does, it is not.
func TestCatchUp(t *testing.T) {
	b := start(t)
	sub := connect(t, b, "sub", func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
	sub.subscribe("t", 1)
	pub := connect(t, b, "pub")
	before := scrape(t, b)["store_next_offset"]
	for range 10 {
		pub.publish("t", nil, 1)
	}
	eventually(t, "it is behind", func() bool {
		v := scrape(t, b)
		lag := v["catch_up_lag_offsets"]
		return v["catching_up_sessions"] == 1 && v["catch_ups_total"] == 1 && v[`inflight_messages{direction="out"}`] == 2 &&
			lag >= 8 && lag <= v["store_next_offset"]-before-2 // of the first two it is not; checkpoints come between
	})
	for range 10 {
		sub.receive()
	}
	expect(t, b, "it has all", values{"catching_up_sessions": 0, "catch_up_lag_offsets": 0, `inflight_messages{direction="out"}`: 0})
}
