package rocketmq

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// choose is the queue of qs that messages of an MQTT topic go to: rendezvous hashing. Of all queues the one with the highest score has
// it, so a queue that comes or goes takes or leaves its own topics and moves no others. Ties go to the first by name; of no queues
// the choice is nil. qs need not be sorted. It allocates nothing and may be called by any number of goroutines.
//
// Nodes and versions must agree, or one topic's messages would be in two queues and lose their order. The contract:
//
//	score = xxhash64(t ‖ q), the higher as an unsigned number the better
//	t     = xxhash64(MQTT topic name as published, UTF-8), 8 bytes, little endian
//	q     = xxhash64(RocketMQ topic ‖ 0x00 ‖ broker name ‖ 0x00 ‖ queue id in decimal digits), 8 bytes, little endian: queue.key
//
// All with seed 0. The hashes are hashed, and not the names, so that the cost does not depend on their lengths.
func choose(topic string, qs []*queue) *queue {
	var in [16]byte
	binary.LittleEndian.PutUint64(in[:8], xxhash.Sum64String(topic))
	var best *queue
	var most uint64
	for _, q := range qs {
		binary.LittleEndian.PutUint64(in[8:], uint64(q.key))
		score := xxhash.Sum64(in[:])
		if best == nil || score > most || score == most && q.name.before(best.name) {
			best, most = q, score
		}
	}
	return best
}

// before orders names: by topic, broker, id.
func (n queueName) before(o queueName) bool {
	switch {
	case n.topic != o.topic:
		return n.topic < o.topic
	case n.broker != o.broker:
		return n.broker < o.broker
	}
	return n.id < o.id
}
