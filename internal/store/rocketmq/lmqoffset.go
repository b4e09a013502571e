package rocketmq

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A client of a Java proxy has, on each broker, an offset in the light queue of each of its filters, and in that of what is addressed to it: it is one of the consumer group
// %LMQ%client (org.apache.rocketmq.mqtt.ds.store.LmqOffsetStoreManager). An entry of a light queue is a message in some queue of a topic, and those of one such queue are
// in its order. So the first entry of each queue, from the client's offset on, is where it has missed something; from there it may read the topic as who was away does.

const (
	missedPatient = askTimeout       // for all that is asked for one filter
	missedMost    = 1024             // entries of a light queue that are read; queues not seen by then begin at the time of the last one
	missedRest    = 64               // these queues at most, or they begin at the end
	missedPage    = 32               // of one pull; brokers have no more by default
	missedPause   = 10 * time.Second // that a broker which did not answer is not asked again
)

// Missed is where messages begin, of those that filter matches, which a client has not had from Java proxies: for each queue that has any. filter may be
// store.P2P. It makes nothing on brokers, and waits for them missedPatient at most; what is not to be had is logged, once for each broker until that answers.
func (s *Store) Missed(client, filter string) []store.Position {
	if s.opts.LMQDispatch == LMQNever {
		return nil
	}
	group, lmq, ok := lmqOf(client, filter)
	if !ok {
		return nil
	}
	return s.askJava(client, s.byBroker(filter), func(ctx context.Context, queues []*queue) ([]store.Position, error) {
		return s.missedOn(ctx, queues, group, lmq)
	})
}

// askJava asks brokers side by side for what they have of a client of Java proxies, each with those of its queues that matter. With an error the result counts as well.
func (s *Store) askJava(client string, lists [][]*queue, ask func(context.Context, []*queue) ([]store.Position, error)) (all []store.Position) {
	ctx, cancel := context.WithTimeout(s.ctx, missedPatient)
	defer cancel()
	var mu sync.Mutex
	sideBySide(lists, func(queues []*queue) {
		b := queues[0].broker
		if !b.lmq.ask(time.Now()) {
			return
		}
		found, err := ask(ctx, queues)
		s.noteMissed(b, client, err)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
	})
	return all
}

// noteMissed notes what came of asking a broker, and logs it if it has to be.
func (s *Store) noteMissed(b *broker, client string, err error) {
	if b.lmq.answered(err, time.Now()) {
		s.log.Warn("a broker does not tell what clients have not had from Java proxies, so they get nothing of that from here", "broker", b.name, "client", client, "err", err)
	}
}

// lmqOf is a client's group, and the light queue of a filter of its. false: there is none, since Java proxies take no such filter, or a name might do harm.
func lmqOf(client, filter string) (group, lmq string, ok bool) {
	group = lmqPrefix + client
	if !harmless([]byte(group)) {
		return "", "", false
	}
	if filter == store.P2P {
		filter = "/p2p/" + client
	} else if _, all := filterFirst(filter); all {
		return "", "", false
	}
	name, ok := appendLMQ(nil, filter)
	return group, string(name), ok
}

// byBroker is the queues that messages which filter matches may be in, those of one broker together.
func (s *Store) byBroker(filter string) [][]*queue {
	var all []*queue
	for _, key := range s.Queues(filter) {
		if q := s.queueOf(key); q != nil && q.name.topic != s.opts.DefaultTopic { // there is nothing for Java proxies in it
			all = append(all, q)
		}
	}
	return brokersOf(all)
}

// brokersOf puts the queues of one broker together.
func brokersOf(all []*queue) (lists [][]*queue) {
	for _, q := range all {
		i := slices.IndexFunc(lists, func(list []*queue) bool { return list[0].broker == q.broker })
		if i < 0 {
			i, lists = len(lists), append(lists, nil)
		}
		lists[i] = append(lists[i], q)
	}
	return lists
}

// missedOn is Missed of one broker. With an error the result is what was found before.
func (s *Store) missedOn(ctx context.Context, queues []*queue, group, lmq string) ([]store.Position, error) {
	b := queues[0].broker
	at, any, err := s.lmqOffset(ctx, b, group, lmq)
	if err != nil || !any {
		return nil, err
	}
	w := missedWalk{s: s, b: b, lmq: lmq, left: map[store.Queue]*queue{}}
	for _, q := range queues {
		w.left[q.key] = q
	}
	err = w.run(ctx, at)
	return w.found, err
}

// lmqOffset is the offset that a Java proxy has stored of a client's group; false: there is none.
func (s *Store) lmqOffset(ctx context.Context, b *broker, group, lmq string) (at int64, any bool, err error) {
	at, err = s.client.ConsumerOffset(ctx, b.addr(), group, lmq, 0)
	switch {
	case errors.Is(err, remoting.ErrNoOffset):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case at == math.MaxInt64: // a Java proxy's that had not asked yet (class QueueOffset)
		return 0, false, nil
	case at == 0 && !b.lmq.tellsNone.Load(): // there may be none: what is kept is not for somebody who was never here
		return 0, false, nil
	}
	return at, true, nil
}

// missedWalk reads a light queue until it has the first entry of every queue.
type missedWalk struct {
	s    *Store
	b    *broker
	lmq  string
	left map[store.Queue]*queue // not seen yet

	found  []store.Position
	looked int
	last   int64 // when the last entry was stored, Unix milliseconds
}

func (w *missedWalk) run(ctx context.Context, at int64) error {
	for len(w.left) > 0 && w.looked < missedMost {
		r := remoting.PullRequest{Group: pullGroup, Topic: w.lmq, Offset: at, MaxMsgs: missedPage}
		res, err := w.s.client.PullSync(ctx, w.b.addr(), &r)
		switch {
		case err != nil:
			return err
		case res.Status == remoting.OffsetIllegal && at != res.MinOffset && res.MinOffset < res.MaxOffset:
			at = res.MinOffset // what was below has expired; or the queue has, and has begun anew since
			continue
		case res.Status != remoting.Found && res.NextOffset <= at, res.Status == remoting.OffsetIllegal:
			return nil
		}
		if err := each(res.Body, func(m *message.Message) error { return w.take(ctx, m) }); err != nil {
			return err
		}
		at = res.NextOffset
	}
	return w.rest(ctx)
}

// take notes an entry.
func (w *missedWalk) take(ctx context.Context, m *message.Message) error {
	w.looked++
	w.last = m.StoreTimestamp
	name := queueName{topic: string(m.Topic), broker: w.b.name, id: m.QueueID}
	q := w.left[name.queue()]
	if q == nil {
		return nil // seen, or not among those that are followed
	}
	if err := w.s.settle(ctx, q); err != nil {
		return err
	}
	delete(w.left, q.key)
	w.found = append(w.found, store.Position{Queue: q.key, Offset: q.log.logical(m.QueueOffset)})
	return nil
}

// rest has the queues that were not seen among missedMost entries, if they are not too many, begin when the last of these was stored.
func (w *missedWalk) rest(ctx context.Context) error {
	if len(w.left) > missedRest {
		w.s.log.Warn("a client has not had very many messages from Java proxies: it may miss some of those that are in queues where it has none among the first ones",
			"light queue", w.lmq, "first ones", missedMost, "queues", len(w.left))
		return nil
	}
	for _, q := range w.left {
		if err := w.s.settle(ctx, q); err != nil {
			return err
		}
		at, err := w.s.search(ctx, q, w.last)
		if err != nil {
			return err
		}
		w.found = append(w.found, store.Position{Queue: q.key, Offset: q.log.logical(at)})
	}
	return nil
}

// lmqBroker is what is known of light queues on a broker. It is for any goroutine.
type lmqBroker struct {
	none      atomic.Bool // it has none, for certain
	tellsNone atomic.Bool // an offset of 0 is one: where there is none it says so. Brokers before 5.0 do not

	mu     sync.Mutex
	silent time.Time // when it did not answer; zero: it did
}

// ask tells whether it is to be asked for a client's offset now.
func (l *lmqBroker) ask(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.none.Load() && now.Sub(l.silent) >= missedPause
}

// answered notes what came of asking, and tells whether that is to be logged.
func (l *lmqBroker) answered(err error, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := !l.silent.IsZero()
	l.silent = time.Time{}
	if err != nil {
		l.silent = now
	}
	return err != nil && !said
}
