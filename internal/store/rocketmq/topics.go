package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	maxFirsts    = 1 << 14         // first levels that are known; others' registrations beyond it are left out
	makeAtOnce   = 8               // topics that are being made for publishes
	refusedFor   = 3 * time.Minute // that RocketMQ is not asked again for a topic that it has refused
	refusedParts = 64              // of the table of those
	refusedMost  = 64              // in one part; while it is full nothing else in it is asked for
)

// topics says which RocketMQ topic a first level's messages are in (protocols 3). What place reads is replaced as a whole, so it takes no lock.
type topics struct {
	s        *Store
	firsts   atomic.Pointer[map[string]*first]                  // known first levels that have, or are to have, a topic of their own
	count    atomic.Int32                                       // of them without the static ones
	fallback atomic.Pointer[topicRoute]                         // of DefaultTopic, once it was found or made
	refused  [refusedParts]atomic.Pointer[map[string]time.Time] // topics that may not be made, until when they are not asked for again
	making   chan struct{}                                      // as many as there may be at once
	registry registry
	opened   bool // by Open's goroutine

	mu sync.Mutex // for whoever replaces firsts or a part of refused
}

// first is a first level.
type first struct {
	static bool
	own    atomic.Pointer[topicRoute] // its topic, once it was found or made in this process
	newest entry                      // topics.mu guards it; zero: not registered
}

func (t *topics) init(s *Store) {
	t.s = s
	t.making = make(chan struct{}, makeAtOnce)
	firsts := map[string]*first{}
	for _, f := range s.opts.StaticFirstTopics {
		firsts[f] = &first{static: true}
	}
	t.firsts.Store(&firsts)
	t.registry.init()
}

// open is Store.openRoutes; it may be called again when it has failed, and when what came after it has.
func (t *topics) open(ctx context.Context) error {
	if t.opened {
		return nil
	}
	if err := t.s.openRoutes(ctx); err != nil {
		return err
	}
	t.opened = true
	return nil
}

// checkTopics checks the options. Its errors are store.ErrTopic: no waiting helps.
func (s *Store) checkTopics() error {
	if d := s.opts.DefaultTopic; d != "" && !legalTopic(d) {
		return fmt.Errorf("%w: defaultTopic: %q cannot be the name of a topic in RocketMQ; use up to 127 letters, digits, - and _", store.ErrTopic, d)
	}
	for _, f := range s.opts.StaticFirstTopics {
		if !legalTopic(f) {
			return fmt.Errorf("%w: staticFirstTopics: %q cannot be the name of a topic in RocketMQ; use up to 127 letters, digits, - and _", store.ErrTopic, f)
		}
		if reserved, _ := s.routes.reserved(f); reserved {
			return fmt.Errorf("%w: staticFirstTopics: %q is the name of a broker or cluster of RocketMQ; use another one", store.ErrTopic, f)
		}
	}
	return nil
}

// place is the queue that a publish to an MQTT topic goes to. It may wait, for topics that are to be created and for name servers, at most
// QueueFailover. Errors are store.ErrTopic, store.ErrAway and store.ErrClosed. When all is known it takes no lock and allocates nothing.
func (s *Store) place(topic string) (*queue, error) {
	if t := s.topics.home(firstLevel(topic)); t != nil {
		if q := s.chooseOf(topic, t.writable()); q != nil {
			return q, nil
		}
	}
	return s.find(topic)
}

// home is the RocketMQ topic of a first level; nil when that takes more than a look.
func (t *topics) home(f string) *topicRoute {
	if e := (*t.firsts.Load())[f]; e != nil {
		if own := e.own.Load(); own != nil {
			return own
		}
	}
	if t.mayOwn(f) {
		return nil
	}
	return t.fallback.Load()
}

// mayOwn says that a first level has a topic of its own, or would get one if RocketMQ agreed.
func (t *topics) mayOwn(f string) bool {
	if !legalTopic(f) || f == t.s.opts.DefaultTopic {
		return false
	}
	if reserved, known := t.s.routes.reserved(f); reserved || !known {
		return !known
	}
	if (*t.firsts.Load())[f] == nil && int(t.count.Load()) >= t.s.opts.MaxFirstTopics {
		return false
	}
	return !t.isRefused(f)
}

// find is place for what is not known, or takes no messages.
func (s *Store) find(topic string) (*queue, error) {
	if s.ctx.Err() != nil {
		return nil, store.ErrClosed
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.QueueFailover)
	defer cancel()
	t, err := s.topics.settle(ctx, firstLevel(topic))
	switch {
	case err == nil:
	case s.ctx.Err() != nil:
		return nil, store.ErrClosed
	case errors.Is(err, store.ErrTopic):
		return nil, err
	default:
		return nil, awayError(firstLevel(topic), err)
	}
	if q := s.chooseOf(topic, t.writable()); q != nil {
		return q, nil
	}
	return nil, awayError(t.topic, errors.New("no broker takes its messages"))
}

// settle finds or makes the topic that messages of a first level go to, and has it take messages.
func (t *topics) settle(ctx context.Context, f string) (*topicRoute, error) {
	if t.s.routes.names.Load() == nil {
		if err := t.s.lookCluster(ctx); err != nil {
			return nil, err
		}
	}
	if t.mayOwn(f) {
		own, err := t.makeOwn(ctx, f)
		if !errors.Is(err, errRefused) {
			return own, err
		}
	}
	return t.makeDefault(ctx, f)
}

// makeOwn finds or makes the topic of a first level's own. Concurrent callers for one first level do it once. errRefused: its
// messages go to the default topic.
func (t *topics) makeOwn(ctx context.Context, f string) (*topicRoute, error) {
	r := t.s.routes.enter(f, false)
	defer t.s.routes.leave(r)
	isNew, err := t.makeOwnAlone(ctx, f, r)
	if err != nil {
		return nil, err
	}
	if isNew {
		t.s.routeChanged(f) // for filters with a wildcard as first level
	}
	return r, nil
}

func (t *topics) makeOwnAlone(ctx context.Context, f string, r *topicRoute) (isNew bool, err error) {
	end, err := t.begin(ctx, r)
	if err != nil {
		return false, err
	}
	defer end()
	if !t.mayOwn(f) {
		return false, errRefused // others were faster: it is refused, or there are too many
	}
	if e := (*t.firsts.Load())[f]; e != nil && e.own.Load() == r && len(r.writable()) > 0 {
		return false, nil
	}
	if err := t.s.ensure(ctx, r); err != nil {
		if errors.Is(err, errRefused) {
			t.refuse(f, err)
		}
		return false, err
	}
	if isNew, err = t.register(ctx, f); err != nil {
		return false, err
	}
	t.know(f).own.Store(r)
	return isNew, nil
}

// makeDefault finds or makes the default topic, for messages of the first level f.
func (t *topics) makeDefault(ctx context.Context, f string) (*topicRoute, error) {
	name := t.s.opts.DefaultTopic
	if name == "" {
		return nil, fmt.Errorf("%w: first level %q has no topic in RocketMQ and gets none; create it, or set defaultTopic", store.ErrTopic, f)
	}
	noDefault := fmt.Errorf("%w: topic %q of RocketMQ, the default for first levels without one, does not exist and may not be created; "+
		"create it with mqadmin updateTopic", store.ErrTopic, name)
	if t.isRefused(name) {
		return nil, noDefault
	}
	r := t.s.routes.enter(name, true)
	defer t.s.routes.leave(r)
	end, err := t.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	defer end()
	if t.fallback.Load() == r && len(r.writable()) > 0 {
		return r, nil
	}
	if err := t.s.ensure(ctx, r); errors.Is(err, errRefused) {
		t.refuse(name, err)
		return nil, noDefault
	} else if err != nil {
		return nil, err
	}
	t.fallback.Store(r)
	return r, nil
}

// begin waits until the caller is the only one who makes r, and one of few who make any topic.
func (t *topics) begin(ctx context.Context, r *topicRoute) (end func(), err error) {
	for _, gate := range []chan struct{}{r.making, t.making} {
		select {
		case gate <- struct{}{}:
		case <-ctx.Done():
			if gate == t.making {
				<-r.making
			}
			return nil, fmt.Errorf("topic %q waits for others that are being made: %w", r.topic, ctx.Err())
		}
	}
	return func() { <-t.making; <-r.making }, nil
}

// topicsOf is the RocketMQ topics that messages which filter matches may be in. Those need not exist.
func (s *Store) topicsOf(filter string) []string {
	if filter == store.P2P {
		return s.p2pTopics()
	}
	var list []string
	f, all := filterFirst(filter)
	if all {
		list = slices.Collect(maps.Keys(*s.topics.firsts.Load()))
	} else if reserved, _ := s.routes.reserved(f); legalTopic(f) && !reserved {
		list = append(list, f)
	}
	if d := s.opts.DefaultTopic; d != "" && !slices.Contains(list, d) {
		list = append(list, d)
	}
	return list
}

// know finds or adds a first level.
func (t *topics) know(f string) *first {
	t.add(map[string]entry{f: {}})
	return (*t.firsts.Load())[f]
}

// add takes first levels in, with the newest places that the registry has of them, and returns which were not known.
func (t *topics) add(entries map[string]entry) (fresh []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	firsts := *t.firsts.Load()
	for f := range entries {
		if firsts[f] == nil {
			fresh = append(fresh, f)
		}
	}
	if len(fresh) > 0 {
		firsts = maps.Clone(firsts)
		for _, f := range fresh {
			firsts[f] = &first{}
		}
		t.count.Add(int32(len(fresh)))
		t.firsts.Store(&firsts)
	}
	for f, e := range entries {
		if first := firsts[f]; e.at > first.newest.at {
			first.newest = e
		}
	}
	return fresh
}

// isRefused says that RocketMQ is not to be asked for a topic now.
func (t *topics) isRefused(name string) bool {
	part := t.part(name).Load()
	if part == nil {
		return false
	}
	now := time.Now()
	if until, ok := (*part)[name]; ok {
		return now.Before(until)
	}
	if len(*part) < refusedMost {
		return false
	}
	for _, until := range *part {
		if !now.Before(until) {
			return false // there is room
		}
	}
	return true
}

// refuse remembers that RocketMQ does not let us have a topic. Names are chosen by clients, and may be one for each device: when too many were
// refused, others are taken to be refused too, until those are forgotten. To forget them earlier would have RocketMQ asked for each publish.
func (t *topics) refuse(name string, err error) {
	now := time.Now()
	t.mu.Lock()
	part := t.part(name)
	next := map[string]time.Time{}
	if old := part.Load(); old != nil {
		for n, until := range *old {
			if now.Before(until) {
				next[n] = until
			}
		}
	}
	if len(next) < refusedMost {
		next[name] = now.Add(refusedFor)
	}
	part.Store(&next)
	t.mu.Unlock()
	t.s.stats.TopicsRefused.Add(1)
	t.s.log.Warn("RocketMQ refuses to create a topic: its messages go to the default topic, if there is one; "+
		"create it, or give the proxy's account the right to", "topic", name, "default", t.s.opts.DefaultTopic, "err", err)
}

func (t *topics) part(name string) *atomic.Pointer[map[string]time.Time] {
	return &t.refused[xxhash.Sum64String(name)%refusedParts]
}
