package rocketmq

import (
	"sync"
	"sync/atomic"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// budget is a number of bytes that many may take of. Who finds too little left waits, first come first served, so that a large
// message is not passed by small ones for ever. As long as nobody waits it is one atomic operation.
type budget struct {
	most int64
	used atomic.Int64

	queued atomic.Int32  // len(takers)
	ending atomic.Bool   // closed
	idle   chan struct{} // closed when it is closed and nothing is taken

	mu     sync.Mutex
	takers []taker // in order
	ended  bool    // idle is closed
}

type taker struct {
	n  int64
	ok chan error // capacity 1
}

func (b *budget) init(most int64) {
	b.most = most
	b.idle = make(chan struct{})
}

// take takes n bytes, waiting for them. More than there are in all may be taken when nothing else is. After close: store.ErrClosed.
func (b *budget) take(n int64) error {
	if b.ending.Load() {
		return store.ErrClosed
	}
	if b.queued.Load() == 0 && b.try(n) {
		return nil
	}
	t := taker{n: n, ok: make(chan error, 1)}
	b.mu.Lock()
	b.takers = append(b.takers, t)
	b.queued.Add(1) // before it is tried again: who gives back looks here after that
	b.grant()
	b.mu.Unlock()
	return <-t.ok
}

func (b *budget) try(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.most && used > 0 {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// give gives n bytes back.
func (b *budget) give(n int64) {
	b.used.Add(-n)
	if b.queued.Load() > 0 || b.ending.Load() {
		b.mu.Lock()
		b.grant()
		b.mu.Unlock()
	}
}

// grant lets those in that there is room for. mu held.
func (b *budget) grant() {
	n := 0
	for _, t := range b.takers {
		ending := b.ending.Load()
		if !ending && !b.try(t.n) {
			break
		}
		if n++; ending {
			t.ok <- store.ErrClosed
		} else {
			t.ok <- nil
		}
	}
	b.takers = b.takers[n:]
	b.queued.Add(int32(-n))
	if len(b.takers) == 0 {
		b.takers = nil
	}
	if b.ending.Load() && b.used.Load() == 0 && !b.ended {
		b.ended = true
		close(b.idle)
	}
}

// close refuses who waits and who comes.
func (b *budget) close() {
	b.ending.Store(true)
	b.mu.Lock()
	b.grant()
	b.mu.Unlock()
}
