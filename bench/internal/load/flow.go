package load

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

const (
	longest  = time.Minute // that one load may take beside what is measured, with its set-up
	idlePoll = 5           // milliseconds to wait when there is nothing to send
	ackSize  = 16 << 10
	burst    = 1024 // messages of one publisher before the connections are looked at again
)

// flow is a load that runs.
type flow struct {
	*loop
	spec     Spec
	pubs     []*publisher
	subs     []*subscriber
	fan      uint64 // subscribers that get a message
	mark     uint32
	turn     int // the publisher that is the first to send
	stopped  bool
	measured bool  // measuring has ended
	begin    int64 // of measuring; 0: not yet
	end      int64
	started  int64
	at       int64  // the time when the last poll returned
	progress int64  // when something came for the last time
	sent     uint64 // messages
	due      uint64 // deliveries that sent asks for
	got      uint64 // of those; none twice
	result   *Result
}

// Run runs a load. It returns early when the broker closes a connection.
func Run(s Spec) (*Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := open(s)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if err := f.run(); err != nil {
		return f.result, err
	}
	f.finish()
	return f.result, nil
}

func open(s Spec) (*flow, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	f := &flow{loop: l, spec: s, mark: rand.Uint32(), due: uint64(s.Expect), result: &Result{}}
	f.packet, f.woke = f.handle, func() { f.at = f.now() }
	f.failed = func(_ *Conn, err error) error { return err }
	if err := f.connect(); err != nil {
		f.close()
		return nil, err
	}
	f.started = f.now()
	f.progress = f.started
	return f, nil
}

// connect connects all, subscribers first.
func (f *flow) connect() error {
	wanted, streams := 0, 0
	for i, sub := range f.spec.Subscribers {
		if err := f.subscribe(i, sub); err != nil {
			return err
		}
		wanted += sub.Streams
	}
	for i, pub := range f.spec.Publishers {
		if err := f.publisher(i, streams, pub); err != nil {
			return err
		}
		streams += len(pub.Topics)
	}
	f.fan = uint64(wanted / max(streams, 1))
	if f.spec.Rate > 0 {
		return f.every(time.Duration(float64(time.Second) / f.spec.Rate))
	}
	return nil
}

// broker is where a client connects that names this address.
func (f *flow) broker(own netip.AddrPort) netip.AddrPort {
	if own.IsValid() {
		return own
	}
	return f.spec.Addr
}

// subscribe connects a subscriber. What was published before comes from then on, and its clock runs from then on.
func (f *flow) subscribe(i int, sub Subscriber) error {
	id, clean := fmt.Sprintf("sub-%d-%x", i, f.mark), true // a new one each time: NATS holds up clients that come back at once
	if sub.Session != "" {
		id, clean = sub.Session, false
		f.edge(true)
	}
	c, _, err := Dial(f.broker(sub.Addr), id, clean)
	if err != nil {
		return err
	}
	c.sub = newSubscriber(sub)
	if f.spec.QoS > 0 {
		c.out = make([]byte, 0, ackSize)
	}
	f.subs = append(f.subs, c.sub)
	switch {
	case sub.Session != "": // subscribed already
	case f.spec.Expect > 0:
		f.edge(true)
		c.out = wire.AppendSubscribe(c.out, 1, f.spec.QoS, sub.Filters...)
	default:
		err = c.Subscribe(f.spec.QoS, sub.Filters)
	}
	if err != nil {
		c.Close()
		return err
	}
	if err := f.add(c); err != nil {
		return err
	}
	return f.flush(c, len(f.conns)-1)
}

func (f *flow) publisher(i, first int, pub Publisher) error {
	c, _, err := Dial(f.broker(pub.Addr), fmt.Sprintf("pub-%d-%x", i, f.mark), true)
	if err != nil {
		return err
	}
	if err := f.add(c); err != nil {
		return err
	}
	c.pub = newPublisher(c, len(f.conns)-1, f.spec.Window)
	for n, topic := range pub.Topics {
		t := wire.NewTemplate(topic, f.spec.QoS, f.spec.Retain, f.spec.Payload, uint32(first+n), f.mark)
		c.pub.streams = append(c.pub.streams, stream{template: t})
	}
	f.pubs = append(f.pubs, c.pub)
	return nil
}

func (f *flow) run() error {
	f.at = f.now()
	for !f.done() {
		if most := longest + f.spec.Measure; time.Duration(f.at) > most {
			return fmt.Errorf("not done after %s: %d of %d deliveries, %d messages", most, f.got, f.due, f.sent)
		}
		if err := f.step(); err != nil {
			return err
		}
	}
	return nil
}

// step sends what may be sent, and handles what comes. It allocates nothing.
func (f *flow) step() error {
	f.phase()
	wait := idlePoll
	if !f.stopped {
		more, err := f.pump()
		if err != nil {
			return err
		}
		if more {
			wait = 0
		}
	}
	return f.poll(wait)
}

// phase begins and ends measuring.
func (f *flow) phase() {
	switch {
	case f.spec.Total > 0 || f.spec.Expect > 0:
		if f.begin == 0 {
			f.edge(true)
		}
		f.stopped = f.sent >= uint64(f.spec.Total)
	case f.begin == 0:
		if time.Duration(f.at-f.started) >= f.spec.Warmup {
			f.edge(true)
		}
	case !f.stopped && time.Duration(f.at-f.begin) >= f.spec.Measure:
		f.edge(false)
		f.stopped = true
	}
}

func (f *flow) edge(begin bool) {
	if f.spec.Edge != nil {
		f.spec.Edge(begin)
	}
	f.at = f.now()
	if begin {
		f.begin = f.at
		return
	}
	f.end, f.measured = f.at, true
	f.result.Elapsed = time.Duration(f.end - f.begin)
}

// done reports whether all that was sent has arrived, or nothing comes any more.
func (f *flow) done() bool {
	quiet := time.Duration(f.at-f.progress) > f.spec.Patience
	missing := f.got+f.result.Lost < f.due
	if !f.stopped {
		if quiet && missing {
			f.writeOff()
			f.progress = f.at
			return false
		}
		return quiet && f.sent > 0
	}
	underway := 0
	for _, p := range f.pubs {
		underway += p.underway()
		if p.conn.off < len(p.conn.out) {
			underway++
		}
	}
	return quiet || !missing && underway == 0
}

// writeOff gives up what has not come, so that publishers which wait for it go on. What comes later counts as reordered.
func (f *flow) writeOff() {
	for _, s := range f.subs {
		for i := range s.sequences {
			f.result.Lost += s.sequences[i].skip(f.sentTo(int(s.first) + i))
		}
	}
}

// sentTo is how many messages a stream has.
func (f *flow) sentTo(n int) uint64 {
	for _, p := range f.pubs {
		if n < len(p.streams) {
			return p.streams[n].sent
		}
		n -= len(p.streams)
	}
	return 0
}

// finish counts what is missing.
func (f *flow) finish() {
	r := f.result
	if !f.measured {
		f.end = f.progress
		r.Elapsed = time.Duration(f.end - f.begin)
		if f.spec.Edge != nil {
			f.spec.Edge(false)
		}
	}
	r.Lost = f.due - min(f.due, f.got)
	for _, p := range f.pubs {
		r.Unanswered += uint64(p.underway())
	}
}
