package rocketmq

import (
	"context"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// retryMost is how many messages a client that comes from a Java proxy is sent again; a Java proxy has 32 of a session under way that count as read.
const retryMost = 256

// Unacknowledged is where the messages are that Java proxies have sent to a client, and it has not acknowledged: they put them into RetryTopic, and a light queue of the client
// tells which are its own (org.apache.rocketmq.mqtt.cs.session.infly.RetryDriver). Get returns them. Otherwise it is as Missed.
func (s *Store) Unacknowledged(client string) []store.Position {
	group, lmq, ok := lmqOf(client, "/retry/"+client)
	r := s.known(s.opts.RetryTopic)
	if !ok || r == nil || s.opts.LMQDispatch == LMQNever {
		return nil
	}
	return s.askJava(client, brokersOf(r.queues()), func(ctx context.Context, queues []*queue) ([]store.Position, error) {
		return s.retriesOn(ctx, queues[0].broker, group, lmq)
	})
}

// retriesOn is Unacknowledged of one broker.
func (s *Store) retriesOn(ctx context.Context, b *broker, group, lmq string) (found []store.Position, err error) {
	from, any, err := s.lmqOffset(ctx, b, group, lmq)
	if err != nil || !any {
		return nil, err
	}
	var more bool
	var settled error
	err = s.eachEntry(ctx, lightQueue{b, lmq}, from, from+retryMost+1, func(_ int64, m *message.Message) {
		q := s.queueOf(queueName{topic: string(m.Topic), broker: b.name, id: m.QueueID}.queue())
		switch {
		case q == nil || settled != nil:
		case len(found) == retryMost:
			more = true
		default:
			if settled = s.settle(ctx, q); settled == nil {
				found = append(found, store.Position{Queue: q.key, Offset: q.log.logical(m.QueueOffset)})
			}
		}
	})
	if more {
		s.log.Warn("a client has not acknowledged very many messages at Java proxies: it is not sent the rest of them", "sent", retryMost)
	}
	if err == nil {
		err = settled
	}
	return found, err
}
