package session

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/inflight"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Client is one connection and, from an accepted CONNECT until its end, the session of its client id. What must outlive the
// connection is in the store; a session without a connection is nowhere else.
type Client struct {
	m    *Manager
	conn Conn
	peer Peer
	gone chan struct{} // closed when the end of the session was written
	task taskFlag
	live atomic.Bool // CONNACK was sent and the connection has not ended

	// Set while CONNECT is handled, constant afterwards.
	id, principal string
	origin        uint64 // hash of id, for No Local
	version       mqtt.Version
	keepAlive     uint16 // seconds
	problem       bool   // reasons may be sent
	clientMax     uint32 // largest packet the client takes; 0 no limit
	clientAliases int
	sendWindow    int
	recorded      atomic.Bool // the store has this session
	kept          bool        // and it outlives the connection; set before recorded
	owner         atomic.Bool // the store has made this process the owner of the client id

	inherits bool // subscriptions begin at Options.Missed; the reading goroutine's

	since int64          // when CONNECT was accepted, Unix milliseconds; 0: nobody was told of it. Read by Closed
	left  *store.Session // not nil: how the session is left, which was not resumed; the reading goroutine's

	// order is held from where the session's state is looked at until the store has the change that tells it, so that the log
	// has changes in the order of what they tell. It comes before mu; no completion takes it.
	order sync.Mutex

	mu      sync.Mutex
	ended   bool        // nothing more is sent
	ending  Ending      // who ended the connection, and why
	expiry  uint32      // seconds the session outlives the connection
	will    *store.Will // nil: none, or none any more
	scratch []byte      // packets are encoded here

	in  incoming
	out outgoing

	subs map[string]*subscription // by filter as subscribed
}

// subscription is one entry of Client.subs.
type subscription struct {
	router.Subscription
	share          string // "$share/name/filter"; empty when not shared
	replaces       bool   // there was one with this filter, which became it
	replay         bool   // store.Subscription.Replay; Client.mu guards it
	owed           *replay
	since          int64 // store.Subscription.Since
	retainHandling byte
	routed         []store.Position // what is at or above comes from the tail for certain; of what is below and not in between that is not so. See late.go
	between        []store.Position // retained messages from Start on and below routed that came from the tail
	missing        []store.Position // where it begins below the end of the log, until that is in the store; see goBack
	moved          []*subscription  // those whose start goBack has moved, until that is
}

// Packet handles one packet; see Conn.
func (c *Client) Packet(h mqtt.Header, body []byte) bool {
	if !c.live.Load() {
		return c.first(h, body)
	}
	err := h.Check(c.version)
	if err == nil {
		err = c.handle(h, body)
	}
	if err != nil {
		c.Bad(err)
		return false
	}
	return c.live.Load()
}

func (c *Client) handle(h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.PUBLISH:
		return c.publish(h, body)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		return c.ack(h, body)
	case mqtt.SUBSCRIBE:
		return c.subscribe(h, body)
	case mqtt.UNSUBSCRIBE:
		return c.unsubscribe(h, body)
	case mqtt.PINGREQ:
		c.conn.Send(pingresp[:]) // [MQTT-3.12.4-1]
		return nil
	case mqtt.DISCONNECT:
		return c.disconnect(h, body)
	case mqtt.AUTH:
		return c.auth(h, body)
	}
	// a second CONNECT [MQTT-3.1.0-2], or a packet that only servers send
	return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "packet not allowed from a client here"}
}

// Bad ends the connection because of what the client sent [MQTT-4.8.0-1] [MQTT-4.13.1-1].
func (c *Client) Bad(err error) {
	e := &mqtt.Error{Code: mqtt.UnspecifiedError, Reason: err.Error()}
	errors.As(err, &e)
	c.m.log.Warn("client broke the protocol; closing its connection",
		"client", c.id, "peer", c.peer.Addr, "code", byte(e.Code), "reason", e.Reason)
	if !c.live.Load() {
		c.refuse(e.Code, e.Reason)
		return
	}
	c.m.stats.Broken.Add(1)
	c.end(e.Code, e.Reason)
}

// end sends DISCONNECT where the version has it, and closes.
func (c *Client) end(code mqtt.ReasonCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(code, reason)
}

func (c *Client) endLocked(code mqtt.ReasonCode, reason string) {
	if c.ended {
		return
	}
	if code == mqtt.SessionTakenOver {
		c.m.stats.TakenOver.Add(1)
	}
	c.ending = Ending{ByServer, code, reason}
	c.leaveTail()
	if code == mqtt.ServerShuttingDown {
		c.will = nil // it is not the client that is gone
	}
	if c.live.Swap(false) && c.version == mqtt.V5 {
		d := mqtt.Disconnect{Code: code}
		if c.problem {
			d.Reason = reason
		}
		c.sendSmall(&d)
	}
	c.in.wake()
	c.conn.Close()
}

// leaveTail ends sending. The router goes on handing over messages until Closed; they are not taken, so what is stored
// of the session must not count on them. c.mu is held.
func (c *Client) leaveTail() {
	c.ended = true
	c.out.places.freeze(c.m.opts.Router.Done)
}

// packet is any packet that can be encoded.
type packet interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// sendSmall encodes p and queues it. A client that set a Maximum Packet Size gets no larger one [MQTT-3.1.2-24]: a reason for which
// there is no room is left out. The rest fits, unless the client chose an absurd size, and then it gets nothing. c.mu is held.
func (c *Client) sendSmall(p packet) {
	b := p.Append(c.scratch[:0], c.version)
	if c.tooLarge(b) && dropReason(p) {
		b = p.Append(c.scratch[:0], c.version)
	}
	c.keepScratch(b)
	if c.tooLarge(b) {
		c.m.stats.Dropped[DropLarge].Add(1)
		return
	}
	c.conn.Send(b)
}

func (c *Client) tooLarge(b []byte) bool { return c.clientMax != 0 && len(b) > int(c.clientMax) }

// dropReason takes the reason string off p, and reports whether there was one
// [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.14.2-3].
func dropReason(p packet) bool {
	var reason *string
	switch p := p.(type) {
	case *mqtt.Ack:
		reason = &p.Reason
	case *mqtt.Connack:
		reason = &p.Reason
	case *mqtt.Disconnect:
		reason = &p.Reason
	default:
		return false
	}
	had := *reason != ""
	*reason = ""
	return had
}

// keepScratch keeps the memory of b for the next packet, unless it is much.
func (c *Client) keepScratch(b []byte) {
	if cap(b) <= 512 {
		c.scratch = b
	}
}

// MaxPacket is the largest packet that the client may send now, in bytes after the fixed header.
func (c *Client) MaxPacket() int {
	const beforeConnect = 16 << 10
	if c.live.Load() {
		return c.m.opts.Limits.MaxPacket
	}
	return min(beforeConnect, c.m.opts.Limits.MaxPacket)
}

// Connected reports whether a CONNECT was accepted and the connection has not ended.
func (c *Client) Connected() bool { return c.live.Load() }

// KeepAlive is the keep-alive interval that holds; 0 means none.
func (c *Client) KeepAlive() time.Duration { return time.Duration(c.keepAlive) * time.Second }

// KeepAliveExpired ends the connection [MQTT-3.1.2-22].
func (c *Client) KeepAliveExpired() {
	c.end(mqtt.KeepAliveTimeout, "no packet within one and a half times the keep-alive")
}

// Drained lets deliveries go on; see Conn.Full.
func (c *Client) Drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.work.schedule(c)
	c.room()
}

var _ driven = (*Client)(nil)

var pingresp = [2]byte{byte(mqtt.PINGRESP) << 4, 0}

func (c *Client) disconnect(h mqtt.Header, body []byte) error {
	var d mqtt.Disconnect
	if err := d.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.HasSessionExpiry {
		if d.SessionExpiry != 0 && c.expiry == 0 { // [MQTT-3.14.2-2]
			return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "DISCONNECT sets a session expiry that CONNECT did not"}
		}
		c.expiry = c.m.opts.Limits.expiry(d.SessionExpiry)
	}
	if d.Code == mqtt.Success {
		c.will = nil // [MQTT-3.14.4-3]
	}
	if !c.ended {
		c.ending = Ending{ByClient, d.Code, d.Reason}
	}
	c.leaveTail()
	c.live.Store(false)
	c.in.wake()
	c.conn.Close() // [MQTT-3.14.4-1] is the client's; the server closes if it does not
	return nil
}

// auth answers AUTH: no method is offered, so none can be under way [MQTT-4.12.0-6] [MQTT-4.12.1-2].
func (c *Client) auth(h mqtt.Header, body []byte) error {
	var a mqtt.Auth
	if err := a.Decode(c.version, h.Flags, body); err != nil {
		return err
	}
	return &mqtt.Error{Code: mqtt.ProtocolError, Reason: "AUTH without an authentication method in CONNECT"}
}

// incoming is what is under way from the client; Client.mu guards it.
type incoming struct {
	qos1, qos2 inflight.Ring
	received   map[uint16]receipt // QoS 2 packet ids not yet released
	resumed    map[uint16]bool    // those of them that an earlier connection began
	aliases    []string           // topic of alias i+1
	lastTopic  string             // the reading goroutine's
	space      sync.Cond          // a reader waits for room in the rings
}

// receipt is how far the receipt of a QoS 2 message is.
type receipt byte

const (
	storing   receipt = iota // the store does not have it yet: PUBREC is owed
	stored                   // PUBREC was due
	releasing                // PUBREL came: that the id is free is on its way to the store, PUBCOMP is owed
)

// receive notes how far the receipt of packet id is.
func (in *incoming) receive(id uint16, how receipt) {
	if in.received == nil {
		in.received = map[uint16]receipt{}
	}
	in.received[id] = how
}

// forget ends the receipt of packet id.
func (in *incoming) forget(id uint16) {
	delete(in.received, id)
	delete(in.resumed, id)
}

// sent is how much of the Receive Maximum the client has used up in this connection [MQTT-4.9.0-1].
func (in *incoming) sent() int { return in.qos1.Len() + len(in.received) - len(in.resumed) }

func (in *incoming) wake() {
	if in.space.L != nil {
		in.space.Broadcast()
	}
}
