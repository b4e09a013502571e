package server

import (
	"context"
	"fmt"
)

// Shutdown ends the server:
//
//  1. Nothing is accepted any more; WebSocket handshakes under way are dropped.
//  2. Options.Stopping tells the clients and closes their connections.
//  3. What is queued is written, within Options.FlushTimeout for all.
//  4. What is still open is closed.
//  5. All goroutines have ended: every Client.Closed has returned.
//
// When ctx ends first it goes on with 4 at once, and returns an error if goroutines are left, such as one in Client.Packet. A second
// call only waits.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.stopAccepting() { // 1
		s.opts.Stopping(ctx) // 2
		s.flush(ctx)         // 3
		s.killAll()          // 4
	}
	return s.wait(ctx) // 5
}

// stopAccepting reports whether this call did it.
func (s *Server) stopAccepting() bool {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return false
	}
	s.stopping = true
	listeners, started := s.listeners, s.started
	s.mu.Unlock()
	for _, l := range listeners {
		l.close()
	}
	if !started {
		close(s.scanned) // there is no scanner
	}
	return true
}

// flush closes every connection and waits until they have ended, within bounds.
func (s *Server) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.FlushTimeout)
	defer cancel()
	empty := make(chan struct{})
	s.mu.Lock()
	conns := append([]*conn(nil), s.conns...)
	if len(conns) == 0 {
		close(empty)
	} else {
		s.empty = empty
	}
	s.mu.Unlock()
	for _, c := range conns {
		if c.opened.Load() {
			c.shut(stoppingReason)
		} else {
			c.kill(stoppingReason, false)
		}
	}
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

const stoppingReason = "the server stops"

func (s *Server) killAll() {
	s.mu.Lock()
	conns := append([]*conn(nil), s.conns...)
	s.mu.Unlock()
	for _, c := range conns {
		c.kill(stoppingReason, true)
		c.sock.abort() // also where only the client's closing is waited for
	}
}

func (s *Server) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.goroutines.Wait()
		s.flusher.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("stop the server: connections are still being handled: %w", ctx.Err())
	}
	s.stopRest.Do(func() {
		close(s.stopScan)
		if s.parker != nil {
			s.parker.close()
		}
	})
	<-s.scanned
	return nil
}
