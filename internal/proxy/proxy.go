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
	"github.com/rocketmqtt/rocketmqtt/internal/events"
	"github.com/rocketmqtt/rocketmqtt/internal/metrics"
	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/server"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/rocketmq"
)

// Proxy is a running broker.
type Proxy struct {
	cfg      *config.Config
	log      *slog.Logger
	client   *remoting.Client // of RocketMQ; nil: store=embedded
	embedded *local.Store     // the store; nil: store=rocketmq
	rocketmq *rocketmq.Store  // the store; nil: store=embedded
	store    storage          // the one of them that is it
	events   *events.Log      // what happens to clients; nil: nobody wants it
	router   *router.Router
	sessions *session.Manager
	server   *server.Server
	exporter *metrics.Server // nil: nobody wants it
	addrs    map[server.Kind]net.Addr
	metrics  net.Addr    // of the exporter
	complete atomic.Bool // all of the above is there, and stays
}

// Run serves until ctx ends, then stops gracefully. It returns an error when the broker could not start, or could not
// go on because the store failed. That ctx ends while RocketMQ is waited for is no error.
func Run(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	p := &Proxy{cfg: cfg, log: log, addrs: map[server.Kind]net.Addr{}}
	err := p.start(ctx)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		log.Info("asked to stop before it was ready", "error", err)
		return p.Stop()
	case err != nil:
		return errors.Join(err, p.Stop())
	}
	log.Info("ready", p.ready()...)
	var failed error
	select {
	case <-ctx.Done():
	case <-p.store.Failed():
		failed = fmt.Errorf("the store failed, and nothing more is accepted: %w", p.store.Err())
	}
	return errors.Join(failed, p.Stop())
}

// start opens the store, binds every listener and serves. Metrics and health come first: whatever starts the process may ask while a long log is
// read, or RocketMQ is waited for, which it is until ctx ends. After an error Stop ends what had begun.
func (p *Proxy) start(ctx context.Context) (err error) {
	if p.client, err = newClient(p.cfg); err != nil {
		return err
	}
	if err := p.export(ctx); err != nil {
		return err
	}
	if err := p.openStore(ctx); err != nil {
		return err
	}
	if err := p.openEvents(); err != nil {
		return err
	}
	p.router = router.New()
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

// Stop ends what runs, or has begun to, in this order:
//
//  1. Nothing new is accepted; clients are told (0x8B) and what is queued for them is written.
//  2. The ends of their sessions are written.
//  3. What is to be told of them is handed to the store.
//  4. The store is closed: RocketMQ's waits for the messages under way, and closes the changelog of sessions.
//  5. The connections to RocketMQ.
//  6. Metrics and health: until now they say that the broker stops.
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
	p.closeEvents(ctx)
	errs = append(errs, p.closeStore())
	if p.events != nil {
		p.events.Wait()
	}
	if p.client != nil {
		p.client.Close()
	}
	if p.exporter != nil {
		errs = append(errs, p.exporter.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

func (p *Proxy) sessionOptions() session.Options {
	c := p.cfg
	var tell func(*session.Event)
	if p.events != nil {
		tell = p.events.Tell
	}
	o := session.Options{
		Event:    tell,
		Reserved: c.ClientEventTopic,
		P2P:      c.P2P,
		Store:    p.store,
		Router:   p.router,
		Auth:     authenticator(c),
		Log:      p.log,
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
	if p.rocketmq != nil { // clients come from Java proxies, and may go there
		o.Missed, o.Unacknowledged, o.Left = p.rocketmq.Missed, p.rocketmq.Unacknowledged, p.rocketmq.Left
	}
	return o
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
	var gate *pulse.Pulse // with the embedded store there is nobody else who could serve its clients
	if p.rocketmq != nil {
		gate = p.rocketmq.Pulse()
	}
	return server.Options{
		Handler:        handler{p.sessions},
		Log:            p.log,
		MaxConn:        c.MaxConnections,
		ConnectTimeout: c.ConnectTimeout,
		HighWater:      c.HighWater,
		LowWater:       c.LowWater,
		Pulse:          gate,
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
