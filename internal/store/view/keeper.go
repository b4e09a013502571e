package view

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Keeper is what the keeper of a database holds of it: that it is open while it is used, and why it cannot be written any more. Told must be set before anything
// else; the methods may be called concurrently.
type Keeper struct {
	Told func(error) // of the failure, once, on any goroutine; it must not block

	failure atomic.Pointer[error]
	using   sync.RWMutex // held, shared, while the database is used; it comes before the locks of the keeper
	gone    bool         // guarded by using: it is closed
}

// Failed says why the database cannot be written; nil: it can.
func (k *Keeper) Failed() error {
	if err := k.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Fail notes that the database cannot be written: nothing that comes is to be applied any more.
func (k *Keeper) Fail(err error) {
	if k.failure.CompareAndSwap(nil, &err) {
		k.Told(err)
	}
}

// Use has the database stay open until done is called; the error is store.ErrClosed. It must not be called again before that by the same goroutine.
func (k *Keeper) Use() (done func(), err error) {
	k.using.RLock()
	if k.gone {
		k.using.RUnlock()
		return nil, store.ErrClosed
	}
	return k.using.RUnlock, nil
}

// Close waits for those who use db, has what was applied survive a crash, unless db has failed, and closes it. Idempotent.
func (k *Keeper) Close(db *pebble.DB) error {
	k.using.Lock()
	defer k.using.Unlock()
	if k.gone {
		return nil
	}
	k.gone = true
	if k.Failed() == nil {
		if err := db.Flush(); err != nil {
			return errors.Join(fmt.Errorf("flush: %w", err), db.Close())
		}
	}
	return db.Close()
}
