package rocketmq

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

// The key of the name servers that the Java proxy's tools write the first topics to, separated by commas (class MetaPersistManagerSample).
const (
	listNamespace = "LMQ"
	listKey       = "ALL_FIRST_TOPICS"
)

// listing follows the first topics that the name servers list, as if they were static ones, while they are listed. It is for one goroutine.
type listing struct {
	s        *Store
	followed map[string]bool
	left     string // what was left out, as it was logged
	down     bool   // it was logged that the list is not to be had
}

func newListing(s *Store) *listing { return &listing{s: s, followed: map[string]bool{}} }

// awaitListed begins to follow what is listed, and waits until the first list is, for a while: before sessions come back, since what is addressed to
// their clients is in these topics.
func (s *Store) awaitListed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookPatient)
	defer cancel()
	followed := make(chan struct{})
	s.tasks.Go(func() {
		l := newListing(s)
		l.look()
		close(followed)
		l.keep()
	})
	select {
	case <-followed:
	case <-ctx.Done():
	}
}

// keep reads the list every RouteInterval, until the store closes.
func (l *listing) keep() {
	for l.s.ctx.Err() == nil {
		l.look()
		pause(l.s.ctx, l.s.opts.RouteInterval)
	}
}

// look takes the list over as it is now. While it cannot be read, what was read last holds.
func (l *listing) look() {
	ctx, cancel := context.WithTimeout(l.s.ctx, lookPatient)
	defer cancel()
	value, err := l.s.client.KV(ctx, listNamespace, listKey)
	if err != nil && !errors.Is(err, remoting.ErrNotFound) {
		if !l.down && l.s.ctx.Err() == nil {
			l.s.log.Warn("the list of first topics was not read; what was read of it before holds", "err", err)
		}
		l.down = true
		return
	}
	l.down = false
	names := l.names(value)
	for f := range l.followed {
		if !names[f] {
			l.s.Unwatch(f)
			delete(l.followed, f)
		}
	}
	for f := range names {
		if !l.followed[f] {
			l.follow(f)
		}
	}
	l.s.listed.Store(new(slices.Collect(maps.Keys(l.followed))))
}

// names is what is usable of a list; what is not is logged, once.
func (l *listing) names(value string) map[string]bool {
	names := map[string]bool{}
	var left []string
	for f := range strings.SplitSeq(value, ",") {
		f = strings.TrimSpace(f)
		reserved, known := l.s.routes.reserved(f)
		switch {
		case f == "" || names[f]:
		case !legalTopic(f) || reserved || !known || !l.s.opts.Listed(f), len(names) == l.s.opts.MaxFirstTopics:
			left = append(left, f)
		default:
			names[f] = true
		}
	}
	if all := strings.Join(left, ","); all != l.left {
		if l.left = all; all != "" {
			l.s.log.Warn("first topics that the name servers list are left out: they are no names of topics that clients can use, or too many (maxFirstTopics)",
				"key", listNamespace+"/"+listKey, "topics", all[:min(len(all), 1000)])
		}
	}
	return names
}

// follow begins to follow a topic. Filters whose first level is a wildcard cover it from then on.
func (l *listing) follow(f string) {
	for _, fresh := range l.s.topics.add(map[string]entry{f: {}}) {
		l.s.registered(fresh)
	}
	if _, err := l.s.Watch(f); err != nil {
		l.s.log.Warn("a first topic that the name servers list is not followed; it is tried again", "topic", f, "err", err)
		return
	}
	l.followed[f] = true
}
