package server

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
)

// Handler makes the Client of every new connection.
type Handler interface {
	// Accept is called once for each connection whose TLS and WebSocket handshakes are done, on a goroutine of that
	// connection's, and never returns nil. conn may be used at once; Client.Closed tells when it is of no use any more.
	Accept(conn session.Conn, peer session.Peer) Client
}

// Client is what the server drives for one connection. Packet, Bad and MaxPacket are called one at a time, on
// the goroutine that reads the connection; the others on any goroutine, also while Packet runs. After Closed
// nothing is called.
type Client interface {
	// Packet handles one packet; false: stop reading and close. body is a part of a buffer that is used again
	// when Packet returns. While Packet blocks nothing more is read, and the keep-alive does not run.
	Packet(h mqtt.Header, body []byte) bool
	// Bad is called instead of Packet, at most once, when what came is no packet or too large a one (*mqtt.Error). It
	// answers as the version of the connection has it; the server closes afterwards.
	Bad(err error)
	// MaxPacket is the largest packet allowed now, fixed header included, in bytes. It is asked for each packet until
	// Connected, and then once more.
	MaxPacket() int
	// Connected reports that a CONNECT was accepted; until then Options.ConnectTimeout runs.
	Connected() bool
	// KeepAlive is asked when Connected has said yes, and holds from then on. 0: none.
	KeepAlive() time.Duration
	// KeepAliveExpired is called when one and a half times KeepAlive passed without a packet [MQTT-3.1.2-22]; the server
	// closes the connection after it has returned.
	KeepAliveExpired()
	// Drained is called once for each time that session.Conn.Full reported true, when there is room again.
	Drained()
	// Closed is called once and last: reading and writing have ended. It may block.
	Closed(reason string)
}
