package remoting

import (
	"bytes"
	"context"
	"time"
)

// SendRequest is a message, or a batch of them (class SendMessageRequestHeaderV2). Strings must be valid UTF-8: the broker decodes them.
type SendRequest struct {
	Group      string // of the producer; "" is sent as DefaultGroup
	Topic      string
	QueueID    int32
	SysFlag    int32
	Born       time.Time
	Flag       int32
	Properties string // encoded, at most 32,000 bytes (see the brokers' limits before going beyond); of a batch empty, since brokers before 5.4 put them over each message's own
	Body       []byte // of a batch its encoded messages
	Batch      bool   // SEND_BATCH_MESSAGE instead of SEND_MESSAGE_V2
	BrokerName string // "": not sent. Brokers before 5 do not read it
}

// DefaultGroup is the group of requests that name none. It is in no broker's table of groups, which brokers do not mind.
const DefaultGroup = "rocketmqtt"

// SendStatus says how safe an appended message is. Whatever it is, the message is in the log and must not be sent again.
type SendStatus int32

// The values are the broker's codes.
const (
	SendOK            SendStatus = 0
	FlushDiskTimeout  SendStatus = 10
	SlaveNotAvailable SendStatus = 11
	FlushSlaveTimeout SendStatus = 12
)

// SendResult is what the broker says of a message that it has appended.
type SendResult struct {
	Status      SendStatus
	MsgID       string // address and commit log offset; of a batch those of its first message
	QueueID     int32
	QueueOffset int64 // of the first message of a batch
}

// Send sends r to a broker and calls done with what became of it; it never blocks. r and what it points to are copied before Send
// returns. See the package's promises for where done runs; it may run before Send returns. When the deadline passes, done is called
// with ErrNotSent if r was still waiting to be written (then it never will be), else with ErrUnknown.
func (c *Client) Send(addr string, r *SendRequest, deadline time.Time, done func(SendResult, error)) {
	var cmd command
	r.fill(&cmd)
	c.submit(addr, LinkSend, &cmd, &pending{deadline: deadline, send: done})
}

// SendSync is Send that waits. The deadline is ctx's, at most Options.RequestTimeout from now.
func (c *Client) SendSync(ctx context.Context, addr string, r *SendRequest) (SendResult, error) {
	return await(ctx, addr, func(done func(SendResult, error)) (*conn, int32) {
		var cmd command
		r.fill(&cmd)
		return c.submit(addr, LinkSend, &cmd, &pending{deadline: c.deadline(ctx, 0), send: done})
	})
}

// noDefaultTopic stands where Java's producers name the topic whose settings an unknown topic is created with (TBW102). It is no legal name
// of a topic, so brokers find none and answer CodeTopicNotExist: a topic is created by CreateTopic or not at all.
const noDefaultTopic = "$"

// fill makes the request, with the short names of SendMessageRequestHeaderV2.
func (r *SendRequest) fill(cmd *command) {
	cmd.code = codeSendMessageV2
	if r.Batch {
		cmd.code = codeSendBatch
	}
	cmd.str("a", group(r.Group))
	cmd.str("b", r.Topic)
	cmd.str("c", noDefaultTopic)
	cmd.num("d", 1) // queues of a topic that would be created
	cmd.num("e", int64(r.QueueID))
	cmd.num("f", int64(r.SysFlag))
	cmd.num("g", r.Born.UnixMilli())
	cmd.num("h", int64(r.Flag))
	cmd.str("i", r.Properties)
	cmd.num("j", 0)         // times it was consumed
	cmd.flagged("k", false) // unit mode
	cmd.flagged("m", r.Batch)
	if r.BrokerName != "" {
		cmd.str("n", r.BrokerName)
	}
	cmd.body = r.Body
}

func group(name string) string {
	if name == "" {
		return DefaultGroup
	}
	return name
}

// sendResult reads the answer to a send (class SendMessageResponseHeader).
func sendResult(addr string, h *header) (SendResult, error) {
	switch SendStatus(h.code) {
	case SendOK, FlushDiskTimeout, SlaveNotAvailable, FlushSlaveTimeout:
	default:
		return SendResult{}, &ResponseError{Code: h.code, Remark: h.remark, Addr: addr}
	}
	queue, err := h.ext.int("queueId")
	if err != nil {
		return SendResult{}, unknown(addr, err)
	}
	offset, err := h.ext.int("queueOffset")
	if err != nil {
		return SendResult{}, unknown(addr, err)
	}
	return SendResult{
		Status: SendStatus(h.code), MsgID: firstID(h.ext.get("msgId")), QueueID: int32(queue), QueueOffset: offset,
	}, nil
}

// firstID is the first of the ids that a broker has joined by commas: nobody reads the others, of which a batch has many.
func firstID(ids []byte) string {
	first, _, _ := bytes.Cut(ids, []byte{','})
	return string(first)
}
