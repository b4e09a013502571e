package rocketmq

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Change appends to the changelog of sessions; see store.Store.
func (s *Store) Change(c *store.Change, done store.Completion, token uint64) {
	if c.Kind == store.Remove || c.Kind == store.Connect && c.Clean {
		s.sending.forget(c.Client)
	}
	s.opts.Changelog.Change(c, done, token)
}

// Load returns a session; see store.Store.
func (s *Store) Load(client string) (*store.Session, error) {
	sess, err := s.opts.Changelog.Load(client)
	if err != nil || sess == nil {
		return sess, err
	}
	s.sending.pending(client, sess.Pending)
	sess.Pending = nil
	if sess.Connected {
		sess.SentUpTo = s.opened(sess)
	}
	return sess, nil
}

// opened is where the queues of a session ended when this process first looked: what lies below may have been sent by the one before. A
// queue that is out of reach is left out.
func (s *Store) opened(sess *store.Session) []store.Position {
	var v []store.Position
	at := map[store.Queue]bool{}
	look := func(p store.Position) {
		q := s.queueOf(p.Queue)
		if q == nil || at[p.Queue] {
			return
		}
		at[p.Queue] = true
		ctx, cancel := s.asking()
		defer cancel()
		if s.settle(ctx, q) == nil {
			v = append(v, store.Position{Queue: p.Queue, Offset: q.log.opened})
		}
	}
	for _, p := range sess.Cursor {
		look(p)
	}
	for i := range sess.Subscriptions {
		for _, p := range sess.Subscriptions[i].Start {
			look(p)
		}
	}
	return v
}

// Groups lists the shared subscription groups; see store.Store.
func (s *Store) Groups() ([]store.Group, error) { return s.opts.Changelog.Groups() }

// Expired lists sessions that were due to end; see store.Store.
func (s *Store) Expired(now time.Time, max int) ([]string, error) {
	return s.opts.Changelog.Expired(now, max)
}

// WillsDue lists sessions whose will is due; see store.Store.
func (s *Store) WillsDue(now time.Time, max int) ([]string, error) {
	return s.opts.Changelog.WillsDue(now, max)
}

// Sessions counts the persistent sessions.
func (s *Store) Sessions() int64 { return s.opts.Changelog.Sessions() }

// Retained finds nothing: retained messages are not kept on RocketMQ yet, and refused.
func (s *Store) Retained(string, string, []store.Position, int) (recs []store.Record, next string, err error) {
	return nil, "", nil
}

// MayRetain is false; see Retained.
func (s *Store) MayRetain() bool { return false }

// Failed is closed when the changelog can take nothing more; RocketMQ itself is waited for.
func (s *Store) Failed() <-chan struct{} { return s.opts.Changelog.Failed() }

// Err says why.
func (s *Store) Err() error { return s.opts.Changelog.Err() }

var _ store.Store = (*Store)(nil)
