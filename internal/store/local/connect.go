package local

import (
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Connect begins or resumes a session; see store.Store. No other process shares the store, so there is nobody to take it from.
func (s *Store) Connect(c *store.Change) (*store.Session, error) {
	was, err := s.Load(c.Client)
	if err != nil {
		return nil, err
	}
	old := was
	if was != nil && s.isOver(was) {
		old = nil
	}
	if old != nil && old.Principal != c.Principal {
		return nil, fmt.Errorf("connect client %.200q: %w", c.Client, store.ErrPrincipal)
	}
	if c.Clean {
		old = nil
	}
	if ch := begin(c, was != nil, old != nil); ch != nil {
		err = s.changed(ch)
	}
	if err != nil {
		return nil, err
	}
	return old, nil
}

// begin is what is written of a connection; nil: nothing. there says that something is stored, resumes that it is gone on with.
func begin(c *store.Change, there, resumes bool) *store.Change {
	switch {
	case resumes || c.Expiry != 0 || c.Will != nil:
		ch := *c
		ch.Clean = !resumes
		return &ch
	case there:
		return &store.Change{Kind: store.Remove, Client: c.Client}
	}
	return nil
}

// isOver says that the time of a session has passed. One without expiry ended with its connection, whether that was written or not.
func (s *Store) isOver(sess *store.Session) bool {
	return sess.Expiry == 0 || sess.ExpiresAt != 0 && s.now() >= sess.ExpiresAt
}

// changed is Change that waits until c is durable.
func (s *Store) changed(c *store.Change) error {
	w := waiter{done: make(chan error, 1)}
	s.Change(c, &w, 0)
	return <-w.done
}

// Announce does nothing: there is nobody to tell.
func (s *Store) Announce(string, string) {}

// Gone does nothing.
func (s *Store) Gone(string) {}

// Taken does nothing: it never happens.
func (s *Store) Taken(func(client string)) {}
