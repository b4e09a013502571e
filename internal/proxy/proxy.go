// Package proxy puts the parts together: store, router, sessions, listeners. It holds no rule of its own but the order of
// starting and stopping.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/config"
	"github.com/rocketmqtt/rocketmqtt/internal/metrics"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/server"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
)

// Proxy is a running broker.
type Proxy struct {
	cfg      *config.Config
	log      *slog.Logger
	store    *local.Store
	router   *router.Router
	sessions *session.Manager
	server   *server.Server
	exporter *metrics.Server // nil: nobody wants it
	addrs    map[server.Kind]net.Addr
	metrics  net.Addr    // of the exporter
	complete atomic.Bool // all of the above is there, and stays
}

// Run serves until ctx ends, then stops gracefully. It returns an error when the broker could not start, or could not
// go on because the store failed.
func Run(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	p, err := Start(ctx, cfg, log)
	if err != nil {
		return err
	}
	var failed error
	select {
	case <-ctx.Done():
	case <-p.store.Failed():
		failed = fmt.Errorf("the store failed, and nothing more is accepted: %w", p.store.Err())
	}
	return errors.Join(failed, p.Stop())
}

// Start opens the store, binds every listener and serves. Metrics and health come first: whatever starts the process may ask while a long log is
// read. When it returns without an error clients can connect.
func Start(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Proxy, error) {
	p := &Proxy{cfg: cfg, log: log, addrs: map[server.Kind]net.Addr{}}
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	log.Info("ready", p.ready()...)
	return p, nil
}

func (p *Proxy) start(ctx context.Context) error {
	if err := p.export(ctx); err != nil {
		return err
	}
	st, err := openStore(p.cfg, p.log)
	if err != nil {
		return err
	}
	p.store, p.router = st, router.New()
	if p.sessions, err = session.New(p.sessionOptions()); err != nil {
		return fmt.Errorf("load the sessions: %w", err)
	}
	if p.server, err = server.New(p.serverOptions()); err != nil {
		return err
	}
	if err := p.listen(ctx); err != nil {
		return err
	}
	if err := p.server.Start(); err != nil {
		return err
	}
	p.complete.Store(true)
	return nil
}

// Stop ends what runs, in this order:
//
//  1. Nothing new is accepted; clients are told (0x8B) and what is queued for them is written.
//  2. The ends of their sessions are written.
//  3. The store is closed.
//  4. Metrics and health: until now they say that the broker stops.
func (p *Proxy) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.StopTimeout)
	defer cancel()
	var errs []error
	if p.server != nil {
		errs = append(errs, p.server.Shutdown(ctx))
	}
	if p.sessions != nil {
		errs = append(errs, p.sessions.Close(ctx))
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.exporter != nil {
		errs = append(errs, p.exporter.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// Addr is where clients connect for one kind of listener; nil when there is none.
func (p *Proxy) Addr(k server.Kind) net.Addr { return p.addrs[k] }

func openStore(cfg *config.Config, log *slog.Logger) (*local.Store, error) {
	return local.Open(local.Options{
		Dir:            cfg.DataDir,
		SegmentSize:    cfg.SegmentSize,
		RetentionTime:  orNever(cfg.RetentionTime),
		RetentionBytes: cfg.RetentionBytes,
		DiskReserve:    cfg.DiskReserve,

		MaxRetained:      int64(cfg.MaxRetained),
		MaxRetainedBytes: cfg.MaxRetainedBytes,
		RetainFor:        max(orNever(cfg.RetainFor), 0),
		LeaveRetained:    !cfg.MetaModule,
		NoSync:           !cfg.SyncFlush,
		Logger:           log,
	})
}

func (p *Proxy) sessionOptions() session.Options {
	c := p.cfg
	return session.Options{
		Store:  p.store,
		Router: p.router,
		Auth:   authenticator(c),
		Log:    p.log,
		// The only place that asks whether the meta module is on.
		Capabilities: session.Capabilities{Retain: c.MetaModule, Will: c.MetaModule},
		Limits: session.Limits{
			MaxPacket:      c.MaxPacket,
			ReceiveMaximum: c.ReceiveMaximum,
			SendWindow:     c.SendWindow,
			TopicAliases:   c.TopicAliases,
			Subscriptions:  c.MaxSubscriptions,
			Sessions:       int64(c.MaxSessions),
			SessionExpiry:  orNever(c.MaxSessionExpiry),
			KeepAlive:      c.MaxKeepAlive,
		},
	}
}

// orNever turns "no limit" into what the packages below take for it.
func orNever(d time.Duration) time.Duration {
	if d == config.Never {
		return -1
	}
	return d
}

func authenticator(c *config.Config) auth.Authenticator {
	var anonymous auth.Authenticator
	if c.AllowAnonymous {
		anonymous = &auth.Anonymous{LoopbackOnly: c.LoopbackOnly}
	}
	if !c.Authenticated() && anonymous != nil {
		return anonymous
	}
	return &auth.Signature{Username: c.Username, SecretKey: c.SecretKey, Anonymous: anonymous}
}

func (p *Proxy) serverOptions() server.Options {
	c := p.cfg
	return server.Options{
		Handler:        handler{p.sessions},
		Log:            p.log,
		MaxConn:        c.MaxConnections,
		ConnectTimeout: c.ConnectTimeout,
		HighWater:      c.HighWater,
		LowWater:       c.LowWater,
		Stopping:       func(context.Context) { p.sessions.Disconnect() },
	}
}

// handler lets the server make clients of the Manager's.
type handler struct{ m *session.Manager }

// Accept implements server.Handler.
func (h handler) Accept(conn session.Conn, peer session.Peer) server.Client {
	return h.m.Accept(conn, peer)
}

func (p *Proxy) listen(ctx context.Context) error {
	tls, err := p.cfg.TLSConfig()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		kind server.Kind
		port config.Port
	}{{server.TCP, p.cfg.MQTTPort}, {server.TLS, p.cfg.TLSPort}, {server.WS, p.cfg.WSPort}, {server.WSS, p.cfg.WSSPort}} {
		if l.port == config.Off {
			continue
		}
		addr, err := p.server.Listen(ctx, server.Listener{Kind: l.kind, Addr: p.cfg.Listen(l.port), TLS: tls})
		if err != nil {
			return err
		}
		p.addrs[l.kind] = addr
	}
	return nil
}

// ready describes the broker in one log line, for people and for scripts that wait for it.
func (p *Proxy) ready() []any {
	var args []any
	for _, k := range []server.Kind{server.TCP, server.TLS, server.WS, server.WSS} {
		if a := p.addrs[k]; a != nil {
			args = append(args, string(k), a.String())
		}
	}
	if p.metrics != nil {
		args = append(args, "metrics", p.metrics.String())
	}
	promise := "acknowledged messages survive a power loss (SYNC_FLUSH)"
	if !p.cfg.SyncFlush {
		promise = "acknowledged messages survive a crash of this process, not a power loss (ASYNC_FLUSH)"
	}
	return append(args, "data", p.cfg.DataDir, "sessions", p.store.Sessions(), "promise", promise)
}
