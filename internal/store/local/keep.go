package local

import (
	"time"
)

// keep is the housekeeper's goroutine: free space, retention, lazy syncs, and flushes of the view.
func (s *Store) keep() {
	check := time.NewTicker(s.opts.CheckInterval)
	defer check.Stop()
	var lazy <-chan time.Time
	if s.opts.NoSync {
		t := time.NewTicker(s.opts.FlushInterval)
		defer t.Stop()
		lazy = t.C
	}
	swept := "" // retained messages up to there
	for {
		select {
		case <-s.stop:
			return
		case <-lazy:
			s.ask(wantSync)
		case <-s.flushes:
			s.flushView()
		case <-check.C:
			s.checkDisk()
			s.retain()
			swept = s.sweepRetained(swept)
		}
	}
}

// flushSoon has the view flushed, so that little of the log has to be replayed after a crash.
func (s *Store) flushSoon() {
	select {
	case s.flushes <- struct{}{}:
	default:
	}
}

func (s *Store) flushView() {
	if err := s.view.flush(); err != nil {
		s.fail("flush the view of sessions", err) //nolint:errcheck // it is the failure itself
	}
}

// checkDisk looks at the free space and says when its level has changed, whoever saw that first.
func (s *Store) checkDisk() {
	before, now := s.disk.told, s.disk.look()
	s.disk.told = now
	switch {
	case before == now:
	case now == enough:
		s.log.Info("there is room on the disk again: publishes are accepted", "free", s.disk.free.Load())
	default:
		s.log.Warn("the disk is nearly full: publishes are refused; free space or lower the retention",
			"free", s.disk.free.Load(), "reserve", s.opts.DiskReserve, "dir", s.opts.Dir)
	}
}
