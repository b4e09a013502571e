package view

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Quota bounds retained messages; 0: no limit.
type Quota struct {
	Topics int64 // below one first level
	Bytes  int64 // of all of them
}

// Fits says whether size bytes may be kept under key, in place of what is there; else the error is a store.ErrQuota, or of r. How many topics of the same first level have a retained
// message is counted under count, and have is how many bytes all retained messages take. What is no larger than what it replaces passes.
func (q Quota) Fits(r pebble.Reader, key, count []byte, size, have int64) error {
	old, done, err := r.Get(key)
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	isNew := err != nil
	if !isNew {
		size -= int64(len(old))
		done.Close() //nolint:errcheck // cannot fail
	}
	if q.Bytes > 0 && size > 0 && have+size > q.Bytes {
		return fmt.Errorf("%d bytes of retained messages are kept, the limit is %d (maxRetainedBytes): %w", have, q.Bytes, store.ErrQuota)
	}
	if !isNew || q.Topics <= 0 {
		return nil
	}
	n, err := Counted(r, count)
	if err != nil {
		return err
	}
	if n >= q.Topics {
		return fmt.Errorf("%d topics with this first level have a retained message, the limit is %d (maxRetainedTopicNum): %w", n, q.Topics, store.ErrQuota)
	}
	return nil
}
