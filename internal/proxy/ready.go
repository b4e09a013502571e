package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/server"
)

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
	if p.rocketmq != nil {
		args = append(args, "namesrv", strings.Join(p.cfg.NamesrvAddr, ";"))
	}
	_, promise := p.promise()
	return append(args, "data", p.cfg.DataDir, "sessions", p.store.Sessions(), "promise", promise)
}

// promise says whether an acknowledged message survives a power loss, and, in words, what it survives.
func (p *Proxy) promise() (powerLoss bool, text string) {
	switch {
	case p.rocketmq != nil:
		return p.rocketmq.Promise()
	case p.cfg.SyncFlush:
		return true, "acknowledged messages survive a power loss (SYNC_FLUSH)"
	}
	return false, "acknowledged messages survive a crash of this process, not a power loss (ASYNC_FLUSH)"
}

// alive says why the process should be replaced; nil while it should not.
func (p *Proxy) alive() error {
	if !p.complete.Load() {
		return nil
	}
	return p.store.Err()
}

// isReady says why no client should come now; nil while they should.
func (p *Proxy) isReady() error {
	if !p.complete.Load() {
		return p.starting()
	}
	if err := p.server.Ready(); err != nil {
		return err
	}
	if err := p.store.Accepting(); err != nil {
		return fmt.Errorf("no messages are taken: %w", err)
	}
	return nil
}

const askTime = 2 * time.Second // for a question to the name servers

// starting says what the start waits for. It asks the name servers itself, which costs little: while none can be reached, most answers come from
// the last failed attempt.
func (p *Proxy) starting() error {
	if p.client == nil {
		return errors.New("starting: the store is being opened")
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if _, err := p.client.ClusterInfo(ctx); err != nil {
		return fmt.Errorf("starting: waiting for RocketMQ: %w", err)
	}
	return errors.New("starting: the name servers of RocketMQ answer; the log says what else is waited for")
}
