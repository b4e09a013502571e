// Package remotingtest is a peer of RocketMQ's remoting protocol for tests: a server on real TCP whose handler has every request and
// may do with it what it likes, and [Broker], a handler that is a small name server and broker in memory.
//
// Its codec is its own and as plain as can be, so that it does not share its mistakes with the client that it tests.
package remotingtest

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

// Handler gets the requests of a connection in their order, on the goroutine that reads it. It may answer at once, later, twice, on any
// goroutine, or never; it may write what it likes and close the connection.
type Handler func(*Request)

// Server listens on 127.0.0.1.
type Server struct {
	tb      testing.TB
	addr    string
	conf    *tls.Config
	handler Handler

	wg sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil: stopped
	conns    map[*Conn]struct{}
	accepted int
}

// Start starts a server that ends with the test.
func Start(tb testing.TB, h Handler) *Server { return StartTLS(tb, h, nil) }

// StartTLS is Start with TLS, if conf is not nil.
func StartTLS(tb testing.TB, h Handler, conf *tls.Config) *Server {
	tb.Helper()
	s := &Server{tb: tb, addr: "127.0.0.1:0", conf: conf, handler: h, conns: make(map[*Conn]struct{})}
	s.Restart()
	s.addr = s.listener.Addr().String()
	tb.Cleanup(s.Stop)
	return s
}

// Addr is where it listens, also after Stop and Restart.
func (s *Server) Addr() string { return s.addr }

// Accepted counts the connections that were made.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Restart listens again on the same address.
func (s *Server) Restart() {
	s.tb.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.wg.Go(func() { s.accept(l) })
}

// Stop closes the listener and all connections, and waits for their goroutines.
func (s *Server) Stop() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	s.mu.Unlock()
	s.CloseConns()
	s.wg.Wait()
}

// CloseConns closes all connections; the server goes on.
func (s *Server) CloseConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.listener != l {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		if s.conf != nil {
			nc = tls.Server(nc, s.conf)
		}
		c := &Conn{nc: nc}
		s.conns[c] = struct{}{}
		s.accepted++
		s.mu.Unlock()
		s.wg.Go(func() { s.serve(c) })
	}
}

func (s *Server) serve(c *Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	for {
		r, err := readRequest(c.nc)
		if err != nil {
			return
		}
		r.Conn = c
		s.handler(r)
	}
}

// Conn is a connection of a client's.
type Conn struct {
	nc net.Conn
	mu sync.Mutex // one Write at a time
}

// Write writes bytes as they are. A client that has gone is no error: its test knows.
func (c *Conn) Write(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.nc.Write(b)
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.nc.Close() }
