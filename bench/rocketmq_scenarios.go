package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/rocketmq"
)

// The sizes of the scenarios in front of RocketMQ.
const (
	frontPayload    = 256
	frontRate       = 200
	frontPublishers = 64
	frontWindow     = 32
	batchSize       = 32
	batchesUnder    = 16
	longer          = 3 // times as long as usual is a low rate measured, for its 99th percentile
)

// Names of rows.
const (
	twoProxies = "rocketmqtt, two proxies"
	bareClient = "bare client"
	batches    = "bare batches"
)

// singleUnder is how many single sends are under way.
func singleUnder() []int { return []int{16, 64, 256} }

func singleSends(under int) string { return fmt.Sprintf("bare sends, %d under way", under) }

// small is the name of a row of bare sends whose messages have no properties but an id.
func small(row string) string { return row + ", small" }

var messages = unit{name: "messages/s"}

func comparisons() []comparison {
	return slices.Concat([]comparison{
		{
			scenario: scenario{
				name: "rocketmq-latency", title: fmt.Sprintf("Latency at %d messages/s, QoS 1, from one proxy to another", frontRate), unit: micros, latency: true,
				about: fmt.Sprintf("4 publishers at one proxy, 4 subscribers at a second one, 16 topics, a fixed schedule of %d messages/s in all. The bare client sends to %d queues, "+
					"and has a long poll of each; the two take turns at the same broker. Times count from when a message was to be sent. Median of delivery.",
					frontRate, rocketmq.Queues),
			},
			senders: []sender{{peer.Ours, (*front).ourLatency}, {bareClient, (*front).bareLatency}},
		},
		{
			scenario: scenario{
				name: "rocketmq-qos1", title: "QoS 1 publishes", unit: messages, latency: true,
				about: fmt.Sprintf("%d publishers, each with a topic of its own and at most %d messages without PUBACK; nobody subscribes. The bare client sends what a proxy has "+
					"stored of one message of each publisher, properties and all, each with a new id to the queue that the proxy chose among %d: "+
					"singly, or %d of one queue in a batch with %d batches under way; its ack is that of a request. *small*: messages without properties but the id, to the queues in turn. "+
					"flushDiskType=ASYNC_FLUSH, as it is out of the box.",
					frontPublishers, frontWindow, rocketmq.Queues, batchSize, batchesUnder),
			},
			senders: slices.Concat([]sender{{peer.Ours, ours(1)}, {twoProxies, ours(2)}}, bareSenders(singleUnder()...), []sender{
				{small(singleSends(256)), flood(256, 1, smallMessages)}, {small(batches), flood(batchesUnder, batchSize, smallMessages)},
			}),
		},
		{
			scenario: scenario{
				name: "rocketmq-sync", title: "QoS 1 publishes, SYNC_FLUSH", unit: messages, latency: true,
				about: "The same with flushDiskType=SYNC_FLUSH: RocketMQ answers when a message is on disk.",
			},
			sync:    true,
			senders: append([]sender{{peer.Ours, ours(1)}}, bareSenders(singleUnder()...)...),
		},
	}, connectComparisons(), retainedComparisons())
}

// bareSenders send, without MQTT, what proxies store.
func bareSenders(under ...int) (all []sender) {
	for _, n := range under {
		all = append(all, sender{singleSends(n), flood(n, 1, (*front).same)})
	}
	return append(all, sender{batches, flood(batchesUnder, batchSize, (*front).same)})
}

func (f *front) same() []rocketmq.Message { return f.published }

func smallMessages(*front) []rocketmq.Message { return rocketmq.Small(frontPayload) }

// proxies runs f with so many proxies.
func (f *front) proxies(n int, run func([]*peer.Process) (*outcome, error)) (*outcome, error) {
	return f.start(n, peer.Proxy(f.cluster.Namesrv()), run)
}

// start runs f with so many processes of one kind.
func (f *front) start(n int, k peer.Kind, run func([]*peer.Process) (*outcome, error)) (o *outcome, err error) {
	var all []*peer.Process
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.Stop())
		}
	}()
	for range n {
		p, err := peer.Start(k, f.programs, f.base)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return run(all)
}

// meter reads what these proxies use, and RocketMQ.
func (f *front) meter(all ...*peer.Process) *meter {
	m := &meter{rocketmq: f.cluster.PID()}
	for _, p := range all {
		m.brokers = append(m.brokers, p.PID())
	}
	return m
}

func (f *front) ourLatency() (*outcome, error) {
	return f.proxies(2, func(p []*peer.Process) (*outcome, error) {
		const clients, topics = 4, 4
		s := load.Spec{QoS: 1, Payload: frontPayload, Window: 1024, Rate: frontRate, Measure: longer * f.measure}
		for i := range clients {
			pub := load.Publisher{Addr: p[0].Addr}
			for n := range topics {
				pub.Topics = append(pub.Topics, fmt.Sprintf("%s/%d/%d", rocketmq.First, i, n))
			}
			s.Publishers = append(s.Publishers, pub)
			s.Subscribers = append(s.Subscribers, load.Subscriber{
				Addr: p[1].Addr, Filters: []string{fmt.Sprintf("%s/%d/+", rocketmq.First, i)}, First: i * topics, Streams: topics,
			})
		}
		o, err := f.load(f.meter(p...), s, func(r *load.Result) uint64 { return r.Delivered })
		return atRate(o), err
	})
}

func (f *front) bareLatency() (*outcome, error) {
	m := f.meter()
	r, err := f.cluster.Tail(rocketmq.Tail{
		Rate: frontRate, Payload: frontPayload, Warmup: warmup, Measure: longer * f.measure, Edge: m.edge,
	})
	if err = errors.Join(err, m.err); err != nil {
		return nil, err
	}
	return atRate(tailOutcome(m, r)), nil
}

func tailOutcome(m *meter, r *rocketmq.TailResult) *outcome {
	o := m.outcome(r.Delivered, r.Elapsed)
	o.faults = load.Faults{Lost: r.Lost, Reordered: r.Reordered, Damaged: r.Damaged, Unanswered: r.Unanswered}
	o.latency, o.ack, o.behind = r.Latency, r.Ack, r.Behind
	return o
}

// atRate makes the median time of delivery the figure, and says whether the rate was reached.
func atRate(o *outcome) *outcome {
	if o != nil {
		o.short = o.value < 0.98*frontRate
	}
	return medianDelivery(o)
}

// medianDelivery makes the median time of delivery the figure.
func medianDelivery(o *outcome) *outcome {
	if o != nil {
		o.value = float64(o.latency.Quantile(0.5)) / float64(time.Microsecond)
	}
	return o
}

// publishers are those that flood these proxies.
func publishers(p []*peer.Process) load.Spec {
	s := load.Spec{QoS: 1, Payload: frontPayload, Window: frontWindow}
	for i := range frontPublishers {
		s.Publishers = append(s.Publishers, load.Publisher{
			Addr: p[i%len(p)].Addr, Topics: []string{fmt.Sprintf("%s/%d/state", rocketmq.Flooded, i)},
		})
	}
	return s
}

// ours is publishers at so many proxies.
func ours(proxies int) func(*front) (*outcome, error) {
	return func(f *front) (*outcome, error) {
		return f.proxies(proxies, func(p []*peer.Process) (*outcome, error) {
			return f.load(f.meter(p...), publishers(p), func(r *load.Result) uint64 { return r.Acked })
		})
	}
}

// flood is bare sends.
func flood(under, batch int, messages func(*front) []rocketmq.Message) func(*front) (*outcome, error) {
	return func(f *front) (*outcome, error) {
		m := f.meter()
		r, err := f.cluster.Flood(rocketmq.Flood{
			Under: under, Batch: batch, Messages: messages(f), Warmup: warmup, Measure: f.measure, Edge: m.edge,
		})
		if err = errors.Join(err, m.err); err != nil {
			return nil, err
		}
		if r.Stored == 0 {
			return nil, fmt.Errorf("nothing was stored in %s, %d requests were refused", r.Elapsed, r.Refused)
		}
		o := m.outcome(r.Stored, r.Elapsed)
		o.ack, o.faults = r.Ack, load.Faults{Unanswered: r.Refused}
		return o, nil
	}
}
