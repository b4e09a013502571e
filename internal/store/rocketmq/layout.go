package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The queues of the sessions' changelog are those that its topic had when it was made, in one order, for ever: a client id stands in the queue that its hash
// names (changelog.QueueOf), so brokers that join later, or queues that somebody adds, must not change them. They are written down in the registry.
//
// Nodes that start at once may write down different ones. So what a node writes first is a proposal; of all proposals the first one counts that the
// registry of the first broker has, by name, that has any. Whoever has found that out says so on all brokers: what is settled counts, wherever it is read.
const (
	sessionTopic  = "MQTT_SYS_SESSION" // the default
	sessionQueues = 8                  // on each broker there is when the topic is made

	layoutTag = "MQTT_SYS_LAYOUT"
)

// layout is an entry of the registry.
type layout struct {
	Topic   string   `json:"topic"`
	Queues  []string `json:"queues"` // broker/id
	Settled bool     `json:"settled,omitempty"`
}

// add adds a queue behind the others.
func (l *layout) add(q *queue) {
	l.Queues = append(l.Queues, q.name.broker+"/"+strconv.Itoa(int(q.name.id)))
}

// names are the queues.
func (l *layout) names() ([]queueName, error) {
	var all []queueName
	for _, s := range l.Queues {
		broker, number, ok := strings.Cut(s, "/")
		id, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			return nil, fmt.Errorf("the registry says that topic %s has queue %q", l.Topic, s)
		}
		all = append(all, queueName{l.Topic, broker, int32(id)})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the registry says that topic %s has no queues", l.Topic)
	}
	return all, nil
}

// sessionLayout finds the queues of the sessions' changelog, or makes the topic and writes them down.
func (s *Store) sessionLayout(ctx context.Context) ([]queueName, error) {
	l, err := s.readLayout(ctx)
	if err == nil && l == nil {
		if err = s.proposeLayout(ctx); err == nil {
			l, err = s.readLayout(ctx)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the queues of topic %s: %w", s.opts.SessionTopic, err)
	case l == nil:
		return nil, fmt.Errorf("topic %s does not keep what is written to it", registryTopic)
	case !l.Settled:
		l.Settled = true
		if err := s.writeLayout(ctx, l, 1); err != nil {
			return nil, err
		}
	}
	return l.names()
}

// readLayout reads what the registry says; nil: nothing. What a broker may say that does not answer is waited for, unless another one has what is settled.
func (s *Store) readLayout(ctx context.Context) (*layout, error) {
	r, err := s.route(ctx, registryTopic)
	if errors.Is(err, remoting.ErrTopicNotExist) && len(r.queues()) == 0 {
		return nil, nil
	}
	if err != nil && len(r.queues()) == 0 {
		return nil, err
	}
	var (
		proposal *layout
		silent   error
	)
	for _, q := range r.queues() { // in the order of their brokers' names
		first, err := s.layoutsOf(ctx, q)
		switch {
		case err != nil:
			silent = fmt.Errorf("what broker %s has of topic %s cannot be read: %w", q.name.broker, registryTopic, err)
		case first != nil && first.Settled:
			return first, nil
		case proposal == nil:
			proposal = first
		}
	}
	if silent != nil {
		return nil, silent
	}
	return proposal, nil
}

// layoutsOf reads one queue of the registry: what is settled there, else the first proposal.
func (s *Store) layoutsOf(ctx context.Context, q *queue) (found *layout, err error) {
	from, err := s.client.MinOffset(ctx, q.broker.addr(), q.name.topic, q.name.id)
	if err != nil {
		return nil, err
	}
	end, err := s.client.MaxOffset(ctx, q.broker.addr(), q.name.topic, q.name.id)
	if err != nil {
		return nil, err
	}
	err = s.scan(ctx, q, from, end, func(m *message.Message) error {
		l := s.layoutOf(m)
		if l != nil && (found == nil || l.Settled) {
			found = l
		}
		if found != nil && found.Settled {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// layoutOf is what an entry of the registry says of the sessions' changelog; nil: nothing.
func (s *Store) layoutOf(m *message.Message) *layout {
	if tag, _ := message.Property(m.Properties, "TAGS"); string(tag) != layoutTag || m.CheckCRC() != nil {
		return nil
	}
	l := new(layout)
	if err := json.Unmarshal(m.Body, l); err != nil || l.Topic != s.opts.SessionTopic {
		return nil
	}
	return l
}

// proposeLayout makes the topic, unless it exists, and writes its queues down.
func (s *Store) proposeLayout(ctx context.Context) error {
	r := s.routes.enter(s.opts.SessionTopic, true)
	defer s.routes.leave(r)
	if err := s.ensureAlone(ctx, r); err != nil {
		return noRights(err)
	}
	l := layout{Topic: s.opts.SessionTopic}
	for _, q := range r.writable() {
		l.add(q)
	}
	slices.Sort(l.Queues)
	registry := s.routes.enter(registryTopic, true)
	defer s.routes.leave(registry)
	if err := s.ensureAlone(ctx, registry); err != nil {
		return noRights(err)
	}
	return s.writeLayout(ctx, &l, len(registry.queues()))
}

// noRights says what to do where the topics that sessions need may not be made.
func noRights(err error) error {
	if errors.Is(err, errRefused) || forbidden(err) {
		return fmt.Errorf("%w: sessions need topics %s and %s: create them, or give the proxy's account the right to create, write and read them: %w",
			store.ErrTopic, sessionTopic, registryTopic, err)
	}
	return err
}

// writeLayout writes l to the registry of every broker. At least so many must take it.
func (s *Store) writeLayout(ctx context.Context, l *layout, least int) error {
	body, err := json.Marshal(l)
	if err != nil {
		return err
	}
	var errs error
	for _, q := range s.known(registryTopic).queues() {
		if _, err := s.topics.writeTo(ctx, q, layoutTag, body); err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		least--
	}
	if least > 0 {
		return noRights(fmt.Errorf("topic %s: %w", registryTopic, errs))
	}
	s.topics.registry.layoutAt.Store(s.now())
	return nil
}

// renewLayout writes down again what is about to be dropped with the log, at now, Unix milliseconds.
func (s *Store) renewLayout(ctx context.Context, now int64) {
	if s.sessions == nil || now-s.topics.registry.layoutAt.Load() < renewAfter.Milliseconds() {
		return
	}
	l := layout{Topic: s.opts.SessionTopic, Settled: true}
	for _, q := range s.sessions.queues {
		l.add(q.queue)
	}
	if err := s.writeLayout(ctx, &l, 1); err != nil {
		s.log.Warn("the queues of the sessions' changelog cannot be written down again; it is tried again later", "topic", registryTopic, "err", err)
	}
}
