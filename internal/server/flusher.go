package server

import "sync"

// flusher writes for the connections that have something to write, in the order in which they got it. Its few workers never wait for
// a socket, and exist only while there is work: a message to 15,000 clients costs no 15,000 goroutines. The longer the list, the
// more each write gathers.
type flusher struct {
	most    int            // workers
	running sync.WaitGroup // workers

	mu         sync.Mutex // guards what follows
	head, tail *conn
	workers    int
	spare      []*writeOp // of workers that ended
}

// push appends c, whose writer state is busy: it is in the list once at most.
func (f *flusher) push(c *conn) {
	f.mu.Lock()
	if f.tail == nil {
		f.head = c
	} else {
		f.tail.next = c
	}
	f.tail = c
	start := f.workers < f.most
	if start {
		f.workers++
	}
	f.mu.Unlock()
	if start {
		f.running.Go(f.work)
	}
}

func (f *flusher) work() {
	op := f.op()
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
	return c
}
