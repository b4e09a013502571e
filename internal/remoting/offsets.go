package remoting

import (
	"context"
	"fmt"
	"time"
)

// MaxOffset is one above the offset of the last message of a queue; 0 also when the broker has no such queue or topic.
func (c *Client) MaxOffset(ctx context.Context, addr, topic string, queueID int32) (int64, error) {
	n, err := c.queueOffset(ctx, addr, codeMaxOffset, topic, queueID)
	return n, wrapQueue("max offset", topic, queueID, err)
}

// MinOffset is the offset of the first message that a queue still has.
func (c *Client) MinOffset(ctx context.Context, addr, topic string, queueID int32) (int64, error) {
	n, err := c.queueOffset(ctx, addr, codeMinOffset, topic, queueID)
	return n, wrapQueue("min offset", topic, queueID, err)
}

// queueOffset asks for an offset of a queue (classes GetMaxOffsetRequestHeader, GetMinOffsetRequestHeader).
func (c *Client) queueOffset(ctx context.Context, addr string, code int32, topic string, queueID int32) (int64, error) {
	cmd := command{code: code}
	cmd.str("topic", topic)
	cmd.num("queueId", int64(queueID))
	return c.askInt(ctx, addr, &cmd, "offset")
}

// SearchOffset is the offset of the first message of a queue that was stored at t or later, in milliseconds. When all are older, brokers of 5.4
// answer one above the last message's offset, those of 4.9 the last message's.
func (c *Client) SearchOffset(ctx context.Context, addr, topic string, queueID int32, t time.Time) (int64, error) {
	cmd := command{code: codeSearchOffset}
	cmd.str("topic", topic)
	cmd.num("queueId", int64(queueID))
	cmd.num("timestamp", t.UnixMilli())
	n, err := c.askInt(ctx, addr, &cmd, "offset")
	return n, wrapQueue("offset by time", topic, queueID, err)
}

// ConsumerOffset is what UpdateConsumerOffset stored: ErrNoOffset, when nothing was. Brokers of 4.9 may answer 0 instead: they do not read
// setZeroIfNotFound.
func (c *Client) ConsumerOffset(ctx context.Context, addr, group, topic string, queueID int32) (int64, error) {
	cmd := command{code: codeQueryOffset}
	cmd.str("consumerGroup", group)
	cmd.str("topic", topic)
	cmd.num("queueId", int64(queueID))
	cmd.flagged("setZeroIfNotFound", false)
	n, err := c.askInt(ctx, addr, &cmd, "offset")
	return n, wrapQueue("offset of group "+group, topic, queueID, asNotFound(err, ErrNoOffset))
}

// UpdateConsumerOffset stores a group's offset of a queue. Brokers keep it in memory and write it every few seconds. Those of 5.x refuse a group
// that they do not know (CodeGroupNotExist): see Heartbeat.
func (c *Client) UpdateConsumerOffset(ctx context.Context, addr, group, topic string, queueID int32, offset int64) error {
	cmd := command{code: codeUpdateOffset}
	cmd.str("consumerGroup", group)
	cmd.str("topic", topic)
	cmd.num("queueId", int64(queueID))
	cmd.num("commitOffset", offset)
	_, err := c.ask(ctx, addr, &cmd)
	return wrapQueue("update offset of group "+group, topic, queueID, err)
}

func wrapQueue(what, topic string, queueID int32, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of queue %d of topic %q: %w", what, queueID, topic, err)
}
