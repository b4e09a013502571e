// Package rocketmq is the store whose messages are in RocketMQ: stock brokers from 4.9 to 5.x, shared by any number of
// proxies. A publish is a message in the RocketMQ topic of its first level, in the queue that a hash of its full topic chooses; a
// subscription tails the queues that its messages may be in. Nothing is registered and no node knows of another.
//
// The sessions' changelog is not there yet: it is in the node's own data directory (Changelog), so a persistent session
// lives where it began.
package rocketmq
