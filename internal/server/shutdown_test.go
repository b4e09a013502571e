package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// stopNow shuts h down within patience, and checks that it succeeds.
func stopNow(t *testing.T, h *harness) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

// The steps of Shutdown: nothing is accepted when the clients are told, what they are told arrives, and they are closed.
func TestShutdown(t *testing.T) {
	var h *harness
	told := false
	o := Options{Stopping: func(context.Context) {
		for _, addr := range h.addr {
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.SetReadDeadline(time.Now().Add(patience))
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("a connection was accepted")
				}
				_ = c.Close()
			}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, r := range h.made {
			r.conn.Send([]byte("bye"))
		}
		told = true
	}}
	h = start(t, o, nil, Listener{Kind: TCP}, Listener{Kind: WS})
	c, r := h.connect()
	ws := h.mustDialWS()
	other := h.next()
	silent := h.dial() // has sent nothing
	h.next()
	half, err := net.Dial("tcp", h.addr[WS])
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	send(t, half, []byte("GET /mqtt"))
	done := make(chan struct{})
	go func() { defer close(done); stopNow(t, h) }()
	if got := expectEnd(t, c); string(got) != "bye" {
		t.Errorf("read %q", got)
	}
	_ = c.Close()
	if _, got := endWS(t, ws); string(got) != "bye" {
		t.Errorf("read %q", got)
	}
	if got := expectEnd(t, silent); string(got) != "bye" {
		t.Errorf("read %q", got)
	}
	_ = silent.Close()
	expectEnd(t, half)
	<-done
	if !told {
		t.Error("Stopping was not called")
	}
	for _, r := range []*recorder{r, other} {
		if reason := r.waitClosed(); reason != stoppingReason {
			t.Errorf("reason is %q", reason)
		}
	}
	stopNow(t, h) // a second time, harmless
}

// Clients that read nothing do not put off the end.
func TestShutdownIsBounded(t *testing.T) {
	h := start(t, Options{FlushTimeout: 100 * time.Millisecond, CloseTimeout: patience, WriteTimeout: patience}, nil)
	_, r := h.connect()
	stuff(t, h, r)
	stopNow(t, h)
	r.waitClosed()
}

// A handler that hangs is told of; when it goes on, the second call succeeds.
func TestShutdownWithHungHandler(t *testing.T) {
	release := make(chan struct{})
	h := start(t, Options{FlushTimeout: 50 * time.Millisecond}, func(r *recorder) {
		r.packet = func(*recorder, mqtt.Header, []byte) bool { <-release; return true }
	})
	c := h.dial()
	send(t, c, connect)
	r := h.next()
	eventually(t, "the packet is handled", func() bool { return len(r.got()) == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	close(release)
	stopNow(t, h)
	r.waitClosed()
}

// Before Start, and twice: errors, not hanging.
func TestLifecycle(t *testing.T) {
	h := &harness{t: t, accepted: make(chan *recorder, 1), addr: map[Kind]string{}}
	s, err := New(Options{Handler: h, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Listen(context.Background(), Listener{Kind: TCP, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(context.Background(), Listener{Kind: TCP, Addr: addr.String()}); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("listening twice on an address: %v", err)
	}
	h.Server = s
	stopNow(t, h)
	if err := s.Start(); err == nil {
		t.Error("started after it was shut down")
	}
	if _, err := s.Listen(context.Background(), Listener{Kind: TCP, Addr: "127.0.0.1:0"}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listening after shutdown: %v", err)
	}
}

func TestValidate(t *testing.T) {
	h := &harness{}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "Handler"},
		{Options{Handler: h, MaxConn: -1}, "MaxConn is -1"},
		{Options{Handler: h, WriteTimeout: -time.Second}, "WriteTimeout"},
		{Options{Handler: h, LowWater: 10, HighWater: 10}, "LowWater is 10"},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
	}
	for _, c := range []struct {
		l    Listener
		want string
	}{
		{Listener{Kind: "quic"}, `"quic"`},
		{Listener{Kind: TLS}, "no TLS configuration"},
		{Listener{Kind: WSS}, "no TLS configuration"},
	} {
		if err := c.l.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want one with %q", err, c.want)
		}
	}
}
