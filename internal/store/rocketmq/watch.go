package rocketmq

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Watch follows the topics that messages for filter may be in; see store.Store (protocols 5).
func (s *Store) Watch(filter string) ([]store.Position, error) {
	if filter == store.P2P {
		return s.watchP2P(), nil
	}
	owed := s.tail.count(filter, 1, s.now())
	v, err := s.followAll(s.topicsOf(filter), owed)
	if err != nil {
		s.Unwatch(filter)
		return nil, err
	}
	s.retained.watched(v)
	return v, nil
}

// Unwatch ends a Watch.
func (s *Store) Unwatch(filter string) {
	if filter != store.P2P {
		s.tail.count(filter, -1, 0)
	}
}

// count adds to the watches of filter. owed is since when others watch filters whose first level is a wildcard, Unix milliseconds; 0: nobody does.
func (t *tail) count(filter string, by int, now int64) (owed int64) {
	first, all := filterFirst(filter)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all > 0 {
		owed = t.since
	}
	if all {
		if t.all == 0 {
			t.since = now
		}
		t.all += by
		return owed
	}
	if t.first[first] += by; t.first[first] == 0 {
		delete(t.first, first)
	}
	return owed
}

// wanted reports whether anybody watches what may be in the RocketMQ topic. t.mu is held.
func (s *Store) wanted(topic string) bool {
	t := &s.tail
	return t.all > 0 || t.first[topic] > 0 || topic == s.opts.DefaultTopic && len(t.first) > 0
}

// followAll follows all of some topics and returns where the queues that could be reached begin. owed is as count returns it.
func (s *Store) followAll(topics []string, owed int64) ([]store.Position, error) {
	const together = 16
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		v    []store.Position
		errs error
		slot = make(chan struct{}, together)
	)
	one := func(topic string) {
		begun, err := s.follow(topic, s.now(), owed)
		mu.Lock()
		defer mu.Unlock()
		v = append(v, begun...)
		errs = errors.Join(errs, err)
	}
	for _, topic := range topics {
		if len(topics) == 1 {
			one(topic)
			break
		}
		slot <- struct{}{}
		wg.Go(func() {
			one(topic)
			<-slot
		})
	}
	wg.Wait()
	return v, errs
}

// follow follows a topic, from before the call on: what is stored from since on, Unix milliseconds, where the end of a queue is not to be had.
func (s *Store) follow(topic string, since, owed int64) ([]store.Position, error) {
	f, mine := s.tail.enter(s, topic, since)
	if f == nil {
		return nil, store.ErrClosed
	}
	if mine {
		if f.err = s.setUp(f, owed); f.err != nil {
			s.tail.leave(f)
		}
		close(f.ready)
	}
	select {
	case <-f.ready:
	case <-s.ctx.Done():
		return nil, store.ErrClosed
	}
	if f.err != nil {
		return nil, f.err
	}
	if !mine {
		s.beginNew(f)
	}
	return f.positions(), nil
}

// beginNew returns when the queues of f that have come to be by now have begun, but for those whose brokers do not answer: else who subscribes in the first moments
// of a topic would be handed as new what was appended before.
func (s *Store) beginNew(f *following) {
	s.followRoute(f)
	some := f.beginning()
	if len(some) == 0 {
		return
	}
	ctx, cancel := s.asking()
	defer cancel()
	beginAll(some, func(fo *follower) {
		select {
		case <-fo.tried:
		case <-ctx.Done():
		}
		if !fo.hasBegun() {
			return
		}
		if end, err := s.endOf(ctx, fo.q); err == nil { // it begins earlier, for those who watched before
			fo.pass(end)
		}
	})
}

// beginning are the followers of which it is not known yet where they begin.
func (f *following) beginning() (some []*follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fo := range f.followers {
		select {
		case <-fo.tried:
		default:
			some = append(some, fo)
		}
	}
	return some
}

// enter returns the following of a topic; mine says that the caller has to set it up.
func (t *tail) enter(s *Store, topic string, since int64) (f *following, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, false
	}
	if f := t.topics[topic]; f != nil {
		f.idle = time.Time{}
		return f, false
	}
	f = &following{topic: topic, since: since, ready: make(chan struct{}), followers: map[store.Queue]*follower{}}
	f.ctx, f.stop = context.WithCancel(s.ctx)
	f.before = t.left[topic]
	delete(t.left, topic)
	t.topics[topic] = f
	return f, true
}

// leave ends a following.
func (t *tail) leave(f *following) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.topics[f.topic] == f {
		delete(t.topics, f.topic)
		t.left[f.topic] = f
	}
	f.stop()
}

// follows waits for the one before to end, which is about to.
func (f *following) follows() {
	if b := f.before; b != nil {
		b.mu.Lock()   // nothing of it starts from here on
		b.mu.Unlock() //nolint:staticcheck // it is waited for
		b.running.Wait()
		f.before = nil
	}
}

// setUp begins at the ends of all queues of a route that is fetched now; or earlier, when filters with a wildcard as first level, which are watched since
// owed, find the topic, though this node did not know of it. Who makes f is given the ends all the same. Where the name servers do not answer, what is known of
// the topic has to do.
func (s *Store) setUp(f *following, owed int64) error {
	f.follows()
	ctx, cancel := s.asking()
	defer cancel()
	r, err := s.route(ctx, f.topic)
	switch {
	case err == nil:
	case errors.Is(err, remoting.ErrTopicNotExist):
		return nil // its queues begin when they come to be: routeChanged
	default:
		if r = s.known(f.topic); r == nil {
			return errors.Join(store.ErrAway, err)
		}
	}
	fresh := s.askEnds(ctx, f, r.queues())
	if owed > 0 && s.topics.isRegistered(ctx, f.topic) { // asked after the ends: what is not, has no message of ours below them
		beginAll(fresh, func(fo *follower) { fo.beginBefore(ctx, owed) })
	} else {
		beginAll(fresh, func(fo *follower) { fo.begin(fo.end) })
	}
	f.start(s)
	return nil
}

// askEnds makes the followers of queues, and returns those whose ends are known. The goroutines of the others go on trying.
func (s *Store) askEnds(ctx context.Context, f *following, queues []*queue) (known []*follower) {
	var all []*follower
	for _, q := range queues {
		if fo := f.add(s, q); fo != nil {
			all = append(all, fo)
		}
	}
	beginAll(all, func(fo *follower) {
		if err := fo.askEnd(ctx); err != nil {
			fo.isAway(err)
		}
	})
	return slices.DeleteFunc(all, func(fo *follower) bool { return fo.end < 0 })
}

// beginAll calls f for all, side by side.
func beginAll(all []*follower, f func(*follower)) {
	var wg sync.WaitGroup
	for _, fo := range all {
		wg.Go(func() { f(fo) })
	}
	wg.Wait()
}

// add makes the follower of q; nil when there is one.
func (f *following) add(s *Store, q *queue) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers[q.key] != nil {
		return nil
	}
	fo := s.newFollower(q, f.since)
	f.followers[q.key] = fo
	return fo
}

// start runs the followers that do not run yet.
func (f *following) start(s *Store) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fo := range f.followers {
		if !fo.started && f.ctx.Err() == nil {
			fo.started = true
			f.running.Add(1)
			s.tasks.Go(func() {
				defer f.running.Done()
				fo.run(f.ctx)
			})
		}
	}
}

// positions are where the followers are that have begun. A follower is a moment behind what publishers of this node were told: that is below.
func (f *following) positions() []store.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := make([]store.Position, 0, len(f.followers))
	for _, fo := range f.followers {
		if fo.hasBegun() {
			v = append(v, store.Position{Queue: fo.q.key, Offset: max(fo.q.next.Load(), fo.passed.Load(), fo.q.out.told.Load())})
		}
	}
	return v
}

// routeChanged has the new queues of a topic followed, and a topic that filters with a wildcard at the first level find.
func (s *Store) routeChanged(topic string) {
	t := &s.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	since := t.since
	switch f := t.topics[topic]; {
	case t.closed:
	case f != nil:
		s.tasks.Go(func() { s.followNew(f) })
	case t.all > 0:
		s.tasks.Go(func() { s.followFound(topic, since) })
	}
}

// followNew follows queues that were not there when f began: from then on, since messages may have been there before they were found.
func (s *Store) followNew(f *following) {
	select {
	case <-f.ready:
	case <-f.ctx.Done():
		return
	}
	if f.err == nil {
		s.followRoute(f)
	}
}

// followRoute has all queues of f's topic followed that are known by now.
func (s *Store) followRoute(f *following) {
	r := s.known(f.topic)
	if r == nil {
		return
	}
	for _, q := range r.queues() {
		f.add(s, q)
	}
	f.start(s)
}

// followFound follows a topic that came to be, or to be known, while it was watched.
func (s *Store) followFound(topic string, since int64) {
	f, mine := s.tail.enter(s, topic, since)
	if f == nil {
		return
	}
	if mine {
		f.follows()
		close(f.ready)
	}
	s.followNew(f)
}

// leaveIdle leaves topics that nobody has watched for a while.
func (t *tail) leaveIdle(s *Store, now time.Time) {
	for _, topic := range t.dropIdle(s, now) {
		s.release(topic)
	}
}

func (t *tail) dropIdle(s *Store, now time.Time) (dropped []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic, f := range t.topics {
		switch {
		case s.wanted(topic):
			f.idle = time.Time{}
		case f.idle.IsZero():
			f.idle = now
		case now.Sub(f.idle) > linger:
			delete(t.topics, topic)
			t.left[topic] = f
			f.stop()
			dropped = append(dropped, topic)
		}
	}
	return dropped
}

// close ends all followings; what they were at is written down by their goroutines.
func (t *tail) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, f := range t.topics {
		f.stop()
	}
}
