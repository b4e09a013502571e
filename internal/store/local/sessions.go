package local

import (
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Load returns the session as its changelog has it; see store.Store. Of a session that a dead process left
// connected, Cursor includes that process's last checkpoint and ExpiresAt counts from the next start.
func (s *Store) Load(client string) (sess *store.Session, err error) {
	err = s.look(func() error {
		snap := s.view.db.NewSnapshot()
		defer snap.Close() //nolint:errcheck // it only reads
		var head *view.Head
		sess, head, err = view.Load(snap, client)
		if err == nil && sess != nil && head.Connected {
			sess.SentUpTo = []store.Position{{Offset: s.opened}}
			sess.ExpiresAt = head.Due // 0 but when its process died
		}
		return err
	})
	return sess, err
}

// look calls f while the view is open.
func (s *Store) look(f func() error) error {
	if !s.gate.enter() {
		return store.ErrClosed
	}
	defer s.gate.leave()
	return f()
}

// Groups lists the shared subscription groups; see store.Store.
func (s *Store) Groups() (groups []store.Group, err error) {
	err = s.look(func() error { groups, err = view.Groups(s.view.db); return err })
	return groups, err
}

// Shared is false: no other process shares the store.
func (s *Store) Shared(func(filter string)) bool { return false }

// Share is not to be asked for; see Shared.
func (s *Store) Share(string, int64) (*store.Share, error) { return nil, nil }

// Report is not to be made; see Shared.
func (s *Store) Report(_ *store.ShareReport, done store.Completion, token uint64) {
	done.Appended(token, store.Position{}, nil)
}

// Expired lists sessions that were due to end; see store.Store. The one that is due longest comes first.
func (s *Store) Expired(now time.Time, max int) (clients []string, err error) {
	err = s.look(func() error { clients, err = view.Expired(s.view.db, now, max); return err })
	return clients, err
}

// WillsDue lists sessions whose will is due; see store.Store. The one that is due longest comes first.
func (s *Store) WillsDue(now time.Time, max int) (clients []string, err error) {
	err = s.look(func() error { clients, err = view.WillsDue(s.view.db, now, max); return err })
	return clients, err
}

// Owed lists nothing: no other process shares the store.
func (s *Store) Owed(time.Time, string, int) ([]store.Owed, string, error) { return nil, "", nil }

// Sessions counts the persistent sessions.
func (s *Store) Sessions() int64 { return s.view.sessions.Load() }

// Note returns what the last store.Note of q keeps; nil: nothing. It is the caller's copy. A change that was answered
// before the call is reflected.
func (s *Store) Note(q store.Queue) (value []byte, err error) {
	err = s.look(func() error { value, err = view.Note(s.view.db, q); return err })
	return value, err
}
