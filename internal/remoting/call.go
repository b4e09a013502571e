package remoting

import (
	"context"
	"fmt"
	"time"
)

// call sends a request and waits for its answer. The deadline is ctx's, at most extra after Options.RequestTimeout from now.
func (c *Client) call(ctx context.Context, addr string, link Link, cmd *command, extra time.Duration) (reply, error) {
	type outcome struct {
		reply reply
		err   error
	}
	ch := make(chan outcome, 1) // the callback is called once, and must not wait
	p := pending{
		deadline: c.deadline(ctx, extra),
		call:     func(r reply, err error) { ch <- outcome{r, err} },
	}
	if err := ctx.Err(); err != nil {
		return reply{}, notSent(addr, err)
	}
	cn, opaque := c.submit(addr, link, cmd, &p)
	select {
	case o := <-ch:
		return o.reply, o.err
	case <-ctx.Done():
		if cn != nil {
			cn.drop(opaque, ctx.Err())
		}
		o := <-ch
		return o.reply, o.err
	}
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
	r, err := c.call(ctx, addr, LinkSend, cmd, 0)
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
