package rocketmq

import (
	"context"
	"fmt"
)

// checkAccess asks every broker about the topics that this node cannot do without. When all that answer refuse all of it, the access key is wrong or has no
// rights at all: better not ready than refusing every client.
func (s *Store) checkAccess(ctx context.Context) error {
	topics := append([]string{registryTopic, s.opts.SessionTopic}, s.opts.StaticFirstTopics...)
	if s.opts.DefaultTopic != "" {
		topics = append(topics, s.opts.DefaultTopic)
	}
	var refused error
	for _, b := range s.masters() {
		for _, topic := range topics {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			_, err := s.client.MaxOffset(ctx, b.addr(), topic, 0)
			cancel()
			if err == nil || !forbidden(err) {
				return nil
			}
			refused = fmt.Errorf("broker %s refuses us: check rocketmqAccessKey and rocketmqSecretKey, and that the account may send to and read %s: %w", b.name, topic, err)
		}
	}
	return refused
}
