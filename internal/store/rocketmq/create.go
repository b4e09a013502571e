package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	createPatient = 3 * time.Second       // for one broker
	firstPause    = 20 * time.Millisecond // between looks for a route that is to come; doubled each time
	longestPause  = time.Second
)

// errRefused says that a topic does not exist and that every broker refuses to create it.
var errRefused = errors.New("refused by RocketMQ")

// ensure returns when t exists and takes messages. If it does not exist it is created.
// errRefused: it may not be. Any other error tells that the time was over, and why it was not enough. t.making is held.
func (s *Store) ensure(ctx context.Context, t *topicRoute) error {
	wait := firstPause
	var made []string // brokers that have it since it was created; name servers learn of them one by one
	var patient time.Time
	for {
		err := s.fetch(ctx, t)
		switch {
		case err == nil && len(t.writable()) > 0 && (time.Now().After(patient) || t.isOn(made)):
			return nil
		case err == nil && len(t.writable()) > 0:
			err = fmt.Errorf("the name servers do not know yet that all of %v have topic %q", made, t.topic)
		case err == nil:
			err = fmt.Errorf("no broker takes messages of topic %q: all of its queues are without the right to write, or their masters are away", t.topic)
		case errors.Is(err, remoting.ErrTopicNotExist) && made == nil:
			var e error
			if made, e = s.create(ctx, t.topic, s.queuesOf(t.topic)); e != nil {
				err = e
			}
			patient = time.Now().Add(createPatient)
		}
		if errors.Is(err, errRefused) {
			return err
		}
		if pause(ctx, wait); ctx.Err() != nil {
			if len(t.writable()) > 0 {
				return nil
			}
			return err
		}
		wait = min(2*wait, longestPause)
	}
}

// ensureAlone is ensure for who does not hold t.making.
func (s *Store) ensureAlone(ctx context.Context, t *topicRoute) error {
	select {
	case t.making <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("topic %s is being made: %w", t.topic, ctx.Err())
	}
	defer func() { <-t.making }()
	if len(t.writable()) > 0 {
		return nil
	}
	return s.ensure(ctx, t)
}

// isOn reports whether messages of t may be sent to each of these brokers. Where a new topic goes must not change a moment later.
func (t *topicRoute) isOn(brokers []string) bool {
	for _, name := range brokers {
		if !slices.ContainsFunc(t.writable(), func(q *queue) bool { return q.name.broker == name }) {
			return false
		}
	}
	return true
}

// create creates a topic of which name servers say that it does not exist, on every broker that has a master and has no such topic. It never changes
// one that a broker has: with fewer queues messages would become unreadable. It succeeds when one broker has the topic, and returns those that have; those
// that could not be asked get it later (repair). Two proxies that create at once do the same, so nothing is lost by it.
func (s *Store) create(ctx context.Context, topic string, queues int32) (have []string, err error) {
	if err := s.lookCluster(ctx); err != nil {
		return nil, err
	}
	masters := s.masters()
	if s.routes.blind.Load() {
		return nil, fmt.Errorf("%w: topic %q cannot be created: the brokers are not known", errRefused, topic)
	}
	if len(masters) == 0 {
		return nil, fmt.Errorf("topic %q cannot be created: the name servers know no broker with a master; check that the brokers run", topic)
	}
	var (
		mu      sync.Mutex
		errs    []error
		refused int
		lacking []*broker
	)
	sideBySide(masters, func(b *broker) {
		err := s.createOn(ctx, b, topic, queues)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			have = append(have, b.name)
			return
		case denied(err):
			refused++
		default:
			lacking = append(lacking, b)
		}
		errs = append(errs, err)
	})
	switch {
	case len(have) > 0:
		s.lacks(topic, lacking)
		if len(errs) > 0 {
			s.log.Warn("a topic was not created on all brokers: it is created there when they answer, unless they refuse it",
				"topic", topic, "brokers", len(have), "err", errors.Join(errs...))
		}
		return have, nil
	case refused == len(masters):
		return nil, fmt.Errorf("%w: %w", errRefused, errors.Join(errs...))
	}
	return nil, errors.Join(errs...)
}

// createOn creates a topic on one broker, unless that has it.
func (s *Store) createOn(ctx context.Context, b *broker, topic string, queues int32) error {
	ctx, cancel := context.WithTimeout(ctx, createPatient)
	defer cancel()
	addr := b.addr()
	_, err := s.client.TopicConfig(ctx, addr, topic)
	if err == nil {
		return nil // whatever it is like there
	}
	if !errors.Is(err, remoting.ErrNotFound) {
		return fmt.Errorf("broker %s: %w", b.name, err)
	}
	err = s.client.CreateTopic(ctx, addr, remoting.TopicConfig{
		Topic: topic, ReadQueues: queues, WriteQueues: queues, Perm: remoting.PermRead | remoting.PermWrite,
	})
	if err != nil {
		return fmt.Errorf("broker %s: %w", b.name, err)
	}
	s.stats.TopicsCreated.Add(1)
	s.log.Info("topic created", "topic", topic, "broker", b.name, "queues", queues)
	return nil
}

// denied says that a broker refuses for a reason that lasts: mostly access control.
func denied(err error) bool {
	var refused *remoting.ResponseError
	return errors.As(err, &refused) && !refused.Retriable()
}

// lacks notes which brokers are to get a topic that was created: those that did not answer, and those that are out of the cluster now but were in
// it.
func (s *Store) lacks(topic string, brokers []*broker) {
	for _, b := range s.routes.allBrokers() {
		if !b.listed.Load() {
			brokers = append(brokers, b)
		}
	}
	if len(brokers) == 0 {
		return
	}
	s.routes.mu.Lock()
	defer s.routes.mu.Unlock()
	names := map[string]bool{}
	for _, b := range brokers {
		names[b.name] = true
	}
	s.routes.lacking[topic] = names
}

// repair creates topics that this process has created on those brokers that could not be asked then. On others' topics it
// does nothing: that they are not on all brokers may be meant.
func (s *Store) repair() {
	s.routes.mu.RLock()
	topics := slices.Collect(maps.Keys(s.routes.lacking))
	s.routes.mu.RUnlock()
	for _, topic := range topics {
		for _, b := range s.masters() {
			if s.ctx.Err() != nil {
				return
			}
			if !s.routes.lacks(topic, b.name) {
				continue
			}
			if err := s.createOn(s.ctx, b, topic, s.queuesOf(topic)); err == nil || denied(err) {
				s.routes.repaired(topic, b.name)
			}
		}
	}
}

func (r *routes) lacks(topic, broker string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.lacking[topic][broker]
}

func (r *routes) repaired(topic, broker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.lacking[topic], broker)
	if len(r.lacking[topic]) == 0 {
		delete(r.lacking, topic)
	}
}

// queuesOf is how many queues a topic that we create gets on each broker.
func (s *Store) queuesOf(topic string) int32 {
	switch topic {
	case registryTopic:
		return 1
	case s.opts.SessionTopic, s.opts.RetainedTopic:
		return logQueues
	}
	return s.opts.TopicQueues
}

// awayError tells a publisher that its topic could not be found in time.
func awayError(topic string, err error) error {
	return fmt.Errorf("%w: topic %q of RocketMQ: %w; check that the name servers and brokers run and can be reached", store.ErrAway, topic, err)
}
