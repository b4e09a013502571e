package server

import "sync"

// flusher writes for the connections that have something to write, in the order in which they got it. Its few workers never wait for
// a socket, and exist only while there is work: a message to 15,000 clients costs no 15,000 goroutines. The longer the list, the
// more each write gathers.
type flusher struct {
	most    int            // workers
	worker  func()         // work, made once: for a lone message what it takes to start a worker is made for each write
	running sync.WaitGroup // workers

	mu         sync.Mutex // guards what follows
	head, tail *conn
	length     int // of the list
	workers    int
	promised   int        // goroutines that will call keep
	spare      []*writeOp // of workers that ended
}

// atOnce is how many connections keep writes to by itself.
const atOnce = 2

// push appends c, whose writer state is busy: it is in the list once at most.
func (f *flusher) push(c *conn) {
	f.mu.Lock()
	if f.tail == nil {
		f.head = c
	} else {
		f.tail.next = c
	}
	f.tail = c
	f.length++
	start := f.workers < f.most && (f.promised == 0 || f.length > atOnce)
	if start {
		f.workers++
	}
	f.mu.Unlock()
	if start {
		f.start()
	}
}

// start starts a worker, and allocates nothing, which WaitGroup.Go does.
func (f *flusher) start() {
	f.running.Add(1)
	go f.worker()
}

// promise says that the caller will call keep in a moment, and wait for nothing until then: for what is pushed meanwhile no worker is
// started, if it is little.
func (f *flusher) promise() {
	f.mu.Lock()
	f.promised++
	f.mu.Unlock()
}

// keep writes what was pushed since promise, and leaves to a worker what is more. So a message that comes alone is written by the goroutine
// that read it: to start another one, and the thread that the runtime then wakes to look for more work, costs more than the write does.
func (f *flusher) keep() {
	f.mu.Lock()
	f.promised--
	if f.head == nil || f.workers > 0 || f.promised > 0 {
		f.mu.Unlock()
		return
	}
	f.workers++
	f.mu.Unlock()
	op := f.op()
	for range atOnce {
		c := f.pop(op)
		if c == nil {
			return
		}
		c.flush(op)
	}
	f.running.Go(func() { f.workWith(op) })
}

func (f *flusher) work() {
	defer f.running.Done()
	f.workWith(f.op())
}

func (f *flusher) workWith(op *writeOp) {
	for c := f.pop(op); c != nil; c = f.pop(op) {
		c.flush(op)
	}
}

// op is memory for a worker.
func (f *flusher) op() *writeOp {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.spare) - 1
	if last < 0 {
		return newWriteOp(pieces)
	}
	op := f.spare[last]
	f.spare = f.spare[:last]
	return op
}

// pop takes the oldest connection; nil: there is none, and the worker has ended.
func (f *flusher) pop(op *writeOp) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.head
	if c == nil {
		f.workers--
		clear(op.bufs[:cap(op.bufs)])
		f.spare = append(f.spare, op)
		return nil
	}
	if f.head = c.next; f.head == nil {
		f.tail = nil
	}
	c.next = nil
	f.length--
	return c
}
