// Package rocketmq is the store whose messages are in RocketMQ: stock brokers from 4.9 to 5.x, shared by any number of
// proxies. A publish is a message in the RocketMQ topic of its first level, in the queue that a hash of its full topic chooses; a
// subscription tails the queues that its messages may be in. No subscription is registered and no node knows of another; what nodes tell each other, through a
// topic of RocketMQ, is which first levels became topics (registry.go), for filters with a wildcard there.
//
// Sessions are in a topic of their own, which every node reads (sessionlog.go, package changelog): a session goes on at any node.
package rocketmq
