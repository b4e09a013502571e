package local

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// note keeps value for q, in place of what was kept. There are as many notes as queues, and none is larger than a record.
func (t *txn) note(q store.Queue, value []byte) error {
	if len(value) == 0 {
		return t.delete(noteKey(q))
	}
	return t.set(noteKey(q), value)
}

// Note returns what the last store.Note of q keeps; nil: nothing. It is the caller's copy. A change that was answered
// before the call is reflected.
func (s *Store) Note(q store.Queue) ([]byte, error) {
	if !s.gate.enter() {
		return nil, store.ErrClosed
	}
	defer s.gate.leave()
	value, done, err := s.view.db.Get(noteKey(q))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the note of queue %d: %w", q, err)
	}
	defer done.Close() //nolint:errcheck // cannot fail
	return bytes.Clone(value), nil
}
