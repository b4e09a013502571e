package rocketmq

import (
	"context"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Change appends to the changelog of sessions; see store.Store.
func (s *Store) Change(c *store.Change, done store.Completion, token uint64) {
	switch {
	case c.Kind == store.Remove || c.Kind == store.Connect && c.Clean:
		s.sending.forget(c.Client)
	case c.Kind == store.Release:
		s.sending.released(c.Client, c.PacketID)
	}
	s.changelog.Change(c, done, token)
}

// Load returns a session; see store.Store. It asks RocketMQ nothing: SentUpTo is complete when Connect returns the session.
func (s *Store) Load(client string) (*store.Session, error) {
	s.sending.loading(client)
	sess, err := s.changelog.Load(client)
	if err != nil || sess == nil {
		return sess, err
	}
	s.takeReceipts(sess)
	return sess, nil
}

// Connect makes this process the owner of a client id; see store.Store.
func (s *Store) Connect(c *store.Change) (*store.Session, error) {
	if c.Clean {
		s.sending.forget(c.Client)
	}
	s.sending.loading(c.Client)
	old, err := s.changelog.Connect(c)
	if err != nil {
		return nil, err
	}
	if old == nil {
		s.sending.forget(c.Client)
		return nil, nil
	}
	s.takeReceipts(old)
	switch {
	case old.Torn: // another node served it, until a moment ago
		old.SentUpTo = s.everywhere(old, s.endOf)
	case old.Connected && s.sessions == nil: // this node did, before it was started
		old.SentUpTo = s.everywhere(old, s.openedAt)
	}
	return old, nil
}

// takeReceipts takes the receipts off a session, which are kept here.
func (s *Store) takeReceipts(sess *store.Session) {
	s.sending.pending(sess.Client, sess.Pending)
	sess.Pending = nil
}

// Announce says that this process serves a client whose session is not kept; see store.Store.
func (s *Store) Announce(client, principal string) { s.changelog.Announce(client, principal) }

// Gone ends that.
func (s *Store) Gone(client string) { s.changelog.Gone(client) }

// Taken sets who is told that another process owns a client id; see store.Store.
func (s *Store) Taken(f func(client string)) { s.changelog.Taken(f) }

// openedAt is where a queue ended when this process first looked.
func (s *Store) openedAt(ctx context.Context, q *queue) (int64, error) {
	err := s.settle(ctx, q)
	return q.log.opened, err
}

// everywhere is a place in each queue of a session below which everything may have been sent before. A queue that is out of reach is left out. Also those
// count that no position of the session names: their topic came to be after it had subscribed.
func (s *Store) everywhere(sess *store.Session, place func(context.Context, *queue) (int64, error)) []store.Position {
	var v []store.Position
	at := map[store.Queue]bool{}
	ctx, cancel := s.asking()
	defer cancel()
	look := func(q *queue) {
		if q == nil || at[q.key] {
			return
		}
		at[q.key] = true
		if offset, err := place(ctx, q); err == nil {
			v = append(v, store.Position{Queue: q.key, Offset: offset})
		}
	}
	for _, t := range s.topicsOfAll(sess.Subscriptions) {
		r := s.known(t)
		if r == nil { // since the start nobody has asked for it
			var err error
			if r, err = s.route(ctx, t); err != nil {
				continue
			}
		}
		for _, q := range r.queues() {
			look(q)
		}
	}
	for _, p := range sess.Cursor { // of topics that are no longer subscribed to
		look(s.queueOf(p.Queue))
	}
	return v
}

// topicsOfAll is topicsOf for all subscriptions of a session.
func (s *Store) topicsOfAll(subs []store.Subscription) []string {
	var list []string
	for i := range subs {
		if _, filter, _, err := topic.ParseShare(subs[i].Filter); err == nil {
			list = append(list, s.topicsOf(filter)...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Groups lists the shared subscription groups; see store.Store.
func (s *Store) Groups() ([]store.Group, error) { return s.changelog.Groups() }

// Shared sets who is told of this process's part in groups; see store.Store.
func (s *Store) Shared(f func(filter string)) bool { return s.changelog.Shared(f) }

// Share is this process's part in a group; see store.Store.
func (s *Store) Share(filter string, seen int64) (*store.Share, error) {
	return s.changelog.Share(filter, seen)
}

// Report tells other processes of this one's part in a group; see store.Store.
func (s *Store) Report(r *store.ShareReport, done store.Completion, token uint64) {
	s.changelog.Report(r, done, token)
}

// Expired lists sessions that were due to end; see store.Store.
func (s *Store) Expired(now time.Time, max int) ([]string, error) {
	return s.changelog.Expired(now, max)
}

// WillsDue lists sessions whose will is due; see store.Store.
func (s *Store) WillsDue(now time.Time, max int) ([]string, error) {
	return s.changelog.WillsDue(now, max)
}

// Owed lists the wills that this process is to publish; see store.Store.
func (s *Store) Owed(now time.Time, from string, max int) ([]store.Owed, string, error) {
	return s.changelog.Owed(now, from, max)
}

// Sessions counts the persistent sessions.
func (s *Store) Sessions() int64 { return s.changelog.Sessions() }

// Failed is closed when the changelog can take nothing more; RocketMQ itself is waited for.
func (s *Store) Failed() <-chan struct{} { return s.changelog.Failed() }

// Err says why.
func (s *Store) Err() error { return s.changelog.Err() }

var _ store.Store = (*Store)(nil)
