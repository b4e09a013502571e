package session

import (
	"errors"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A client id has one owner. In this process that is who claimed it (Manager.claim); among the processes that share the store, who the store
// says: it is asked once, before CONNACK, and tells when another process has become the owner. What is read of a session before that may be old.

// look checks what can be known of the session before its owner is settled. early is the session as it is stored now; another process may be
// changing it.
func (c *Client) look(p *mqtt.Connect) (early *store.Session, code mqtt.ReasonCode, reason string) {
	early, err := c.m.opts.Store.Load(c.id)
	if err == nil && early != nil && c.m.over(early) {
		err = c.m.remove(early)
		early = nil
	}
	if err != nil && !errors.Is(err, store.ErrTaken) { // else another process was faster
		code, reason = c.storeRefuses(err)
		return nil, code, reason
	}
	if early != nil && early.Principal != c.principal {
		return nil, mqtt.NotAuthorized, somebodyElses
	}
	if early == nil && c.m.opts.Limits.expiry(p.SessionExpiry) != 0 && c.m.opts.Store.Sessions() >= c.m.opts.Limits.Sessions {
		return nil, mqtt.QuotaExceeded, "too many sessions are kept for clients that may come back; see maxSessions"
	}
	if early == nil {
		return nil, mqtt.Success, ""
	}
	if err := c.m.settleWill(early, p.CleanStart); err != nil {
		code, reason = c.storeRefuses(err)
		return nil, code, reason
	}
	return early, mqtt.Success, ""
}

// connect begins or resumes the session in the store, which makes this process its owner; old is what is resumed. A session that begins with nothing and
// leaves nothing needs no answer. Only when connect has succeeded is there something that Closed must write.
func (c *Client) connect(p *mqtt.Connect, early *store.Session, will *store.Will) (old *store.Session, err error) {
	expiry := c.m.opts.Limits.expiry(p.SessionExpiry)
	if p.CleanStart && expiry == 0 && will == nil && early == nil {
		c.m.opts.Store.Announce(c.id, c.principal)
	} else {
		old, err = c.m.opts.Store.Connect(&store.Change{
			Kind: store.Connect, Client: c.id, Principal: c.principal, Expiry: expiry, Clean: p.CleanStart, Will: will,
		})
		if err != nil {
			return nil, err
		}
	}
	c.owner.Store(true)
	c.expiry = expiry
	c.kept = expiry != 0 || old != nil
	c.recorded.Store(c.kept || will != nil)
	if early != nil && old == nil {
		c.m.groups.forget(c.m, early)
		if !p.CleanStart {
			c.m.lateWill(early)
		}
	}
	return old, nil
}

// leaveAsItWas has Closed write that the session stands where it stood before this connection, which does not get to resume it.
func (c *Client) leaveAsItWas(old *store.Session) {
	if old.Will != nil && old.WillAt != 0 { // connect has put this connection's in its place
		c.m.opts.Store.Change(&store.Change{Kind: store.Connect, Client: c.id, Principal: old.Principal, Expiry: old.Expiry, Will: old.Will}, nil, 0)
	}
	c.left = old
}

// detach is the change that leaves a connected session as old.
func (m *Manager) detach(old *store.Session) *store.Change {
	ch := &store.Change{
		Kind: store.Detach, Client: old.Client, Expiry: old.Expiry, ExpiresAt: old.ExpiresAt, WillAt: old.WillAt,
		Cursor: old.Cursor, SentUpTo: old.SentUpTo,
	}
	if old.ExpiresAt == 0 {
		ch.ExpiresAt = m.expiresAt(old.Expiry)
	}
	for _, in := range old.Inflight {
		if in.QoS == 1 { // the rest has changes of its own
			ch.Inflight = append(ch.Inflight, in)
		}
	}
	return ch
}

// expiresAt is when a session ends whose connection ends now, Unix milliseconds; 0: never.
func (m *Manager) expiresAt(expiry uint32) int64 {
	if expiry == neverExpires {
		return 0
	}
	return m.opts.Now().Add(time.Duration(expiry) * time.Second).UnixMilli()
}

// taken is told that another process owns a client id from now on [MQTT-3.1.4-3]. It does not block.
func (m *Manager) taken(client string) {
	m.mu.Lock()
	c := m.clients[client]
	m.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live.Load() {
		c.endLocked(mqtt.SessionTakenOver, takenElsewhere)
	} else {
		c.refuseLocked(mqtt.ServerBusy, takenElsewhere)
	}
}

const (
	somebodyElses  = "the session belongs to somebody else"
	takenElsewhere = "the client connected to another server"
)
