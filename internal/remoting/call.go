package remoting

import (
	"context"
	"fmt"
	"time"
)

// await submits a request, whose callback is done, and waits for it; when ctx ends before, the request is dropped.
func await[T any](ctx context.Context, addr string, submit func(done func(T, error)) (*conn, int32)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	if err := ctx.Err(); err != nil {
		var none T
		return none, notSent(addr, err)
	}
	ch := make(chan outcome, 1) // the callback is called once, and must not wait
	cn, opaque := submit(func(v T, err error) { ch <- outcome{v, err} })
	select {
	case o := <-ch:
		return o.value, o.err
	case <-ctx.Done():
	}
	if cn != nil {
		cn.drop(opaque, ctx.Err())
	}
	o := <-ch
	return o.value, o.err
}

// call sends a request over LinkSend and waits for its answer.
func (c *Client) call(ctx context.Context, addr string, cmd *command) (reply, error) {
	return await(ctx, addr, func(done func(reply, error)) (*conn, int32) {
		return c.submit(addr, LinkSend, cmd, &pending{deadline: c.deadline(ctx, 0), call: done})
	})
}

// deadline is ctx's, at most RequestTimeout and extra from now.
func (c *Client) deadline(ctx context.Context, extra time.Duration) time.Time {
	own := time.Now().Add(c.opts.RequestTimeout + extra)
	if d, ok := ctx.Deadline(); ok && d.Before(own) {
		return d
	}
	return own
}

// ask is call to a broker, for an answer that is a success.
func (c *Client) ask(ctx context.Context, addr string, cmd *command) (reply, error) {
	r, err := c.call(ctx, addr, cmd)
	if err != nil {
		return reply{}, err
	}
	return r, r.err()
}

// askInt is ask for one number.
func (c *Client) askInt(ctx context.Context, addr string, cmd *command, name string) (int64, error) {
	r, err := c.ask(ctx, addr, cmd)
	if err != nil {
		return 0, err
	}
	n, err := r.ext.int(name)
	if err != nil {
		return 0, fmt.Errorf("answer of %s: %w", addr, err)
	}
	return n, nil
}
