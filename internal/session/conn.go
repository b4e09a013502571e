// Package session is MQTT's rules about clients: who may connect as whom, what a session is owed, what is sent again, and when.
//
// A Manager owns the sessions of the clients that are connected; package server drives one Client for each connection. What must
// outlive a connection is in the store, and nowhere else. ARCHITECTURE.md has the protocols: owners, places, what is durable
// before which packet, lock order.
package session

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Conn is the connection of one client, as the session sees it; package server implements it. No method blocks or
// calls back into the session; all may be called on any goroutine, with the session's lock held.
type Conn interface {
	// Send queues a whole packet; b is copied.
	Send(b []byte)
	// SendPublish queues header and payload as one packet. header is copied, payload is referenced until it is
	// written (or copied when small) and must not change.
	SendPublish(header, payload []byte)
	// Full reports that the queue is above its high-water mark: do not send PUBLISH. When it was reported and the
	// queue falls below the low-water mark, Client.Drained is called once, on a goroutine of the server's.
	Full() bool
	// Close ends the connection after what is queued was written, or after a bounded time. Idempotent.
	Close()
}

// Peer describes the other end of a connection.
type Peer struct {
	Addr     netip.AddrPort
	Listener string               // "tcp", "tls", "ws", "wss"
	TLS      *tls.ConnectionState // nil without TLS
}

// The server drives a Client like this:
//
//	c := manager.Accept(conn, peer)
//	for each packet: if !c.Packet(h, body) { stop reading }   // one goroutine; body is valid during the call; may block: back pressure
//	c.Bad(err)             // instead of Packet, when framing failed (mqtt.Error): answers and closes
//	c.KeepAliveExpired()   // when 1.5 x c.KeepAlive() passed without a packet
//	c.Drained()            // see Conn.Full
//	c.Closed(reason)       // once, last, after the reading goroutine has returned from Packet; the network connection is gone
//
// Before CONNECT was accepted, MaxPacket is 16 KiB; afterwards the configured maximum.
type driven interface {
	Packet(h mqtt.Header, body []byte) bool
	Bad(err error)
	MaxPacket() int
	Connected() bool
	KeepAlive() time.Duration // 0: none
	KeepAliveExpired()
	Drained()
	Closed(reason string)
}
