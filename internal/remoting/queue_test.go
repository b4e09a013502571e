package remoting

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// queueing makes a connection that nobody dials or writes, and how to queue a request on it.
func queueing(t *testing.T) (*conn, func(body string, deadline time.Duration, got *error) int32) {
	o := Options{}.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{
		addr: "peer", opts: &o, stats: new(stats), lost: func(*conn, error) {}, ctx: ctx, cancel: cancel,
		wake: make(chan struct{}, 1), tick: make(chan struct{}, 1), pending: make(map[int32]pending),
	}
	t.Cleanup(cancel)
	return c, func(body string, deadline time.Duration, got *error) int32 {
		cmd := command{code: 11, body: []byte(body)}
		p := pending{deadline: time.Unix(0, 0).Add(deadline), call: func(_ reply, err error) { *got = err }}
		opaque, err := c.do(&cmd, &p)
		if err != nil {
			t.Fatal(err)
		}
		return opaque
	}
}

// frames are the bodies of what is queued.
func frames(t *testing.T, b []byte) (out []string) {
	t.Helper()
	for len(b) > 0 {
		n := 4 + int(b[2])<<8 + int(b[3])
		out = append(out, string(b[frameHead+binaryHead:n]))
		b = b[n:]
	}
	return out
}

// A request whose deadline passes in the queue is cut out of it and never written; all others keep their places.
func TestExpiredInTheQueue(t *testing.T) {
	c, queue := queueing(t)
	var errs [8]error
	queue("written", 1, &errs[0])
	if got := frames(t, c.take()); fmt.Sprint(got) != "[written]" {
		t.Fatalf("%q", got)
	}
	for i, body := range []string{"a", "late", "bb", "later!", "latest", "ccc"} {
		deadline := time.Hour
		if len(body) > 3 {
			deadline = 1
		}
		queue(body, deadline, &errs[1+i])
	}
	c.expire(time.Unix(1, 0))
	if got := fmt.Sprint(frames(t, c.out)); got != "[a bb ccc]" {
		t.Errorf("queued: %s", got)
	}
	for i, want := range []error{ErrUnknown, nil, ErrNotSent, nil, ErrNotSent, ErrNotSent, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("request %d: %v, want %v", i, errs[i], want)
		}
	}
	// Positions are right: after the first two frames were taken by the socket, only the third is known to be not sent.
	c.take()
	sent := c.base - uint64(len("ccc")+frameHead+binaryHead)
	c.failAt(errSilent, &sent)
	for i, want := range map[int]error{1: ErrUnknown, 3: ErrUnknown, 6: ErrNotSent} {
		if !errors.Is(errs[i], want) {
			t.Errorf("request %d: %v, want %v", i, errs[i], want)
		}
	}
}

func TestDropInTheQueue(t *testing.T) {
	c, queue := queueing(t)
	var errs [3]error
	queue("a", time.Hour, &errs[0])
	b := queue("b", time.Hour, &errs[1])
	queue("c", time.Hour, &errs[2])
	c.drop(b, context.Canceled)
	c.drop(b, context.Canceled) // is no longer there
	if got := fmt.Sprint(frames(t, c.out)); got != "[a c]" || !errors.Is(errs[1], ErrNotSent) {
		t.Errorf("queued %s, %v", got, errs[1])
	}
	c.take()
	c.drop(1, context.Canceled)
	if !errors.Is(errs[0], ErrUnknown) {
		t.Errorf("%v", errs[0])
	}
}

func TestOpaqueIsNotReused(t *testing.T) {
	c, queue := queueing(t)
	var err error
	first := queue("", time.Hour, &err)
	c.opaque = 1<<31 - 2
	seen := map[int32]bool{first: true}
	for range 4 {
		o := queue("", time.Hour, &err)
		if seen[o] || o < 0 {
			t.Fatalf("opaque %d after %v", o, seen)
		}
		seen[o] = true
	}
}
