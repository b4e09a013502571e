package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

// The sizes of the scenarios of CONNECT.
const (
	stormClients   = 5_000
	loneClients    = 10_000           // at most, what the descriptors allow; a fast broker has thousands in the warm-up
	resumedClients = 2_500            // at most, that come back one after the other
	loneUnder      = 64               // under way when the sessions are made that are resumed
	connectTime    = 20 * time.Second // without any CONNACK, then those who wait are given up
)

var (
	connectsPerSecond = unit{name: "connects/s"}

	connectAbout = fmt.Sprintf("CONNECT with clean session 0, one after the other, %d at most with the warm-up; who is connected stays. ", loneClients) + connackTimes + " Median."
	stormAbout   = fmt.Sprintf("%d clients connect, as fast as the generator can begin their connections. ", stormClients) + connackTimes + " The figure counts until the last one."
)

const connackTimes = "The times of *ack* are from the first packet of TCP to CONNACK."

func connectScenarios() []scenario {
	return []scenario{
		{
			name: "connect", title: "A lone CONNECT of a new persistent session", unit: micros, durable: true, latency: true,
			about: connectAbout, run: func(b *bench, p *peer.Process) (*outcome, error) { return b.loneConnects(b.meter(p), p, false) },
		},
		{
			name: "storm", title: "5,000 CONNECTs of persistent sessions at once", unit: connectsPerSecond, durable: true, latency: true,
			about: stormAbout + " When a broker's queue of connections is full, as mosquitto's of 100 is, the clients' kernels try again after a second.",
			run: func(b *bench, p *peer.Process) (*outcome, error) {
				return b.storm(b.meter(p), load.Connects{Addr: p.Addr, Clients: b.stormIDs()})
			},
		},
	}
}

// meter reads what a broker uses.
func (b *bench) meter(p *peer.Process) *meter { return &meter{brokers: []int{p.PID()}} }

// clientIDs are n of which no broker has heard.
func clientIDs(n int) []string {
	mark := rand.Uint32()
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("bench-%08x-%d", mark, i)
	}
	return all
}

func (b *bench) stormIDs() []string {
	if b.quick {
		return clientIDs(stormClients / 5)
	}
	return clientIDs(stormClients)
}

// loneConnects has persistent clients connect one after the other, for the usual time; resumed: they have sessions.
func (b *bench) loneConnects(m *meter, p *peer.Process, resumed bool) (*outcome, error) {
	s := load.Connects{Addr: p.Addr, Clients: clientIDs(loneClients), Under: loneUnder, Patience: connectTime}
	if resumed {
		s.Clients = s.Clients[:resumedClients]
		r, err := load.Connect(s)
		if err != nil {
			return nil, fmt.Errorf("make sessions: %w", err)
		}
		r.Disconnect()
		if !r.None() {
			return nil, fmt.Errorf("make sessions: %+v", r.Faults)
		}
		s.Present = true
	}
	s.Under, s.Warmup, s.Measure = 1, warmup, b.measure
	o, err := b.connect(m, s, (*load.Connected).Disconnect)
	if o != nil {
		o.value = float64(o.ack.Quantile(0.5)) / float64(time.Microsecond)
	}
	return o, err
}

// storm has clients connect all at once.
func (b *bench) storm(m *meter, s load.Connects) (*outcome, error) {
	s.Under, s.Patience = len(s.Clients), connectTime
	return b.connect(m, s, (*load.Connected).Close)
}

// connect has clients connect and reads what it costs; end ends their connections.
func (b *bench) connect(m *meter, s load.Connects, end func(*load.Connected)) (*outcome, error) {
	s.Edge = m.edge
	r, err := load.Connect(s)
	if r != nil {
		defer end(r)
	}
	if err = errors.Join(err, m.err); err != nil {
		return nil, err
	}
	if r.Done == 0 {
		return nil, fmt.Errorf("nobody is connected after %s: %+v", r.Elapsed, r.Faults)
	}
	o := m.outcome(r.Done, r.Elapsed)
	o.faults, o.ack = r.Faults, r.Time
	return o, nil
}
