package rocketmq

import (
	"context"
	"slices"
	"sync"
)

// underway is what has begun and has not ended. Whoever waits, waits for what had begun by then, and not for what comes later. The zero value is ready.
type underway struct {
	mu   sync.Mutex
	now  *stretch   // what begins now; nil: nothing has yet
	open []*stretch // what began before others waited, and has not ended
}

// stretch is what began between two waits.
type stretch struct {
	n    int           // guarded by underway.mu
	over chan struct{} // closed when it is in open, and n is 0
}

// begin begins one; end is to be given what it returns.
func (u *underway) begin() *stretch {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now == nil {
		u.now = &stretch{over: make(chan struct{})}
	}
	u.now.n++
	return u.now
}

func (u *underway) end(s *stretch) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.n--; s.n > 0 || s == u.now {
		return
	}
	close(s.over)
	u.open = slices.DeleteFunc(u.open, func(o *stretch) bool { return o == s })
}

// wait waits for what has begun, or the end of ctx.
func (u *underway) wait(ctx context.Context) error {
	u.mu.Lock()
	if s := u.now; s != nil && s.n > 0 {
		u.open = append(u.open, s)
		u.now = nil
	}
	open := slices.Clone(u.open)
	u.mu.Unlock()
	for _, s := range open {
		select {
		case <-s.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
