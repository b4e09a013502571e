package local

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// failure remembers why the store can accept nothing more.
type failure struct {
	mu   sync.Mutex
	err  error         // guarded by mu
	done chan struct{} // closed with the first failure
}

// set notes the first failure; true when it is that.
func (f *failure) set(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return false
	}
	f.err = err
	close(f.done)
	return true
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// fail stops the store: nothing is acknowledged from here on, and nothing is written, so that what is on disk stays
// what a crash at this moment would leave. A failed sync is never tried again: the kernel may have marked pages as
// written that are not, and a second sync would succeed and lie.
func (s *Store) fail(what string, cause error) error {
	advice := "check the disk and the kernel's log, then restart: what was acknowledged is kept"
	if errors.Is(cause, syscall.ENOSPC) || errors.Is(cause, syscall.EDQUOT) {
		advice = "free space on the disk or lower the retention, then restart: what was acknowledged is kept"
	}
	err := fmt.Errorf("%w: %s: %w; %s", store.ErrFailed, what, cause, advice)
	if !s.failure.set(err) {
		return s.failure.get()
	}
	s.log.Error("store failed: nothing more is accepted", "err", err, "dir", s.opts.Dir)
	s.mu.Lock()
	s.refuse = err
	s.room.Broadcast()
	s.work.Signal()
	s.mu.Unlock()
	return err
}

// Failed is closed when the store can accept nothing more.
func (s *Store) Failed() <-chan struct{} { return s.failure.done }

// Err says why the store failed and what to do; nil while it has not.
func (s *Store) Err() error { return s.failure.get() }
