package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

const patience = 20 * time.Second

// server is a Server on a port of its own; alive and ready are what it is told.
type server struct {
	*Server
	t            *testing.T
	addr         string
	alive, ready atomic.Pointer[error]
	client       http.Client
}

func start(t *testing.T, read func() *Snapshot) *server {
	t.Helper()
	s := &server{t: t, client: http.Client{Timeout: patience, Transport: &http.Transport{}}}
	answer := func(p *atomic.Pointer[error]) func() error {
		return func() error {
			if e := p.Load(); e != nil {
				return *e
			}
			return nil
		}
	}
	s.Server = New(Options{Snapshot: read, Alive: answer(&s.alive), Ready: answer(&s.ready), Log: slog.DiscardHandler})
	addr, err := s.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = addr.String()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) get(path string) (int, string) {
	s.t.Helper()
	r, err := s.client.Get("http://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestHealth(t *testing.T) {
	s := start(t, numbered)
	want := func(path string, code int, text string) {
		t.Helper()
		if c, body := s.get(path); c != code || body != text+"\n" {
			t.Errorf("%s: %d %q, want %d %q", path, c, body, code, text)
		}
	}
	want("/healthz", 200, "ok")
	want("/-/healthy", 200, "Exporter is Healthy.")
	want("/readyz", 200, "ok")
	full := errors.New("the disk is full")
	s.ready.Store(&full)
	want("/readyz", 503, "the disk is full")
	want("/healthz", 200, "ok")
	failed := errors.New("the store failed")
	s.alive.Store(&failed)
	want("/healthz", 503, "the store failed")
	want("/-/healthy", 503, "the store failed")
	s.ready.Store(nil)
	want("/readyz", 200, "ok")
	if c, _ := s.get("/elsewhere"); c != 404 {
		t.Errorf("/elsewhere: %d", c)
	}
	r, err := s.client.Post("http://"+s.addr+"/metrics", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", r.Status)
	}
}

// What is sent is what Prometheus reads, and the library's linter finds nothing in it, Go's own metrics included.
func TestScrape(t *testing.T) {
	s := start(t, numbered)
	code, body := s.get("/metrics")
	if code != 200 || !strings.Contains(body, "rocketmqtt_connections_open 1\n") || !strings.Contains(body, "\ngo_goroutines ") {
		t.Fatalf("%d\n%s", code, body)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(body))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A port that is taken is said with what to change.
func TestPortIsTaken(t *testing.T) {
	s := start(t, numbered)
	other := New(Options{Snapshot: numbered, Alive: func() error { return nil }, Ready: func() error { return nil }, Log: slog.DiscardHandler})
	_, err := other.Listen(t.Context(), s.addr)
	if err == nil || !strings.Contains(err.Error(), "another process has this port") || !strings.Contains(err.Error(), "set exporterPort to a free one") {
		t.Errorf("%v", err)
	}
	if _, err := other.Listen(t.Context(), "192.0.2.1:0"); err == nil || !strings.Contains(err.Error(), "see exporterAddress") {
		t.Errorf("%v", err)
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Headers without end are not read, and more connections than there is room for wait until one has ended.
func TestBounds(t *testing.T) {
	s := start(t, numbered)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X", strings.Repeat("x", 4*headerBytes))
	answer, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large header: %s", answer.Status)
	}
	s.client.CloseIdleConnections()

	var open []net.Conn
	for range mostConns {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		open = append(open, c)
	}
	done := make(chan int)
	go func() {
		r, err := s.client.Get("http://" + s.addr + "/healthz")
		if err != nil {
			close(done)
			return
		}
		_ = r.Body.Close()
		done <- r.StatusCode
	}()
	select {
	case code := <-done:
		t.Fatalf("answered with %d", code)
	case <-time.After(100 * time.Millisecond): // not for long: nobody answers
	}
	_ = open[0].Close()
	select {
	case code := <-done:
		if code != 200 {
			t.Errorf("answered with %d", code)
		}
	case <-time.After(patience):
		t.Error("not answered")
	}
}

// Shutdown waits for an answer under way, but not longer than it is told.
func TestShutdown(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	s := start(t, func() *Snapshot {
		close(asked)
		<-release
		return numbered()
	})
	got := make(chan error, 1)
	go func() {
		r, err := s.client.Get("http://" + s.addr + "/metrics")
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
		got <- err
	}()
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	select {
	case err := <-stopped:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := errors.Join(<-stopped, <-got); err != nil {
		t.Error(err)
	}
}

// A connection that says nothing holds up nobody's stop.
func TestShutdownWithSilentConnection(t *testing.T) {
	s := start(t, numbered)
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if code, _ := s.get("/healthz"); code != 200 { // so the one before was accepted
		t.Fatal(code)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open: %d %v", n, err)
	}
}
