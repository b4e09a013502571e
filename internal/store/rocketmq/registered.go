package rocketmq

import (
	"context"
	"errors"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
)

const (
	registryPatient = 10 * time.Second // for all of the registry, when the store opens
	registryRetry   = time.Second      // after a pull that failed
)

// openRegistry reads what is registered up to now. A broker that does not answer is no reason not to open: its entries come when it does.
func (s *Store) openRegistry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, registryPatient)
	defer cancel()
	r := s.routes.enter(registryTopic, true)
	defer s.routes.leave(r)
	switch err := s.fetch(ctx, r); {
	case errors.Is(err, remoting.ErrTopicNotExist):
		return // nothing was ever registered
	case err != nil:
		s.registryFailed(err)
		return
	}
	for _, q := range r.queues() {
		reader := &registryReader{s: s, q: q}
		if _, err := reader.readAll(ctx); err != nil {
			s.registryFailed(err)
		} else {
			s.bends.isRead(q.broker)
		}
		s.topics.registry.readers[q.key] = reader
	}
}

// followRegistry has every queue of the registry read on. It is called by one goroutine at a time.
func (s *Store) followRegistry() {
	r := s.known(registryTopic)
	if r == nil {
		return
	}
	reg := &s.topics.registry
	for _, q := range r.queues() {
		if _, ok := reg.following[q.key]; ok {
			continue
		}
		reg.following[q.key] = struct{}{}
		reader := reg.readers[q.key]
		if reader == nil {
			reader = &registryReader{s: s, q: q}
		}
		delete(reg.readers, q.key)
		s.tasks.Go(reader.follow)
	}
}

// isRegistered tells whether a first level that nobody here may have known is registered: it reads all that is now. It is also true when that cannot
// be told.
func (t *topics) isRegistered(ctx context.Context, f string) bool {
	if (*t.firsts.Load())[f] != nil {
		return true
	}
	r := t.s.routes.enter(registryTopic, true)
	defer t.s.routes.leave(r)
	switch err := t.s.fetch(ctx, r); {
	case errors.Is(err, remoting.ErrTopicNotExist):
		return false
	case err != nil:
		return true
	}
	for _, q := range r.queues() {
		if err := t.s.readRegistry(ctx, q); err != nil {
			return true
		}
	}
	return (*t.firsts.Load())[f] != nil
}

// readRegistry reads all that a queue of the registry has now.
func (s *Store) readRegistry(ctx context.Context, q *queue) error {
	reader := &registryReader{s: s, q: q}
	fresh, err := reader.readAll(ctx)
	for _, first := range fresh {
		s.tasks.Go(func() { s.registered(first) }) // follow does not see them as new any more
	}
	return err
}

// registryReader reads one queue of the registry.
type registryReader struct {
	s    *Store
	q    *queue
	next int64
	down bool   // it was logged that the broker does not answer
	conn uint64 // generation of the connection that the last answer came by; 0: none came
}

// readAll reads up to where the queue ends now. It returns the first levels that were not known.
func (r *registryReader) readAll(ctx context.Context) (fresh []string, err error) {
	end, err := r.s.client.MaxOffset(ctx, r.q.broker.addr(), r.q.name.topic, r.q.name.id)
	if err != nil {
		return nil, err
	}
	for r.next < end {
		before := r.next
		more, err := r.step(ctx, 0)
		if fresh = append(fresh, more...); err != nil {
			return fresh, err
		}
		if r.next == before {
			break // there is nothing, whatever the broker said of the end
		}
	}
	return fresh, nil
}

// follow reads until the store closes.
func (r *registryReader) follow() {
	for r.s.ctx.Err() == nil {
		fresh, err := r.step(r.s.ctx, pullHold)
		for _, f := range fresh {
			r.s.registered(f)
		}
		if err != nil && r.s.ctx.Err() == nil {
			if !r.down {
				r.s.registryFailed(err)
			}
			pause(r.s.ctx, registryRetry)
		}
		r.down = err != nil
	}
}

// registered finds the topic of a first level that another node has registered.
func (s *Store) registered(f string) {
	ctx, cancel := context.WithTimeout(s.ctx, lookPatient)
	defer cancel()
	if _, err := s.route(ctx, f); err != nil && !errors.Is(err, remoting.ErrTopicNotExist) {
		s.lookFailed(err) // refresh goes on looking for it
	}
	s.routeChanged(f)
}

// step pulls once and takes in what comes. It returns the first levels that were not known.
func (r *registryReader) step(ctx context.Context, hold time.Duration) (fresh []string, err error) {
	res, err := r.s.wait(ctx, r.q, r.s.startPull(r.q, r.next, pullMost, hold))
	if err != nil {
		return nil, err
	}
	again := r.conn != 0 && r.conn != res.Generation
	r.conn = res.Generation
	switch {
	case again:
		// The broker may have started again with a log that went back, and has given the offsets to others since. All is read again: it is little.
		r.next = 0
		return nil, nil
	case res.Status == remoting.Found:
		fresh = r.take(res.Body)
		r.next = max(res.NextOffset, r.next+1)
	case res.Status == remoting.NoMatched && res.NextOffset > r.next:
		r.next = res.NextOffset
	case res.Status == remoting.OffsetIllegal && r.next != res.MinOffset:
		r.next = res.MinOffset // it begins later now, or the log went back
	case hold > 0 && res.Status != remoting.NoNewMessage:
		pause(ctx, registryRetry) // these answers come at once
	}
	return fresh, nil
}

// take takes in the entries of an answer. What is not an entry is counted, and left out.
func (r *registryReader) take(body []byte) (fresh []string) {
	entries := map[string]entry{}
	for len(body) > 0 {
		m, rest, err := message.Decode(body)
		body = rest
		if err == nil {
			err = m.CheckCRC()
		}
		if err != nil || !r.takeOne(&m, entries) {
			r.s.stats.NotRegistered.Add(1)
		}
	}
	return r.s.topics.add(entries)
}

// takeOne takes in a message that is whole; a first level goes into entries. false: it is no entry.
func (r *registryReader) takeOne(m *message.Message, entries map[string]entry) bool {
	t := &r.s.topics
	switch tag, _ := message.Property(m.Properties, "TAGS"); string(tag) {
	case bendTag:
		e := parseBend(m.Body)
		if e != nil {
			r.s.bends.take(e, m.StoreTimestamp, r.conn)
		}
		return e != nil
	case layoutTag:
		l := parseLayout(m.Body)
		if l != nil && l.Topic == r.s.opts.SessionTopic { // else it is of another log, or another cluster of ours
			t.registry.layoutAt.Store(max(t.registry.layoutAt.Load(), m.StoreTimestamp))
		}
		return l != nil
	case registryTag:
		f := string(m.Body)
		if !legalTopic(f) || len(*t.firsts.Load())+len(entries) >= maxFirsts {
			return false
		}
		entries[f] = entry{at: m.StoreTimestamp, queue: r.q.key, offset: m.QueueOffset}
		return true
	}
	return false
}

// registryFailed logs that the registry cannot be read.
func (s *Store) registryFailed(err error) {
	if forbidden(err) {
		if !s.topics.registry.deaf.Swap(true) {
			s.log.Warn("registered first levels cannot be read: filters that begin with + or # find only static first topics, and what this node has published to; "+
				"give the proxy's account the right to read the topic", "topic", registryTopic, "group", pullGroup, "err", err)
		}
		return
	}
	s.log.Warn("registered first levels are not read from a broker: filters that begin with + or # do not find new ones of it until it answers", "topic", registryTopic, "err", err)
}
