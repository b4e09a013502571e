// Package cutter stands between one node and a RocketMQ, on TCP, so that the node's connections can be cut, held up and slowed down while those of other nodes
// go on. Brokers advertise one address to all; so it also stands between the node and the name server, and puts its own addresses into the routes.
package cutter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Cutter passes everything on until it is told otherwise. Its methods are for any goroutine.
type Cutter struct {
	Namesrv string // address of the name server for the node, host:port

	listeners []net.Listener
	running   sync.WaitGroup
	rename    []string // brokers' addresses, and ours for each, by turns; as long, so that no length in a frame changes

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closed  bool
	cut     bool
	stalled chan struct{} // not nil: what comes is held until it is closed
	muted   bool          // only what servers send is held
	delay   time.Duration
}

const (
	chunk   = 64 << 10 // bytes passed on at once
	timeout = 5 * time.Second
)

// New begins to stand before a name server and its brokers; it ends with the test.
func New(t testing.TB, namesrv string, brokers ...string) *Cutter {
	t.Helper()
	c := &Cutter{conns: map[net.Conn]struct{}{}}
	t.Cleanup(c.close)
	for _, b := range brokers {
		own, err := c.listenLike(b)
		if err != nil {
			t.Fatal(err)
		}
		c.rename = append(c.rename, b, own)
	}
	addr, err := c.listen("127.0.0.1:0", namesrv, c.routes)
	if err != nil {
		t.Fatal(err)
	}
	c.Namesrv = addr
	return c
}

// listenLike listens for broker on an address as long as its own.
func (c *Cutter) listenLike(broker string) (string, error) {
	const first, last = 9000, 10_000 // above those of rocketmqtest and below those of tests/internal/broker
	for port := first; port < last; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if len(addr) != len(broker) {
			break
		}
		if own, err := c.listen(addr, broker, c.answers); err == nil {
			return own, nil
		}
	}
	return "", fmt.Errorf("no free address that is as long as %s", broker)
}

func (c *Cutter) listen(addr, to string, fromServer func(dst, src net.Conn)) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	c.listeners = append(c.listeners, l)
	c.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.running.Go(func() { c.connect(client, to, fromServer) })
		}
	})
	return l.Addr().String(), nil
}

// connect serves one connection of the node.
func (c *Cutter) connect(client net.Conn, to string, fromServer func(dst, src net.Conn)) {
	defer func() { _ = client.Close() }()
	if !c.enter(client) {
		return
	}
	defer c.leave(client)
	server, err := net.DialTimeout("tcp", to, timeout)
	if err != nil {
		return // the node sees its connection end
	}
	defer func() { _ = server.Close() }()
	if !c.enter(server) {
		return
	}
	defer c.leave(server)
	c.running.Go(func() {
		c.requests(server, client)
		_ = server.Close()
	})
	fromServer(client, server)
}

// enter notes a connection; false: it is cut.
func (c *Cutter) enter(nc net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.cut {
		return false
	}
	c.conns[nc] = struct{}{}
	return true
}

func (c *Cutter) leave(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, nc)
}

// requests passes on what the node sends, until either side ends.
func (c *Cutter) requests(dst, src net.Conn) { c.pass(dst, src, false) }

// answers passes on what a broker sends.
func (c *Cutter) answers(dst, src net.Conn) { c.pass(dst, src, true) }

func (c *Cutter) pass(dst, src net.Conn, answers bool) {
	buf := make([]byte, chunk)
	for {
		n, err := src.Read(buf)
		if n > 0 && !c.forward(dst, buf[:n], answers) || err != nil {
			return
		}
	}
}

// routes passes on the frames of a name server, with our addresses for those of the brokers. A frame begins with its length (4 bytes, class RemotingCommand).
func (c *Cutter) routes(dst, src net.Conn) {
	in := bufio.NewReader(src)
	for {
		head, err := in.Peek(4)
		if err != nil {
			return
		}
		frame := make([]byte, 4+binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		for i := 0; i < len(c.rename); i += 2 {
			frame = bytes.ReplaceAll(frame, []byte(c.rename[i]), []byte(c.rename[i+1]))
		}
		if !c.forward(dst, frame, true) {
			return
		}
	}
}

// forward writes b as soon as it may; false: the connection has ended.
func (c *Cutter) forward(dst net.Conn, b []byte, answer bool) bool {
	c.mu.Lock()
	stalled, delay := c.stalled, c.delay
	if c.muted && !answer {
		stalled = nil
	}
	c.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		<-timer.C
	}
	if stalled != nil {
		<-stalled
	}
	_, err := dst.Write(b)
	return err == nil
}

// Cut ends all connections, and those that the node begins, until Mend.
func (c *Cutter) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	c.endLocked()
}

// Stall holds back what comes, in both directions; connections stay.
func (c *Cutter) Stall() { c.hold(false) }

// Mute holds back what servers answer: requests reach them. Cut, before Mend, has the answers lost.
func (c *Cutter) Mute() { c.hold(true) }

func (c *Cutter) hold(answersOnly bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.muted = answersOnly; c.stalled == nil {
		c.stalled = make(chan struct{})
	}
}

// Delay passes everything on later by d, at most chunk bytes in that time.
func (c *Cutter) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// Mend ends Cut, Stall, Mute and Delay. What was held back is passed on.
func (c *Cutter) Mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.delay = false, 0
	if c.stalled != nil {
		close(c.stalled)
		c.stalled = nil
	}
}

// endLocked ends all connections. mu is held.
func (c *Cutter) endLocked() {
	for nc := range c.conns {
		_ = nc.Close()
	}
}

// close ends everything and waits for all goroutines.
func (c *Cutter) close() {
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.Mend()
	c.mu.Lock()
	c.closed = true
	c.endLocked()
	c.mu.Unlock()
	c.running.Wait()
}
