package main

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

// The sizes of the scenarios of retained messages in front of RocketMQ.
const (
	frontRetained = 100_000
	retainRate    = 10_000
	retainClients = 10
	retainTopics  = 1000 // of each of them
	fewer         = 10   // a quick run retains that part
)

// embedded is the name of a row.
const embedded = "embedded store"

// retainedComparisons are those of retained messages, which all proxies keep in one topic, with a view of it each.
func retainedComparisons() []comparison {
	return []comparison{
		{
			scenario: scenario{
				name: "rocketmq-retained", title: "Retained replay, 100,000 messages", unit: perSecond,
				about: "A new client subscribes to all of them, QoS 0, again and again. From SUBSCRIBE to the last message. *embedded store*: this broker without RocketMQ, beside it on the same machine.",
			},
			senders: []sender{{peer.Ours, (*front).replay}, {embedded, (*front).embeddedReplay}},
		},
		{
			scenario: scenario{
				name: "rocketmq-retain-rate", title: "10,000 retained publishes a second, QoS 1", unit: micros, latency: true,
				about: fmt.Sprintf("%d publishers with %d topics each, on a fixed schedule; nobody subscribes. Times count from when a message was to be sent. Median time to PUBACK, which comes "+
					"when the message and its record among the retained ones are stored.", retainClients, retainTopics),
			},
			senders: []sender{{peer.Ours, (*front).retainAtRate}},
		},
	}
}

func (f *front) replay() (*outcome, error) {
	return f.with(peer.Retaining(f.cluster.Namesrv(), frontRetained), f.replayed)
}

func (f *front) embeddedReplay() (*outcome, error) {
	return f.with(peer.Embedded(frontRetained), f.replayed)
}

func (f *front) replayed(p *peer.Process) (*outcome, error) {
	n := frontRetained
	if f.quick {
		n /= fewer
	}
	return replayRun(f.bench, p, n)
}

// with runs f with such a broker.
func (f *front) with(k peer.Kind, run func(*peer.Process) (*outcome, error)) (o *outcome, err error) {
	return f.start(1, k, func(p []*peer.Process) (*outcome, error) { return run(p[0]) })
}

func (f *front) retainAtRate() (*outcome, error) {
	return f.with(peer.Retaining(f.cluster.Namesrv(), retainClients*retainTopics), func(p *peer.Process) (*outcome, error) {
		s := load.Spec{Addr: p.Addr, QoS: 1, Retain: true, Payload: frontPayload, Window: 1024, Rate: retainRate, Measure: longer * f.measure}
		for i := range retainClients {
			var pub load.Publisher
			for n := range retainTopics {
				pub.Topics = append(pub.Topics, fmt.Sprintf("kept/%d/%d", i, n))
			}
			s.Publishers = append(s.Publishers, pub)
		}
		o, err := f.load(f.meter(p), s, func(r *load.Result) uint64 { return r.Acked })
		if o != nil {
			o.short = o.value < 0.98*retainRate
			o.value = float64(o.ack.Quantile(0.5)) / float64(time.Microsecond)
		}
		return o, err
	})
}
