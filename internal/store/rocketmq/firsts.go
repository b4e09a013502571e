package rocketmq

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// firsts finds where messages count that this node has sent twice, maybe, and whose last copy was acknowledged: where the first copy stands, for all who read the queue (again.go). One
// goroutine does that, in order, while there are any. The zero value is ready.
type firsts struct {
	mu   sync.Mutex
	wait []lastCopy // bounded by retainedLog.room
	busy bool       // the goroutine runs
}

// lastCopy is a message in a queue that may stand before it already.
type lastCopy struct {
	at   store.Position
	due  time.Duration                      // when it is given up, see sending.elapsed
	done func(at store.Position, err error) // called once, on any goroutine; must not block
}

// findFirst has c told where its first copy stands. It does not block.
func (s *Store) findFirst(c lastCopy) {
	q, err := s.mustKnow(c.at.Queue)
	if err != nil {
		c.done(store.Position{}, err)
		return
	}
	f := &q.firsts
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wait = append(f.wait, c)
	if !f.busy {
		f.busy = true
		s.tasks.Go(func() { q.findAll(s) })
	}
}

func (q *queue) findAll(s *Store) {
	d := doubles{s: s, q: q}
	for {
		c, ok := q.firsts.next()
		if !ok {
			return
		}
		for {
			at, err := d.firstOf(c.at)
			if err == nil || s.sending.elapsed() >= c.due || s.ctx.Err() != nil {
				c.done(at, err)
				break
			}
			pause(s.ctx, awayPause)
		}
	}
}

func (f *firsts) next() (c lastCopy, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy = len(f.wait) > 0; !f.busy {
		f.wait = nil
		return c, false
	}
	c, f.wait = f.wait[0], f.wait[1:]
	return c, true
}

// firstOf is where the first copy of the message at at stands.
func (d *doubles) firstOf(at store.Position) (first store.Position, err error) {
	ctx, cancel := d.s.asking()
	defer cancel()
	if err := d.s.mapped(ctx, d.q, at.Offset); err != nil {
		return first, err
	}
	offset := d.q.log.broker(at.Offset)
	found := false
	err = d.s.scan(ctx, d.q, offset, offset+1, func(m *message.Message) error {
		found = true
		first, err = d.firstOfRead(ctx, m)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: what was appended at offset %d of %s is not to be read", store.ErrAway, at.Offset, d.q.name)
	}
	return first, err
}

func (d *doubles) firstOfRead(ctx context.Context, m *message.Message) (store.Position, error) {
	at := m.QueueOffset
	key, _ := keyOf(m)
	value, _ := message.Property(m.Properties, propAfter)
	if after, again := parseAfter(value); again {
		first, err := d.first(ctx, key, after, at)
		if err != nil {
			return store.Position{}, err
		}
		at = first
	}
	return store.Position{Queue: d.q.key, Offset: d.q.log.logical(at)}, nil
}
