package view

import (
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
	value, err := get(r, nil, noteKey(q))
	if err != nil {
		return nil, fmt.Errorf("note of queue %d: %w", q, err)
	}
	return value, nil
}
