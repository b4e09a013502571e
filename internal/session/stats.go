package session

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// Stats are the counters of a Manager.
type Stats struct {
	Connects, Refused atomic.Int64
	Received, Sent    [3]atomic.Int64 // PUBLISH packets by QoS
	Rejected          atomic.Int64    // publishes refused
	Lagging           atomic.Int64    // times a session or group left the tail
	Dropped           [dropReasons]atomic.Int64
}

// DropReason says why a message did not reach one client.
type DropReason int

// Reasons.
const (
	DropFull    DropReason = iota // QoS 0, and the connection takes no more
	DropExpired                   // its expiry interval passed [MQTT-3.3.2-5]
	DropLarge                     // above the client's Maximum Packet Size [MQTT-3.1.2-25]
	DropLost                      // the session was away for longer than messages are kept; counts offsets, those of other topics included
	DropShared                    // QoS 2 of a shared subscription whose session ended [MQTT-4.8.2-5]
	dropReasons
)

// String is the name of the reason in logs.
func (r DropReason) String() string {
	return [...]string{"connection full", "expired", "too large for the client", "no longer kept", "shared subscriber gone"}[r]
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
