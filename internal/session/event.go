package session

import "github.com/rocketmqtt/rocketmqtt/internal/mqtt"

// Event is what happened to a client: CONNECT was accepted, or its connection has ended. Of one client's connections of this process each Connected comes
// before its Disconnected, and that before the next Connected.
type Event struct {
	Kind      EventKind
	Client    string
	Principal string // who the session belongs to; empty: nobody who logged in
	Peer      Peer
	Version   mqtt.Version

	At        int64  // Unix milliseconds
	Connected int64  // when CONNECT was accepted, Unix milliseconds: tells connections of a client apart
	Expiry    uint32 // seconds that the session outlives the connection; 0xFFFFFFFF for ever

	Clean   bool // of Connected: clean session, or clean start
	Present bool // of Connected: a session was resumed

	Ending Ending // of Disconnected
}

// EventKind says what happened.
type EventKind byte

// Kinds of events.
const (
	Connected EventKind = iota + 1
	Disconnected
)

// Ending is why a connection ended.
type Ending struct {
	By     Ender
	Code   mqtt.ReasonCode // of DISCONNECT, whether or not the protocol's version could carry it; not of the Network
	Reason string          // in words; of a client, what it says
}

// Ender is who ended a connection.
type Ender byte

// Enders.
const (
	Network Ender = iota // nobody said anything: the connection broke, or was closed, or the client was too slow to be told
	ByClient
	ByServer
)

// connected tells whoever wants to know that CONNECT was accepted. The reading goroutine's.
func (c *Client) connected(clean, present bool) {
	if c.m.opts.Event == nil {
		return
	}
	c.since = c.m.now()
	e := c.event(Connected)
	e.Clean, e.Present = clean, present
	c.m.opts.Event(e)
}

// disconnected tells whoever was told of connected that the connection has ended: for reason, when nobody gave another one.
func (c *Client) disconnected(reason string) {
	if c.since == 0 {
		return
	}
	e := c.event(Disconnected)
	c.mu.Lock()
	e.Expiry, e.Ending = c.expiry, c.ending
	c.mu.Unlock()
	if e.Ending.By == Network {
		e.Ending.Reason = reason
	}
	c.m.opts.Event(e)
}

func (c *Client) event(kind EventKind) *Event {
	return &Event{
		Kind: kind, Client: c.id, Principal: c.principal, Peer: c.peer, Version: c.version,
		At: c.m.now(), Connected: c.since, Expiry: c.expiry,
	}
}
