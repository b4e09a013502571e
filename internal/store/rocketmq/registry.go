package rocketmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The registry is a topic of RocketMQ in which every first level that has a topic of its own is written down before the first message of
// it is: so all nodes know what a filter finds whose first level is a wildcard. It has one queue on each broker; which one an entry
// is in, and how often, means nothing. The body is the name of the topic.
const (
	registryTopic = "MQTT_SYS_TOPIC"
	registryTag   = "MQTT_SYS"

	sendPatient = 3 * time.Second // for one broker
	// Entries are dropped with the log (fileReservedTime, 72 h by default), so every node writes those again that are older than half of that, and
	// whose place is no longer in the log. It looks at random times, and mostly finds that another one has done it.
	renewAfter = 36 * time.Hour
	renewEvery = time.Hour // and up to half of it more

	silentFor = 10 * time.Minute // after access control has forbidden to write
)

// registry is what this node does about it.
type registry struct {
	silent    atomic.Int64                    // until when nothing is written, since access control forbids it; Unix milliseconds
	layoutAt  atomic.Int64                    // when the newest entry about the sessions' changelog was written, Unix milliseconds
	deaf      atomic.Bool                     // it was logged that access control forbids to read
	following map[store.Queue]struct{}        // queues that have a goroutine. Open's goroutine, then that of refresh
	readers   map[store.Queue]*registryReader // of queues that have none yet. Open's goroutine, then that of refresh
}

func (r *registry) init() {
	r.following = map[store.Queue]struct{}{}
	r.readers = map[store.Queue]*registryReader{}
}

// entry is where the registry has a first level.
type entry struct {
	at     int64 // when it was stored, Unix milliseconds; 0: nowhere
	queue  store.Queue
	offset int64
}

// register has a first level in the registry, and tells whether it was not known before. When access control forbids it, it is known to this
// node alone.
func (t *topics) register(ctx context.Context, f string) (isNew bool, err error) {
	known := (*t.firsts.Load())[f]
	if known != nil && t.newestOf(known).at > 0 {
		return false, nil
	}
	e := entry{}
	if !t.isSilent() {
		if e, err = t.write(ctx, f); forbidden(err) || errors.Is(err, errRefused) {
			t.beSilent(err)
		} else if err != nil {
			return false, fmt.Errorf("%q cannot be registered in topic %s: %w", f, registryTopic, err)
		}
	}
	return len(t.add(map[string]entry{f: e})) > 0, nil
}

func (t *topics) newestOf(f *first) entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.newest
}

func (t *topics) isSilent() bool { return time.Now().UnixMilli() < t.registry.silent.Load() }

func (t *topics) beSilent(err error) {
	t.registry.silent.Store(time.Now().Add(silentFor).UnixMilli())
	t.s.log.Warn("first levels cannot be registered: filters that begin with + or # find on other nodes only static first topics, and what those nodes published to; "+
		"give the proxy's account the right to create, write and read the topic", "topic", registryTopic, "err", err)
}

// forbidden says that a broker's access control, or its right to write, is in the way. Any other refusal may be over with the next try.
func forbidden(err error) bool {
	var refused *remoting.ResponseError
	if !errors.As(err, &refused) {
		return false
	}
	// Brokers before 5.2, and later ones with the access control of those: an exception like any other (PlainPermissionManager).
	return refused.Code == remoting.CodeNoPermission || refused.Code == remoting.CodeSystemError && strings.Contains(refused.Remark, "AclException")
}

// write appends an entry to the queue of some broker that takes it, and tries until ctx ends. The topic is made when there is none.
func (t *topics) write(ctx context.Context, f string) (entry, error) {
	r := t.s.routes.enter(registryTopic, true)
	defer t.s.routes.leave(r)
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		if err := t.s.ensureAlone(ctx, r); err != nil {
			return entry{}, err
		}
		e, err := t.writeOnce(ctx, r, f)
		if err == nil || forbidden(err) {
			return e, err
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return entry{}, err
		}
	}
}

// writeOnce tries all brokers once. Its error is that access control forbids it only when all say so.
func (t *topics) writeOnce(ctx context.Context, r *topicRoute, f string) (entry, error) {
	queues := slices.Clone(r.writable())
	rand.Shuffle(len(queues), func(i, j int) { queues[i], queues[j] = queues[j], queues[i] })
	var worst error
	for _, q := range queues {
		e, err := t.writeTo(ctx, q, registryTag, []byte(f))
		if err == nil {
			return e, nil
		}
		if worst == nil || forbidden(worst) {
			worst = err
		}
	}
	return entry{}, cmp.Or(worst, errors.New("no broker takes messages of it"))
}

// writeTo appends an entry to one queue of the registry.
func (t *topics) writeTo(ctx context.Context, q *queue, tag string, body []byte) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, sendPatient)
	defer cancel()
	now := time.Now()
	props, err := message.AppendProperty(nil, "UNIQ_KEY", t.s.ids.AppendNext(nil))
	if err == nil {
		props, err = message.AppendProperty(props, "TAGS", tag)
	}
	if err != nil {
		return entry{}, err
	}
	res, err := t.s.client.SendSync(ctx, q.broker.addr(), &remoting.SendRequest{
		Topic: registryTopic, QueueID: q.name.id, BrokerName: q.name.broker, Born: now, Properties: string(props), Body: body,
	})
	if err != nil {
		return entry{}, fmt.Errorf("broker %s: %w", q.name.broker, err)
	}
	return entry{at: now.UnixMilli(), queue: q.key, offset: res.QueueOffset}, nil
}

// renew writes entries again before the log drops them, until the store closes.
func (s *Store) renew() {
	for {
		pause(s.ctx, renewEvery+rand.N(renewEvery/2))
		if s.ctx.Err() != nil {
			return
		}
		s.topics.renewOld(s.ctx, s.now())
	}
}

// renewOld writes those entries again that are old, or gone, at now, Unix milliseconds, and those that access control did not allow before. Those
// whose topic does not exist any more are left to end.
func (t *topics) renewOld(ctx context.Context, now int64) {
	t.s.renewLayouts(ctx, now)
	t.s.renewBends(ctx, now)
	oldest := t.oldestOffsets(ctx)
	for f, known := range *t.firsts.Load() {
		e := t.newestOf(known)
		if ctx.Err() != nil || t.isSilent() {
			return
		}
		if e.at == 0 && known.own.Load() == nil { // a static one that nobody has published to
			continue
		}
		if fresh := now-e.at < renewAfter.Milliseconds(); fresh && e.offset >= oldest[e.queue] {
			continue
		}
		if r := t.s.known(f); r != nil && !r.isPresent() {
			continue
		}
		one, cancel := context.WithTimeout(ctx, t.s.opts.QueueFailover)
		again, err := t.write(one, f)
		cancel()
		if err != nil {
			t.s.log.Warn("a first level cannot be registered again; it is tried again later", "topic", registryTopic, "first level", f, "err", err)
			continue
		}
		t.add(map[string]entry{f: again})
	}
}

// oldestOffsets is where the queues of the registry begin, as far as their brokers answer.
func (t *topics) oldestOffsets(ctx context.Context) map[store.Queue]int64 {
	oldest := map[store.Queue]int64{}
	r := t.s.known(registryTopic)
	if r == nil {
		return oldest
	}
	for _, q := range r.queues() {
		one, cancel := context.WithTimeout(ctx, sendPatient)
		if offset, err := t.s.client.MinOffset(one, q.broker.addr(), q.name.topic, q.name.id); err == nil {
			oldest[q.key] = offset
		}
		cancel()
	}
	return oldest
}
