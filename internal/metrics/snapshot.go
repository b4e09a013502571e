package metrics

import "time"

// Snapshot is where the broker stands at one moment. Counts begin with the process. There is a field for each value of each label: no client and
// no topic can add one.
type Snapshot struct {
	Connections Connections
	Sessions    Sessions
	In, Out     Traffic
	Dropped     Drops
	Rejected    Rejections
	Store       *Store    // nil: store=rocketmq
	RocketMQ    *RocketMQ // nil: store=embedded
	Events      *Events   // about clients; nil: there are none

	SurvivesPowerLoss bool // what is acknowledged
	Failed            bool // the store: nothing more is taken
}

// Connections are those of the network.
type Connections struct {
	Open, Limit        int
	Accepted, Connects int64
	Refused            Refusals
	Closed             Closings
	AcceptErrors       int64
	QueuedBytes        int64 // waiting to be written
	PartialBytes       int64 // read and not handled
	Discarded          int64 // packets for connections that were ending
}

// Refusals are connections that were not let in.
type Refusals struct{ Limit, Handshake, Login, Protocol, Quota, Unsupported, Unavailable int64 }

// Closings are connections that the broker ended.
type Closings struct{ Slow, Timeout, Protocol, TakenOver int64 }

// Sessions are the clients'.
type Sessions struct {
	Connected, Stored      int64
	Subscriptions, Filters int64
	Shared                 int64 // subscriptions
	Sending, Receiving     int64 // messages under way
	Behind                 int64 // that catch up
	FurthestBehind         int64 // offsets
	CatchUps               int64 // times one began to
	MissedOffsets          int64
}

// Traffic is in one direction.
type Traffic struct {
	Bytes    int64    // of all packets
	Messages [3]int64 // by QoS
	Payload  [3]int64 // bytes by QoS
	Acks     Acks
}

// Acks are packets.
type Acks struct{ Puback, Pubrec, Pubrel, Pubcomp int64 }

// Drops are messages that did not reach one receiver.
type Drops struct{ Full, Expired, TooLarge, SharedGone, NotRetained int64 }

// Rejections are publishes that were not taken.
type Rejections struct{ Topic, Retain, Full, TooLarge, Quota, Failed int64 }

// Events are messages about clients.
type Events struct{ Stored, Full, Refused int64 }

// Store is the embedded log.
type Store struct {
	Append, Sync            Histogram // seconds
	Batch                   Histogram // records
	WrittenBytes            int64
	Waits                   int64
	FirstOffset, NextOffset int64
	Segments, Bytes         int64
	Oldest                  time.Time
	DroppedSegments         int64
	DroppedBytes            int64
	DiskFree, DiskReserve   int64
	Full                    bool
	Retained, RetainedBytes int64
}

// RocketMQ is what is sent to it and read from it.
type RocketMQ struct {
	Unavailable bool // publishes are not taken

	Appended, Sends, Resent int64 // messages, requests, requests
	Refused, DroppedQoS0    int64 // messages
	NotOK, Moved            int64 // messages
	LMQLeftOut              int64 // light queues of messages
	LMQNotMoved             int64 // light queues of sessions

	Read, Duplicates, Foreign, Unreadable int64 // messages
	WentBack                              int64 // logs
	Expired, Skipped                      int64 // offsets
	Shared, IndexHalved                   int64 // pulls, times
	Paused                                int64 // times that the process was stopped

	RouteErrors, BrokersFailed  int64
	TopicsCreated, TopicsDenied int64
	NotRegistered               int64 // messages in the registry of topics that are no entries
	Forgotten                   int64 // topics that are not looked for any more

	Sessions Changelog
	Retained Retained

	NotRetained, RetainedUnread int64 // messages; queues

	Lost             int64 // connections
	NoRoom, TimedOut int64 // requests
	Stray, Requested int64 // answers to no request; requests of theirs
}

// Changelog is what the sessions of all nodes are read from and written to.
type Changelog struct {
	Read, Void, Unreadable, Appended int64 // records
	Taken, Waited                    int64 // client ids
	Fences, Fenced                   int64 // nodes; of this one
	Refused                          int64 // changes
	WillsDropped                     int64
}

// Retained is the retained messages that all nodes have, and the log that they are read from.
type Retained struct {
	Messages, Bytes                        int64 // there are
	Read, Older, Unreadable, Late, Renewed int64 // records
}

// Histogram is how often values up to each bound were seen. Counts is one longer than Bounds and cumulative; its last entry counts all.
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Sum    float64
}
