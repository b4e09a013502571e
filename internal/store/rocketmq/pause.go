package rocketmq

import (
	"errors"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
)

// A node that was stopped may find all of its clients at other nodes, which did not wait for it. So when the process runs again, nothing that it has
// read from clients is handled, nothing is written to them, and nothing is sent from the outboxes, until this node has read the sessions' changelog up
// to a beat that it has appended since: then it has heard of all that was taken from it while it was stopped (protocols 7). QoS 2 and sessions need no such
// gate, since the changelog itself says what counts; it keeps QoS 1 messages that others have taken care of from being sent once more.
//
// A broker that is away does not shut the gate, and after a while is not waited for: a node cannot tell whether others reach it, and if none does, nobody can take
// a client over there.

const (
	pauseLimit    = 3 * time.Second // half of the time after which other nodes take this one for dead
	pausePatience = 5 * time.Second // for a queue of the changelog whose broker does not answer; longer than requestTimeout
)

// errPaused says that the process was stopped and does not know yet what happened meanwhile.
var errPaused = errors.New("this process was stopped for a while, and has not read yet what other nodes did meanwhile")

// Pulse is to be waited for before anything is done for a client, once for each batch. nil, which is always open: the sessions are this node's own.
func (s *Store) Pulse() *pulse.Pulse { return s.pulse }

// feel keeps the pulse, until the store closes. It has a goroutine of its own, since whatever holds it up is taken for a stop.
func (l *sessions) feel() {
	s := l.s
	defer s.pulse.Close()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if d := s.pulse.Tick(); d > 0 {
				s.stats.Paused.Add(1)
				s.log.Warn("this process was stopped: it serves nobody until it has read what other nodes did meanwhile", "for", d)
			}
			if woke := s.pulse.Woke(); !woke.IsZero() && l.caughtUp(woke) {
				s.pulse.Open()
				s.log.Info("this process has read what other nodes did while it was stopped, and serves again", "after", s.opts.monotonic().Sub(woke))
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// caughtUp reports whether all that stood in the changelog at woke has been read and acted on, but for what brokers have that do not answer.
func (l *sessions) caughtUp(woke time.Time) bool {
	patient := l.s.opts.monotonic().Sub(woke) < pausePatience // what was under way during the stop fails, whatever the broker does
	for _, q := range l.queues {
		if l.log.Heard(q.reader.n).Before(woke) && (patient || !q.unreachable()) {
			return false
		}
	}
	return true
}

// unreachable reports whether the queue's broker did not answer the last time.
func (q *sessionQueue) unreachable() bool {
	if q.reader.isDeaf() {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.silent != nil
}
