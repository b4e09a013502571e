package session

import (
	"log/slog"
	"math"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Capabilities says what this server can do. CONNACK, CONNECT, PUBLISH and SUBSCRIBE all ask it and nothing else.
type Capabilities struct {
	Retain bool // retained messages
	Will   bool // will messages
}

// Options configure a Manager. Store, Router, Auth and Log are demanded.
type Options struct {
	Store  store.Store
	Router *router.Router
	Auth   auth.Authenticator
	Log    *slog.Logger

	Capabilities Capabilities
	Limits       Limits
	Now          func() time.Time // time.Now when nil

	// Event is told what happens to clients, on goroutines of their connections and with no lock held; it must not block. nil: nobody is.
	Event func(*Event)
	// Reserved is a first level that clients may not publish to, beside those of router.MayPublish; empty: none.
	Reserved string
	// P2P has clients get what is published to their p2p topics (topic.Addressee) without SUBSCRIBE.
	P2P bool
	// Missed is where, in queues of what filter matches, those messages begin that a client has not had from the Java proxies that it comes from; only of queues where there are
	// any. filter may be store.P2P. It may wait for the network, a few seconds; what it cannot find out it leaves out. nil: there is nothing to come from.
	Missed func(client, filter string) []store.Position
	// Unacknowledged is where the messages are that such a client was sent there and has not acknowledged; Store.Get returns them. Otherwise as Missed; not nil where that is not.
	Unacknowledged func(client string) []store.Position
	// Left is told where a session that is kept stands when its connection has ended, so that its client may go on elsewhere: filters are those of its subscriptions that are not
	// shared, and store.P2P; everything below cursor was dealt with, but what is at open. It must not block; the slices are its own. nil: nobody is told.
	Left func(client string, filters []string, cursor, open []store.Position)
}

// Limits bound what one client may use. A zero value stands for the default in brackets.
type Limits struct {
	MaxPacket        int           // bytes of a packet that a client may send [1 MiB]
	ReceiveMaximum   int           // QoS 1 and 2 messages that a client may have under way to us [1024]
	SendWindow       int           // QoS 1 and 2 messages under way to a client, however large its Receive Maximum [1024]
	TopicAliases     int           // topic aliases a client may use, and most that we use to it [32]
	Subscriptions    int           // topic filters of one client [10,000]
	Sessions         int64         // sessions that outlive their connection, of all clients [1,000,000]
	SessionExpiry    time.Duration // longest a session outlives its connection [7 days]; negative: for ever
	KeepAlive        time.Duration // longest keep-alive [none]
	HandoverTimeout  time.Duration // waited for an older connection of the same client to end [10 s]
	ProgressInterval time.Duration // between checkpoints of what was acknowledged [1 s]
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.MaxPacket, 1<<20)
	def(&l.ReceiveMaximum, 1024)
	def(&l.SendWindow, 1024)
	def(&l.TopicAliases, 32)
	def(&l.Subscriptions, 10_000)
	if l.Sessions <= 0 {
		l.Sessions = 1_000_000
	}
	l.ReceiveMaximum = min(l.ReceiveMaximum, math.MaxUint16)
	l.SendWindow = min(l.SendWindow, math.MaxUint16)
	l.TopicAliases = min(l.TopicAliases, math.MaxUint16)
	if l.SessionExpiry == 0 {
		l.SessionExpiry = 7 * 24 * time.Hour
	}
	if l.HandoverTimeout <= 0 {
		l.HandoverTimeout = 10 * time.Second
	}
	if l.ProgressInterval <= 0 {
		l.ProgressInterval = time.Second
	}
	return l
}

// expiry caps what a client asked for, in seconds; never is math.MaxUint32.
func (l *Limits) expiry(asked uint32) uint32 {
	if l.SessionExpiry < 0 {
		return asked
	}
	return uint32(min(int64(asked), int64(l.SessionExpiry/time.Second)))
}
