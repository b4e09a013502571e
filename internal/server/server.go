// Package server listens for MQTT over TCP, TLS, WebSocket and WebSocket over TLS, cuts what comes into packets, and writes what the
// sessions send.
//
// New, Listen for each address, Start; later Shutdown. Each connection drives one Client, which Options.Handler
// makes, and is its session.Conn. What the package promises:
//
//   - A connection on which nothing comes holds no buffer and one goroutine with the smallest stack (TCP and TLS, on
//     Linux). What a packet claims to be long costs nothing; memory grows with the bytes that came.
//   - Send never waits. What is queued for a client is bounded, and so is what is queued for all together; a client that does
//     not read is closed in bounded time, as is one that does not write what it began.
//   - No timer, no deadline and no goroutine is made for a packet; a scanner enforces all timeouts.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Server owns listeners and connections. All methods may be called on any goroutine.
type Server struct {
	opts    Options
	log     *slog.Logger
	seldom  *throttle.Logger // for what clients cause
	limits  limits
	inPool  pool // what is read
	outPool pool // what is queued
	flusher flusher
	parker  *parker // nil: there is none
	stats   counters
	clock   atomic.Uint32 // ticks

	mu        sync.Mutex // guards what follows; taken with no other lock held
	listeners []*listener
	conns     []*conn
	courtesy  int // of conns
	started   bool
	stopping  bool          // no more goroutines of connections are started
	empty     chan struct{} // not nil: closed when conns becomes empty

	goroutines sync.WaitGroup // of listeners and connections
	stopScan   chan struct{}
	stopRest   sync.Once     // stops what serves the connections
	scanned    chan struct{} // closed when the scanner has ended
}

// New makes a server. It does nothing until Start.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Server{opts: o.withDefaults(), stopScan: make(chan struct{}), scanned: make(chan struct{})}
	s.log = s.opts.Log
	s.seldom = throttle.New(s.log, 10*time.Second, time.Now)
	s.flusher.most, s.flusher.worker = s.opts.flushers, s.flusher.work
	s.limits = limits{
		connect: int32(s.ticks(s.opts.ConnectTimeout)),
		packet:  int32(s.ticks(s.opts.PacketTimeout)),
		write:   int32(s.ticks(s.opts.WriteTimeout)),
		close:   int32(s.ticks(s.opts.CloseTimeout)),
		idle:    int32(s.ticks(s.opts.idle)),
	}
	if err := s.fit(openFiles()); err != nil {
		return nil, err
	}
	return s, nil
}

// Start accepts connections on every listener, those made later included.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopping {
		return errors.New("server: already started")
	}
	s.started = true
	if s.parker, _ = newParker(); s.parker == nil {
		s.log.Debug("idle connections keep a goroutine each")
	}
	go s.scan()
	for _, l := range s.listeners {
		s.goroutines.Go(l.serve)
	}
	return nil
}

// add takes l, and starts it if the others are.
func (s *Server) add(l *listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return fmt.Errorf("listen on %s: %w", l.Addr(), net.ErrClosed)
	}
	s.listeners = append(s.listeners, l)
	if s.started {
		s.goroutines.Go(l.serve)
	}
	return nil
}

// admit registers c; false: there is no room even for an answer.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if len(s.conns)-s.courtesy >= s.opts.MaxConn {
		s.stats.refused.Add(1)
		if s.courtesy >= s.opts.Courtesy {
			return false
		}
		s.courtesy++
		c.courtesy = true
	}
	s.stats.accepted.Add(1)
	c.index = len(s.conns)
	s.conns = append(s.conns, c)
	return true
}

// remove forgets c, whose socket is closed.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.index < 0 {
		return
	}
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
	c.index = -1
	if c.courtesy {
		s.courtesy--
	}
	if last == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// begin starts c's goroutine; false: the server stops.
func (s *Server) begin(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.goroutines.Add(1) // end calls Done, on whichever goroutine the connection ends
	go c.open()
	return true
}
