// Package limits asks a broker process what its limits hold: memory, quotas, descriptors, and what clients that misbehave can
// do to it and to the others.
//
// The process is built without the race detector, which would make figures of memory mean nothing; the clients are raw sockets. The
// tests measure a process, so none runs beside another.
package limits

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	// patience is how long a test waits for what must happen; nothing is asserted about how soon it does.
	patience = 30 * time.Second
	// sample is the time between two looks at the process.
	sample = 50 * time.Millisecond
)

// start starts a broker that is fit for figures.
func start(t testing.TB, set ...string) *broker.Broker {
	t.Helper()
	return broker.Start(t, broker.Options{Set: set, NoRace: true})
}

// eventually polls until ok; it fails the test when patience ends first.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	if !poll(patience, ok) {
		t.Fatalf("did not happen within %s: %s", patience, what)
	}
}

// poll polls until ok, at most for so long, and reports whether ok said yes.
func poll(limit time.Duration, ok func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(sample)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

// rss is the broker's resident memory in bytes.
func rss(t testing.TB, b *broker.Broker) int64 {
	t.Helper()
	n, err := b.RSS()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// settles waits until the broker's resident memory is steady and at most that, and returns it. The runtime collects every two minutes,
// also when nothing happens, and gives back what it then has too much: a bound that does not hold after that does not hold.
func settles(t testing.TB, b *broker.Broker, most int64) int64 {
	t.Helper()
	const (
		steady = 30 // samples within a hundredth of each other
		limit  = 150 * time.Second
	)
	last, same := rss(t, b), 0
	poll(limit, func() bool {
		now := rss(t, b)
		if same++; now > last+last/100 || now < last-last/100 {
			last, same = now, 0
		}
		return same >= steady && now <= most
	})
	return rss(t, b)
}

// dial connects and sends nothing. The connection is closed when the test ends.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// hello is a CONNECT as the tests send it: a session that ends with its connection, and no keep-alive.
func hello(v mqtt.Version, id string) *mqtt.Connect {
	return &mqtt.Connect{Version: v, CleanStart: true, ClientID: []byte(id), RequestProblem: true}
}

// keep makes the session of c outlive its connection.
func keep(c *mqtt.Connect) *mqtt.Connect {
	c.CleanStart, c.SessionExpiry = false, 3600
	return c
}

// connect opens a connection whose CONNECT must be accepted. It is closed when the test ends.
func connect(t testing.TB, addr string, p *mqtt.Connect) *wire.Conn {
	t.Helper()
	c, err := open(addr, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// open is connect for any goroutine; the caller closes.
func open(addr string, p *mqtt.Connect) (*wire.Conn, error) {
	c, err := wire.Dial(addr, p.Version)
	if err != nil {
		return nil, err
	}
	a, err := call[mqtt.Connack](c, p)
	if err == nil && a.Code != mqtt.Success {
		err = fmt.Errorf("CONNECT was answered with %s", a.Code)
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect %q: %w", p.ClientID, err)
	}
	return c, nil
}

// subscribe subscribes to one filter; it must be granted.
func subscribe(t testing.TB, c *wire.Conn, filter string, qos byte) {
	t.Helper()
	if err := subscribeTo(c, filter, qos); err != nil {
		t.Fatal(err)
	}
}

// subscribeTo is subscribe for any goroutine.
func subscribeTo(c *wire.Conn, filter string, qos byte) error {
	a, err := call[mqtt.Suback](c, subscription(filter, qos))
	if err == nil && (len(a.Codes) != 1 || a.Codes[0] != mqtt.ReasonCode(qos)) {
		err = fmt.Errorf("was answered with %v", a.Codes)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %q with QoS %d: %w", filter, qos, err)
	}
	return nil
}

func subscription(filter string, qos byte) *mqtt.Subscribe {
	return &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(filter), QoS: qos}}}
}

// call sends p and reads the next packet, which must be an A.
func call[A any](c *wire.Conn, p wire.Packet) (*A, error) {
	if err := c.Send(p); err != nil {
		return nil, err
	}
	return next[A](c)
}

// next reads the next packet, which must be a P.
func next[P any](c *wire.Conn) (*P, error) {
	p, err := c.Read(patience)
	if err != nil {
		return nil, err
	}
	got, ok := p.(*P)
	if !ok {
		return nil, fmt.Errorf("read %T, want %T: %+v", p, new(P), p)
	}
	return got, nil
}

func send(t testing.TB, c *wire.Conn, packets ...wire.Packet) {
	t.Helper()
	if err := c.Send(packets...); err != nil {
		t.Fatalf("send %T: %v", packets[0], err)
	}
}

// read is next, for the test's goroutine.
func read[P any](t testing.TB, c *wire.Conn) *P {
	t.Helper()
	p, err := next[P](c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ping sends PINGREQ and waits for its answer, the next packet.
func ping(c *wire.Conn) error {
	if err := c.Send(wire.Ping{}); err != nil {
		return err
	}
	p, err := c.Read(patience)
	if _, ok := p.(wire.Ping); !ok && err == nil {
		err = fmt.Errorf("PINGREQ was answered with %T", p)
	}
	return err
}

// readEnd reads until the broker has closed and returns what came.
func readEnd(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(nc)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Fatalf("the broker has not closed within %s; it sent % x", patience, b)
	}
	return b
}
