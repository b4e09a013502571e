package session

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// throttled logs at most one line a second for each cause, and says with the next one how many it kept back. Clients
// choose how often something happens; they must not choose how much is written.
type throttled struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	causes map[string]*cause // causes are constants of this package: bounded
}

type cause struct {
	last time.Time
	kept int
}

func newThrottled(log *slog.Logger, now func() time.Time) *throttled {
	return &throttled{log: log, now: now, causes: map[string]*cause{}}
}

// line logs msg, which is the cause, with args.
func (t *throttled) line(level slog.Level, msg string, args ...any) {
	if !t.log.Enabled(context.Background(), level) {
		return
	}
	kept, ok := t.pass(msg)
	if !ok {
		return
	}
	if kept > 0 {
		args = append(args, "similar", kept)
	}
	t.log.Log(context.Background(), level, msg, args...)
}

func (t *throttled) pass(msg string) (kept int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.causes[msg]
	if c == nil {
		c = &cause{}
		t.causes[msg] = c
	}
	now := t.now()
	if now.Sub(c.last) < time.Second {
		c.kept++
		return 0, false
	}
	kept, c.kept, c.last = c.kept, 0, now
	return kept, true
}
