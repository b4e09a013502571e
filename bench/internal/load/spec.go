package load

import (
	"net/netip"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
)

// Publisher is one connection that publishes, to its topics in turn. Each topic is a stream, numbered over all publishers from 0.
type Publisher struct {
	Addr   netip.AddrPort // of its broker; zero: the load's
	Topics []string
}

// Subscriber is one connection that subscribes, and gets the streams from First to First+Streams-1.
type Subscriber struct {
	Addr    netip.AddrPort // of its broker; zero: the load's
	Filters []string
	First   int
	Streams int

	// Session is the client id of a session that exists already and is subscribed; Filters are not subscribed to again.
	Session string
}

// Spec is a load. Publishing stops after Warmup and Measure, or after Total messages when that is set.
type Spec struct {
	Addr        netip.AddrPort
	QoS         byte // of PUBLISH and of subscriptions
	Retain      bool
	Payload     int // bytes
	Publishers  []Publisher
	Subscribers []Subscriber

	Window int     // QoS 1 and 2: messages of one publisher that are not acknowledged
	Credit int     // messages of all publishers that have not reached everybody; 0: no limit
	Rate   float64 // messages per second of all publishers; 0: what Window and Credit allow

	Warmup, Measure time.Duration
	Total           int // messages; there is no warm-up
	Expect          int // deliveries of what others published; measured from the SUBSCRIBE or CONNECT on
	Patience        time.Duration

	// Edge is called when measuring begins and when it ends.
	Edge func(begin bool)
}

// Result of a load. Deliveries and times are those of the measured part, faults those of the whole.
type Result struct {
	Elapsed   time.Duration
	Sent      uint64 // messages published
	Delivered uint64 // deliveries, each once
	Acked     uint64 // publishes acknowledged (QoS 1 and 2)
	Faults

	Latency stats.Histogram // from when a message was to be sent until a subscriber had it
	Ack     stats.Histogram // and until the publisher had its PUBACK or PUBCOMP
	Behind  stats.Histogram // with Rate: how much later than intended the generator sent
}

// Faults are what may not be.
type Faults struct {
	Lost       uint64 // deliveries that never came
	Duplicates uint64
	Reordered  uint64 // came after a later one of the same stream
	Damaged    uint64 // payloads that nobody sent, or not to this subscriber
	Unanswered uint64 // publishes without acknowledgement, or acknowledgements without publish
}

// None reports whether all is well.
func (f Faults) None() bool { return f == Faults{} }

// Add adds up.
func (f *Faults) Add(g Faults) {
	f.Lost += g.Lost
	f.Duplicates += g.Duplicates
	f.Reordered += g.Reordered
	f.Damaged += g.Damaged
	f.Unanswered += g.Unanswered
}
