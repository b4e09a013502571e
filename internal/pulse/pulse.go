// Package pulse finds out that this process was stopped (SIGSTOP, a halted machine, swapping), and holds back what it does for others until it knows
// what happened meanwhile.
//
// Who was stopped does not notice: its connections are there, and what it takes for its own may have been somebody else's for long. A timer does not
// help, since after the stop any goroutine may be the first to run. So whoever is about to act asks Alive, or calls Wait, which compare the
// clock with the last Tick:
//
//	every tenth of a second:  if p.Tick() > 0 { the process was stopped }
//	                          if woke := p.Woke(); !woke.IsZero() && everything from before woke is known { p.Open() }
//	before each batch:        p.Wait()
//
// What was between the question and the act when the process was stopped goes on: ask for each batch, as late as can be. Whoever reads asks after the read, since
// what it finds may have come during the stop.
package pulse

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Pulse is one gate for the whole process. Tick, Woke, Open and Close are for one goroutine, Alive, Wait and Stopped for any. A nil Pulse is always open.
type Pulse struct {
	limit time.Duration
	now   func() time.Time
	began time.Time
	until atomic.Int64 // nanoseconds after began: up to then it is open without another tick

	mu   sync.Mutex    // guards what follows, and that until is raised
	open sync.Cond     // until was raised
	last time.Time     // tick, or when it was noticed that the process had been stopped
	woke time.Time     // when that was noticed; zero: it is open
	gap  time.Duration // of stops that Tick has not told of

	stopped atomic.Int64 // nanoseconds of all stops that were noticed
}

// New makes a Pulse that takes more than limit between two ticks for a stop. It is open. now is a clock with a monotonic part, such as time.Now.
func New(limit time.Duration, now func() time.Time) *Pulse {
	p := &Pulse{limit: limit, now: now, began: now()}
	p.open.L = &p.mu
	p.last = p.began
	p.raise()
	return p
}

// Alive says whether the gate is open. It costs a look at the clock, and allocates nothing.
func (p *Pulse) Alive() bool {
	if p == nil {
		return true
	}
	until := p.until.Load() // before the clock: the process may be stopped between the two
	return int64(p.now().Sub(p.began)) <= until
}

// Wait returns when the gate is open.
func (p *Pulse) Wait() {
	if p.Alive() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.Alive() {
		p.open.Wait()
	}
}

// Stopped is for how long this process was stopped since New: deadlines that this is taken off are not over because of a stop. It also counts a stop that no Tick has
// noticed yet, so after it whoever asks first gets the same answer as those that follow.
func (p *Pulse) Stopped() time.Duration {
	if p == nil {
		return 0
	}
	if !p.Alive() {
		p.mu.Lock()
		p.notice(p.now())
		p.mu.Unlock()
	}
	return time.Duration(p.stopped.Load())
}

// Tick says that the process runs. It returns for how long it was stopped; 0: it was not. Then the gate is shut, as it has been for everybody who asked since the
// stop.
func (p *Pulse) Tick() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.notice(now)
	p.last = now
	if p.woke.IsZero() {
		p.raise()
	}
	gap := p.gap
	p.gap = 0
	return gap
}

// notice shuts the gate when the process was stopped until now. mu is held.
func (p *Pulse) notice(now time.Time) {
	gap := now.Sub(p.last)
	if gap <= p.limit {
		return
	}
	p.last, p.woke = now, now
	p.gap += gap
	p.stopped.Add(int64(gap))
	p.until.Store(math.MinInt64)
}

// Woke is when it was noticed that the process had been stopped, the last time: it ran again before that. Zero: the gate is open.
func (p *Pulse) Woke() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.woke
}

// Open opens the gate as of the last Tick: when the process was stopped since, it stays shut.
func (p *Pulse) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gap > 0 {
		return
	}
	p.woke = time.Time{}
	p.raise()
}

// Close opens the gate for ever: there is nothing left to act on.
func (p *Pulse) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until.Store(math.MaxInt64)
	p.open.Broadcast()
}

// raise keeps the gate open for limit after the last tick. mu is held.
func (p *Pulse) raise() {
	p.until.Store(int64(p.last.Add(p.limit).Sub(p.began)))
	p.open.Broadcast()
}
