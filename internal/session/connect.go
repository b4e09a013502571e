package session

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// first handles the first packet, which must be CONNECT [MQTT-3.1.0-1].
func (c *Client) first(h mqtt.Header, body []byte) bool {
	if h.Type != mqtt.CONNECT {
		c.Bad(&mqtt.Error{Code: mqtt.ProtocolError, Reason: "the first packet is not CONNECT"})
		return false
	}
	var p mqtt.Connect
	err := p.Decode(0, h.Flags, body)
	c.version = p.Version
	c.problem = p.RequestProblem
	if err != nil {
		c.Bad(err)
		return false
	}
	if code, reason := c.admit(&p); code != mqtt.Success {
		c.m.log.Warn("connection refused", "client", c.id, "peer", c.peer.Addr, "code", byte(code), "reason", reason)
		c.refuse(code, reason)
		return false
	}
	if code, reason := c.begin(&p); code != mqtt.Success {
		c.m.log.Warn("connection refused", "client", c.id, "peer", c.peer.Addr, "code", byte(code), "reason", reason)
		c.refuse(code, reason)
		return false
	}
	return c.live.Load()
}

// admit checks everything about a CONNECT that needs no session, and takes over its parameters.
func (c *Client) admit(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	limits := &c.m.opts.Limits
	c.clientMax = p.MaximumPacketSize // holds for a refusal too
	if p.HasAuthMethod {
		return mqtt.BadAuthMethod, "no enhanced authentication method is offered" // [MQTT-4.12.0-1]
	}
	if code, reason := c.identify(p); code != mqtt.Success {
		return code, reason
	}
	if code, reason := c.admitWill(p); code != mqtt.Success {
		return code, reason
	}
	c.keepAlive = p.KeepAlive
	if most := limits.KeepAlive / time.Second; most > 0 && (c.keepAlive == 0 || time.Duration(c.keepAlive) > most) {
		c.keepAlive = uint16(min(most, math.MaxUint16))
	}
	c.clientAliases = min(int(p.TopicAliasMaximum), limits.TopicAliases)
	c.sendWindow = min(int(p.ReceiveMaximum), limits.SendWindow)
	if p.Version != mqtt.V5 {
		c.sendWindow = limits.SendWindow
		if !p.CleanStart {
			p.SessionExpiry = neverExpires
		}
	}
	if c.clientMax != 0 && c.tooLarge(c.connack(p, limits.expiry(p.SessionExpiry)).Append(nil, c.version)) {
		return mqtt.PacketTooLarge, "the Maximum Packet Size leaves no room for CONNACK" // without it nothing may be sent [MQTT-3.2.0-1]
	}
	return c.authenticate(p)
}

func (c *Client) identify(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	if len(p.ClientID) == 0 {
		if p.Version == mqtt.V31 || p.Version == mqtt.V311 && !p.CleanStart { // [MQTT-3.1.3-8]
			return mqtt.ClientIDNotValid, "an empty client id needs clean session, and MQTT 3.1.1 or later"
		}
		var random [12]byte
		_, _ = rand.Read(random[:]) // never fails
		c.id = "auto-" + hex.EncodeToString(random[:])
	} else {
		c.id = string(p.ClientID)
	}
	c.origin = xxhash.Sum64String(c.id)
	return mqtt.Success, ""
}

func (c *Client) authenticate(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	principal, result := c.m.opts.Auth.Authenticate(&auth.Request{
		ClientID:    c.id,
		HasUsername: p.HasUsername,
		Username:    string(p.Username),
		HasPassword: p.HasPassword,
		Password:    p.Password,
		Remote:      c.peer.Addr,
		TLS:         c.peer.TLS,
	})
	c.principal = principal
	switch result {
	case auth.Allowed:
		return mqtt.Success, ""
	case auth.BadCredentials:
		return mqtt.BadUserNameOrPassword, "bad user name or password"
	}
	return mqtt.NotAuthorized, "not authorized"
}

// begin takes the client id over, begins or resumes the session and answers.
func (c *Client) begin(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	if code := c.m.claim(c); code != mqtt.Success {
		return code, "the server is stopping, or the client id is in use"
	}
	c.mu.Lock()
	c.subs = map[string]*subscription{} // from here on Closed gives the claim back
	c.mu.Unlock()
	early, code, reason := c.look(p)
	if code != mqtt.Success {
		return code, reason
	}
	will := willOf(p)
	old, err := c.connect(p, early, will)
	if err != nil {
		return c.storeRefuses(err)
	}
	if old != nil {
		if err := c.watchAgain(old); err != nil {
			c.leaveAsItWas(old)
			return c.storeRefuses(err)
		}
	}
	c.inherits = c.mayInherit(old)
	err = c.takeOver(old)
	if err == nil {
		err = c.beginP2P()
	}
	if err != nil {
		if old != nil {
			c.leaveAsItWas(old)
		}
		return c.storeRefuses(err)
	}
	if c.accept(p, old, will) {
		c.connected(p.CleanStart, old != nil)
	}
	c.joinAll()
	return mqtt.Success, ""
}

func (c *Client) storeRefuses(err error) (mqtt.ReasonCode, string) {
	if errors.Is(err, store.ErrPrincipal) {
		return mqtt.NotAuthorized, somebodyElses
	}
	switch code := c.storeCode(err, "session not stored"); code {
	case mqtt.QuotaExceeded:
		return code, "the store is full"
	case mqtt.SessionTakenOver: // CONNACK has no such code
		return mqtt.ServerBusy, takenElsewhere
	}
	return mqtt.ServerUnavailable, "the store is not available"
}

// accept answers with CONNACK and resumes what the session owes, in that order. old is nil for a session that begins. It reports whether it has answered.
func (c *Client) accept(p *mqtt.Connect, old *store.Session, will *store.Will) (accepted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	accepted = !c.ended // by a takeover, or the stop of the server
	if accepted {
		c.m.stats.Connects.Add(1)
		c.will = will
		if old == nil {
			c.routeP2P() // what comes waits for CONNACK: c.mu is held
			if len(c.out.resend) > 0 {
				c.m.work.schedule(c)
			}
		}
		a := c.connack(p, c.expiry)
		a.SessionPresent = old != nil // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
		c.sendSmall(a)
		c.live.Store(true)
	}
	if old != nil { // also when it has ended: Closed writes where the session stands
		c.resume(old)
	}
	return accepted
}

// connack accepts p, for a session that outlives its connection by expiry seconds.
func (c *Client) connack(p *mqtt.Connect, expiry uint32) *mqtt.Connack {
	a := &mqtt.Connack{Code: mqtt.Success}
	if c.version != mqtt.V5 {
		return a
	}
	limits := &c.m.opts.Limits
	a.ReceiveMaximum = new(uint16(limits.ReceiveMaximum))
	a.MaximumPacketSize = new(uint32(limits.MaxPacket))
	a.TopicAliasMaximum = new(uint16(limits.TopicAliases))
	if !c.m.opts.Capabilities.Retain {
		a.RetainAvailable = new(false)
	}
	if len(p.ClientID) == 0 {
		a.AssignedClientID = c.id // [MQTT-3.1.3-7]
	}
	if expiry != p.SessionExpiry {
		a.SessionExpiry = new(expiry)
	}
	if c.keepAlive != p.KeepAlive {
		a.ServerKeepAlive = new(c.keepAlive)
	}
	return a
}

// refuse answers a CONNECT that is not accepted, and closes [MQTT-3.1.4-5] [MQTT-3.2.2-5].
func (c *Client) refuse(code mqtt.ReasonCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuseLocked(code, reason)
}

// refuseLocked is refuse on any goroutine, once the client id is claimed. c.mu is held.
func (c *Client) refuseLocked(code mqtt.ReasonCode, reason string) {
	if c.ended {
		return
	}
	c.ended = true
	c.m.stats.Refused[refusal(code)].Add(1)
	if c.version != 0 { // else it was no CONNECT: nothing is sent
		a := &mqtt.Connack{Code: code}
		if c.version == mqtt.V5 && c.problem {
			a.Reason = reason
		}
		if c.version == mqtt.V5 || code != mqtt.MalformedPacket && code != mqtt.ProtocolError { // [MQTT-3.1.4-1 in 3.1.1]
			c.sendSmall(a)
		}
	}
	c.conn.Close()
}
