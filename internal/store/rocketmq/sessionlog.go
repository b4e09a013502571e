package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// sessions is the changelog of the sessions of all nodes, in a topic of RocketMQ (protocols 7), with this node's view of it.
type sessions struct {
	s      *Store
	log    *changelog.Changelog
	names  []queueName
	queues []*sessionQueue
	taken  atomic.Pointer[func(client string)]
	shared atomic.Pointer[func(filter string)]

	failing sync.Once
	failed  chan struct{}
	err     error // set before failed is closed
}

const (
	connectPatience = 5 * time.Second // that a CONNECT waits for the changelog
	tickEvery       = 100 * time.Millisecond
	flushEvery      = time.Minute      // so much of the changelog at most is read again after a crash
	readPatience    = 10 * time.Second // for the whole changelog, when the store opens and a broker is away
	leavePatience   = 3 * time.Second  // for what is to be written at the end
)

// openSessions opens the changelog and reads it to its end: until then nobody is served. What a broker has that does not answer is read when it
// does, and until then the clients whose sessions stand there are refused.
func (s *Store) openSessions(ctx context.Context) (*sessions, error) {
	names, err := s.layoutOf(ctx, s.opts.SessionTopic)
	if err != nil {
		return nil, err
	}
	if _, err := s.route(ctx, s.opts.SessionTopic); err != nil { // its brokers are kept up to date from now on
		return nil, err
	}
	l := &sessions{s: s, names: names, failed: make(chan struct{})}
	from := &systemLog{
		s: s, name: "the sessions' changelog", waits: "the sessions that stand there wait", fail: l.fail, failed: l.failed,
	}
	var readers []*logReader
	for n, name := range names {
		r := from.newReader(name, n)
		readers = append(readers, r)
		l.queues = append(l.queues, &sessionQueue{queue: r.q, l: l, reader: r})
	}
	l.log, err = changelog.Open(changelog.Options{
		Dir: filepath.Join(s.opts.Dir, viewDir("sessions", names)), Queues: len(names), Log: l, Taken: l.tell, Shared: l.tellShared, Failed: l.fail,
		Now: s.opts.monotonic, Logger: s.opts.Logger,
	})
	if err != nil {
		return nil, err
	}
	from.view = l.log
	from.read(ctx, readers)
	s.tasks.Go(l.keep)
	s.pulse = pulse.New(pauseLimit, s.opts.monotonic)
	s.tasks.Go(l.feel)
	return l, nil
}

// viewDir is the directory of the view of a log in these queues: that of another one is of no use.
func viewDir(of string, names []queueName) string {
	var h xxhash.Digest
	h.Reset()
	for _, n := range names {
		_, _ = h.WriteString(n.String() + "\n") // never fails
	}
	return of + "-" + strconv.FormatUint(h.Sum64(), 16)
}

// keep does what the time asks for, until the store closes.
func (l *sessions) keep() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	l.renew() // after a long stop at once
	for {
		select {
		case <-tick.C:
			l.log.Tick()
		case <-flush.C:
			if err := l.log.Flush(); err != nil {
				l.fail(err)
			}
		case <-renew.C:
			l.renew()
		case <-l.s.ctx.Done():
			return
		}
	}
}

// renew writes again what brokers are about to drop.
func (l *sessions) renew() {
	for from := ""; l.s.ctx.Err() == nil; {
		next, err := l.log.Renew(from, renewAfter)
		if err != nil {
			l.fail(err)
		}
		if next == "" || err != nil {
			return
		}
		from = next
		l.log.Tick()
	}
}

// fail ends the store: without its view it cannot tell what counts.
func (l *sessions) fail(err error) { l.failAs("the sessions' changelog", err) }

// failAs is fail for the view of a log.
func (l *sessions) failAs(log string, err error) {
	l.failing.Do(func() {
		l.err = fmt.Errorf("the view of "+log+" failed; free the disk or replace it, and start again: it is built again from RocketMQ if its directory is removed: %w", err)
		l.s.log.Error("the store has failed", "err", l.err)
		close(l.failed)
	})
}

// leave says that this node's clients have gone, and ends writing.
func (l *sessions) leave() error {
	l.log.Leave()
	var errs error
	until := time.Now().Add(leavePatience)
	for _, q := range l.queues {
		errs = errors.Join(errs, q.flush(time.Until(until)))
	}
	return errs
}

func (l *sessions) tell(client string) {
	if f := l.taken.Load(); f != nil {
		(*f)(client)
	}
}

func (l *sessions) tellShared(filter string) {
	if f := l.shared.Load(); f != nil {
		(*f)(filter)
	}
}

// connected is what became of a connect.
type connected struct {
	old *store.Session
	err error
}

// Connect implements Changelog. It waits for a former owner, and for RocketMQ, but not for ever.
func (l *sessions) Connect(c *store.Change) (*store.Session, error) {
	was, err := l.log.Load(c.Client)
	if err != nil {
		return nil, err
	}
	done := make(chan connected, 1)
	l.log.Connect(c, func(old *store.Session, err error) { done <- connected{old, err} })
	t := time.NewTimer(connectPatience)
	defer t.Stop()
	var r connected
	select {
	case r = <-done:
	case <-t.C:
		if l.log.Abandon(c.Client) {
			return nil, fmt.Errorf("%w: the sessions' changelog has not said within %v whose client id %.200q is", store.ErrAway, connectPatience, c.Client)
		}
		r = <-done
	}
	if r.old != nil && was != nil && !was.Connected { // connect has put this connection's in their place
		r.old.Will, r.old.WillAt, r.old.Expiry, r.old.ExpiresAt, r.old.Connected = was.Will, was.WillAt, was.Expiry, was.ExpiresAt, false
	}
	return r.old, r.err
}

// Change implements Changelog.
func (l *sessions) Change(c *store.Change, done store.Completion, token uint64) {
	l.log.Change(c, done, token)
}

// Announce implements Changelog.
func (l *sessions) Announce(client, principal string) { l.log.Announce(client, principal) }

// Gone implements Changelog.
func (l *sessions) Gone(client string) {
	l.log.Change(&store.Change{Kind: store.Remove, Client: client}, nil, 0)
}

// Taken implements Changelog.
func (l *sessions) Taken(f func(client string)) { l.taken.Store(&f) }

// Load implements Changelog.
func (l *sessions) Load(client string) (*store.Session, error) { return l.log.Load(client) }

// Groups implements Changelog.
func (l *sessions) Groups() ([]store.Group, error) { return l.log.Groups() }

// Shared implements Changelog.
func (l *sessions) Shared(f func(filter string)) bool {
	l.shared.Store(&f)
	return true
}

// Share implements Changelog.
func (l *sessions) Share(filter string, seen int64) (*store.Share, error) {
	return l.log.Share(filter, seen)
}

// Report implements Changelog.
func (l *sessions) Report(r *store.ShareReport, done store.Completion, token uint64) {
	l.log.Report(r, done, token)
}

// Expired implements Changelog.
func (l *sessions) Expired(now time.Time, max int) ([]string, error) { return l.log.Expired(now, max) }

// WillsDue implements Changelog.
func (l *sessions) WillsDue(now time.Time, max int) ([]string, error) {
	return l.log.WillsDue(now, max)
}

// Owed implements Changelog.
func (l *sessions) Owed(now time.Time, from string, max int) ([]store.Owed, string, error) {
	return l.log.Owed(now, from, max)
}

// Owing implements Changelog.
func (l *sessions) Owing(client string, id uint64) (claim changelog.Claim, mine, ok bool, err error) {
	return l.log.Owing(client, id)
}

// ClaimWill implements Changelog.
func (l *sessions) ClaimWill(client string, id uint64, before, claim changelog.Claim, done store.Completion) {
	l.log.ClaimWill(client, id, before, claim, done)
}

// WillSent implements Changelog.
func (l *sessions) WillSent(client string, id uint64, done store.Completion) {
	l.log.WillSent(client, id, done)
}

// ReleaseWill implements Changelog.
func (l *sessions) ReleaseWill(client string, id uint64, claim changelog.Claim, done store.Completion) {
	l.log.ReleaseWill(client, id, claim, done)
}

// Sessions implements Changelog.
func (l *sessions) Sessions() int64 { return l.log.Sessions() }

// Note implements Changelog.
func (l *sessions) Note(q store.Queue) ([]byte, error) { return l.log.Note(q) }

// Failed implements Changelog.
func (l *sessions) Failed() <-chan struct{} { return l.failed }

// Err implements Changelog.
func (l *sessions) Err() error {
	select {
	case <-l.failed:
		return l.err
	default:
		return nil
	}
}

// Close implements Changelog. Nothing reads or writes any longer.
func (l *sessions) Close() error { return l.log.Close() }

var _ Changelog = (*sessions)(nil)
