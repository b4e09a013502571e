package load

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/stats"
	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

// dialsAtOnce is how many connections are begun before the others are looked at again.
const dialsAtOnce = 32

// Connects is clients that connect, each once, and stay.
type Connects struct {
	Addr    netip.AddrPort
	Clients []string // their ids
	Clean   bool     // CONNECT's clean session
	Present bool     // the broker has a session of each; else it has of none
	Under   int      // connections without CONNACK, at most

	Warmup, Measure time.Duration // no connection begins after both; Measure 0: all of Clients connect
	Patience        time.Duration // how long nothing may come

	// Edge is called when measuring begins and when it ends.
	Edge func(begin bool)
}

// Connected is who has connected. Times and Done are of the measured part, faults of the whole: Unanswered are clients without CONNACK, or that were
// refused; Damaged those that were told the wrong thing of their session; Lost those whose connection ended after CONNACK.
type Connected struct {
	Elapsed time.Duration // until the last CONNACK
	Done    uint64
	Faults
	Time stats.Histogram // from the first packet of TCP to CONNACK

	conns []*Conn
}

// connecting is one that runs.
type connecting struct {
	*loop
	spec     Connects
	started  int64
	begin    int64 // of measuring; 0: not yet
	at       int64 // the time when the last poll returned
	progress int64 // when the last CONNACK came
	next     int   // of the clients
	under    int
	stopped  bool // no more connect
	result   *Connected
}

// Connect connects clients. The caller ends Connected, with Disconnect or Close, unless there is an error.
func Connect(s Connects) (*Connected, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	c := &connecting{loop: l, spec: s, result: &Connected{}}
	c.packet, c.failed, c.woke = c.answer, c.ended, func() { c.at = c.now() }
	defer c.close()
	if err := c.run(); err != nil {
		return nil, err
	}
	c.result.conns, c.conns = c.conns, nil
	return c.result, nil
}

func (c *connecting) run() error {
	c.at = c.now()
	c.started, c.progress = c.at, c.at
	for !c.done() {
		if time.Duration(c.at) > longest {
			return fmt.Errorf("not done after %s: %d clients of %d have begun, %d wait for CONNACK", longest, c.next, len(c.spec.Clients), c.under)
		}
		c.phase()
		if err := c.dialSome(); err != nil {
			return err
		}
		wait := idlePoll
		if c.more() {
			wait = 0
		}
		if err := c.poll(wait); err != nil {
			return err
		}
	}
	c.finish()
	return nil
}

// phase begins measuring, and ends connecting.
func (c *connecting) phase() {
	switch {
	case c.begin == 0:
		if time.Duration(c.at-c.started) >= c.spec.Warmup {
			c.edge(true)
			c.begin = c.now()
		}
	case c.spec.Measure > 0 && time.Duration(c.at-c.begin) >= c.spec.Measure:
		c.stopped = true
	}
	c.stopped = c.stopped || c.next == len(c.spec.Clients)
}

func (c *connecting) edge(begin bool) {
	if c.spec.Edge != nil {
		c.spec.Edge(begin)
	}
}

// more reports whether a client may connect now.
func (c *connecting) more() bool {
	return !c.stopped && c.next < len(c.spec.Clients) && c.under < c.spec.Under
}

// done reports whether all that connect are connected, or nothing comes any more.
func (c *connecting) done() bool {
	return c.stopped && c.under == 0 || time.Duration(c.at-c.progress) > c.spec.Patience
}

func (c *connecting) finish() {
	if c.begin == 0 {
		c.edge(true)
		c.begin = c.progress
	}
	c.edge(false)
	c.result.Elapsed = time.Duration(c.progress - c.begin)
	c.result.Unanswered += uint64(c.under)
}

func (c *connecting) dialSome() error {
	for n := 0; n < dialsAtOnce && c.more(); n++ {
		if err := c.dial(c.spec.Clients[c.next]); err != nil {
			return fmt.Errorf("connect %s to %s: %w", c.spec.Clients[c.next], c.spec.Addr, err)
		}
		c.next++
		c.under++
	}
	return nil
}

// dial begins a connection, whose CONNECT the loop writes as soon as there is one.
func (c *connecting) dial(clientID string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	conn := &Conn{fd: fd, dialed: c.now(), out: wire.AppendConnect(nil, clientID, c.spec.Clean), blocked: true}
	c.conns = append(c.conns, conn)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(c.spec.Addr.Port()), Addr: c.spec.Addr.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		return err
	}
	return c.watch(unix.EPOLL_CTL_ADD, fd, len(c.conns)-1, true)
}

// answer takes one packet.
func (c *connecting) answer(conn *Conn, p *wire.Packet) error {
	if conn.dialed == 0 || p.Kind != wire.CONNACK {
		c.result.Damaged++
		return nil
	}
	switch {
	case p.Code != 0:
		c.result.Unanswered++
	case p.Session != c.spec.Present:
		c.result.Damaged++
	}
	if p.Code == 0 && c.begin > 0 && conn.dialed >= c.begin {
		c.result.Done++
		c.result.Time.Add(time.Duration(c.at - conn.dialed))
	}
	conn.refused = p.Code != 0
	c.over(conn)
	return nil
}

// over is told that a client waits no longer.
func (c *connecting) over(conn *Conn) {
	conn.dialed = 0
	c.under--
	c.progress = c.at
}

// ended takes the end of one connection; the others go on.
func (c *connecting) ended(conn *Conn, _ error) error {
	switch {
	case conn.dialed > 0:
		c.result.Unanswered++
		c.over(conn)
	case !conn.refused:
		c.result.Lost++
	}
	conn.Close()
	return nil
}

// Disconnect ends all connections with DISCONNECT. Those that the broker has ended are closed.
func (r *Connected) Disconnect() {
	for _, c := range r.conns {
		c.Disconnect()
	}
}

// Close closes all connections without a word.
func (r *Connected) Close() {
	for _, c := range r.conns {
		c.Close()
	}
}
