package load

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/peer"
)

var programs string

// TestMain builds the broker of this repository: the generator is tested against the real thing.
func TestMain(m *testing.M) {
	os.Exit(main(m))
}

func main(m *testing.M) int {
	var err error
	if programs, err = os.MkdirTemp("", "bench-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(programs) }()
	module, err := filepath.Abs("../..")
	if err == nil {
		err = peer.Build(module, programs, "rocketmqtt")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func broker(t *testing.T) *peer.Process {
	t.Helper()
	b, err := peer.Start(peer.Kinds()[0], programs, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func pairs(n int) (pubs []Publisher, subs []Subscriber) {
	for i := range n {
		topic := fmt.Sprintf("pair/%d", i)
		pubs = append(pubs, Publisher{Topics: []string{topic}})
		subs = append(subs, Subscriber{Filters: []string{topic}, First: i, Streams: 1})
	}
	return pubs, subs
}

const patience = 20 * time.Second

func run(t *testing.T, s Spec) *Result {
	t.Helper()
	s.Patience = patience
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	if !r.None() {
		t.Errorf("%+v", r.Faults)
	}
	return r
}

// All that is published arrives, once and in order, and every acknowledgement too.
func TestPairs(t *testing.T) {
	b := broker(t)
	for qos := range byte(3) {
		pubs, subs := pairs(3)
		edges := 0
		r := run(t, Spec{
			Addr: b.Addr, QoS: qos, Payload: 128, Publishers: pubs, Subscribers: subs, Window: 64, Credit: 256,
			Warmup: 50 * time.Millisecond, Measure: 200 * time.Millisecond, Edge: func(bool) { edges++ },
		})
		if r.Sent == 0 || r.Delivered == 0 || r.Latency.N() == 0 || edges != 2 || r.Elapsed < 100*time.Millisecond {
			t.Errorf("QoS %d: %d sent, %d delivered, %d edges, %s", qos, r.Sent, r.Delivered, edges, r.Elapsed)
		}
		if qos > 0 && (r.Acked == 0 || r.Ack.N() == 0) {
			t.Errorf("QoS %d: %d acknowledged", qos, r.Acked)
		}
	}
}

func TestFanOutAndFanIn(t *testing.T) {
	b := broker(t)
	s := Spec{Addr: b.Addr, Payload: 128, Total: 500, Credit: 32}
	s.Publishers = []Publisher{{Topics: []string{"out"}}}
	for range 20 {
		s.Subscribers = append(s.Subscribers, Subscriber{Filters: []string{"out"}, Streams: 1})
	}
	if r := run(t, s); r.Delivered != 500*20 {
		t.Errorf("%d delivered", r.Delivered)
	}
	s.Publishers, s.Subscribers = nil, []Subscriber{{Filters: []string{"in/+"}, Streams: 20}}
	for i := range 20 {
		s.Publishers = append(s.Publishers, Publisher{Topics: []string{fmt.Sprintf("in/%d", i)}})
	}
	if r := run(t, s); r.Delivered != 500 {
		t.Errorf("%d delivered", r.Delivered)
	}
}

// With a rate, messages go out on time whatever comes back, and each is counted.
func TestRate(t *testing.T) {
	b := broker(t)
	pubs, subs := pairs(2)
	r := run(t, Spec{
		Addr: b.Addr, QoS: 1, Payload: 128, Publishers: pubs, Subscribers: subs, Window: 1024, Rate: 500,
		Warmup: 100 * time.Millisecond, Measure: 400 * time.Millisecond,
	})
	if n := r.Latency.N(); n < 150 || n > 201 || r.Ack.N() != n || r.Behind.N() < n {
		t.Errorf("%d latencies, %d acks, %d sent", n, r.Ack.N(), r.Behind.N())
	}
	if r.Latency.Max() > time.Minute || r.Latency.Quantile(0.5) == 0 {
		t.Errorf("%s to %s", r.Latency.Quantile(0.5), r.Latency.Max())
	}
}

// What a session missed while its client was away is fetched by who comes back.
func TestExpect(t *testing.T) {
	b := broker(t)
	c, session, err := Dial(b.Addr, "away", false)
	if err != nil || session {
		t.Fatal(session, err)
	}
	if err := c.Subscribe(1, []string{"away/#"}); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	const n = 3000
	s := Spec{
		Addr: b.Addr, QoS: 1, Payload: 128, Publishers: []Publisher{{Topics: []string{"away/1", "away/2"}}}, Window: 256, Total: n,
	}
	if r := run(t, s); r.Acked != n {
		t.Errorf("%d acknowledged", r.Acked)
	}
	r := run(t, Spec{Addr: b.Addr, QoS: 1, Subscribers: []Subscriber{{Session: "away", Streams: 2}}, Expect: n})
	if r.Delivered != n || r.Elapsed == 0 {
		t.Errorf("%d delivered in %s", r.Delivered, r.Elapsed)
	}
}

// A message that does not come is lost, and does not hold up the rest.
func TestLossIsSeen(t *testing.T) {
	b := broker(t)
	pubs := []Publisher{{Topics: []string{"a", "nobody"}}}
	r, err := Run(Spec{
		Addr: b.Addr, Payload: 128, Publishers: pubs, Total: 300, Credit: 100, Patience: 200 * time.Millisecond,
		Subscribers: []Subscriber{{Filters: []string{"a"}, Streams: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Delivered != 150 || r.Lost != 150 {
		t.Errorf("%d delivered, %+v", r.Delivered, r.Faults)
	}
}

func TestIdle(t *testing.T) {
	b := broker(t)
	conns, err := Idle(b.Addr, 20)
	if err != nil || len(conns) != 20 {
		t.Error(len(conns), err)
	}
	for _, c := range conns {
		c.Disconnect()
	}
}

// The generator's loop allocates nothing while it runs, with acknowledgements both ways and at a rate too.
func TestStepAllocatesNothing(t *testing.T) {
	b := broker(t)
	for _, rate := range []float64{0, 2000} {
		for qos := range byte(3) {
			pubs, subs := pairs(2)
			f, err := open(Spec{
				Addr: b.Addr, QoS: qos, Payload: 128, Publishers: pubs, Subscribers: subs, Window: 64, Credit: 256, Rate: rate,
				Measure: time.Hour, Patience: patience,
			})
			if err != nil {
				t.Fatal(err)
			}
			step := func() {
				if err := f.step(); err != nil {
					t.Fatal(err)
				}
			}
			for range 200 {
				step()
			}
			before := f.got
			if n := testing.AllocsPerRun(2000, step); n != 0 {
				t.Errorf("QoS %d, rate %v: %v allocations a step", qos, rate, n)
			}
			if f.got == before {
				t.Errorf("QoS %d, rate %v: nothing came", qos, rate)
			}
			f.close()
		}
	}
}
