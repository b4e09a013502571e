package remoting

import (
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
	Properties string // encoded; of a batch empty, since brokers before 5.4 put them over each message's own
	Body       []byte // of a batch its encoded messages
	Batch      bool   // SEND_BATCH_MESSAGE instead of SEND_MESSAGE_V2
	BrokerName string // "": not sent. Brokers before 5 do not read it
}

// DefaultGroup is the group of requests that name none. It is in no broker's table of groups, which brokers do not mind.
const DefaultGroup = "rocketmqtt"

// SendStatus says how safe an appended message is. Whatever it is, the message is in the log and must not be sent again.
type SendStatus int16

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
	MsgID       string // address and commit log offset; of a batch several, joined by commas
	QueueID     int32
	QueueOffset int64 // of the first message of a batch
}

// Send sends r to a broker and calls done with what became of it; it never blocks. r and what it points to are copied before Send
// returns. See the package's promises for where done runs; it may run before Send returns. When the deadline passes, done is called
// with ErrNotSent if r was still waiting to be written (then it never will be), else with ErrUnknown.
func (c *Client) Send(addr string, r *SendRequest, deadline time.Time, done func(SendResult, error)) {
	done(SendResult{}, notSent(addr, ErrClosed))
}

// SendSync is Send that waits. The deadline is ctx's, at most Options.RequestTimeout.
func (c *Client) SendSync(ctx context.Context, addr string, r *SendRequest) (SendResult, error) {
	return SendResult{}, notSent(addr, ErrClosed)
}
