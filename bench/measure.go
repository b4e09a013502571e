package main

import (
	"cmp"
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
	perMsg    float64 // broker's processor time per delivery, µs; of proxies together
	rocketmq  float64 // RocketMQ's, when there is one
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
	at                               time.Time
	broker, rocketmq, generator, all time.Duration
}

// meter reads what is used while a load is measured.
type meter struct {
	brokers    []int // process ids
	rocketmq   int   // 0: none
	begin, end usage
	err        error
	memory     int64 // of the brokers together
}

func (m *meter) edge(begin bool) {
	if begin {
		m.begin = m.read()
		return
	}
	m.end = m.read()
	for _, pid := range m.brokers {
		now, _, err := peer.Memory(pid)
		m.memory, m.err = m.memory+now, errors.Join(m.err, err)
	}
}

func (m *meter) read() (u usage) {
	var own syscall.Rusage
	u.at = time.Now()
	cpu := func(pid int) time.Duration {
		d, err := peer.CPU(pid)
		m.err = errors.Join(m.err, err)
		return d
	}
	for _, pid := range m.brokers {
		u.broker += cpu(pid)
	}
	if m.rocketmq > 0 {
		u.rocketmq = cpu(m.rocketmq)
	}
	all, err := peer.Busy()
	u.all = all
	m.err = errors.Join(m.err, err, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	u.generator = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	return u
}

// outcome is what was used for so many messages in a measured time of this length.
func (m *meter) outcome(messages uint64, elapsed time.Duration) *outcome {
	wall := m.end.at.Sub(m.begin.at)
	broker, rocketmq := m.end.broker-m.begin.broker, m.end.rocketmq-m.begin.rocketmq
	generator := m.end.generator - m.begin.generator
	each := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(max(messages, 1))
	}
	return &outcome{
		value: float64(messages) / elapsed.Seconds(), perMsg: each(broker), rocketmq: each(rocketmq), memory: m.memory,
		generator: share(generator, wall), others: max(share(m.end.all-m.begin.all-broker-rocketmq-generator, wall), 0),
	}
}

// run runs one load and reads what it costs.
func (b *bench) run(p *peer.Process, s load.Spec) (*outcome, error) {
	m := b.meter(p)
	s.Addr, s.Payload = p.Addr, payload
	return b.load(m, s, func(r *load.Result) uint64 { return r.Delivered })
}

// load runs one load, for the usual time unless it has its own; count says what of it is counted.
func (b *bench) load(m *meter, s load.Spec, count func(*load.Result) uint64) (*outcome, error) {
	s.Warmup, s.Measure, s.Patience, s.Edge = warmup, cmp.Or(s.Measure, b.measure), patience, m.edge
	r, err := load.Run(s)
	if err = errors.Join(err, m.err); err != nil {
		return nil, err
	}
	n := count(r)
	if n == 0 {
		return nil, fmt.Errorf("nothing was delivered or acknowledged in %s", r.Elapsed)
	}
	o := m.outcome(n, r.Elapsed)
	o.faults, o.latency, o.ack, o.behind = r.Faults, r.Latency, r.Ack, r.Behind
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
