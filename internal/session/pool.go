package session

import (
	"runtime"
	"sync"
)

// task is something that has work to do off the store's and the network's goroutines: a client or a group that
// catches up.
type task interface {
	// run does a bounded part of the work and reports whether there is more to do at once.
	run() (again bool)
	flag() *taskFlag
}

// taskFlag says where a task stands; guarded by pool.mu. So a task is queued at most once and runs on one goroutine at a time, and
// the queue is never longer than there are clients and groups.
type taskFlag struct{ queued, running, again bool }

// pool runs tasks in turn on a fixed number of goroutines.
type pool struct {
	mu      sync.Mutex
	wake    sync.Cond
	queue   []task
	running int // tasks
	closed  bool
	done    sync.WaitGroup
}

func newPool() *pool {
	p := &pool{}
	p.wake.L = &p.mu
	for range max(4, 2*runtime.GOMAXPROCS(0)) { // they wait for the store's disk, so more than there are processors
		p.done.Go(p.loop)
	}
	return p
}

// schedule sees to it that t runs once more from now on. It does not block.
func (p *pool) schedule(t task) {
	f := t.flag()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || f.queued:
	case f.running:
		f.again = true
	default:
		p.push(t)
	}
}

func (p *pool) push(t task) {
	t.flag().queued = true
	p.queue = append(p.queue, t)
	p.wake.Signal()
}

func (p *pool) loop() {
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.closed {
			p.wake.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return
		}
		t := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		f := t.flag()
		f.queued, f.running, f.again = false, true, false
		p.running++
		p.mu.Unlock()

		again := t.run()

		p.mu.Lock()
		f.running = false
		p.running--
		if (again || f.again) && !p.closed {
			p.push(t)
		}
		p.mu.Unlock()
	}
}

// close ends all goroutines after what they are doing.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.queue = nil
	p.wake.Broadcast()
	p.mu.Unlock()
	p.done.Wait()
}
