package remoting

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errNoNamesrv says that Options.Namesrv is empty.
var errNoNamesrv = errors.New("no name server is configured")

// askNamesrv asks the name server that answered last, and then the others in turn until one answers. Name servers hold the same routes, as
// brokers tell all of them.
func (c *Client) askNamesrv(ctx context.Context, build func(*command)) (reply, error) {
	all := c.opts.Namesrv
	if len(all) == 0 {
		return reply{}, notSent("name server", errNoNamesrv)
	}
	first := int(c.namesrv.Load())
	var errs []error
	for i := range all {
		at := (first + i) % len(all)
		r, err := c.askOneNamesrv(ctx, all[at], len(all)-i, build)
		if err == nil || answered(err) {
			c.namesrv.Store(uint32(at))
			return r, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return reply{}, fmt.Errorf("no name server answered: %w", errors.Join(errs...))
}

// askOneNamesrv asks one of the left that have not been asked, with its share of the time.
func (c *Client) askOneNamesrv(ctx context.Context, addr string, left int, build func(*command)) (reply, error) {
	if d, ok := ctx.Deadline(); ok {
		share := time.Until(d) / time.Duration(left)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	var cmd command
	build(&cmd)
	return c.ask(ctx, addr, &cmd)
}

// answered says whether a name server's refusal is an answer, which all would give. One that is starting (code 1, "name server not
// ready"), busy or stopping is not the one to ask.
func answered(err error) bool {
	var r *ResponseError
	if !errors.As(err, &r) {
		return false
	}
	switch r.Code {
	case CodeSystemError, CodeSystemBusy, CodeServiceNotAvailable, CodeGoAway:
		return false
	}
	return true
}

// askAllNamesrv asks every name server: they do not tell each other. All are tried; what failed is joined.
func (c *Client) askAllNamesrv(ctx context.Context, build func(*command)) error {
	if len(c.opts.Namesrv) == 0 {
		return notSent("name server", errNoNamesrv)
	}
	var errs []error
	for i, addr := range c.opts.Namesrv {
		if _, err := c.askOneNamesrv(ctx, addr, len(c.opts.Namesrv)-i, build); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
