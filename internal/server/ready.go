package server

import (
	"errors"
	"fmt"
	"time"
)

// Ready is nil when a client that connects now is accepted, on every listener; else it says why not.
func (s *Server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return errors.New("the server is stopping")
	case !s.started:
		return errors.New("the server has not started")
	case len(s.conns)-s.courtesy >= s.opts.MaxConn:
		return fmt.Errorf("there are %d connections, as many as maxConn allows", s.opts.MaxConn)
	}
	for _, l := range s.listeners {
		if err := l.trouble(); err != nil {
			return err
		}
	}
	return nil
}

// acceptFailure is the last error of accept.
type acceptFailure struct {
	at  time.Time
	err error
}

// trouble is the error because of which l does not accept, if it has one. While accepting fails it is tried again at least once in longestWait;
// that it succeeds again is not heard of before a client comes.
func (l *listener) trouble() error {
	f := l.failed.Load()
	if f == nil || time.Since(f.at) > 2*longestWait {
		return nil
	}
	return fmt.Errorf("connections to %s listener %s cannot be accepted: %w", l.kind, l.Addr(), f.err)
}
