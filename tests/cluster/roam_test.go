package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

// part is how a client ends the connection that it leaves for another one.
type part int

const (
	orderly  part = iota // DISCONNECT
	silently             // the connection just ends
	never                // it does not: the server is to end it
	parts

	forgotten // as never, and nobody waits for that: see roamer.left
)

// roamer keeps a session connected: where it is told, and when a connection ends, at the next node that takes it.
type roamer struct {
	*session
	addrs  []string // of the nodes
	at     int      // the node where it is; guarded by session.mu
	orders chan order
	stable bool // connections end when they are told to, and every CONNECT is accepted

	// Guarded by session.mu.
	refused  map[string]int // CONNECTs, by why
	takeover []time.Duration
	aways    []time.Duration // from the end of a connection that nobody ordered, to CONNACK
	left     []*link         // connections that were forgotten
}

type order struct {
	to   int
	part part
	done chan<- error
}

func newRoamer(s *session, addrs []string, at int) *roamer {
	return &roamer{session: s, addrs: addrs, at: at, orders: make(chan order), refused: map[string]int{}}
}

// roam goes on until ctx ends, and then leaves in order. It returns what ended it early.
func (r *roamer) roam(ctx context.Context, l *link) error {
	for {
		select {
		case <-ctx.Done():
			r.leave(l)
			return nil
		case <-l.ended:
			began := time.Now()
			if r.stable {
				r.mu.Lock()
				r.fault("the connection ended: %v, DISCONNECT %+v", l.err, l.bye)
				r.mu.Unlock()
			}
			next, err := r.come(ctx, r.node()+1)
			if err != nil {
				return err
			}
			l = next
			r.mu.Lock()
			r.aways = append(r.aways, time.Since(began))
			r.mu.Unlock()
		case o := <-r.orders:
			next, err := r.move(ctx, l, o)
			o.done <- err
			if err != nil {
				return err
			}
			l = next
		}
	}
}

func (r *roamer) node() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// come connects to the node at, or to one of those after it, whichever accepts first.
func (r *roamer) come(ctx context.Context, at int) (*link, error) {
	var (
		l   *link
		err error
	)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := check.Poll(ctx, func() bool {
		at %= len(r.addrs)
		if l, err = r.connect(r.addrs[at]); err == nil {
			return true
		}
		r.refusedWith(err)
		at++
		return false
	})
	if !done {
		return nil, fmt.Errorf("%s was not served within %v: %w", r.id, patience, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = at
	return l, nil
}

func (r *roamer) refusedWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := "no answer"
	if is := new(refusal); errors.As(err, &is) {
		why = is.Error()
	}
	r.refused[why]++
	if r.stable {
		r.fault("a CONNECT failed: %v", err)
	}
}

// move goes to another node.
func (r *roamer) move(ctx context.Context, l *link, o order) (*link, error) {
	switch o.part {
	case orderly:
		r.leave(l)
	case silently:
		r.drop(l)
	}
	began := time.Now()
	next, err := r.come(ctx, o.to)
	if o.part == forgotten {
		r.mu.Lock()
		r.left = append(r.left, l)
		r.mu.Unlock()
	}
	if err != nil || o.part != never {
		return next, err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-l.ended:
	case <-timeout.C:
		_ = l.conn.Close()
		return next, fmt.Errorf("%s: the connection that was taken over lasts for %v", r.id, patience)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takeover = append(r.takeover, time.Since(began))
	if r.version == mqtt.V5 && (l.bye == nil || l.bye.Code != mqtt.SessionTakenOver) && r.stable {
		r.fault("the connection that was taken over ended with %+v: %v", l.bye, l.err)
	}
	return next, nil
}
