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

// The queues of the sessions' changelog, and of the log of retained messages, are those that its topic had when it was made, in one order, for ever: a client id
// stands in the queue that its hash names (changelog.QueueOf), a topic in another (retained.QueueOf), so brokers that join later, or queues that somebody adds, must not change them. They are written down in the registry.
//
// Nodes that start at once may write down different ones. So what a node writes first is a proposal; of all proposals the first one counts that the
// registry of the first broker has, by name, that has any. Whoever has found that out says so on all brokers: what is settled counts, wherever it is read.
const (
	sessionTopic  = "MQTT_SYS_SESSION"  // the default
	retainedTopic = "MQTT_SYS_RETAINED" // the default
	logQueues     = 8                   // on each broker there is when such a topic is made

	layoutTag = "MQTT_SYS_LAYOUT"
)

// layout is an entry of the registry.
type layout struct {
	Topic   string   `json:"topic"`
	Queues  []string `json:"queues"` // broker/id
	Settled bool     `json:"settled,omitempty"`
}

// add adds a queue behind the others.
func (l *layout) add(name queueName) {
	l.Queues = append(l.Queues, name.broker+"/"+strconv.Itoa(int(name.id)))
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

// layoutOf finds the queues of a log of ours, or makes its topic and writes them down.
func (s *Store) layoutOf(ctx context.Context, topic string) ([]queueName, error) {
	l, err := s.readLayout(ctx, topic)
	if err == nil && l == nil {
		if err = s.proposeLayout(ctx, topic); err == nil {
			l, err = s.readLayout(ctx, topic)
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the queues of topic %s: %w", topic, err)
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
func (s *Store) readLayout(ctx context.Context, topic string) (*layout, error) {
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
		first, err := s.layoutsOf(ctx, q, topic)
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
func (s *Store) layoutsOf(ctx context.Context, q *queue, topic string) (found *layout, err error) {
	from, err := s.client.MinOffset(ctx, q.broker.addr(), q.name.topic, q.name.id)
	if err != nil {
		return nil, err
	}
	end, err := s.client.MaxOffset(ctx, q.broker.addr(), q.name.topic, q.name.id)
	if err != nil {
		return nil, err
	}
	err = s.scan(ctx, q, from, end, func(m *message.Message) error {
		l := layoutIn(m)
		if l == nil || l.Topic != topic {
			return nil
		}
		if found == nil || l.Settled {
			found = l
		}
		if found.Settled {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// layoutIn is what an entry of the registry says of a log; nil: nothing.
func layoutIn(m *message.Message) *layout {
	if tag, _ := message.Property(m.Properties, "TAGS"); string(tag) != layoutTag || m.CheckCRC() != nil {
		return nil
	}
	return parseLayout(m.Body)
}

// parseLayout is what the body of an entry with layoutTag says; nil: nothing.
func parseLayout(body []byte) *layout {
	l := new(layout)
	if err := json.Unmarshal(body, l); err != nil {
		return nil
	}
	return l
}

// proposeLayout makes the topic, unless it exists, and writes its queues down.
func (s *Store) proposeLayout(ctx context.Context, topic string) error {
	r := s.routes.enter(topic, true)
	defer s.routes.leave(r)
	if err := s.ensureAlone(ctx, r); err != nil {
		return noRights(topic, err)
	}
	l := layout{Topic: topic}
	for _, q := range r.writable() {
		l.add(q.name)
	}
	slices.Sort(l.Queues)
	registry := s.routes.enter(registryTopic, true)
	defer s.routes.leave(registry)
	if err := s.ensureAlone(ctx, registry); err != nil {
		return noRights(topic, err)
	}
	return s.writeLayout(ctx, &l, len(registry.queues()))
}

// noRights says what to do where the topics that a log of ours needs may not be made.
func noRights(topic string, err error) error {
	if errors.Is(err, errRefused) || forbidden(err) {
		need := "sessions need topics"
		if strings.HasPrefix(topic, retainedTopic) {
			need = "retained messages need topics"
		}
		return fmt.Errorf("%w: %s %s and %s: create them, or give the proxy's account the right to create, write and read them: %w",
			store.ErrTopic, need, topic, registryTopic, err)
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
		return noRights(l.Topic, fmt.Errorf("topic %s: %w", registryTopic, errs))
	}
	if l.Topic == s.opts.SessionTopic {
		s.topics.registry.layoutAt.Store(s.now())
	}
	return nil
}

// renewLayouts writes down again what is about to be dropped with the log, at now, Unix milliseconds. That of retained messages goes with that of sessions.
func (s *Store) renewLayouts(ctx context.Context, now int64) {
	if s.sessions == nil || now-s.topics.registry.layoutAt.Load() < renewAfter.Milliseconds() {
		return
	}
	s.renewLayout(ctx, s.opts.SessionTopic, s.sessions.names)
	if s.retained != nil {
		s.renewLayout(ctx, s.opts.RetainedTopic, s.retained.names)
	}
}

func (s *Store) renewLayout(ctx context.Context, topic string, names []queueName) {
	l := layout{Topic: topic, Settled: true}
	for _, name := range names {
		l.add(name)
	}
	if err := s.writeLayout(ctx, &l, 1); err != nil {
		s.log.Warn("the queues of a log of ours cannot be written down again; it is tried again later", "topic", registryTopic, "of", topic, "err", err)
	}
}
