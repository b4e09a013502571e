package remoting

import "time"

// pending is a request without an answer. Exactly one of the callbacks is set, and it is called exactly once: by whoever has taken the
// pending out of its connection's map, or by the call that could not put it in.
type pending struct {
	send func(SendResult, error)
	pull func(PullResult, error)
	call func(reply, error)

	deadline time.Time
	asked    time.Time // when it was queued
	start    uint64    // where its frame begins in the stream of its connection
	size     int       // of its frame
}

// reply is an answer to a call; its fields are its own.
type reply struct {
	addr   string
	code   int32
	remark string
	ext    pairs
	body   []byte
}

// err is what the answer says when it is not a success.
func (r *reply) err() error {
	if r.code == CodeSuccess {
		return nil
	}
	return &ResponseError{Code: r.code, Remark: r.remark, Addr: r.addr}
}

// fail tells the caller that there is no answer.
func (p *pending) fail(err error) {
	switch {
	case p.send != nil:
		p.send(SendResult{}, err)
	case p.pull != nil:
		p.pull(PullResult{}, err)
	default:
		p.call(reply{}, err)
	}
}

// answer hands the caller an answer that came over c.
func (p *pending) answer(c *conn, h *header, body []byte) {
	switch {
	case p.send != nil:
		p.send(sendResult(c.addr, h))
	case p.pull != nil:
		p.pull(pullResult(c, h, body))
	default:
		// The header's memory is reused by the next frame, and the caller is another goroutine.
		ext := append(pairs(nil), h.ext...)
		p.call(reply{addr: c.addr, code: h.code, remark: h.remark, ext: ext, body: body}, nil)
	}
}
