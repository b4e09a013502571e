package limits

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// Each key that limits what a client may use is obeyed, and the client is told with the code that the specification has for it.
func TestQuotas(t *testing.T) {
	b := start(t, "maxConn=4", "maxSessions=1", "maxSubscriptions=2", "topicAliasMaximum=3", "serverReceiveMaximum=2", "maxPacketSizeInByte=2048")
	first := connect(t, b.TCP, keep(hello(mqtt.V5, "first")))

	t.Run("maxConn", func(t *testing.T) {
		var conns []*wire.Conn
		for i := range 3 {
			conns = append(conns, connect(t, b.TCP, hello(mqtt.V311, fmt.Sprint("conn", i))))
		}
		for v, want := range map[mqtt.Version][]byte{
			mqtt.V31:  {0x20, 2, 0, 3},
			mqtt.V311: {0x20, 2, 0, 3},
			mqtt.V5:   {0x20, 3, 0, byte(mqtt.ServerBusy), 0},
		} {
			nc := dial(t, b.TCP)
			write(t, nc, hello(v, "more").Append(nil, v))
			if got := readEnd(t, nc); !bytes.Equal(got, want) {
				t.Errorf("version %s: CONNECT was answered with % x, want % x", v, got, want)
			}
		}
		for _, c := range conns {
			if err := ping(c); err != nil {
				t.Errorf("a client that was connected: %v", err)
			}
			_ = c.Close()
		}
		eventually(t, "there is room again", func() bool {
			c, err := open(b.TCP, hello(mqtt.V5, "more"))
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
	})
	t.Run("maxSessions", func(t *testing.T) {
		c := wire.New(dial(t, b.TCP), mqtt.V5)
		send(t, c, keep(hello(mqtt.V5, "second")))
		if a := read[mqtt.Connack](t, c); a.Code != mqtt.QuotaExceeded {
			t.Errorf("CONNECT was answered with %s", a.Code)
		}
		connect(t, b.TCP, hello(mqtt.V5, "second")) // without a session that is kept there is room
	})
	t.Run("maxSubscriptions", func(t *testing.T) {
		send(t, first, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte("a")}, {Filter: []byte("b")}, {Filter: []byte("c")}}})
		if a := read[mqtt.Suback](t, first); len(a.Codes) != 3 || a.Codes[1] != mqtt.Success || a.Codes[2] != mqtt.QuotaExceeded {
			t.Errorf("SUBSCRIBE was answered with %v", a.Codes)
		}
	})
	message := func(id uint16, change func(*mqtt.Publish)) *mqtt.Publish {
		p := &mqtt.Publish{QoS: 2, PacketID: id, Topic: []byte("t")}
		change(p)
		return p
	}
	for _, c := range []struct {
		name   string
		within int // messages that are taken
		change func(*mqtt.Publish)
		after  func(*mqtt.Publish)
		want   mqtt.ReasonCode
	}{
		{"topicAliasMaximum", 1, func(p *mqtt.Publish) { p.TopicAlias = 3 }, func(p *mqtt.Publish) { p.TopicAlias = 4 }, mqtt.TopicAliasInvalid},
		{"serverReceiveMaximum", 2, func(*mqtt.Publish) {}, func(*mqtt.Publish) {}, mqtt.ReceiveMaximumExceeded},
		{"maxPacketSizeInByte", 1, func(p *mqtt.Publish) { p.Payload = make([]byte, 2000) }, func(p *mqtt.Publish) { p.Payload = make([]byte, 2048) }, mqtt.PacketTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t, b.TCP, hello(mqtt.V5, c.name))
			defer conn.Close()
			for i := range c.within {
				send(t, conn, message(uint16(i+1), c.change))
				if a := read[mqtt.Ack](t, conn); a.Type != mqtt.PUBREC || a.Code >= mqtt.UnspecifiedError {
					t.Fatalf("a message within the limit was answered with %s %s", a.Type, a.Code)
				}
			}
			send(t, conn, message(100, c.after))
			if d := read[mqtt.Disconnect](t, conn); d.Code != c.want {
				t.Errorf("DISCONNECT with %s (%s), want %s", d.Code, d.Reason, c.want)
			}
			readEnd(t, conn.Net())
		})
	}
	if err := ping(first); err != nil {
		t.Errorf("who did nothing wrong: %v", err)
	}
}

// Retained messages are limited in number, below each first level, and in size; a publish beyond is not taken, and says so.
func TestRetainedQuotas(t *testing.T) {
	b := start(t, "maxRetainedTopicNum=2", "maxRetainedBytes=1MB")
	c := connect(t, b.TCP, hello(mqtt.V5, "five"))
	publish := func(topic string, size int) mqtt.ReasonCode {
		t.Helper()
		send(t, c, &mqtt.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte(topic), Payload: make([]byte, size)})
		return read[mqtt.Ack](t, c).Code
	}
	for _, step := range []struct {
		topic string
		size  int
		want  mqtt.ReasonCode
	}{
		{"r/1", 10, mqtt.Success},
		{"r/2", 10, mqtt.Success},
		{"r/3", 10, mqtt.QuotaExceeded},
		{"other", 10, mqtt.Success},
		{"r/1", 20, mqtt.Success}, // in place of the one before
		{"r/1", 0, mqtt.Success},  // ends it
		{"r/3", 10, mqtt.Success},
		{"r/4", 10, mqtt.QuotaExceeded},
		{"large/1", 600 * kib, mqtt.Success},
		{"large/2", 600 * kib, mqtt.QuotaExceeded},
		{"large/1", 600 * kib, mqtt.Success},
	} {
		if got := publish(step.topic, step.size); got != step.want {
			t.Errorf("%d bytes to %s: %s, want %s", step.size, step.topic, got, step.want)
		}
	}
	old := connect(t, b.TCP, hello(mqtt.V311, "three"))
	send(t, old, &mqtt.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: []byte("r/4"), Payload: []byte("x")})
	if got := readEnd(t, old.Net()); len(got) != 0 {
		t.Errorf("a client of MQTT 3.1.1 was sent % x", got)
	}
}
