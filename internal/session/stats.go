package session

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Stats are the counters of a Manager.
type Stats struct {
	Connects  atomic.Int64 // CONNECT accepted
	Refused   [refusals]atomic.Int64
	Broken    atomic.Int64 // connections ended because of what the client sent
	TakenOver atomic.Int64 // connections ended because their client connected again
	Rejected  [rejections]atomic.Int64
	Lagging   atomic.Int64 // times a session or group left the tail
	Dropped   [dropReasons]atomic.Int64

	In, Out Traffic
}

// Traffic counts packets in one direction. Those who receive are other goroutines than those who send; so each direction has cache lines of
// its own.
type Traffic struct {
	_        [64]byte
	Messages [3]atomic.Int64 // PUBLISH, by QoS
	Bytes    [3]atomic.Int64 // of their payloads
	Acks     [4]atomic.Int64 // PUBACK, PUBREC, PUBREL, PUBCOMP
}

func (t *Traffic) publish(qos byte, payload int) {
	t.Messages[qos].Add(1)
	t.Bytes[qos].Add(int64(payload))
}

func (t *Traffic) ack(p mqtt.Type) { t.Acks[p-mqtt.PUBACK].Add(1) }

// Refusal says why a CONNECT was not accepted.
type Refusal int

// Refusals.
const (
	RefusedLogin       Refusal = iota // who it is, or may be
	RefusedProtocol                   // not a CONNECT, or not a valid one
	RefusedQuota                      // too many sessions, or no room in the store
	RefusedUnsupported                // asks for what this server does not have
	RefusedUnavailable                // the server is stopping, the client id is in use for too long, the store does not answer
	refusals
)

func refusal(code mqtt.ReasonCode) Refusal {
	switch code {
	case mqtt.BadUserNameOrPassword, mqtt.NotAuthorized, mqtt.Banned:
		return RefusedLogin
	case mqtt.QuotaExceeded:
		return RefusedQuota
	case mqtt.BadAuthMethod, mqtt.RetainNotSupported, mqtt.QoSNotSupported, mqtt.ImplementationSpecific:
		return RefusedUnsupported
	case mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.UnspecifiedError:
		return RefusedUnavailable
	}
	return RefusedProtocol
}

// Rejection says why a publish was not taken.
type Rejection int

// Rejections.
const (
	RejectedTopic  Rejection = iota // clients must not publish there
	RejectedRetain                  // no retained messages are kept
	RejectedFull                    // the disk is
	RejectedLarge                   // above the store's limit
	RejectedQuota                   // there are too many retained messages
	RejectedFailed                  // the store failed, or is closed
	rejections
)

func rejection(err error) Rejection {
	switch {
	case errors.Is(err, store.ErrFull):
		return RejectedFull
	case errors.Is(err, store.ErrTooLarge):
		return RejectedLarge
	case errors.Is(err, store.ErrQuota):
		return RejectedQuota
	case errors.Is(err, store.ErrTopic):
		return RejectedTopic
	}
	return RejectedFailed
}

// DropReason says why a message did not reach one client.
type DropReason int

// Reasons.
const (
	DropFull     DropReason = iota // QoS 0, and the connection takes no more
	DropExpired                    // its expiry interval passed [MQTT-3.3.2-5]
	DropLarge                      // above the client's Maximum Packet Size [MQTT-3.1.2-25]
	DropLost                       // the session was away for longer than messages are kept; counts offsets, those of other topics included
	DropShared                     // QoS 2 of a shared subscription whose session ended [MQTT-4.8.2-5]
	DropRetained                   // a will that was published, and not retained: there are too many retained messages
	dropReasons
)

// String is the name of the reason in logs.
func (r DropReason) String() string {
	return [...]string{"connection full", "expired", "too large for the client", "no longer kept", "shared subscriber gone", "not retained"}[r]
}

// dropLog tells, now and then, what was dropped: a line for each message would let clients fill the disk.
type dropLog struct {
	told [dropReasons]int64
	last time.Time
}

func (d *dropLog) tell(m *Manager) {
	const interval = 10 * time.Second
	now := m.opts.Now()
	if now.Sub(d.last) < interval {
		return
	}
	var args []any
	for r := range dropReasons {
		if n := m.stats.Dropped[r].Load(); n != d.told[r] {
			args = append(args, slog.Int64(r.String(), n-d.told[r]))
			d.told[r] = n
		}
	}
	if args != nil {
		d.last = now
		m.opts.Log.Warn("messages dropped", args...)
	}
}
