// Package retained is the retained messages of several nodes: a log that all of them read, in which each record is a message that became the retained one of
// its topic, and a view of that log on each node.
//
// A record has the whole message and its place among the messages (At). Of two records of one topic the one with the higher offset in the same queue counts, in
// whatever order they come to stand in the log: so what is retained is what the log of messages has last. A topic may move to another queue, when a broker is
// away; between queues the order of the records decides, and what was in a queue before is remembered (head.before), so that a late record of it does not count.
// All nodes read the same records and come to the same.
//
// A record with an empty payload ends the retained message of its topic. It is kept as a tombstone while an older record may still come (graveTime).
//
// Brokers drop what is old, so records are written again before that (View.Renew), with the place that the message has and a mark (again): such a record says
// nothing new, and counts for less than one of another queue that was written first.
//
// A record:
//
//	version   1 byte, 1
//	flags     1 byte: QoS, 4 again
//	queue     8 bytes, big endian
//	offset    8 bytes, big endian: queue and offset of the message
//	origin    8 bytes, big endian
//	expires   varint, Unix milliseconds; 0 never
//	time      varint, Unix milliseconds: when it was published
//	topic     length, bytes
//	forward   length, bytes
//	payload   the rest
package retained
