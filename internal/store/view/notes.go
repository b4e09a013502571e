package view

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// note keeps value for q, in place of what was kept. There are as many notes as queues, and none is larger than a record.
func (t *Txn) note(q store.Queue, value []byte) error {
	if len(value) == 0 {
		return t.Delete(noteKey(q))
	}
	return t.Set(noteKey(q), value)
}

// Note returns what the last store.Note of q keeps; nil: nothing. It is the caller's copy.
func Note(r pebble.Reader, q store.Queue) ([]byte, error) {
	value, done, err := r.Get(noteKey(q))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the note of queue %d: %w", q, err)
	}
	defer done.Close() //nolint:errcheck // cannot fail
	return bytes.Clone(value), nil
}
