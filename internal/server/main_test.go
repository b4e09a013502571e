package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(idleAddr); addr != "" {
		if err := idleClients(addr, os.Getenv(idleCount)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen; nothing is asserted about how soon it does.
const patience = 20 * time.Second

// eventually polls until ok or patience ends.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("did not happen: %s", what)
		case <-tick.C:
		}
	}
}

// recorder is a Client that keeps what the server does with it, and checks the order in which it may.
type recorder struct {
	t      testing.TB
	conn   session.Conn
	peer   session.Peer
	packet func(r *recorder, h mqtt.Header, body []byte) bool // instead of answer

	maxPacket int
	keepAlive time.Duration
	connected atomic.Bool
	inPacket  atomic.Bool
	drained   atomic.Int64
	expired   atomic.Int64
	over      atomic.Bool
	only      atomic.Bool // answer, keep nothing
	closed    chan string
	room      chan struct{} // if set, gets a value for each Drained

	mu      sync.Mutex
	packets []string
	bad     []error
}

// answer is what a recorder does with a packet by default.
func (r *recorder) answer(h mqtt.Header) bool {
	switch h.Type {
	case mqtt.CONNECT:
		r.connected.Store(true)
		r.conn.Send(connack)
	case mqtt.PINGREQ:
		r.conn.Send(pingresp)
	case mqtt.DISCONNECT:
		return false
	}
	return true
}

func (r *recorder) Packet(h mqtt.Header, body []byte) bool {
	if r.inPacket.Swap(true) {
		r.t.Error("Packet called while Packet runs")
	}
	defer r.inPacket.Store(false)
	r.alive("Packet")
	if r.only.Load() {
		return r.answer(h)
	}
	r.mu.Lock()
	r.packets = append(r.packets, fmt.Sprintf("%s%x:%s", h.Type, h.Flags, body))
	r.mu.Unlock()
	if r.packet != nil {
		return r.packet(r, h, body)
	}
	return r.answer(h)
}

func (r *recorder) Bad(err error) {
	r.alive("Bad")
	r.mu.Lock()
	r.bad = append(r.bad, err)
	r.mu.Unlock()
	r.conn.Send([]byte("bad!"))
}

func (r *recorder) MaxPacket() int {
	if !r.connected.Load() {
		return min(r.maxPacket, 16<<10)
	}
	return r.maxPacket
}
func (r *recorder) Connected() bool          { return r.connected.Load() }
func (r *recorder) KeepAlive() time.Duration { return r.keepAlive }

func (r *recorder) Drained() {
	r.alive("Drained")
	r.drained.Add(1)
	if r.room != nil {
		r.room <- struct{}{}
	}
}

func (r *recorder) KeepAliveExpired() {
	r.alive("KeepAliveExpired")
	r.expired.Add(1)
	r.conn.Send([]byte("late"))
}

func (r *recorder) Closed(reason string) {
	if r.over.Swap(true) {
		r.t.Error("Closed called twice")
	}
	if r.inPacket.Load() {
		r.t.Error("Closed called while Packet runs")
	}
	r.closed <- reason
}

func (r *recorder) alive(method string) {
	if r.over.Load() {
		r.t.Errorf("%s called after Closed", method)
	}
}

// got returns the packets so far.
func (r *recorder) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.packets...)
}

func (r *recorder) failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]error(nil), r.bad...)
}

// waitClosed returns the reason of Closed.
func (r *recorder) waitClosed() string {
	r.t.Helper()
	select {
	case reason := <-r.closed:
		return reason
	case <-time.After(patience):
		r.t.Fatal("the connection was not closed")
		return ""
	}
}

// harness is a server whose clients are recorders.
type harness struct {
	*Server
	t    testing.TB
	addr map[Kind]string

	mu       sync.Mutex
	made     []*recorder
	accepted chan *recorder
	prepare  func(*recorder) // called before a recorder is used
}

func (h *harness) Accept(conn session.Conn, peer session.Peer) Client {
	r := &recorder{t: h.t, conn: conn, peer: peer, maxPacket: 1 << 20, closed: make(chan string, 1)}
	if h.prepare != nil {
		h.prepare(r)
	}
	h.mu.Lock()
	h.made = append(h.made, r)
	h.mu.Unlock()
	h.accepted <- r
	return r
}

// next is the recorder of the next connection.
func (h *harness) next() *recorder {
	h.t.Helper()
	select {
	case r := <-h.accepted:
		return r
	case <-time.After(patience):
		h.t.Fatal("no connection was handed over")
		return nil
	}
}

// start makes a running server that listens for kinds, plain TCP if none is given, and is shut down when the test ends.
func start(t testing.TB, o Options, prepare func(*recorder), listeners ...Listener) *harness {
	t.Helper()
	h := &harness{t: t, accepted: make(chan *recorder, 20_000), prepare: prepare, addr: map[Kind]string{}}
	o.Handler = h
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Linger == 0 {
		o.Linger = 200 * time.Millisecond
	}
	if o.tick == 0 {
		o.tick = 10 * time.Millisecond
	}
	var err error
	if h.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	if listeners == nil {
		listeners = []Listener{{Kind: TCP}}
	}
	for _, l := range listeners {
		l.Addr = "127.0.0.1:0"
		addr, err := h.Listen(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		h.addr[l.Kind] = addr.String()
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.stop)
	return h
}

// stop shuts the server down and checks that nothing is left of its connections.
func (h *harness) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		h.t.Error(err)
	}
	if s := h.Stats(); s.Open != 0 || s.Queued != 0 || s.Partial != 0 {
		h.t.Errorf("left after Shutdown: %+v", s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.made {
		if !r.over.Load() {
			h.t.Error("a client's Closed was not called")
		}
	}
}

// dial connects by plain TCP; the connection is closed when the test ends.
func (h *harness) dial() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr[TCP])
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// connect dials and sends a CONNECT that is answered.
func (h *harness) connect() (net.Conn, *recorder) {
	h.t.Helper()
	c := h.dial()
	send(h.t, c, connect)
	expect(h.t, c, connack)
	return c, h.next()
}

var (
	connect    = frame(mqtt.CONNECT, 0, []byte("\x00\x04MQTT\x04\x02\x00\x00\x00\x00"))
	connectV5  = frame(mqtt.CONNECT, 0, []byte("\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"))
	connectV31 = frame(mqtt.CONNECT, 0, []byte("\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01x"))
	connack    = []byte{0x20, 2, 0, 0}
	pingreq    = []byte{0xC0, 0}
	pingresp   = []byte{0xD0, 0}
	disconnect = []byte{0xE0, 0}
)

// frame is a packet.
func frame(t mqtt.Type, flags byte, body []byte) []byte {
	b := []byte{byte(t)<<4 | flags}
	n := len(body)
	for {
		digit := byte(n & 0x7F)
		if n >>= 7; n == 0 {
			b = append(b, digit)
			break
		}
		b = append(b, digit|0x80)
	}
	return append(b, body...)
}

func send(t testing.TB, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// expect reads want.
func expect(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("read %x: %v", got[:n], err)
	}
	if string(got) != string(want) {
		t.Fatalf("read %x, want %x", got, want)
	}
}

// expectEnd reads until the server has closed and returns what came.
func expectEnd(t testing.TB, c net.Conn) []byte {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Fatal("the server did not close")
	}
	return b
}
