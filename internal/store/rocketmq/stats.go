package rocketmq

import "sync/atomic"

// Stats are the store's counters; they only grow.
type Stats struct {
	Appended       atomic.Int64 // messages that RocketMQ has acknowledged
	Sends          atomic.Int64 // requests that carried them
	Resent         atomic.Int64 // requests sent again
	Refused        atomic.Int64 // messages of QoS 1 and 2 that were refused to their publisher
	DroppedQoS0    atomic.Int64 // messages of QoS 0 that RocketMQ did not take
	NotOK          atomic.Int64 // messages appended, but not as safe as the broker should have them (FLUSH_DISK_TIMEOUT, ...)
	Moved          atomic.Int64 // messages sent to another broker than their topic's since that was away
	Read           atomic.Int64 // messages read by the tail
	Duplicates     atomic.Int64 // of those, second copies that were left out
	Foreign        atomic.Int64 // of those, written by others than this project's proxies
	Unreadable     atomic.Int64 // of those, not decodable, of no valid topic, or a Java proxy's retry: left out
	NotRetained    atomic.Int64 // messages appended, of which was not written down that they are retained: refused to their publisher
	RetainedUnread atomic.Int64 // queues of retained messages that could not be read to their end for a new subscription
	WentBack       atomic.Int64 // times that a queue's log went back
	Paused         atomic.Int64 // times that this process was stopped, and then served nobody until it knew what had happened meanwhile
	LMQLeftOut     atomic.Int64 // light queues that messages of ours are not in, though they should
	Skipped        atomic.Int64 // offsets that sessions that were away did not have to read, by the index
	Shared         atomic.Int64 // pulls that one session had made and another one needed
	IndexHalved    atomic.Int64 // times that the index had reached its limit, and its older half was dropped
	LMQNotMoved    atomic.Int64 // sessions, or light queues of theirs, whose offsets were not moved when they ended their connection
	Expired        atomic.Int64 // offsets that were gone when the tail came to them

	RouteErrors   atomic.Int64 // questions to name servers that were not answered
	BrokersFailed atomic.Int64 // times that a broker was given up
	TopicsCreated atomic.Int64 // on one broker each
	TopicsRefused atomic.Int64 // times that RocketMQ did not let a topic be created
	Forgotten     atomic.Int64 // topics that do not exist and are not looked for any more, since there were too many
	NotRegistered atomic.Int64 // messages in the registry that are no entries of it
}
