package server

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
)

// busyClient answers the CONNECT of a connection beyond Options.MaxConn, and nothing else.
type busyClient struct{ conn session.Conn }

const busyMaxPacket = 16 << 10

// Packet implements Client.
func (b *busyClient) Packet(h mqtt.Header, body []byte) bool {
	if h.Type == mqtt.CONNECT {
		b.conn.Send(busyAnswer(body))
	}
	return false
}

// busyAnswer is the CONNACK that refuses a CONNECT with body.
func busyAnswer(body []byte) []byte {
	level := mqtt.Version(0)
	if name := 2; len(body) > name {
		name += int(body[0])<<8 | int(body[1])
		if len(body) > name {
			level = mqtt.Version(body[name])
		}
	}
	if level == mqtt.V5 {
		return []byte{byte(mqtt.CONNACK) << 4, 3, 0, byte(mqtt.ServerBusy), 0}
	}
	return []byte{byte(mqtt.CONNACK) << 4, 2, 0, 3} // 3.1.1: connection refused, server unavailable
}

// Bad implements Client.
func (b *busyClient) Bad(error) {}

// MaxPacket implements Client.
func (b *busyClient) MaxPacket() int { return busyMaxPacket }

// Connected implements Client.
func (b *busyClient) Connected() bool { return false }

// KeepAlive implements Client.
func (b *busyClient) KeepAlive() time.Duration { return 0 }

// KeepAliveExpired implements Client.
func (b *busyClient) KeepAliveExpired() {}

// Drained implements Client.
func (b *busyClient) Drained() {}

// Closed implements Client.
func (b *busyClient) Closed(string) {}
