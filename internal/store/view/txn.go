// Package view is what a changelog of sessions amounts to: it applies changes (store.Change), one after the other, to Pebble, and puts sessions and
// groups together from what is there. A view can be built again from its changelog at any time; it is the changelog's owner who knows how far it is.
package view

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Record is where changes stand in their changelog. Those about one client are applied in the order of their offsets.
type Record struct {
	Offset int64
	Time   int64 // when it was stored, Unix milliseconds
	Run    int64 // who wrote it: a process of those that share the changelog, from its start to its end
}

// Entry is a record as it stands in a log that views are made of.
type Entry struct {
	Offset int64 // above that of the one before, or the same when one message has both
	Time   int64 // when it was stored, Unix milliseconds
	Data   []byte
}

// Txn applies changes to a view: all that come before a call of Apply, or none. It reads what it wrote. It is for one goroutine. Several may be under way at once when
// each is about clients of its own; groups, which have members among the clients of many, take Groups then.
type Txn struct {
	Groups sync.Locker // held from where a group is read to what was written of it; nil: no other transaction is under way
	locked bool        // Groups is held

	db       *pebble.DB
	b        *pebble.Batch // nil until there is something to write
	rec      *Record       // that is being applied
	steps    uint64        // see step
	sessions int64
	buf      []byte // what Get has returned
	latest   latest // see Head
}

// Begin begins a transaction. Close ends it.
func Begin(db *pebble.DB) *Txn { return &Txn{db: db, buf: make([]byte, 0, 64)} }

// Close releases the transaction; what was not applied is forgotten.
func (t *Txn) Close() {
	defer t.unlockGroups()
	if t.b != nil {
		t.b.Close() //nolint:errcheck // an indexed batch holds memory only
	}
}

// Empty says that there is nothing to apply.
func (t *Txn) Empty() bool { return t.b == nil }

// Sessions is how many sessions more there are than when the transaction began.
func (t *Txn) Sessions() int64 { return t.sessions }

func (t *Txn) lockGroups() {
	if t.Groups != nil && !t.locked {
		t.Groups.Lock()
		t.locked = true
	}
}

func (t *Txn) unlockGroups() {
	if t.locked {
		t.locked = false
		t.Groups.Unlock()
	}
}

// Apply makes visible what was written so far, without a sync. The transaction can go on.
func (t *Txn) Apply() error {
	defer t.unlockGroups()
	if t.b == nil {
		return nil
	}
	if err := t.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit to the view: %w", err)
	}
	t.b.Close() //nolint:errcheck // committed
	t.b = nil
	return nil
}

// Batch is what the transaction has written. Whoever asks for it has something applied, be it nothing.
func (t *Txn) Batch() *pebble.Batch {
	if t.b == nil {
		t.b = t.db.NewIndexedBatch()
	}
	return t.b
}

// Set sets the value of a key. Keys that are not of this package's letters are the caller's.
func (t *Txn) Set(key, value []byte) error { return t.Batch().Set(key, value, nil) }

// Delete removes a key.
func (t *Txn) Delete(key []byte) error { return t.Batch().Delete(key, nil) }

// Get returns the value of key, valid until the next Get; nil when there is none, not nil when it is empty.
func (t *Txn) Get(key []byte) ([]byte, error) {
	value, err := get(t.reader(), t.buf[:0], key)
	if value != nil {
		t.buf = value
	}
	return value, err
}

// get appends the value of key to b; nil when there is none.
func get(r pebble.Reader, b, key []byte) ([]byte, error) {
	value, done, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the view: %w", err)
	}
	defer done.Close() //nolint:errcheck // cannot fail
	return append(b, value...), nil
}

// reader is the batch, if there is one: to ask does not make one.
func (t *Txn) reader() pebble.Reader {
	if t.b != nil {
		return t.b
	}
	return t.db
}

// Has says whether key exists, whatever its value.
func (t *Txn) Has(key []byte) (bool, error) {
	value, err := t.Get(key)
	return value != nil, err
}

// Each calls f for every key with prefix, in order, until it returns an error; Stop is none to the caller. The slices are valid during the call; f must not write.
func (t *Txn) Each(prefix []byte, f func(key, value []byte) error) error {
	return Each(t.reader(), prefix, f)
}

// DeleteAll deletes every key with prefix. One by one: they are few, and range deletions slow down every reader.
func (t *Txn) DeleteAll(prefix []byte) error {
	var keys [][]byte
	err := t.Each(prefix, func(key, _ []byte) error {
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = t.Delete(key)
		}
	}
	return err
}

// Each is Txn.Each for what is visible to r.
func Each(r pebble.Reader, prefix []byte, f func(key, value []byte) error) error {
	return Range(r, prefix, After(prefix), f)
}

// Range is Each for the keys from the first to before the last.
func Range(r pebble.Reader, first, last []byte, f func(key, value []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: last})
	if err != nil {
		return fmt.Errorf("read the view: %w", err)
	}
	return Scan(it, f)
}

// Scan calls f for every key of it, as Each does, and closes it.
func Scan(it *pebble.Iterator, f func(key, value []byte) error) error {
	var err error
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = f(it.Key(), value)
		}
	}
	if errors.Is(err, Stop) {
		err = nil
	}
	return errors.Join(err, it.Close())
}

// Stop ends an Each early, without error.
var Stop = errors.New("stop") //nolint:errname,revive,staticcheck // it is no error but to Each

// After is the first key behind all that have this prefix; nil: there is none.
func After(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Get returns a copy of what r has under key; nil when there is nothing, not nil when it is empty.
func Get(r pebble.Reader, key []byte) ([]byte, error) { return get(r, []byte{}, key) }

// Count adds n to the number under key, which is gone when it comes to nothing.
func (t *Txn) Count(key []byte, n int64) error {
	value, err := t.Get(key)
	if err != nil {
		return err
	}
	if value != nil {
		d := Decoder{B: value}
		n += d.Int()
	}
	if n <= 0 {
		return t.Delete(key)
	}
	return t.Set(key, binary.AppendVarint(nil, n))
}

// Counted is the number under key that Count keeps.
func Counted(r pebble.Reader, key []byte) (int64, error) {
	value, err := Get(r, key)
	if err != nil || value == nil {
		return 0, err
	}
	d := Decoder{B: value}
	return d.Int(), d.Err
}
