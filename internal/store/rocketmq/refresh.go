package rocketmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

const (
	lookPatient  = 5 * time.Second // for name servers, in what is done regularly
	absentAtOnce = 256             // topics without a route that are looked for in one round
)

// refresh looks at all routes again every RouteInterval, until the store closes.
func (s *Store) refresh() {
	tick := time.NewTicker(s.opts.RouteInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-s.ctx.Done():
			return
		}
	}
}

// look is one round: the brokers, then the topics that exist or did once, and some of those that do not. When name servers do not answer,
// everything stays as it is.
func (s *Store) look() {
	ctx, cancel := context.WithTimeout(s.ctx, lookPatient)
	err := s.lookCluster(ctx)
	cancel()
	if err != nil && unreachable(err) {
		s.lookFailed(err)
		return
	}
	s.repair()
	var failed, gaveUp atomic.Bool
	sideBySide(s.routes.due(absentAtOnce), func(topic string) {
		if gaveUp.Load() || s.ctx.Err() != nil {
			return
		}
		if err := s.lookAt(topic); err != nil {
			failed.Store(true)
			gaveUp.Store(gaveUp.Load() || unreachable(err))
			s.lookFailed(err)
		}
	})
	if err == nil && !failed.Load() && s.routes.lost.Swap(false) {
		s.log.Info("routes are refreshed again")
	}
	s.followRegistry()
}

// lookAt is for one topic; that there is none is no error.
func (s *Store) lookAt(topic string) error {
	ctx, cancel := context.WithTimeout(s.ctx, lookPatient)
	defer cancel()
	t := s.routes.enter(topic, false)
	defer s.routes.leave(t)
	if err := s.fetch(ctx, t); err != nil && !errors.Is(err, remoting.ErrTopicNotExist) {
		return err
	}
	return nil
}

// lookFailed logs that name servers do not answer; once for each outage.
func (s *Store) lookFailed(err error) {
	if s.ctx.Err() == nil && !s.routes.lost.Swap(true) {
		s.log.Warn("routes cannot be refreshed: the last ones are used; check that the name servers run and can be reached", "err", err)
	}
}

// unreachable says that nobody answered, so that asking for more is of no use now.
func unreachable(err error) bool {
	var refused *remoting.ResponseError
	return !errors.As(err, &refused)
}

// lookCluster asks for all brokers. Where access control forbids it, those of routes have to do.
func (s *Store) lookCluster(ctx context.Context) error {
	info, err := s.client.ClusterInfo(ctx)
	if err != nil {
		s.stats.RouteErrors.Add(1)
		if !forbidden(err) {
			return err
		}
		if !s.routes.blind.Swap(true) {
			s.log.Warn("the name servers do not list the brokers for us: no topics are created; give the proxy's account the right to get the cluster's info, "+
				"or create the topics", "err", err)
		}
	} else {
		s.routes.blind.Store(false)
	}
	s.takeCluster(info)
	return nil
}

// takeCluster notes which brokers there are, and which names are not for MQTT topics.
func (s *Store) takeCluster(info remoting.ClusterInfo) {
	names := make(map[string]struct{}, len(info.Brokers)+len(info.Clusters))
	for name := range info.Clusters {
		names[name] = struct{}{}
	}
	for name, b := range info.Brokers {
		names[name] = struct{}{}
		if addr := b.Addrs[0]; addr != "" {
			s.routes.broker(name).setAddr(addr)
		}
	}
	for _, b := range s.routes.allBrokers() {
		names[b.name] = struct{}{} // one that is away now has its topic too
		s.noteListed(b, info.Brokers[b.name].Addrs[0] != "")
	}
	if old := s.routes.names.Load(); old == nil || !maps.Equal(*old, names) {
		s.routes.names.Store(&names)
	}
}

// noteListed says in the log when a broker leaves the list, and when it is back.
func (s *Store) noteListed(b *broker, listed bool) {
	if b.listed.Swap(listed) == listed || s.routes.blind.Load() {
		return
	}
	switch {
	case listed && b.once.Swap(true):
		s.log.Info("a broker is registered at the name servers again", "broker", b.name)
	case !listed:
		s.log.Warn("a broker is not registered at the name servers any more: what is in its queues waits until it is back, and publishes to them wait for it for queueFailover",
			"broker", b.name)
	}
}

// masters is the brokers that the last list of all has with a master, in the order of their names.
func (s *Store) masters() []*broker {
	list := slices.DeleteFunc(s.routes.allBrokers(), func(b *broker) bool { return !b.listed.Load() })
	slices.SortFunc(list, func(a, b *broker) int { return cmp.Compare(a.name, b.name) })
	return list
}

// openRoutes learns what there is: the brokers, and the first levels that are registered. Then it keeps that up to date until the store's context
// ends. It is called once, by Open, before anything else of ROUTES is used.
func (s *Store) openRoutes(ctx context.Context) error {
	if err := s.lookCluster(ctx); err != nil {
		return fmt.Errorf("no list of RocketMQ's brokers; check that the name servers run and can be reached: %w", err)
	}
	if err := s.checkTopics(); err != nil {
		return err
	}
	s.openRegistry(ctx)
	s.followRegistry()
	s.tasks.Go(s.refresh)
	s.tasks.Go(s.watchBrokers)
	s.tasks.Go(s.renew)
	return nil
}
