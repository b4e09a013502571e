package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// outcome is what one run of a scenario with one broker gave.
type outcome struct {
	value     float64 // in the scenario's unit
	short     bool    // the rate that was asked for was not reached
	perMsg    float64 // broker's processor time per delivery, µs
	generator float64 // share of one processor that the generator used
	others    float64 // share of one processor that neither used
	memory    int64   // the broker's resident memory, bytes
	faults    load.Faults
	latency   stats.Histogram
	ack       stats.Histogram
	behind    stats.Histogram
}

// bench is one command's run.
type bench struct {
	quick    bool
	measure  time.Duration
	programs string
	base     string // where the brokers' directories are
	once     bool   // fetch once only; set by the scenario
}

const (
	warmup   = 300 * time.Millisecond
	patience = 2 * time.Second
)

// usage is what was used up to a moment.
type usage struct {
	at                     time.Time
	broker, generator, all time.Duration
}

func readUsage(pid int) (u usage, err error) {
	var own syscall.Rusage
	var err1, err2 error
	u.at = time.Now()
	u.broker, err1 = peer.CPU(pid)
	u.all, err2 = peer.Busy()
	err = errors.Join(err1, err2, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	u.generator = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	return u, err
}

// meter reads what is used while a load is measured.
type meter struct {
	pid         int
	begin, end  usage
	errs        [2]error
	memory, max int64
}

func (m *meter) edge(begin bool) {
	if begin {
		m.begin, m.errs[0] = readUsage(m.pid)
		return
	}
	var err error
	m.end, m.errs[1] = readUsage(m.pid)
	m.memory, m.max, err = peer.Memory(m.pid)
	m.errs[1] = errors.Join(m.errs[1], err)
}

// run runs one load and reads what it costs.
func (b *bench) run(p *peer.Process, s load.Spec) (*outcome, error) {
	m := &meter{pid: p.PID()}
	s.Addr, s.Payload, s.Warmup, s.Measure, s.Patience, s.Edge = p.Addr, payload, warmup, b.measure, patience, m.edge
	r, err := load.Run(s)
	if err = errors.Join(err, m.errs[0], m.errs[1]); err != nil {
		return nil, err
	}
	if r.Delivered == 0 && len(s.Subscribers) > 0 {
		return nil, fmt.Errorf("nothing was delivered in %s", r.Elapsed)
	}
	wall := m.end.at.Sub(m.begin.at)
	o := &outcome{
		value:     float64(r.Delivered) / r.Elapsed.Seconds(),
		generator: share(m.end.generator-m.begin.generator, wall),
		memory:    m.memory, faults: r.Faults, latency: r.Latency, ack: r.Ack, behind: r.Behind,
	}
	o.others = max(share(m.end.all-m.begin.all, wall)-share(m.end.broker-m.begin.broker, wall)-o.generator, 0)
	o.perMsg = float64(m.end.broker-m.begin.broker) / float64(time.Microsecond) / float64(max(r.Delivered, 1))
	return o, nil
}

func share(used, wall time.Duration) float64 { return float64(used) / float64(max(wall, 1)) }

// flood measures for the usual time.
func (b *bench) flood(p *peer.Process, s load.Spec) (*outcome, error) { return b.run(p, s) }

// publish publishes what a scenario needs to begin with; all of it must be acknowledged.
func (b *bench) publish(p *peer.Process, s load.Spec) error {
	s.Addr, s.Payload, s.Patience = p.Addr, payload, 5*time.Second
	r, err := load.Run(s)
	if err == nil && !r.None() {
		err = fmt.Errorf("%+v", r.Faults)
	}
	return err
}

// fetch measures, for the usual time, how fast a client gets what the broker keeps for it: the median of several times.
func (b *bench) fetch(p *peer.Process, s load.Spec) (*outcome, error) {
	defer func() { b.once = false }()
	var all []*outcome
	var values, costs, generator, others []float64
	for end := time.Now().Add(b.measure); len(all) == 0 || !b.once && time.Now().Before(end); {
		o, err := b.run(p, s)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
		values, costs = append(values, o.value), append(costs, o.perMsg)
		generator, others = append(generator, o.generator), append(others, o.others)
	}
	o := all[len(all)-1]
	for _, other := range all[:len(all)-1] {
		o.faults.Add(other.faults)
	}
	// The kernel counts a process's time in steps of 10 ms, which may be all that one fetch takes: so the mean of the costs.
	mean := 0.0
	for _, c := range costs {
		mean += c / float64(len(costs))
	}
	o.value, o.perMsg = stats.Summarize(values).Median, mean
	o.generator, o.others = stats.Summarize(generator).Median, stats.Summarize(others).Median
	return o, nil
}
