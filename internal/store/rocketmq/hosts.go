package rocketmq

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

// host is what a topic has on one broker. topicRoute.mu guards it.
type host struct {
	broker  *broker
	queues  []*queue  // by id: all that were ever seen
	open    int       // queues with a lower id are both written and read
	writes  bool      // the last route that had the broker had it with PermWrite
	dropped time.Time // since when routes lack the broker, or its master; zero: they have both
}

// standing is what a host is good for.
type standing int

const (
	closed  standing = iota // takes no messages
	resort                  // gone, but there may be nothing else: publishes wait for it
	waiting                 // does not answer; others are better
	good
)

// standing says what h is good for now. A broker that was killed is out of the routes within seconds, but it may come back at once:
// for patience its topics wait for it.
func (h *host) standing(now time.Time, patience time.Duration) standing {
	switch {
	case !h.writes:
		return closed
	case h.dropped.IsZero() || now.Sub(h.dropped) < patience:
		if h.broker.failed() {
			return waiting
		}
		return good
	case h.broker.listed.Load():
		return closed // the broker is there and does not have the topic: it was deleted
	}
	return resort
}

// writable is the queues among which a publish's is chosen: those of the hosts that are best. Beside what is failed it follows from the
// routes alone, so that all nodes choose the same.
func writable(hosts []*host, now time.Time, patience time.Duration) []*queue {
	best := closed
	for _, h := range hosts {
		best = max(best, h.standing(now, patience))
	}
	if best == closed {
		return nil
	}
	var list []*queue
	for _, h := range hosts {
		if h.standing(now, patience) == best {
			list = append(list, h.queues[:h.open]...)
		}
	}
	return list
}

// apply brings t in line with a route; the zero Route is that of a topic that does not exist. It tells whether there are new queues, or
// the topic exists again. t.turn is held.
func (s *Store) apply(t *topicRoute, r remoting.Route) (changed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	first := len(t.hosts) == 0
	named := map[*host]bool{}
	for _, d := range r.Queues {
		h := s.hostOf(t, d.Broker)
		more, e := s.grow(t, h, max(d.ReadQueues, d.WriteQueues))
		changed = changed || more
		err = cmp.Or(err, e)
		h.writes = d.Perm&remoting.PermWrite != 0
		h.open = max(0, min(int(d.ReadQueues), int(d.WriteQueues), len(h.queues)))
		if addr, ok := r.Master(d.Broker); ok {
			h.broker.setAddr(addr)
			named[h] = true
		}
	}
	for _, h := range t.hosts {
		switch {
		case named[h]:
			h.dropped = time.Time{}
		case h.dropped.IsZero():
			h.dropped = now
		}
	}
	changed = changed || !t.present && len(r.Queues) > 0
	t.present = len(r.Queues) > 0
	t.publish(now, s.opts.QueueFailover)
	if first && len(t.hosts) > 0 {
		s.routes.exists(t)
	}
	return changed, err
}

// hostOf finds or makes the host of a broker, in the order of their names. t.mu is held.
func (s *Store) hostOf(t *topicRoute, name string) *host {
	at, ok := slices.BinarySearchFunc(t.hosts, name, func(h *host, name string) int { return cmp.Compare(h.broker.name, name) })
	if !ok {
		t.hosts = slices.Insert(t.hosts, at, &host{broker: s.routes.broker(name)})
	}
	return t.hosts[at]
}

// grow makes queues until h has n, and tells whether it made some. t.mu is held.
func (s *Store) grow(t *topicRoute, h *host, n int32) (bool, error) {
	n = min(n, maxQueues)
	before := len(h.queues)
	for id := int32(before); id < n; id++ {
		name := queueName{topic: t.topic, broker: h.broker.name, id: id}
		q := &queue{name: name, key: name.queue(), broker: h.broker}
		q.out.init(s, q)
		if other, ok := s.routes.addQueue(q); !ok {
			// Of 64 bits; nobody will ever see it. Two queues of one name would mix their positions.
			return id > int32(before), fmt.Errorf("queues %s and %s have the same name %x: delete one of the topics", other.name, name, uint64(q.key))
		}
		h.queues = append(h.queues, q)
		h.broker.sample.CompareAndSwap(nil, q)
	}
	return len(h.queues) > before, nil
}

// addQueue takes a queue into the list of all, unless another one has its name.
func (r *routes) addQueue(q *queue) (other *queue, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other := r.queues[q.key]; other != nil {
		return other, false
	}
	r.queues[q.key] = q
	return q, true
}

// publish makes what was found what others see. t.mu is held.
func (t *topicRoute) publish(now time.Time, patience time.Duration) {
	var all []*queue
	for _, h := range t.hosts {
		all = append(all, h.queues...)
	}
	if len(all) != len(t.queues()) {
		t.all.Store(&all)
	}
	if open := writable(t.hosts, now, patience); !slices.Equal(open, t.writable()) {
		t.open.Store(&open)
	}
}

// settle recomputes the writable set, for what changes without a new route: brokers that fail or answer again, and, if that is all, the
// time that has passed since one was dropped.
func (t *topicRoute) settle(now time.Time, patience time.Duration, always bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if always || slices.ContainsFunc(t.hosts, func(h *host) bool { return !h.dropped.IsZero() }) {
		t.publish(now, patience)
	}
}

// settleRoutes is settle for all topics.
func (s *Store) settleRoutes(always bool) {
	now := time.Now()
	for _, t := range s.routes.allKnown() {
		t.settle(now, s.opts.QueueFailover, always)
	}
}
