package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Manager owns the connected sessions and the shared subscription groups of this process. Lock order:
// Manager.mu, Client.mu, group.mu, then the router's and the connection's own locks; none is held over a call to the store.
type Manager struct {
	opts   Options
	stats  Stats
	log    *throttle.Logger
	groups groups
	owed   owedWills
	work   *pool

	mu      sync.Mutex
	clients map[string]*Client // by client id; from before CONNACK until the session's end was written
	closing bool

	ticked   atomic.Int64 // runs of tick, for tests
	recorded []*Client    // memory of checkpoint

	stop    chan struct{}
	stopped sync.WaitGroup
}

// New returns a Manager that serves the sessions of opts.Store. It sets the store's sink.
func New(opts Options) (*Manager, error) {
	opts.Limits = opts.Limits.withDefaults()
	if opts.Now == nil {
		opts.Now = time.Now
	}
	m := &Manager{opts: opts, clients: map[string]*Client{}, stop: make(chan struct{})}
	m.log = throttle.New(opts.Log, time.Second, opts.Now)
	m.work = newPool()
	if err := m.groups.load(m); err != nil {
		m.work.close()
		return nil, err
	}
	m.owed.init(m)
	opts.Store.Follow(opts.Router.Deliver)
	opts.Store.Taken(m.taken)
	opts.Store.Late(m.late)
	m.stopped.Go(m.tick)
	if opts.Capabilities.Will && m.owed.shared {
		m.stopped.Go(m.keepWills)
	}
	return m, nil
}

// Accept begins a connection. The caller drives the Client as described at Conn.
func (m *Manager) Accept(conn Conn, peer Peer) *Client {
	return &Client{m: m, conn: conn, peer: peer, gone: make(chan struct{})}
}

// Stats returns the counters, which go on counting.
func (m *Manager) Stats() *Stats { return &m.stats }

// Connected is the number of clients between CONNACK and the end of their connection, those included whose end is being written.
func (m *Manager) Connected() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.clients)
}

// Disconnect tells every client that the server stops (0x8B) and closes its connection; later ones are refused. It does
// not wait. No will is owed for what the server itself ends.
func (m *Manager) Disconnect() {
	m.mu.Lock()
	m.closing = true
	all := make([]*Client, 0, len(m.clients))
	for _, c := range m.clients {
		all = append(all, c)
	}
	m.mu.Unlock()
	for _, c := range all {
		c.end(mqtt.ServerShuttingDown, "server is stopping")
	}
}

// Close writes what was acknowledged so far, waits for the sessions that are being written, at most until ctx ends, and stops
// all goroutines. To be called after Disconnect, when every connection was closed.
func (m *Manager) Close(ctx context.Context) error {
	err := m.settled(ctx)
	m.groups.leaveAll()
	close(m.stop)
	m.stopped.Wait()
	m.work.close()
	m.groups.save(m)
	return err
}

func (m *Manager) settled(ctx context.Context) error {
	for {
		m.mu.Lock()
		var one *Client
		for _, c := range m.clients {
			one = c
			break
		}
		m.mu.Unlock()
		if one == nil {
			return nil
		}
		select {
		case <-one.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// claim makes c the one owner of its client id in this process, ending the connection that was it before [MQTT-3.1.4-3].
func (m *Manager) claim(c *Client) mqtt.ReasonCode {
	deadline := time.NewTimer(m.opts.Limits.HandoverTimeout)
	defer deadline.Stop()
	for {
		m.mu.Lock()
		old := m.clients[c.id]
		closing := m.closing
		if old == nil && !closing {
			m.clients[c.id] = c
		}
		m.mu.Unlock()
		switch {
		case closing:
			return mqtt.ServerUnavailable
		case old == nil:
			return mqtt.Success
		case old.owner.Load() && old.principal != c.principal:
			return mqtt.NotAuthorized
		}
		again := time.After(time.Minute)
		if old.principal == c.principal {
			old.end(mqtt.SessionTakenOver, "the client connected again")
		} else {
			again = time.After(10 * time.Millisecond) // it may turn out to be the owner, or not
		}
		select {
		case <-old.gone:
		case <-again:
		case <-deadline.C:
			return mqtt.ServerBusy
		}
	}
}

// forget ends the claim of c.
func (m *Manager) forget(c *Client) {
	m.mu.Lock()
	if m.clients[c.id] == c {
		delete(m.clients, c.id)
	}
	m.mu.Unlock()
	close(c.gone)
}

func (m *Manager) now() int64 { return m.opts.Now().UnixMilli() }

// change appends to the changelog and waits until it is durable.
func (m *Manager) change(ch *store.Change) error {
	w := waiter{make(chan error, 1)}
	m.opts.Store.Change(ch, w, 0)
	return <-w.err
}

type waiter struct{ err chan error }

func (w waiter) Appended(_ uint64, _ store.Position, err error) { w.err <- err }
