package main

import (
	"errors"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/rocketmq"
)

// Names of rows of CONNECTs in front of RocketMQ.
const (
	resumedRow   = "rocketmqtt, resumed"
	takenRow     = "rocketmqtt, taken over by a second proxy"
	cleanRow     = "rocketmqtt, clean"
	cleanMoveRow = "rocketmqtt, clean, taken over by a second proxy"
)

// connectComparisons are those of sessions, which all proxies keep in one topic.
func connectComparisons() []comparison {
	return []comparison{
		{
			scenario: scenario{
				name: "rocketmq-connect", title: "A lone CONNECT of a persistent session", unit: micros, latency: true,
				about: connectAbout + fmt.Sprintf(" *resumed*: of at most %d clients that have a session at this proxy and were away. "+
					"The bare client has a long poll of each of %d queues, and sends one message when the last one was read back (*delivery*; *ack* is the answer to the send).",
					resumedClients, rocketmq.Queues),
			},
			senders: []sender{
				{peer.Ours, loneConnect(false)}, {resumedRow, loneConnect(true)}, {bareClient, (*front).bareEcho},
			},
		},
		{
			scenario: scenario{
				name: "rocketmq-storm", title: "5,000 CONNECTs at once", unit: connectsPerSecond, latency: true,
				about: stormAbout + " Sessions are persistent and new, or end with their connection (*clean*). *taken over*: the same clients, which are connected to one proxy, connect to another one.",
			},
			senders: []sender{
				{peer.Ours, connectStorm(false)}, {takenRow, takeOver(false)}, {cleanRow, connectStorm(true)}, {cleanMoveRow, takeOver(true)},
			},
		},
	}
}

func loneConnect(resumed bool) func(*front) (*outcome, error) {
	return func(f *front) (*outcome, error) {
		return f.proxies(1, func(p []*peer.Process) (*outcome, error) { return f.loneConnects(f.meter(p...), p[0], resumed) })
	}
}

func connectStorm(clean bool) func(*front) (*outcome, error) {
	return func(f *front) (*outcome, error) {
		return f.proxies(1, func(p []*peer.Process) (*outcome, error) {
			return f.storm(f.meter(p...), load.Connects{Addr: p[0].Addr, Clients: f.stormIDs(), Clean: clean})
		})
	}
}

// takeOver has clients that are connected to one proxy connect to another.
func takeOver(clean bool) func(*front) (*outcome, error) {
	return func(f *front) (*outcome, error) {
		return f.proxies(2, func(p []*peer.Process) (*outcome, error) {
			s := load.Connects{Addr: p[0].Addr, Clients: f.stormIDs(), Clean: clean, Under: loneUnder, Patience: connectTime}
			first, err := load.Connect(s)
			if err != nil {
				return nil, err
			}
			defer first.Close()
			if !first.None() {
				return nil, fmt.Errorf("connect to the first proxy: %+v", first.Faults)
			}
			s.Addr, s.Present = p[1].Addr, !clean
			return f.storm(f.meter(p...), s)
		})
	}
}

// bareEcho is what a CONNECT costs at least: one append and its read-back.
func (f *front) bareEcho() (*outcome, error) {
	m := f.meter()
	r, err := f.cluster.Tail(rocketmq.Tail{Payload: frontPayload, Warmup: warmup, Measure: f.measure, Edge: m.edge})
	if err = errors.Join(err, m.err); err != nil {
		return nil, err
	}
	return medianDelivery(tailOutcome(m, r)), nil
}
