package session

import (
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come, and quiet how long for what must not.
const (
	patience = 20 * time.Second
	quiet    = 100 * time.Millisecond
)

// broker is a Manager over a real embedded store; no network is between it and its clients.
type broker struct {
	t        testing.TB
	fs       *vfs.MemFS
	store    *local.Store
	m        *Manager
	caps     Capabilities
	limits   Limits
	clock    *clock
	auth     auth.Authenticator
	event    func(*Event)
	reserved string
	p2p      bool
	missed   func(client, filter string) []store.Position
	unacked  func(client string) []store.Position
	left     func(client string, filters []string, cursor, open []store.Position)
	log      *slog.Logger                  // nil: nothing is logged
	wrap     func(store.Store) store.Store // what the Manager sees of the store; nil: all of it
	open     sync.WaitGroup                // connections whose end is not written
}

// clock is the time of a test; it stands still until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time        { return time.UnixMilli(c.ms.Load()) }
func (c *clock) move(by time.Duration) { c.ms.Add(by.Milliseconds()) }

type everybody struct{}

func (everybody) Authenticate(r *auth.Request) (string, auth.Result) { return r.Username, auth.Allowed }

func newBroker(t testing.TB, change ...func(*broker)) *broker {
	t.Helper()
	b := &broker{t: t, fs: vfs.NewCrashableMem(), clock: newClock(), auth: everybody{}, limits: Limits{ProgressInterval: 10 * time.Millisecond}}
	for _, f := range change {
		f(b)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *broker) start() {
	b.t.Helper()
	log := b.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if os.Getenv("SESSION_LOG") != "" {
		log = slog.Default()
	}
	st, err := local.Open(local.Options{Dir: "data", FS: b.fs, DiskReserve: -1, RetentionTime: -1, Clock: b.clock.now, Logger: log})
	if err != nil {
		b.t.Fatal(err)
	}
	seen := newManyQueues(st)
	if b.wrap != nil {
		seen = b.wrap(seen)
	}
	m, err := New(Options{Store: seen, Router: router.New(), Auth: b.auth, Log: log, Capabilities: b.caps, Limits: b.limits, Now: b.clock.now, Event: b.event, Reserved: b.reserved, P2P: b.p2p, Missed: b.missed, Unacknowledged: b.unacked, Left: b.left})
	if err != nil {
		b.t.Fatal(err)
	}
	b.store, b.m = st, m
}

// stop is a graceful stop; it may be called twice.
func (b *broker) stop() {
	if b.m == nil {
		return
	}
	b.m.Disconnect()
	b.open.Wait()
	if err := b.m.Close(b.t.Context()); err != nil && b.t.Context().Err() == nil {
		b.t.Error(err)
	}
	if err := b.store.Close(); err != nil {
		b.t.Error(err)
	}
	b.m = nil
}

// crash goes on with what a power loss at this moment would leave: everything that was synced and nothing else.
func (b *broker) crash() {
	b.t.Helper()
	left := b.fs.CrashClone(vfs.CrashCloneCfg{})
	b.stop()
	b.fs = left
	b.start()
}

func (b *broker) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

// client is the other end of one connection.
type client struct {
	t       testing.TB
	b       *broker
	c       *Client
	version mqtt.Version
	got     chan received
	ahead   []received // came before those in got
	full    atomic.Bool
	closed  chan struct{}
	once    sync.Once
	driving sync.Mutex // as the server's one reading goroutine
}

// received is one packet from the broker.
type received struct {
	h    mqtt.Header
	body []byte
}

// Send implements Conn.
func (cl *client) Send(b []byte) { cl.take(append([]byte(nil), b...)) }

// SendPublish implements Conn.
func (cl *client) SendPublish(header, payload []byte) {
	cl.take(append(append([]byte(nil), header...), payload...))
}

func (cl *client) take(b []byte) {
	h, n, err := mqtt.ParseHeader(b)
	if err != nil || n == 0 || len(b) != n+h.Length {
		cl.t.Errorf("the session sent no whole packet: % x (%v)", b, err)
		return
	}
	select {
	case cl.got <- received{h, b[n:]}:
	default:
		cl.t.Error("the test does not read what the session sends")
	}
}

// Full implements Conn.
func (cl *client) Full() bool { return cl.full.Load() }

// Close implements Conn.
func (cl *client) Close() { cl.once.Do(func() { close(cl.closed) }) }

// dial begins a connection without CONNECT.
func (b *broker) dial(v mqtt.Version) *client {
	cl := &client{t: b.t, b: b, version: v, got: make(chan received, 1<<16), closed: make(chan struct{})}
	cl.c = b.m.Accept(cl, Peer{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Listener: "tcp"})
	b.open.Go(func() {
		<-cl.closed
		cl.driving.Lock()
		defer cl.driving.Unlock()
		cl.c.Closed("test")
		<-cl.c.gone
	})
	b.t.Cleanup(cl.Close)
	return cl
}

// packet encodes p and hands it to the session.
func (cl *client) packet(p packet) { cl.bytes(p.Append(nil, cl.version)) }

func (cl *client) bytes(b []byte) {
	cl.t.Helper()
	h, n, err := mqtt.ParseHeader(b)
	if err != nil || n == 0 {
		cl.t.Fatalf("bad packet in a test: % x: %v", b, err)
	}
	cl.driving.Lock()
	defer cl.driving.Unlock()
	if !cl.c.Packet(h, b[n:]) {
		cl.Close()
	}
}

// next waits for a packet of type t and decodes it into p.
func (cl *client) next(t mqtt.Type, p interface {
	Decode(mqtt.Version, byte, []byte) error
},
) {
	cl.t.Helper()
	r := cl.packetOf(t)
	if r.h.Type != t {
		cl.t.Fatalf("got %v % x, want %v", r.h.Type, r.body, t)
	}
	if err := p.Decode(cl.version, r.h.Flags, r.body); err != nil {
		cl.t.Fatalf("%v % x: %v", t, r.body, err)
	}
}

// packetOf takes the next packet, of which t is hoped for.
func (cl *client) packetOf(t mqtt.Type) (r received) {
	cl.t.Helper()
	if len(cl.ahead) > 0 {
		r, cl.ahead = cl.ahead[0], cl.ahead[1:]
		return r
	}
	select {
	case r = <-cl.got:
	case <-time.After(patience):
		cl.t.Fatalf("no %v came", t)
	}
	return r
}

// nothing fails the test if a packet comes.
func (cl *client) nothing() {
	cl.t.Helper()
	if len(cl.ahead) > 0 {
		cl.t.Fatalf("got %v % x, want nothing", cl.ahead[0].h.Type, cl.ahead[0].body)
	}
	select {
	case r := <-cl.got:
		cl.t.Fatalf("got %v % x, want nothing", r.h.Type, r.body)
	case <-time.After(quiet):
	}
}

func (cl *client) wantClosed() {
	cl.t.Helper()
	select {
	case <-cl.closed:
	case <-time.After(patience):
		cl.t.Fatal("the connection was not closed")
	}
}

// gone closes the connection without DISCONNECT and waits until the session's end was written.
func (cl *client) gone() {
	cl.t.Helper()
	cl.Close()
	select {
	case <-cl.c.gone:
	case <-time.After(patience):
		cl.t.Fatal("the end of the session was not written")
	}
}

// connect is a CONNECT that must succeed.
func (b *broker) connect(v mqtt.Version, id string, change ...func(*mqtt.Connect)) (*client, *mqtt.Connack) {
	b.t.Helper()
	cl, ack := b.tryConnect(v, id, change...)
	if ack.Code != mqtt.Success {
		b.t.Fatalf("CONNECT of %s: %v %s", id, ack.Code, ack.Reason)
	}
	return cl, ack
}

func (b *broker) tryConnect(v mqtt.Version, id string, change ...func(*mqtt.Connect)) (*client, *mqtt.Connack) {
	b.t.Helper()
	cl := b.dial(v)
	p := &mqtt.Connect{Version: v, CleanStart: true, ClientID: []byte(id), ReceiveMaximum: 65535, RequestProblem: true}
	for _, f := range change {
		f(p)
	}
	cl.packet(p)
	ack := &mqtt.Connack{}
	cl.next(mqtt.CONNACK, ack)
	return cl, ack
}

// keep makes a session outlive its connection, and resume.
func keep(p *mqtt.Connect) {
	p.CleanStart = false
	if p.Version == mqtt.V5 {
		p.SessionExpiry = 3600
	}
}

func (cl *client) subscribe(filter string, qos byte, change ...func(*mqtt.SubscribeFilter)) mqtt.ReasonCode {
	cl.t.Helper()
	f := mqtt.SubscribeFilter{Filter: []byte(filter), QoS: qos}
	for _, c := range change {
		c(&f)
	}
	cl.packet(&mqtt.Subscribe{PacketID: 77, Filters: []mqtt.SubscribeFilter{f}})
	var ack mqtt.Suback
	ack.Type = mqtt.SUBACK
	cl.next(mqtt.SUBACK, &ack)
	if ack.PacketID != 77 || len(ack.Codes) != 1 {
		cl.t.Fatalf("SUBACK %+v", ack)
	}
	return ack.Codes[0]
}

func (cl *client) publish(topic, payload string, qos byte, id uint16, change ...func(*mqtt.Publish)) {
	cl.t.Helper()
	p := &mqtt.Publish{QoS: qos, Topic: []byte(topic), Payload: []byte(payload), PacketID: id}
	for _, c := range change {
		c(p)
	}
	cl.packet(p)
}

// wantPublish waits for a PUBLISH and checks what every test wants to know of it.
func (cl *client) wantPublish(topic, payload string, qos byte) *mqtt.Publish {
	cl.t.Helper()
	p := &mqtt.Publish{}
	cl.next(mqtt.PUBLISH, p)
	if string(p.Topic) != topic || string(p.Payload) != payload || p.QoS != qos {
		cl.t.Fatalf("PUBLISH %q %q QoS %d, want %q %q QoS %d", p.Topic, p.Payload, p.QoS, topic, payload, qos)
	}
	return p
}

func (cl *client) ack(t mqtt.Type, id uint16) { cl.packet(&mqtt.Ack{Type: t, PacketID: id}) }

func (cl *client) wantAck(t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	cl.t.Helper()
	a := &mqtt.Ack{Type: t}
	cl.next(t, a)
	if a.PacketID != id || a.Code != code {
		cl.t.Fatalf("%v %d %v, want %d %v", t, a.PacketID, a.Code, id, code)
	}
}

func (cl *client) wantDisconnect(code mqtt.ReasonCode) {
	cl.t.Helper()
	d := &mqtt.Disconnect{}
	cl.next(mqtt.DISCONNECT, d)
	if d.Code != code {
		cl.t.Fatalf("DISCONNECT %v (%s), want %v", d.Code, d.Reason, code)
	}
	cl.wantClosed()
}

// eventually polls until is holds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

var _ store.Store = (*local.Store)(nil)
