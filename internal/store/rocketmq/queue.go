package rocketmq

import (
	"strconv"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// queueName names one queue of RocketMQ in a cluster.
type queueName struct {
	topic  string // RocketMQ's
	broker string // its name, which master and slaves share
	id     int32
}

// queue returns what the rest of the proxy calls it: the same on every node and in every version, since positions are stored with it.
func (n queueName) queue() store.Queue {
	return store.Queue(xxhash.Sum64String(n.topic + "\x00" + n.broker + "\x00" + strconv.Itoa(int(n.id))))
}

func (n queueName) String() string {
	return n.topic + "/" + n.broker + "/" + strconv.Itoa(int(n.id))
}

// queue is what this process knows of one queue of RocketMQ. It is made once, when a route first names it, and kept: a queue whose
// broker is away keeps its place.
type queue struct {
	name   queueName
	key    store.Queue // of name
	broker *broker
	out    outbox       // what is to be appended
	log    offsets      // what its offsets mean
	next   atomic.Int64 // see store.Store.Next; logical
	late   lateKeys     // see again.go
	firsts firsts
	ends   ends
}
