package main

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/load"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

// unit is what a scenario's figure counts.
type unit struct {
	name    string
	smaller bool // the smaller the better
}

var (
	perSecond = unit{name: "deliveries/s"}
	micros    = unit{name: "µs", smaller: true}
	kib       = unit{name: "KiB", smaller: true}
)

// scenario is one thing that is measured.
type scenario struct {
	name  string
	title string
	about string
	unit  unit

	durable bool // the settings of durability differ here: the variants run too
	latency bool // show the times
	run     func(b *bench, p *peer.Process) (*outcome, error)
}

// The sizes of the scenarios.
const (
	payload = 128
	// credit0 is how many QoS 0 messages are under way in all. A publisher that sends without looking only measures what each broker
	// drops, and when; this is what it can carry.
	credit0 = 1024
	window  = 256  // QoS 1 and 2: unacknowledged messages of one publisher
	credit1 = 4096 // and not delivered ones of all

	fanOut      = 1000
	fanOutUnder = 32
	fanIn       = 50
	filters     = 20_000
	filterConns = 20
	retained    = 10_000
	offline     = 60_000 // mochi keeps 65,535 at most
	idleConns   = 5_000
	rate0       = 20_000
	rate1       = 2_000
)

func scenarios() []scenario {
	all := []scenario{}
	for qos := range byte(3) {
		for _, n := range []int{1, 4} {
			all = append(all, pairScenario(qos, n))
		}
	}
	all = append(all,
		scenario{
			name: "fanout", title: "Fan-out 1 to 1,000, QoS 0", unit: perSecond, run: fanOutRun,
			about: fmt.Sprintf("One publisher, %d subscribers of its topic, at most %d messages under way to all.", fanOut, fanOutUnder),
		},
		fanInScenario(0), fanInScenario(1),
		scenario{
			name: "filters", title: "20,000 filters, QoS 0", unit: perSecond, run: filtersRun,
			about: fmt.Sprintf("%d filters on %d connections, every tenth with a wildcard; one publisher sends to the %d topics in turn, and each matches one filter.",
				filters, filterConns, filters),
		},
		scenario{
			name: "retained", title: "Retained replay", unit: perSecond, run: retainedRun,
			about: fmt.Sprintf("%d retained messages; a new client subscribes to all of them, QoS 0, again and again. From SUBSCRIBE to the last message.", retained),
		},
		scenario{
			name: "offline", title: "Offline drain, QoS 1", unit: perSecond, run: offlineRun,
			about: fmt.Sprintf("%d messages were published while the client of a persistent session was away. From its CONNECT to the last message.", offline),
		},
		scenario{
			name: "puback", title: "A lone QoS 1 PUBACK", unit: micros, durable: true, latency: true, run: loneRun,
			about: "One publisher, one subscriber, one message at a time: the next goes out when the last was acknowledged and delivered. Median time from PUBLISH to PUBACK.",
		},
		rateScenario(0, rate0), rateScenario(1, rate1),
		scenario{
			name: "idle", title: "Idle memory", unit: kib, run: idleRun,
			about: fmt.Sprintf("Resident memory per connection, %d idle connections with one subscription each.", idleConns),
		},
	)
	return append(all, connectScenarios()...)
}

func pairs(n int) (pubs []load.Publisher, subs []load.Subscriber) {
	for i := range n {
		topic := fmt.Sprintf("bench/%d/state", i)
		pubs = append(pubs, load.Publisher{Topics: []string{topic}})
		subs = append(subs, load.Subscriber{Filters: []string{topic}, First: i, Streams: 1})
	}
	return pubs, subs
}

func pairScenario(qos byte, n int) scenario {
	title := map[int]string{1: "one to one", 4: "4 to 4"}[n]
	about := fmt.Sprintf("At most %d messages under way.", credit0)
	if qos > 0 {
		about = fmt.Sprintf("At most %d unacknowledged messages a publisher.", window)
	}
	if n > 1 {
		about = fmt.Sprintf("%d publishers, each with a topic and a subscriber of its own. ", n) + about
	}
	return scenario{
		name: fmt.Sprintf("qos%d-%dto%d", qos, n, n), title: fmt.Sprintf("QoS %d, %s", qos, title), about: about,
		unit: perSecond, durable: qos > 0,
		run: func(b *bench, p *peer.Process) (*outcome, error) {
			pubs, subs := pairs(n)
			return b.flood(p, windows(load.Spec{QoS: qos, Publishers: pubs, Subscribers: subs}))
		},
	}
}

// windows are the usual ones.
func windows(s load.Spec) load.Spec {
	s.Window, s.Credit = window, credit1
	if s.QoS == 0 {
		s.Credit = credit0
	}
	return s
}

func fanOutRun(b *bench, p *peer.Process) (*outcome, error) {
	s := load.Spec{Publishers: []load.Publisher{{Topics: []string{"bench/all"}}}, Credit: fanOutUnder}
	for range fanOut {
		s.Subscribers = append(s.Subscribers, load.Subscriber{Filters: []string{"bench/all"}, Streams: 1})
	}
	return b.flood(p, s)
}

func fanInScenario(qos byte) scenario {
	return scenario{
		name: fmt.Sprintf("fanin-qos%d", qos), title: fmt.Sprintf("Fan-in 50 to 1, QoS %d", qos), unit: perSecond, durable: qos > 0,
		about: fmt.Sprintf("%d publishers, each with a topic of its own, one subscriber with a wildcard; at most %d messages under way in all.", fanIn, credit0),
		run: func(b *bench, p *peer.Process) (*outcome, error) {
			s := load.Spec{
				QoS: qos, Window: window, Credit: credit0,
				Subscribers: []load.Subscriber{{Filters: []string{"bench/+/state"}, Streams: fanIn}},
			}
			for i := range fanIn {
				s.Publishers = append(s.Publishers, load.Publisher{Topics: []string{fmt.Sprintf("bench/%d/state", i)}})
			}
			return b.flood(p, s)
		},
	}
}

func filtersRun(b *bench, p *peer.Process) (*outcome, error) {
	s := windows(load.Spec{})
	per := filters / filterConns
	var topics []string
	for c := range filterConns {
		sub := load.Subscriber{First: c * per, Streams: per}
		for i := range per {
			topic := fmt.Sprintf("site/%d/device/%d/state", c, i)
			topics = append(topics, topic)
			if i%10 == 0 {
				topic = fmt.Sprintf("site/%d/device/%d/+", c, i)
			}
			sub.Filters = append(sub.Filters, topic)
		}
		s.Subscribers = append(s.Subscribers, sub)
	}
	s.Publishers = []load.Publisher{{Topics: topics}}
	return b.flood(p, s)
}

func retainedRun(b *bench, p *peer.Process) (*outcome, error) { return replayRun(b, p, retained) }

// replayRun has n messages retained, and measures how fast a client gets all of them.
func replayRun(b *bench, p *peer.Process, n int) (*outcome, error) {
	var topics []string
	for i := range n {
		topics = append(topics, fmt.Sprintf("keep/%d/state", i))
	}
	err := b.publish(p, load.Spec{
		QoS: 1, Retain: true, Publishers: []load.Publisher{{Topics: topics}}, Window: window, Total: n,
	})
	if err != nil {
		return nil, fmt.Errorf("publish retained messages: %w", err)
	}
	fetch := load.Spec{Subscribers: []load.Subscriber{{Filters: []string{"keep/#"}, Streams: n}}, Expect: n}
	return b.fetch(p, fetch)
}

func offlineRun(b *bench, p *peer.Process) (*outcome, error) {
	c, _, err := load.Dial(p.Addr, "away", false)
	if err != nil {
		return nil, err
	}
	if err := c.Subscribe(1, []string{"away/#"}); err != nil {
		return nil, err
	}
	c.Disconnect()
	var topics []string
	for i := range 10 {
		topics = append(topics, fmt.Sprintf("away/%d", i))
	}
	err = b.publish(p, load.Spec{QoS: 1, Publishers: []load.Publisher{{Topics: topics}}, Window: window, Total: offline})
	if err != nil {
		return nil, fmt.Errorf("publish while the client is away: %w", err)
	}
	b.once = true // a second time there is nothing to fetch
	return b.fetch(p, load.Spec{QoS: 1, Subscribers: []load.Subscriber{{Session: "away", Streams: len(topics)}}, Expect: offline})
}

func loneRun(b *bench, p *peer.Process) (*outcome, error) {
	pubs, subs := pairs(1)
	o, err := b.flood(p, load.Spec{QoS: 1, Publishers: pubs, Subscribers: subs, Window: 1, Credit: 1})
	if o != nil {
		o.value = float64(o.ack.Quantile(0.5)) / float64(time.Microsecond)
	}
	return o, err
}

func rateScenario(qos byte, rate int) scenario {
	return scenario{
		name: fmt.Sprintf("rate-qos%d", qos), title: fmt.Sprintf("Latency at %d messages/s, QoS %d", rate, qos), unit: micros, durable: qos > 0, latency: true,
		about: fmt.Sprintf("4 publishers, 4 subscribers, a fixed schedule of %d messages/s in all. Times count from when a message was to be sent, "+
			"so a broker that falls behind is charged for all it delays (no coordinated omission). 99th percentile of delivery.", rate),
		run: func(b *bench, p *peer.Process) (*outcome, error) {
			pubs, subs := pairs(4)
			o, err := b.flood(p, load.Spec{QoS: qos, Publishers: pubs, Subscribers: subs, Window: 16384, Rate: float64(rate)})
			if o != nil {
				o.short = o.value < 0.98*float64(rate)
				o.value = float64(o.latency.Quantile(0.99)) / float64(time.Microsecond)
			}
			return o, err
		},
	}
}

func idleRun(b *bench, p *peer.Process) (*outcome, error) {
	before, _, err := peer.Memory(p.PID())
	if err != nil {
		return nil, err
	}
	n := idleConns
	if b.quick {
		n /= 5
	}
	conns, err := load.Idle(p.Addr, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	now, err := settled(p.PID())
	if err != nil {
		return nil, err
	}
	return &outcome{value: float64(now-before) / 1024 / float64(n), memory: now}, nil
}

// settled waits until a broker has given back what it only needed to set up its connections, and for at most 5 s.
func settled(pid int) (rss int64, err error) {
	const step = 500 * time.Millisecond
	var last int64
	for range 10 {
		time.Sleep(step)
		if rss, _, err = peer.Memory(pid); err != nil {
			return 0, err
		}
		if rss <= last && last-rss < rss/200 {
			break
		}
		last = rss
	}
	return rss, nil
}
