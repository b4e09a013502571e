// Package metrics shows how the broker is: to Prometheus, and to whatever starts it and sends it clients.
//
//	GET /metrics    Prometheus text format; docs/metrics.md lists what there is
//	GET /healthz    200 while the process is worth keeping, else 503 and why: restart it
//	GET /readyz     200 while clients are accepted and messages taken, else 503 and why: send it none now
//	GET /-/healthy  as /healthz, under the Java proxy's name
//
// It knows nothing of the broker: it is given functions that it calls when it is asked. Whoever reaches the port may read all of
// it, so it holds no names of clients, users or topics. What it costs is bounded: connections, time, and one collection at a time.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	mostConns   = 64
	mostScrapes = 8 // at a time; they share one collection
	headerBytes = 8 << 10
	headerTime  = 5 * time.Second
	readTime    = 10 * time.Second
	writeTime   = 30 * time.Second
	idleTime    = 2 * time.Minute
	stopTime    = time.Second // for answers under way
)

// Options of a Server; all but Address are demanded. The functions may be called on any goroutine, several times at once.
type Options struct {
	Snapshot func() *Snapshot // nil while there is nothing to say
	Alive    func() error     // nil, or why the process should be replaced
	Ready    func() error     // nil, or why it should get no clients now
	Address  string           // label of this node; empty: none
	Log      slog.Handler     // for what the HTTP server says of single connections
}

// Server answers HTTP requests.
type Server struct {
	http   *http.Server
	served sync.WaitGroup
}

// New makes a server that does not listen yet.
func New(o Options) *Server {
	errs := slog.NewLogLogger(o.Log, slog.LevelDebug)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(newRegistry(o.Snapshot, o.Address), promhttp.HandlerOpts{
		ErrorLog: errs, MaxRequestsInFlight: mostScrapes, CoalesceGather: true,
	}))
	mux.Handle("GET /healthz", state(o.Alive, "ok"))
	mux.Handle("GET /-/healthy", state(o.Alive, "Exporter is Healthy."))
	mux.Handle("GET /readyz", state(o.Ready, "ok"))
	return &Server{http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          errs,
	}}
}

// Listen binds addr, host:port, answers on it from now on, and returns it with the port that was chosen.
func (s *Server) Listen(ctx context.Context, addr string) (net.Addr, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for metrics on %s: %w: another process has this port (9090 is Prometheus's own); set exporterPort to a free one, or to off", addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w; see exporterAddress and exporterPort", addr, err)
	}
	s.served.Go(func() {
		_ = s.http.Serve(newLimited(l, mostConns)) // ends with Shutdown, and says so
	})
	return l.Addr(), nil
}

// Shutdown stops listening and waits for the answers under way, at most for a second and until ctx ends; then it cuts them off. A stop is not to
// wait, nor to fail, because of somebody who asks how it goes.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.served.Wait()
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if s.http.Shutdown(ctx) == nil {
		return nil
	}
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("stop the metrics: %w", err)
	}
	return nil
}

// state answers with 200 and fine, or with 503 and the reason.
func state(check func() error, fine string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code, text := http.StatusOK, fine
		if err := check(); err != nil {
			code, text = http.StatusServiceUnavailable, err.Error()
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_, _ = fmt.Fprintln(w, text) // the client's matter
	})
}
