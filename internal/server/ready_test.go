package server

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
)

func wantReady(t *testing.T, s *Server, reason string) {
	t.Helper()
	err := s.Ready()
	if err == nil && reason == "" || err != nil && reason != "" && strings.Contains(err.Error(), reason) {
		return
	}
	t.Errorf("ready: %v, want %q", err, reason)
}

// Ready from Start to Shutdown, but for when there are as many connections as are allowed.
func TestReady(t *testing.T) {
	s, err := New(Options{Handler: &harness{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	wantReady(t, s, "has not started")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantReady(t, s, "stopping")

	h := start(t, Options{MaxConn: 1}, nil, Listener{Kind: TCP}, Listener{Kind: WS})
	wantReady(t, h.Server, "")
	c, _ := h.connect()
	wantReady(t, h.Server, "as many as maxConn allows")
	_ = c.Close()
	eventually(t, "there is room again", func() bool { return h.Ready() == nil })
	stopNow(t, h)
	wantReady(t, h.Server, "stopping")
}

// While a listener cannot accept the server is not ready, and says which and why.
func TestReadyWhenAcceptFails(t *testing.T) {
	h := start(t, Options{}, nil)
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.add(h.listener(&flaky{nl, 6}, Listener{Kind: WS})); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is not ready", func() bool {
		err := h.Ready()
		return err != nil && strings.Contains(err.Error(), "connections to ws listener "+nl.Addr().String()) && strings.Contains(err.Error(), "too many open files")
	})
	nc, err := net.Dial("tcp", nl.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, "it accepts again", func() bool { return h.Ready() == nil })
}
