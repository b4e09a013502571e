package rocketmq

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// Options configure a Store. Client, Dir and Logger are demanded; any other zero value stands for the default in brackets.
type Options struct {
	Client *remoting.Client // the caller closes it, after the store
	Dir    string           // of what this node keeps of the sessions; used by one process at a time
	Logger *slog.Logger

	// SessionTopic is where the sessions of all nodes are that have it in common [MQTT_SYS_SESSION; another one begins with MQTT_SYS_ too].
	SessionTopic string
	// RetainedTopic is the same for retained messages [MQTT_SYS_RETAINED].
	RetainedTopic string
	Retained      *Retained // how retained messages are kept; they need the sessions to be on RocketMQ [they are not]
	// Changelog keeps the sessions instead: they are this node's own then. The store closes it [none].
	Changelog Changelog

	Context           context.Context // Open waits for RocketMQ until it ends [without end]
	StaticFirstTopics []string        // first levels that are followed from the start
	DefaultTopic      string          // topic of the first levels that have none of their own; "" refuses them
	MaxFirstTopics    int             // first levels that become a topic of their own [256]
	TopicQueues       int32           // queues per broker of a topic that is created [8]
	QueueFailover     time.Duration   // longest that a publish waits for a broker that does not answer [10 s]
	RequireSendOK     bool            // FLUSH_DISK_TIMEOUT and the like refuse a publish, which is in the log nevertheless
	RouteInterval     time.Duration   // between looks at the routes of topics in use [5 s]
	MaxBatchBytes     int             // of one send [1 MiB; brokers take 4 MiB]
	MaxMessageBytes   int             // largest payload [4 MiB less 64 KiB; what brokers take]
	MaxPendingBytes   int64           // encoded and not acknowledged by RocketMQ, all queues together; beyond it publishers wait [64 MiB]
	MaxRecentBytes    int64           // of records that are kept for sessions that rejoin the tail, all queues together [64 MiB]
	MaxIndexBytes     int64           // on disk, of what says where the messages of a topic are; negative: there is no such index [1 GiB]
	Address           netip.Addr      // goes into the ids of messages [127.0.0.1]
	Clock             func() time.Time

	LMQDispatch LMQDispatch // whether messages go to light queues, for clients of Java proxies [LMQAuto]
	RetryTopic  string      // where Java proxies put what their clients have not acknowledged [nothing is looked for]
	MaxLMQs     int         // light queues whose names clients choose, that this node writes to within some days [20,000]

	// Listed has the first topics be followed that the name servers list (ALL_FIRST_TOPICS), and of which it says that clients may use them; MaxFirstTopics at
	// most [the list is not read].
	Listed func(first string) bool

	monotonic func() time.Time // by which this process finds out that it was stopped, and counts beats [time.Now]
}

// Retained says how retained messages are kept. The zero value of a field stands for no limit.
type Retained struct {
	MaxTopics int64         // below one first level
	MaxBytes  int64         // of all of them
	KeepFor   time.Duration // each
}

// Changelog keeps the sessions; see store.Store for its methods, and package changelog for those about wills.
type Changelog interface {
	Change(c *store.Change, done store.Completion, token uint64)
	Connect(c *store.Change) (*store.Session, error)
	Announce(client, principal string)
	Gone(client string)
	Taken(f func(client string))
	Load(client string) (*store.Session, error)
	Groups() ([]store.Group, error)
	Shared(f func(filter string)) bool
	Share(filter string, seen int64) (*store.Share, error)
	Report(r *store.ShareReport, done store.Completion, token uint64)
	Expired(now time.Time, max int) ([]string, error)
	WillsDue(now time.Time, max int) ([]string, error)
	Owed(now time.Time, from string, max int) (list []store.Owed, next string, err error)
	Owing(client string, id uint64) (claim changelog.Claim, mine, ok bool, err error)
	ClaimWill(client string, id uint64, before, claim changelog.Claim, done store.Completion)
	WillSent(client string, id uint64, done store.Completion)
	ReleaseWill(client string, id uint64, claim changelog.Claim, done store.Completion)
	Sessions() int64
	Note(q store.Queue) ([]byte, error)
	Failed() <-chan struct{}
	Err() error
	Close() error
}

func (o Options) withDefaults() Options {
	if o.SessionTopic == "" {
		o.SessionTopic = sessionTopic
	}
	if o.RetainedTopic == "" {
		o.RetainedTopic = retainedTopic
	}
	if o.MaxFirstTopics == 0 {
		o.MaxFirstTopics = 256
	}
	if o.TopicQueues == 0 {
		o.TopicQueues = 8
	}
	if o.QueueFailover == 0 {
		o.QueueFailover = 10 * time.Second
	}
	if o.RouteInterval == 0 {
		o.RouteInterval = 5 * time.Second
	}
	if o.MaxBatchBytes == 0 {
		o.MaxBatchBytes = 1 << 20
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 4<<20 - 64<<10
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = 64 << 20
	}
	if o.MaxRecentBytes == 0 {
		o.MaxRecentBytes = 64 << 20
	}
	if o.MaxIndexBytes == 0 {
		o.MaxIndexBytes = 1 << 30
	}
	if !o.Address.IsValid() {
		o.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if o.LMQDispatch == "" {
		o.LMQDispatch = LMQAuto
	}
	if o.MaxLMQs == 0 {
		o.MaxLMQs = 20_000
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.monotonic == nil {
		o.monotonic = time.Now
	}
	return o
}
