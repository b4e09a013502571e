package rocketmq

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

const (
	idProperty = "UNIQ_KEY"
	idBytes    = 32 // on a host with an IPv4 address
)

// added are the properties that the broker has added to what it was sent.
var added = []string{"CLUSTER", "MSG_REGION", "TRACE_ON"}

// Message is what is sent, but for its id, and the queue that it goes to.
type Message struct {
	queue  int32
	body   []byte
	before []byte // of the properties, up to the id
	after  []byte // and what follows it
}

// Small are messages of a plain producer, with no property but the id, to the queues in turn.
func Small(payload int) []Message {
	all := make([]Message, Queues)
	for i := range all {
		all[i] = Message{
			queue: int32(i), body: bytes.Repeat([]byte{'x'}, payload),
			before: []byte(idProperty + "\x01"), after: []byte{'\x02'},
		}
	}
	return all
}

// Published are the messages that proxies have stored in the topic Flooded, in the order of their streams: one of each, and nothing else is there. It
// waits, for at most 30 s, until readers are shown all of them.
func (c *Cluster) Published(streams int) ([]Message, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	for {
		all, err := c.published(ctx, client, streams)
		if err != nil {
			return nil, err
		}
		missing := slices.IndexFunc(all, func(m Message) bool { return m.body == nil })
		if missing < 0 {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("after %s %s has no message of stream %d", setupTimeout, Flooded, missing)
		case <-time.After(settleStep):
		}
	}
}

// published is what is there now.
func (c *Cluster) published(ctx context.Context, client *remoting.Client, streams int) ([]Message, error) {
	all := make([]Message, streams)
	for queue := range int32(Queues) {
		stored, err := c.stored(ctx, client, queue)
		if err != nil {
			return nil, err
		}
		for i := range stored {
			p, ok := wire.ReadPayload(stored[i].Body)
			if !ok || int(p.Stream) >= streams || all[p.Stream].body != nil {
				return nil, fmt.Errorf("message %d of queue %d of %s is not the one message of a stream", i, queue, Flooded)
			}
			all[p.Stream] = asSent(&stored[i])
		}
	}
	return all, nil
}

// stored is what a queue of the topic Flooded has.
func (c *Cluster) stored(ctx context.Context, client *remoting.Client, queue int32) (all []message.Message, err error) {
	for from := int64(0); ; {
		req := remoting.PullRequest{Topic: Flooded, QueueID: queue, Offset: from, MaxMsgs: atOnce}
		res, err := client.PullSync(ctx, c.addr, &req)
		if err != nil || res.Status != remoting.Found {
			return all, err
		}
		for rest := res.Body; len(rest) > 0; {
			var m message.Message
			if m, rest, err = message.Decode(rest); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
		from = res.NextOffset
	}
}

// asSent is a stored message as it was sent.
func asSent(m *message.Message) Message {
	out := Message{queue: m.QueueID, body: m.Body}
	part := &out.before
	for name, value, rest, ok := message.Next(m.Properties); ok; name, value, rest, ok = message.Next(rest) {
		if slices.Contains(added, string(name)) {
			continue
		}
		*part = append(append(*part, name...), '\x01')
		if string(name) == idProperty {
			part, value = &out.after, nil
		}
		*part = append(append(*part, value...), '\x02')
	}
	return out
}

// appendProperties appends the properties with this id.
func (m *Message) appendProperties(dst, id []byte) []byte {
	dst = append(dst, m.before...)
	dst = append(dst, id...)
	return append(dst, m.after...)
}

// PropertyBytes is how many bytes of properties such a message has in the mean.
func PropertyBytes(all []Message) int {
	n := 0
	for i := range all {
		n += len(all[i].before) + idBytes + len(all[i].after)
	}
	return n / max(len(all), 1)
}
