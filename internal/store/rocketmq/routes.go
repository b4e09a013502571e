package rocketmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	maxAbsent = 4096    // topics without a route that are looked for, since somebody asked for them
	maxQueues = 1 << 14 // of one topic on one broker; what a route has beyond is not used
)

// routes is what this process knows of RocketMQ's brokers, topics and queues. Nothing of what exists, or did once, is forgotten, so its size is
// that of the RocketMQ cluster.
type routes struct {
	lost  atomic.Bool                         // the last round of refresh failed, and it was logged
	blind atomic.Bool                         // access control forbids to list the brokers, and it was logged
	names atomic.Pointer[map[string]struct{}] // of brokers and clusters; nil: not yet known. Replaced as a whole

	mu      sync.RWMutex // after topicRoute.mu
	brokers map[string]*broker
	queues  map[store.Queue]*queue
	known   map[string]*topicRoute     // those that have queues
	absent  map[string]*topicRoute     // and those that have none, while they are wanted or used
	lacking map[string]map[string]bool // brokers that are to get a topic that we made, by topic
}

func (r *routes) init(*Store) {
	r.brokers = map[string]*broker{}
	r.queues = map[store.Queue]*queue{}
	r.known = map[string]*topicRoute{}
	r.absent = map[string]*topicRoute{}
	r.lacking = map[string]map[string]bool{}
}

// topicRoute is one topic of RocketMQ: its queues, as far as they were ever seen, and which of them take messages. It is one object as
// long as the process lives once it has had a queue.
type topicRoute struct {
	topic string
	all   atomic.Pointer[[]*queue] // see queues
	open  atomic.Pointer[[]*queue] // see writable

	turn   chan struct{} // whoever fetches holds it (capacity 1); it guards ended and result
	begun  atomic.Int64  // fetches that have begun
	ended  int64         // the last fetch that told something, counted as in begun
	result error         // what it told: nil or remoting.ErrTopicNotExist, or why name servers did not answer
	asked  atomic.Int64  // when the last fetch began, Unix nanoseconds

	making chan struct{} // whoever makes the topic ready for publishes holds it (capacity 1)

	mu      sync.Mutex
	hosts   []*host // by broker name
	present bool    // the last fetch found it

	users  int  // guarded by routes.mu: those who hold it while it is in absent
	wanted bool // guarded by routes.mu: somebody waits for it to exist
}

// queues is every queue that was ever seen of the topic, in the order of their names. The slice is immutable.
func (t *topicRoute) queues() []*queue {
	if p := t.all.Load(); p != nil {
		return *p
	}
	return nil
}

// writable is the queues among which a publish's is chosen, in the order of their names. The slice is immutable.
func (t *topicRoute) writable() []*queue {
	if p := t.open.Load(); p != nil {
		return *p
	}
	return nil
}

// isPresent says that name servers had the topic when they last told something of it.
func (t *topicRoute) isPresent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.present
}

// route is a topic's route, fetched from the name servers after the call began. remoting.ErrTopicNotExist: they know none; from then on the topic is
// looked for, as others are whose route may change, and routeChanged told when it is there. No lock may be held: routeChanged
// may be called before route returns.
func (s *Store) route(ctx context.Context, topic string) (*topicRoute, error) {
	t := s.routes.enter(topic, true)
	defer func() {
		if s.routes.leave(t) {
			s.stats.Forgotten.Add(1)
			s.log.Warn("very many topics that do not exist are subscribed to: one of them is not looked for any more until it is registered, or subscribed to again",
				"limit", maxAbsent)
		}
	}()
	return t, s.fetch(ctx, t)
}

// release says that nobody waits for a topic to exist any more. One that exists, or did once, is kept.
func (s *Store) release(topic string) { s.routes.unwant(topic) }

// known is what was last seen of a topic that exists or did once; nil otherwise. No I/O.
func (s *Store) known(topic string) *topicRoute {
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	return s.routes.known[topic]
}

// queueOf is the queue that has this name; nil: never seen.
func (s *Store) queueOf(key store.Queue) *queue {
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	return s.routes.queues[key]
}

// fetch brings t up to date. Those who wait for a fetch that was under way when they came share the next one.
func (s *Store) fetch(ctx context.Context, t *topicRoute) error {
	before := t.begun.Load()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("route of topic %q: %w", t.topic, ctx.Err())
	}
	if t.ended > before { // it began after this call did
		defer func() { <-t.turn }()
		return t.result
	}
	changed, err := s.fetchNow(ctx, t)
	<-t.turn
	if changed && !systemTopic(t.topic) {
		s.routeChanged(t.topic)
	}
	return err
}

// fetchNow asks the name servers. t.turn is held. It tells whether there are new queues, or there is a topic again that was not.
func (s *Store) fetchNow(ctx context.Context, t *topicRoute) (changed bool, err error) {
	n := t.begun.Add(1)
	t.asked.Store(time.Now().UnixNano())
	r, err := s.client.Route(ctx, t.topic)
	switch {
	case err == nil:
		changed, err = s.apply(t, r)
	case errors.Is(err, remoting.ErrTopicNotExist):
		_, _ = s.apply(t, remoting.Route{}) // adds nothing
	default:
		s.stats.RouteErrors.Add(1)
		if ctx.Err() != nil {
			return false, err // this caller's time was over, which tells the others nothing
		}
	}
	t.ended, t.result = n, err
	return changed, err
}

// enter finds or makes what is known of a topic, and keeps it until leave.
func (r *routes) enter(topic string, wanted bool) *topicRoute {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.known[topic]
	if t == nil {
		t = r.absent[topic]
	}
	if t == nil {
		t = &topicRoute{topic: topic, turn: make(chan struct{}, 1), making: make(chan struct{}, 1)}
		r.absent[topic] = t
	}
	t.users++
	t.wanted = t.wanted || wanted
	return t
}

// leave ends what enter began. When there are too many topics that somebody waits for, one of them is forgotten.
func (r *routes) leave(t *topicRoute) (forgotten bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.users--
	r.drop(t)
	if len(r.absent) <= maxAbsent {
		return false
	}
	for _, old := range r.absent {
		if old.users == 0 {
			delete(r.absent, old.topic)
			return true
		}
	}
	return false // those who hold them are as many
}

func (r *routes) unwant(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.absent[topic]; t != nil {
		t.wanted = false
		r.drop(t)
	}
}

// drop forgets a topic that has no queue when nobody has to do with it. mu is held.
func (r *routes) drop(t *topicRoute) {
	if r.absent[t.topic] == t && t.users == 0 && !t.wanted {
		delete(r.absent, t.topic)
	}
}

// exists notes that t has queues.
func (r *routes) exists(t *topicRoute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.absent, t.topic)
	r.known[t.topic] = t
}

// broker finds or makes a broker.
func (r *routes) broker(name string) *broker {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.brokers[name]
	if b == nil {
		b = &broker{name: name}
		r.brokers[name] = b
	}
	return b
}

func (r *routes) allBrokers() []*broker {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Values(r.brokers))
}

func (r *routes) allKnown() []*topicRoute {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Collect(maps.Values(r.known))
}

// due is the names of all topics that have queues, and of up to most of those that somebody waits for: those that were asked for longest ago.
func (r *routes) due(most int) []string {
	type waiting struct {
		topic string
		asked int64
	}
	r.mu.RLock()
	topics := slices.Collect(maps.Keys(r.known))
	absent := make([]waiting, 0, len(r.absent))
	for topic, t := range r.absent {
		absent = append(absent, waiting{topic, t.asked.Load()})
	}
	r.mu.RUnlock()
	slices.SortFunc(absent, func(a, b waiting) int { return cmp.Compare(a.asked, b.asked) })
	for _, w := range absent[:min(len(absent), most)] {
		topics = append(topics, w.topic)
	}
	return topics
}

// reserved says that a broker or cluster has this name, so that there is a topic of RocketMQ's own which is called so; known: whether that can be told.
func (r *routes) reserved(name string) (reserved, known bool) {
	names := r.names.Load()
	if names == nil {
		return false, false
	}
	_, reserved = (*names)[name]
	return reserved, true
}
