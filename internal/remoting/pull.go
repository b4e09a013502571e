package remoting

import (
	"context"
	"time"
)

// PullRequest asks for messages of one queue (class PullMessageRequestHeader).
type PullRequest struct {
	Group            string // "": DefaultGroup. Brokers without autoCreateSubscriptionGroup must know it (code 26)
	Topic            string
	QueueID          int32
	Offset           int64
	MaxMsgs          int32         // the broker has a limit of its own: 32 from memory, 8 from disk by default
	MaxBytes         int32         // 0: not sent. Only brokers from 5 on read it
	Suspend          time.Duration // above 0: the broker holds the request until a message comes or this time is over
	SubscriptionExpr string        // tags; "": "*"
}

// PullStatus says what a pull found.
type PullStatus int32

// The values are the broker's codes.
const (
	Found         PullStatus = 0
	NoNewMessage  PullStatus = 19 // Offset is the end of the queue, or the topic's queue does not exist
	NoMatched     PullStatus = 20 // the broker cannot read at Offset, or its filter matched nothing: go on at NextOffset
	OffsetIllegal PullStatus = 21 // Offset is below MinOffset or above MaxOffset
)

// PullResult is the answer to a pull.
type PullResult struct {
	Status        PullStatus
	NextOffset    int64 // where the broker would go on; after OffsetIllegal a guess of its own, not a safe place to go on
	MinOffset     int64
	MaxOffset     int64  // one above the last message
	Body          []byte // stored messages one after the other; made for this result, the caller's for ever
	SuggestBroker int64  // id of the broker that is better asked next; 0 is the master
	Generation    uint64 // of the connection that it came by, see Client.Generation
}

// Pull asks a broker for messages and calls done with them; it never blocks. The deadline must be later than r.Suspend from now. r may
// be reused when Pull returns. See the package's promises for where done runs; it may run before Pull returns.
func (c *Client) Pull(addr string, r *PullRequest, deadline time.Time, done func(PullResult, error)) {
	var cmd command
	r.fill(&cmd)
	c.submit(addr, LinkPull, &cmd, &pending{deadline: deadline, pull: done})
}

// PullSync is Pull that waits. The deadline is ctx's, at most Options.RequestTimeout after r.Suspend from now.
func (c *Client) PullSync(ctx context.Context, addr string, r *PullRequest) (PullResult, error) {
	return await(ctx, addr, func(done func(PullResult, error)) (*conn, int32) {
		var cmd command
		r.fill(&cmd)
		return c.submit(addr, LinkPull, &cmd, &pending{deadline: c.deadline(ctx, r.Suspend), pull: done})
	})
}

// Bits of a pull's sysFlag (class PullSysFlag).
const (
	pullSuspend      = 1 << 1
	pullSubscription = 1 << 2 // the request has its subscription, so the broker need not know the group's
)

// fill makes the request.
func (r *PullRequest) fill(cmd *command) {
	cmd.code = codePullMessage
	flag := int64(pullSubscription)
	if r.Suspend > 0 {
		flag |= pullSuspend
	}
	expr := r.SubscriptionExpr
	if expr == "" {
		expr = "*"
	}
	cmd.str("consumerGroup", group(r.Group))
	cmd.str("topic", r.Topic)
	cmd.num("queueId", int64(r.QueueID))
	cmd.num("queueOffset", r.Offset)
	cmd.num("maxMsgNums", int64(r.MaxMsgs))
	cmd.num("sysFlag", flag)
	cmd.num("commitOffset", 0)
	cmd.num("suspendTimeoutMillis", r.Suspend.Milliseconds())
	cmd.str("subscription", expr)
	cmd.num("subVersion", 0)
	cmd.str("expressionType", "TAG")
	if r.MaxBytes > 0 {
		cmd.num("maxMsgBytes", int64(r.MaxBytes))
	}
}

// pullResult reads the answer to a pull (class PullMessageResponseHeader).
func pullResult(c *conn, h *header, body []byte) (PullResult, error) {
	switch PullStatus(h.code) {
	case Found, NoNewMessage, NoMatched, OffsetIllegal:
	default:
		return PullResult{}, &ResponseError{Code: h.code, Remark: h.remark, Addr: c.addr}
	}
	r := PullResult{Status: PullStatus(h.code), Body: body, Generation: c.gen}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"nextBeginOffset", &r.NextOffset}, {"minOffset", &r.MinOffset}, {"maxOffset", &r.MaxOffset}, {"suggestWhichBrokerId", &r.SuggestBroker}} {
		n, err := h.ext.int(f.name)
		if err != nil {
			return PullResult{}, unknown(c.addr, err)
		}
		*f.to = n
	}
	return r, nil
}
