package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// Kind says what is spoken on a listener.
type Kind string

// The kinds of listeners.
const (
	TCP Kind = "tcp"
	TLS Kind = "tls"
	WS  Kind = "ws"
	WSS Kind = "wss"
)

// Listener describes one address to listen on.
type Listener struct {
	Kind Kind
	Addr string      // host:port; port 0: any
	TLS  *tls.Config // for TLS and WSS, not looked at for others; see TLSFiles. Not changed, and must not be afterwards.

	// For WS and WSS.
	Path string // where the WebSocket is ["/mqtt"]
	// Origins are the hosts whose web pages may connect, as patterns of path.Match: "*.example.com", or "https://example.com" with the
	// scheme; "*" allows all. Pages of the host that is connected to always may, and so may what is no browser and says no origin. Otherwise any page
	// that a user visits could use a broker that only his machine can reach.
	Origins []string
}

// Validate reports the first setting that makes no sense.
func (l *Listener) Validate() error {
	switch l.Kind {
	case TCP, WS:
	case TLS, WSS:
		if l.TLS == nil {
			return fmt.Errorf("listener %s %s: no TLS configuration", l.Kind, l.Addr)
		}
	default:
		return fmt.Errorf("listener %s: kind %q is not one of tcp, tls, ws, wss", l.Addr, l.Kind)
	}
	return nil
}

// listener accepts connections for one Listener. For HTTP it is the net.Listener.
type listener struct {
	net.Listener
	s      *Server
	kind   Kind
	tls    *tls.Config
	web    *http.Server                  // WS and WSS
	stop   chan struct{}                 // closed by close
	failed atomic.Pointer[acceptFailure] // nil: accepting did not fail since it last succeeded
}

// keepAlive finds peers that vanished, also those that asked for no MQTT keep-alive: after about four minutes. More often would cost
// devices on metered links.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4}

// Listen binds an address and returns it, with the port that was chosen. Connections are accepted after Start.
func (s *Server) Listen(ctx context.Context, o Listener) (net.Addr, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive} // TCP_NODELAY is the net package's default
	nl, err := config.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", o.Kind, o.Addr, err)
	}
	if err := s.add(s.listener(nl, o)); err != nil {
		_ = nl.Close()
		return nil, err
	}
	s.log.Info("listening", "listener", o.Kind, "address", nl.Addr().String())
	return nl.Addr(), nil
}

func (s *Server) listener(nl net.Listener, o Listener) *listener {
	l := &listener{Listener: nl, s: s, kind: o.Kind, stop: make(chan struct{})}
	if o.Kind == TLS || o.Kind == WSS {
		l.tls = o.TLS
	}
	if o.Kind == WS || o.Kind == WSS {
		l.web = l.httpServer(o)
	}
	return l
}

// serve accepts until the listener is closed.
func (l *listener) serve() {
	if l.web != nil {
		_ = l.web.Serve(l) // ends when the listener is closed, with an error that says so
		return
	}
	for {
		c, err := l.next()
		if err != nil {
			return
		}
		if !l.s.begin(c) {
			_ = c.sock.Close()
		}
	}
}

// Accept implements net.Listener for http.Server.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.next()
	if err != nil {
		return nil, err
	}
	if l.tls != nil {
		return tls.Server(&c.sock, l.tls), nil // HTTP does the handshake, on a goroutine of its own
	}
	return &c.sock, nil
}

// When accepting failed it is tried again after firstWait; each time it fails again, after twice as long.
const firstWait, longestWait = 5 * time.Millisecond, time.Second

// next returns the next connection that there is room for; an error when the listener is closed. Any other error passes: with no
// descriptors left, accepting succeeds again when a connection has ended.
func (l *listener) next() (*conn, error) {
	wait := firstWait
	for {
		nc, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			l.s.stats.acceptErrs.Add(1)
			l.failed.Store(&acceptFailure{time.Now(), err})
			l.s.seldom.Warn("connections cannot be accepted; trying again", "listener", l.kind, "address", l.Addr().String(), "err", acceptError(err))
			select {
			case <-l.stop:
				return nil, net.ErrClosed
			case <-time.After(wait):
			}
			wait = min(2*wait, longestWait)
			continue
		}
		wait = firstWait
		if l.failed.Load() != nil {
			l.failed.Store(nil)
		}
		if c := l.newConn(nc); l.s.admit(c) {
			return c, nil
		}
		l.s.seldom.Warn("too many connections; closing new ones", "listener", l.kind, "maxConn", l.s.opts.MaxConn)
		_ = nc.Close()
	}
}

// acceptError says what to change where that is known.
func acceptError(err error) error {
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("%w: raise the limit of open files (ulimit -n, LimitNOFILE of systemd), or lower maxConn", err)
	}
	return err
}

// newConn makes the connection of an accepted socket; the time for its CONNECT begins.
func (l *listener) newConn(nc net.Conn) *conn {
	c := &conn{l: l, s: l.s}
	c.sock.Conn, c.sock.c, c.sock.fd = nc, c, -1
	c.stream = &c.sock
	c.connectBy.Store(l.s.now() + uint32(l.s.limits.connect))
	return c
}

// handshake does what follows accept; on the connection's goroutine.
func (l *listener) handshake(c *conn) (*tls.ConnectionState, error) {
	if l.web != nil { // HTTP has done it
		return c.stream.(*wsStream).tls, nil
	}
	var state *tls.ConnectionState
	if l.tls != nil {
		t := tls.Server(&c.sock, l.tls)
		if err := t.Handshake(); err != nil { // the scanner bounds it
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		cs := t.ConnectionState()
		c.stream, state = t, &cs
	}
	if !l.s.opts.blocking {
		c.sock.raw = rawConn(c.sock.Conn)
		c.onReadable = c.readable
	}
	return state, nil
}

// close stops accepting.
func (l *listener) close() {
	close(l.stop)
	_ = l.Close()
	if l.web != nil {
		_ = l.web.Close() // connections that are no WebSockets yet
	}
}
