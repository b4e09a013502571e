package rocketmq

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// LMQDispatch says when messages go to light queues, which the Java proxy's clients read.
type LMQDispatch string

// The ways. With LMQAuto they do while Java proxies share the RocketMQ.
const (
	LMQAuto   LMQDispatch = "auto"
	LMQAlways LMQDispatch = "always"
	LMQNever  LMQDispatch = "never"
)

// lmqs is what this node knows of light queues (see lmqnames.go). While they are written messages are sent one by one (see wave), in place of
// batches.
type lmqs struct {
	s        *Store
	table    atomic.Pointer[map[string][]wildcard] // by first level; nil: light queues are not written. Replaced as a whole
	names    lmqSet
	offsets  lmqSet // of clients, by group and light queue, that this node has moved
	leaving  leaving
	watching lmqWatch
}

func (l *lmqs) init(s *Store) {
	l.s = s
	l.names.most, l.offsets.most = s.opts.MaxLMQs, s.opts.MaxLMQs
}

// dispatch adds the names of its light queues to a message that e has just encoded.
func (l *lmqs) dispatch(e *encoder, topic string, out outgoing) outgoing {
	table := l.table.Load()
	if table == nil {
		return out
	}
	first := firstLevel(topic)
	if !l.s.topics.owns(first) {
		return out // Java proxies look for the topic of the first level, and here it is in another
	}
	const around = len(propDispatch) + 2 + len(propDispatchOffsets) + 2
	from := len(e.props)
	e.props = append(e.props, propDispatch+"\x01"...)
	value, n, left := appendDispatch(e.props, topic, (*table)[first], maxProperties-from-around, l.may)
	if left > 0 {
		l.s.stats.LMQLeftOut.Add(int64(left))
		l.s.log.Warn("a message is not in all of its light queues, so Java proxies' clients may miss it: a comma, a control character or too many bytes in its topic, "+
			"more filters than there is room for, or more queues than maxLmqQueues", "topic", topic[:min(len(topic), maxLMQName)], "queues", left)
	}
	e.props = value
	if n == 0 {
		e.props = e.props[:from]
		return out
	}
	e.props = append(e.props, '\x02')
	return outgoing{props: e.props[:len(e.props):len(e.props)], body: out.body, lmq: true}
}

// may reports whether a light queue may be written to, and counts it.
func (l *lmqs) may(name string) bool { return l.names.add(xxhash.Sum64String(name), time.Now()) }

// owns tells whether messages of a first level are in the RocketMQ topic of its name, as far as that can be told before they are sent.
func (t *topics) owns(first string) bool {
	if home := t.home(first); home != nil {
		return home.topic == first
	}
	return t.mayOwn(first)
}

// chooseOf is choose; on a broker that loses entries of light queues when several queues of one topic are written to at once (5.0 and 5.1: RocketMQ
// issue 7511), it is the first queue of that broker while light queues are written. All nodes choose the same.
func (s *Store) chooseOf(topic string, qs []*queue) *queue {
	q := choose(topic, qs)
	if q == nil || s.lmq.table.Load() == nil || q.broker.keepsLMQ.Load() {
		return q
	}
	for _, first := range qs { // in the order of their ids
		if first.broker == q.broker {
			return first
		}
	}
	return q
}

// keepsLMQ tells whether brokers of a version (brokerVersionDesc, as V5_1_4) lose no entries of light queues.
func keepsLMQ(version string) bool {
	return version != "" && !strings.HasPrefix(version, "V5_0_") && !strings.HasPrefix(version, "V5_1_")
}

// lmqSet is the light queues that this node has written to lately, of those whose names clients choose: each is files on a broker, which has
// dispatch of all topics stop when it may open no more. It is for any goroutine.
type lmqSet struct {
	most int

	mu     sync.RWMutex
	names  [2]map[uint64]struct{} // hashes; the second generation is the older one
	turned time.Time
}

// lmqKept is how long a name counts at least: as long as brokers keep messages (fileReservedTime), and with them the queue.
const lmqKept = 72 * time.Hour

// add reports whether the name with this hash is among them, or could be added.
func (l *lmqSet) add(name uint64, now time.Time) bool {
	l.mu.RLock()
	_, is := l.names[0][name]
	fresh := now.Sub(l.turned) < lmqKept
	l.mu.RUnlock()
	if is && fresh {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names[0] == nil || now.Sub(l.turned) >= lmqKept {
		l.names[1], l.names[0], l.turned = l.names[0], map[uint64]struct{}{}, now
	}
	if _, is := l.names[0][name]; is {
		return true
	}
	_, was := l.names[1][name]
	if !was && len(l.names[0])+len(l.names[1]) >= l.most {
		return false
	}
	delete(l.names[1], name)
	l.names[0][name] = struct{}{}
	return true
}
