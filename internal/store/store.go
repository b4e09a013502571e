// Package store is the contract between the broker and whatever keeps its messages and sessions.
//
// A store is a log: Append makes a message durable and gives it a place, the sink set with Follow is
// handed every message in the order of its queue, Read catches up from any place. Beside it, in the same order
// and with the same durability, stands the changelog of sessions. package storetest is the suite that every
// implementation passes.
package store

import (
	"errors"
	"time"
)

// Errors that callers decide by. Implementations wrap them.
var (
	ErrFull     = errors.New("store: no room")          // refused before anything was written; later appends may succeed
	ErrFailed   = errors.New("store: failed")           // an earlier write or sync failed: nothing is accepted until a restart
	ErrClosed   = errors.New("store: closed")           // Close was called
	ErrTooLarge = errors.New("store: record too large") // one message exceeds the store's limit
	ErrExpired  = errors.New("store: expired")          // the place read is older than what is kept
	ErrCorrupt  = errors.New("store: corrupt")          // what was read is not what was written
	ErrQuota    = errors.New("store: quota exceeded")   // refused before anything was written: a limit on retained messages
	ErrAway     = errors.New("store: out of reach")     // what is asked for is, or would go, where nothing answers now; to be tried again
	ErrTopic    = errors.New("store: topic refused")    // there is no place for messages of this topic, and none may be made

	ErrPrincipal = errors.New("store: somebody else's session") // the session belongs to another principal
	ErrTaken     = errors.New("store: session taken over")      // another process serves the client: what this one writes about its session does not count
)

// P2P stands, in place of a filter, for the topics that are addressed to one client (topic.Addressee). It is no filter that a client can subscribe to.
const P2P = "$p2p"

// Queue names one ordered sequence of records, for ever. The embedded log has one, 0; on RocketMQ it is a hash of topic, broker and queue id.
type Queue uint64

// Position is the place of one record: Offset counts up within Queue and has gaps.
type Position struct {
	Queue  Queue
	Offset int64
}

// Message is what a publisher hands in.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool   // RETAIN as published: becomes the retained message of Topic, or with an empty Payload ends it
	Origin  uint64 // hash of the publisher's client id, for No Local
	Expires int64  // Unix milliseconds; 0 never
	Forward []byte // MQTT 5 properties to pass on, in wire form (mqtt.Publish.Forward)

	// For applications that read the store without MQTT: what RocketMQ's consumers filter by, and find the message by. Not of what clients publish: they
	// may have no white space and no control characters. The embedded log has no such readers.
	Tag string // empty: MQTT_COMMON
	Key string // empty: none

	// An incoming QoS 2 message of a persistent session: {Client, PacketID} become durable with the message.
	// With Will: the message is the will of Client with this ID, which is over with it. Of several processes that append it one does; it is no error, and nothing is
	// appended, when there is no such will any more.
	Client   string // empty: none
	PacketID uint16
	Will     bool
	WillID   uint64
}

// Record is a stored Message. Its bytes are immutable and shared: hold them as long as needed, never write to them.
type Record struct {
	Position // of a QoS 0 record that is not written: Offset -1
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Origin   uint64
	Expires  int64 // Unix milliseconds; 0 never
	Forward  []byte
}

// Completion is told, exactly once and on any goroutine, how an append ended. It must not block and must not call the store's Append.
type Completion interface {
	// Appended: token is the one given with the append.
	Appended(token uint64, at Position, err error)
}

// Store keeps messages and sessions. All methods may be called concurrently.
type Store interface {
	// Append makes m durable, then tells done (nil: nobody). m and its slices are read only until Append returns.
	// Append blocks while the store cannot take more (that is the back pressure on publishers). QoS 0 messages may
	// be handed to the sink before Append returns, on the caller's goroutine, and survive nothing, unless they are
	// retained; done is told at once.
	Append(m *Message, done Completion, token uint64)

	// Change appends c to the changelog of sessions, in one order with Append: as durable, and visible in Load
	// before done is told. c is read only until Change returns. Client ids may be up to 65,535 bytes of any UTF-8. ErrTaken: it
	// does not count, since another process owns the session.
	Change(c *Change, done Completion, token uint64)

	// Connect begins or resumes the session of c.Client (c.Kind is Connect) and makes this process the one owner of the client id among
	// all that share the store. One that served the client is told to stop, and has handed over or had its time to when Connect
	// returns. Then c is durable; that may take the network. To be called by who does not own the client id, one call at a time for each.
	//
	// old is the session as it was left, before c; nil when there was none, its time was over, or c.Clean: then the session is a new
	// one. When a new one has neither Expiry nor Will, nothing is kept, and what there was is removed; the process owns the client id
	// all the same. It does until Detach or Remove, or Gone where nothing is kept; after an error it does not.
	//
	// ErrPrincipal: the session is somebody else's. ErrTaken: another process has taken the client over meanwhile. ErrAway: nobody can tell now.
	Connect(c *Change) (old *Session, err error)
	// Announce is Connect for a session that begins with nothing and leaves nothing: it does not wait, and other processes that serve the client find
	// out. Gone ends that, and does nothing for a client that this process does not own.
	Announce(client, principal string)
	Gone(client string)
	// Taken sets who is told that another process owns a client id from now on, or that one which was announced is somebody else's. The
	// connection is to be ended (0x8E); then Detach, Remove or Gone follow as ever, and the completion of the first two comes also when there is
	// nothing left to write. f may be told late, of a connection that has ended since, and on any goroutine; it must not block. To be called
	// once, before the first Connect.
	Taken(f func(client string))

	// Follow sets the sink that is handed every message once durable, in the order of its queue, one call at a
	// time per queue (QoS 0 that is not written: any goroutine, beside those). To be called once, before the first
	// Append. The slice is valid during the call only, the records' bytes for ever.
	Follow(sink func(batch []Record))

	// Next is the offset that the sink will be handed next, or a later one, in q: every record below it has been, or
	// is now being, handed over. It is raised before the sink is called.
	Next(q Queue) int64

	// Watch has the messages that filter (without $share) matches handed to the sink, until Unwatch was called as often. It
	// returns where that begins: every message appended anywhere after the call gets the offset of its queue or a
	// later one. A queue that is not named comes to be later, or is out of reach; when it is there it is handed over
	// from before the call on. Watch may wait for the network; after an error nothing is watched. With P2P, which Queues takes as well, nothing more is
	// handed over: a store that has to choose what it follows names the queues of those topics that it follows from its start.
	Watch(filter string) ([]Position, error)
	Unwatch(filter string)
	// Queues lists the queues that messages matching filter may be in, as far as they are known; those of a watched filter are.
	Queues(filter string) []Queue
	// At is an offset of q at or below the first record that was stored at or after ms, Unix milliseconds. It may wait for the network.
	At(q Queue, ms int64) (int64, error)

	// Read returns records of from.Queue from from.Offset on whose topic q wants, in order, and the offset to go on from: above
	// every record considered. It stops after about maxBytes, at the durable end, or earlier. No records and an unchanged
	// offset mean: at the end. Below the oldest record kept it goes on from there: the first result is Position
	// above from without error; missed counts how many offsets were skipped because they have expired. ErrAway: it is to be
	// tried again later, from the same place.
	Read(from Position, q *Query, maxBytes int) (recs []Record, next int64, missed int64, err error)

	// Get returns the record at p; ErrExpired when it is no longer kept, ErrAway as Read. A retained message is kept.
	Get(p Position) (Record, error)

	// Retained returns messages that are retained for topics which filter (without $share) matches, in an order of
	// the store's, beginning behind the place after; "" is the first. It stops after about maxBytes, or earlier, with
	// the place to go on from; "" when there are no more. It first waits until all that was appended below at is
	// reflected. What has expired is left out. Retained records say Retain, and have the place that they are handed over with.
	Retained(filter, after string, at []Position, maxBytes int) (recs []Record, next string, err error)
	// MayRetain is false when there is no retained message and none is on its way; what another process has on its way comes through Late.
	MayRetain() bool
	// Late sets who is told of messages that have become the retained ones of their topics, or with an empty Payload have ended them, and lie below what Watch
	// has returned: who has subscribed from there on gets them neither from the tail, nor with the retained ones that were read before. Retained finds them after
	// the call. f may be called on any goroutine; it must not block, nor call the store. To be called once, before the first Watch. Never called by a
	// store that no other process shares.
	Late(f func(rec *Record))

	// Load returns the session as its changelog has it; nil when there is none.
	Load(client string) (*Session, error)
	// Groups lists the shared subscription groups; to be called at start.
	Groups() ([]Group, error)

	// Shared sets who is told that this process's part in a shared subscription group may have changed. f may be called on any goroutine, for groups that this
	// process has no member of too; it must not block. false: no other process shares the store, so every group is this process's as a whole, and f is never
	// called. To be called once, before the first Connect.
	Shared(f func(filter string)) bool
	// Share is this process's part in a group, as of what it has read; nil: the group is not there. Redo is what was added since the version seen.
	Share(filter string, seen int64) (*Share, error)
	// Report tells the others of this process's part in a group. r is the store's from then on. done is told when it counts: Share shows it then. After an error
	// the same report is to be made again.
	Report(r *ShareReport, done Completion, token uint64)

	// Expired lists up to max client ids whose sessions were due to end at or before now.
	Expired(now time.Time, max int) ([]string, error)
	// WillsDue is Expired for wills whose session's connection has ended: those to be published at or before now.
	WillsDue(now time.Time, max int) ([]string, error)
	// Owed is WillsDue where several processes share the store: the wills that this one is to publish now, by appending them (Message.Will), wherever their
	// clients are connected meanwhile. It lists up to max, those of which nothing but that is left behind from first, "" at the beginning; next is where they go on, "": they do not.
	// Where no other process shares the store there are none.
	Owed(now time.Time, from string, max int) (list []Owed, next string, err error)
	// Sessions counts the persistent sessions.
	Sessions() int64

	// Failed is closed when the store can accept nothing more; Err then says why and what to do.
	Failed() <-chan struct{}
	Err() error
	// Close waits for appends under way, then releases everything. Idempotent.
	Close() error
}
