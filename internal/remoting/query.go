package remoting

import (
	"context"
	"fmt"
	"time"
)

// Query asks for messages by key (class QueryMessageRequestHeader).
type Query struct {
	Topic      string
	Key        string
	UniqueKey  bool // Key is a UNIQ_KEY instead of one of KEYS
	Max        int32
	Begin, End time.Time // of storing, in milliseconds
}

// QueryMessages finds messages in a broker's index: stored messages one after the other, ErrNotFound when there are none. The index is written a
// little after the messages are.
func (c *Client) QueryMessages(ctx context.Context, addr string, q Query) ([]byte, error) {
	cmd := command{code: codeQueryMessage}
	cmd.str("topic", q.Topic)
	cmd.str("key", q.Key)
	cmd.num("maxNum", int64(q.Max))
	cmd.num("beginTimestamp", q.Begin.UnixMilli())
	cmd.num("endTimestamp", q.End.UnixMilli())
	if q.UniqueKey {
		// Brokers of 4.9 never sign this field, those of 5 do not for clients up to V4_9_3: so it is unsigned, and we are that old.
		cmd.flagged(uniqueKeyFlag, true)
		cmd.old = true
	}
	r, err := c.ask(ctx, addr, &cmd)
	if err != nil {
		return nil, fmt.Errorf("query of topic %q by key %q: %w", q.Topic, q.Key, asNotFound(err, ErrNotFound))
	}
	return r.body, nil
}

// ViewMessage reads the stored message at an offset of the commit log, which the last 8 bytes of a SendResult.MsgID are in hexadecimal.
func (c *Client) ViewMessage(ctx context.Context, addr, topic string, logOffset int64) ([]byte, error) {
	cmd := command{code: codeViewMessage}
	cmd.num("offset", logOffset)
	cmd.str("topic", topic) // brokers from 5 on check rights by it
	r, err := c.ask(ctx, addr, &cmd)
	if err != nil {
		return nil, fmt.Errorf("message of topic %q at offset %d of the commit log: %w", topic, logOffset, err)
	}
	return r.body, nil
}
