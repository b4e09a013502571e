package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Retained messages are a part of the view: for each topic the record that was retained last, whole, so that it
// outlives the segment it came in. A message of QoS 1 or 2 is its own record; one of QoS 0, which is not in the log, is
// written beside its way to the sink as kindRetained. view.WalkTopics finds them.

func retainedKey(name string) []byte { return view.TopicKey(keyRetained, name) }

func retainingKey(first string) []byte { return append([]byte{keyRetaining}, first...) }

// retain applies a record whose message becomes the retained one of its topic, or ends it when it is empty [MQTT-3.3.1-5] [MQTT-3.3.1-6].
func (t *txn) retain(h *header, body []byte) error {
	p, err := parseMessage(h, body)
	if err != nil {
		return err
	}
	if err := t.endRetained(p.rec.Topic, -1); err != nil || len(p.rec.Payload) == 0 {
		return err
	}
	value := make([]byte, recordHeader+len(body))
	h.put(value, t.v.s.salt)
	copy(value[recordHeader:], body)
	if err := t.Set(retainedKey(p.rec.Topic), value); err != nil {
		return err
	}
	if err := t.Set(view.NumberKey(keyRetainedAt, h.offset, ""), raw(p.rec.Topic)); err != nil {
		return err
	}
	return t.countRetained(p.rec.Topic, 1, int64(len(value)))
}

// endRetained removes the retained message of a topic; with offset not negative only when it is the one that stands there.
func (t *txn) endRetained(name string, offset int64) error {
	value, err := t.Get(retainedKey(name))
	if err != nil || value == nil {
		return err
	}
	h, ok := parseHeader(value, t.v.s.salt)
	if !ok {
		return fmt.Errorf("retained message of %q: %w", name, store.ErrCorrupt)
	}
	if offset >= 0 && h.offset != offset {
		return nil
	}
	size := int64(len(value))
	if err := t.Delete(retainedKey(name)); err != nil {
		return err
	}
	if err := t.Delete(view.NumberKey(keyRetainedAt, h.offset, "")); err != nil {
		return err
	}
	return t.countRetained(name, -1, -size)
}

func (t *txn) countRetained(name string, n, size int64) error {
	t.state.retained += n
	t.state.retainedBytes += size
	return t.Count(retainingKey(topic.First(name)), n)
}

// retainedOver applies the end of a retained message that has expired. The body is its offset and its topic.
func (t *txn) retainedOver(h *header, body []byte) error {
	d := view.Decoder{B: body}
	offset, name := d.Int(), d.String()
	if d.Err != nil {
		return fmt.Errorf("offset %d: %w: %w", h.offset, d.Err, store.ErrCorrupt)
	}
	return t.endRetained(name, offset)
}

// mayRetain says whether the limits allow m to be retained. What is on its way to the view is not counted yet, so they
// may be exceeded by what publishers have under way at one moment.
func (s *Store) mayRetain(m *store.Message, size int64) error {
	if len(m.Payload) == 0 {
		return nil
	}
	if !s.gate.enter() {
		return store.ErrClosed
	}
	defer s.gate.leave()
	q := view.Quota{Topics: s.opts.MaxRetained, Bytes: s.opts.MaxRetainedBytes}
	err := q.Fits(s.view.db, retainedKey(m.Topic), retainingKey(topic.First(m.Topic)), size, s.view.retainedBytes.Load())
	if err != nil && !errors.Is(err, store.ErrQuota) {
		return s.fail("read what is retained", err)
	}
	return err
}

// MayRetain is false when there is no retained message; see store.Store. Once one was published it stays true.
func (s *Store) MayRetain() bool { return s.retains.Load() || s.view.retained.Load() > 0 }

// Late does nothing: no other process shares the store, and Retained waits for all that was appended; see store.Store.
func (s *Store) Late(func(rec *store.Record)) {}

// retainedOK says that a retained message has not expired.
func (s *Store) retainedOK(value []byte, now int64) (bool, error) {
	h, p, err := s.parseRetained(value)
	keep := s.opts.RetainFor.Milliseconds()
	return (p.rec.Expires == 0 || now <= p.rec.Expires) && (keep <= 0 || now-h.time <= keep), err
}

// retainedSteps bounds how many keys one call of Retained looks at.
const retainedSteps = 10_000

// Retained returns retained messages that filter matches; see store.Store.
func (s *Store) Retained(filter, after string, at []store.Position, maxBytes int) ([]store.Record, string, error) {
	for _, p := range at {
		if err := s.shownUpTo(p.Offset); err != nil {
			return nil, after, err
		}
	}
	if !s.gate.enter() {
		return nil, after, store.ErrClosed
	}
	defer s.gate.leave()
	it, err := s.view.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyRetained}, UpperBound: []byte{keyRetained + 1}})
	if err != nil {
		return nil, after, fmt.Errorf("read retained messages: %w", err)
	}
	w := retainedWalk{s: s, left: maxBytes, now: s.now()}
	next, err := view.WalkTopics(it, keyRetained, filter, after, retainedSteps, w.take)
	if err = errors.Join(err, it.Close()); err != nil {
		return nil, after, fmt.Errorf("read retained messages: %w", err)
	}
	return w.recs, next, nil
}

// retainedWalk is one call of Retained.
type retainedWalk struct {
	s    *Store
	left int // bytes that may still be returned
	now  int64
	recs []store.Record
}

// take copies the record in value to the result; full when there was no room for it.
func (w *retainedWalk) take(value []byte) (full bool, err error) {
	if valid, err := w.s.retainedOK(value, w.now); !valid || err != nil {
		return false, err
	}
	if w.left -= recordWeight + len(value); w.left < 0 && len(w.recs) > 0 {
		return true, nil
	}
	rec, err := w.s.retainedRecord(value)
	if rec.QoS == 0 {
		rec.Offset = -1 // it does not come from there
	}
	w.recs = append(w.recs, rec)
	return false, err
}

// retainedRecord is the record in a copy of value.
func (s *Store) retainedRecord(value []byte) (rec store.Record, err error) {
	value = bytes.Clone(value)
	h, p, err := s.parseRetained(value)
	if err == nil && !h.bodyOK(value[recordHeader:], s.salt) {
		err = errRetained
	}
	return p.rec, err
}

var errRetained = fmt.Errorf("a retained message does not have its checksum: %w", store.ErrCorrupt)

// parseRetained decodes a value, which the result aliases. The body's checksum is not looked at.
func (s *Store) parseRetained(value []byte) (h header, p messageParts, err error) {
	h, ok := parseHeader(value, s.salt)
	if !ok {
		return h, p, errRetained
	}
	p, err = parseMessage(&h, value[recordHeader:])
	return h, p, err
}

// getRetained returns the retained message that stands at offset; found is false when there is none.
func (s *Store) getRetained(offset int64) (rec store.Record, found bool, err error) {
	name, done, err := s.view.db.Get(view.NumberKey(keyRetainedAt, offset, ""))
	if errors.Is(err, pebble.ErrNotFound) {
		return rec, false, nil
	}
	if err != nil {
		return rec, false, err
	}
	key := retainedKey(string(name))
	done.Close() //nolint:errcheck // cannot fail
	value, done, err := s.view.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return rec, false, nil
	}
	if err != nil {
		return rec, false, err
	}
	defer done.Close() //nolint:errcheck // cannot fail
	rec, err = s.retainedRecord(value)
	return rec, err == nil && rec.Offset == offset, err
}

// sweepMost is how many retained messages are looked at in one sweep.
const sweepMost = 1000

// sweepRetained ends retained messages that have expired, a few at a time, going round and round.
func (s *Store) sweepRetained(from string) (next string) {
	if s.opts.LeaveRetained || s.view.retained.Load() == 0 || s.failure.get() != nil {
		return ""
	}
	over, next, err := s.expiredRetained(from)
	if err != nil {
		s.log.Error("looking for expired retained messages failed", "err", err)
		return ""
	}
	for _, rec := range over {
		body := view.AppendString(binary.AppendVarint(nil, rec.Offset), rec.Topic)
		if err := s.putBody(kindRetainedOver, body, nil, 0); err != nil {
			return ""
		}
	}
	return next
}

func (s *Store) expiredRetained(from string) (over []store.Record, next string, err error) {
	if !s.gate.enter() {
		return nil, "", store.ErrClosed
	}
	defer s.gate.leave()
	it, err := s.view.db.NewIter(&pebble.IterOptions{LowerBound: append([]byte{keyRetained}, from...), UpperBound: []byte{keyRetained + 1}})
	if err != nil {
		return nil, "", err
	}
	now, n := s.now(), 0
	err = view.Scan(it, func(key, value []byte) error {
		if n++; n > sweepMost {
			next = string(key[1:])
			return view.Stop
		}
		valid, err := s.retainedOK(value, now)
		if err != nil || valid {
			return err
		}
		rec, err := s.retainedRecord(value)
		over = append(over, rec)
		return err
	})
	return over, next, err
}

// shows tells those who wait that more has become visible.
type shows struct {
	mu   sync.Mutex
	more chan struct{} // guarded by mu; closed when there is more; nil: nobody waits
}

func (w *shows) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.more == nil {
		w.more = make(chan struct{})
	}
	return w.more
}

func (w *shows) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.more != nil {
		close(w.more)
		w.more = nil
	}
}

// shownUpTo waits until every record below offset is visible.
func (s *Store) shownUpTo(offset int64) error {
	for {
		more := s.shows.next()
		if s.next.Load() >= offset {
			return nil
		}
		select {
		case <-more:
		case <-s.failure.done:
			return s.failure.get()
		case <-s.stop:
			return store.ErrClosed
		}
	}
}
