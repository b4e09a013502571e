package server

import (
	"log/slog"
	"sync"
	"time"
)

// seldom logs a message at most once in ten seconds, and then says how often it was kept back: others choose how often it happens.
type seldom struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]*occurrence // by message: constants of this package
}

type occurrence struct {
	logged time.Time
	kept   int
}

const seldomEvery = 10 * time.Second

func (s *seldom) warn(msg string, args ...any) {
	kept, ok := s.pass(msg, time.Now())
	if !ok {
		return
	}
	if kept > 0 {
		args = append(args, "similar", kept)
	}
	s.log.Warn(msg, args...)
}

func (s *seldom) pass(msg string, now time.Time) (kept int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.seen[msg]
	if o == nil {
		if s.seen == nil {
			s.seen = map[string]*occurrence{}
		}
		o = &occurrence{}
		s.seen[msg] = o
	}
	if !o.logged.IsZero() && now.Sub(o.logged) < seldomEvery {
		o.kept++
		return 0, false
	}
	kept, o.kept, o.logged = o.kept, 0, now
	return kept, true
}
