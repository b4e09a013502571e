package proxy

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/config"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
	"github.com/rocketmqtt/rocketmqtt/internal/store/rocketmq"
)

// storage is what is asked of either store, beside the contract.
type storage interface {
	store.Store
	// Accepting is nil while messages are taken; else it says why they are not.
	Accepting() error
}

// newClient makes the client of RocketMQ, which dials nothing yet; nil with the embedded store.
func newClient(c *config.Config) (*remoting.Client, error) {
	if c.Store != config.StoreRocketMQ {
		return nil, nil
	}
	tls, err := c.RocketMQTLSConfig()
	if err != nil {
		return nil, fmt.Errorf("rocketmqCaCertFile: %w", err)
	}
	return remoting.New(remoting.Options{
		Namesrv: c.NamesrvAddr,
		TLS:     tls,
		Credentials: remoting.Credentials{
			AccessKey:     c.RocketMQAccessKey,
			SecretKey:     c.RocketMQSecretKey,
			SecurityToken: c.RocketMQSecurityToken,
		},
	})
}

// openStore opens the embedded log, or RocketMQ, for which it waits until ctx ends.
func (p *Proxy) openStore(ctx context.Context) error {
	var err error
	if p.client != nil {
		if err = mayFollow(p.cfg); err != nil {
			return err
		}
	}
	if err = claimDataDir(p.cfg.DataDir, p.cfg.Store); err != nil {
		return err
	}
	if p.client == nil {
		if p.embedded, err = local.Open(localOptions(p)); err != nil {
			return err
		}
		p.store = p.embedded
		return nil
	}
	if len(p.cfg.StaticFirstTopics) == 0 {
		p.log.Info("topics are followed on demand: each from the first subscription to it on (staticFirstTopics is not set)")
		if p.cfg.P2P {
			p.log.Info("p2p topics reach their clients below first levels in ALL_FIRST_TOPICS; below others while somebody on this node subscribes there (staticFirstTopics is not set)")
		}
	}
	if p.rocketmq, err = rocketmq.Open(rocketmqOptions(ctx, p)); err != nil {
		return fmt.Errorf("RocketMQ at %s: %w", strings.Join(p.cfg.NamesrvAddr, ";"), err)
	}
	p.store = p.rocketmq
	return nil
}

// closeStore closes the store, if it was opened.
func (p *Proxy) closeStore() error {
	if p.store == nil {
		return nil
	}
	return p.store.Close()
}

// mayFollow refuses names in the configuration that clients must not use: RocketMQ's own, and those of this project's changelogs.
func mayFollow(c *config.Config) error {
	for _, first := range c.StaticFirstTopics {
		if !router.MayPublish(first) {
			return fmt.Errorf("staticFirstTopics: %s is a topic of RocketMQ's own or of this broker's, which clients cannot use; take it out", first)
		}
	}
	if c.DefaultTopic != "" && !router.MayPublish(c.DefaultTopic) {
		return fmt.Errorf("defaultTopic=%s is a topic of RocketMQ's own or of this broker's; choose another name", c.DefaultTopic)
	}
	return nil
}

func localOptions(p *Proxy) local.Options {
	c := p.cfg
	return local.Options{
		Dir:            c.DataDir,
		SegmentSize:    c.SegmentSize,
		RetentionTime:  orNever(c.RetentionTime),
		RetentionBytes: c.RetentionBytes,
		DiskReserve:    c.DiskReserve,

		MaxRetained:      int64(c.MaxRetained),
		MaxRetainedBytes: c.MaxRetainedBytes,
		RetainFor:        max(orNever(c.RetainFor), 0),
		LeaveRetained:    !c.MetaModule,
		NoSync:           !c.SyncFlush,
		Logger:           p.log,
	}
}

func rocketmqOptions(ctx context.Context, p *Proxy) rocketmq.Options {
	c := p.cfg
	var listed func(first string) bool
	if c.MetaModule {
		listed = router.MayPublish
	}
	var retained *rocketmq.Retained
	if c.MetaModule {
		retained = &rocketmq.Retained{MaxTopics: int64(c.MaxRetained), MaxBytes: c.MaxRetainedBytes, KeepFor: max(orNever(c.RetainFor), 0)}
	}
	return rocketmq.Options{
		Retained: retained,

		Client:  p.client,
		Dir:     c.DataDir,
		Logger:  p.log,
		Context: ctx,

		StaticFirstTopics: c.StaticFirstTopics,
		Listed:            listed,
		DefaultTopic:      c.DefaultTopic,
		MaxFirstTopics:    c.MaxFirstTopics,
		TopicQueues:       int32(c.TopicQueues),
		QueueFailover:     c.QueueFailover,
		RequireSendOK:     c.RequireSendOK,
		MaxPendingBytes:   c.MaxPendingBytes,
		MaxRecentBytes:    c.MaxRecentBytes,
		MaxIndexBytes:     cmp.Or(c.MaxIndexBytes, -1), // none
		LMQDispatch:       rocketmq.LMQDispatch(c.LMQDispatch),
		MaxLMQs:           c.MaxLMQs,
		RetryTopic:        c.RetryTopic,
		Address:           hostAddress(c.LocalIP()),
	}
}

// hostAddress is said, when it is an address, else the first of this machine's that others may know, IPv4 before IPv6. Not valid: there is
// none.
func hostAddress(said netip.Addr) netip.Addr {
	if said.IsValid() {
		return said
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return said // the store has a default
	}
	return firstAddress(all)
}

func firstAddress(all []net.Addr) netip.Addr {
	var six netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		ip := prefix.Addr().Unmap()
		switch {
		case err != nil || !ip.IsGlobalUnicast(): // loopback and link-local ones are not
		case ip.Is4():
			return ip
		case !six.IsValid():
			six = ip
		}
	}
	return six
}
