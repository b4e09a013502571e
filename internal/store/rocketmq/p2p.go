package rocketmq

import (
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A message that is addressed to a client (topic.Addressee) is in the RocketMQ topic of its first level, which may be any. To hand over all of them a node would have to
// follow all topics. So store.P2P stands for those that it follows anyway, from its start: the static ones, and those that the name servers list for
// Java proxies. Below other first levels it is handed over while somebody watches them, and nobody can rely on it.

// p2pTopics lists the RocketMQ topics of store.P2P.
func (s *Store) p2pTopics() []string {
	list := slices.Clone(s.opts.StaticFirstTopics)
	if listed := s.listed.Load(); listed != nil {
		list = append(list, *listed...)
	}
	if d := s.opts.DefaultTopic; d != "" && len(list) > 0 { // it is followed with any other
		list = append(list, d)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// watchP2P is Watch of store.P2P. It waits for nothing: a topic that is only beginning to be followed is not named.
func (s *Store) watchP2P() []store.Position {
	var v []store.Position
	for _, topic := range s.p2pTopics() {
		if f := s.tail.ready(topic); f != nil {
			v = append(v, f.positions()...)
		}
	}
	return v
}

// ready is the following of a topic, once it is set up.
func (t *tail) ready(topic string) *following {
	t.mu.Lock()
	f := t.topics[topic]
	t.mu.Unlock()
	if f == nil {
		return nil
	}
	select {
	case <-f.ready:
		return f
	default:
		return nil
	}
}
