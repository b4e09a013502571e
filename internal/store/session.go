package store

// Session is a persistent session's durable state.
type Session struct {
	Client    string
	Principal string // who owns it
	Expiry    uint32 // seconds after the connection ends; 0xFFFFFFFF never
	ExpiresAt int64  // Unix milliseconds; 0 while connected, and for never
	Connected bool   // no Detach followed the last Connect: the process died meanwhile
	Created   int64  // Unix milliseconds

	Subscriptions []Subscription
	// Everything below Cursor that is not in Inflight was dealt with. One per queue.
	Cursor   []Position
	Follows  bool       // the later one of Cursor and the owner's last Checkpoint holds (Inflight still counts)
	Inflight []Inflight // sent and not yet acknowledged; QoS 2 exactly, QoS 1 as of the last Progress, but for those whose packet id a QoS 2 message has since
	Sent2    []Position // per queue the highest place that a Send2 without Group named: QoS 2 deliveries up to there have begun, once
	Received []uint16   // packet ids of incoming QoS 2 messages not yet released
	Pending  []Receipt  // and those of which it is not known whether they are stored; a store's own business
	Will     *Will      // nil: none
	WillAt   int64      // when it is due, Unix milliseconds; 0 while connected
	// SentUpTo: what lies below may have been sent before. As of the last Detach; when Connected, set by Connect, in a store of one process by Load too: the log's
	// end when this process opened it.
	SentUpTo []Position
	// Torn: how far its last connection came is not known exactly, since its process could not tell. A store whose processes are several sets it; SentUpTo then
	// covers all that may have been sent.
	Torn bool
}

// Subscription is one topic filter of a session, as subscribed ("$share/..." included).
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	ID                uint32     // subscription identifier; 0 none
	Start             []Position // older records are not for it
	Since             int64      // when it began, Unix milliseconds: in queues that Start does not name, it begins there
	Replay            bool       // the retained messages that it begins with are owed
}

// Will is the message that is published when a client is gone [MQTT-3.1.2-8].
type Will struct {
	ID        uint64 // no two wills have the same; random
	Topic     string
	Payload   []byte
	QoS       byte
	Retain    bool
	Delay     uint32 // seconds after the connection ended
	HasExpiry bool
	Expiry    uint32 // of the message, seconds after it was published
	Forward   []byte // as in Message
}

// Owed is a will that is to be published.
type Owed struct {
	Client string
	Will   *Will
}

// AtOnce is Change.WillAt of a will that is due with the end of the connection.
const AtOnce int64 = 1

// Receipt is an incoming QoS 2 message that is about to be stored by a store whose messages are not where its changelog is.
type Receipt struct {
	PacketID uint16
	Key      string   // what the message carries, whenever it is stored, and no other message does
	Sum      uint64   // hash of topic and payload: what comes with this packet id and is not the same is another message
	At       Position // if it is stored, then there or above, in this queue
	Since    int64    // and not before, Unix milliseconds
}

// Inflight is one message on its way to the client.
type Inflight struct {
	PacketID uint16
	QoS      byte // granted
	Released bool // PUBREC was received: only PUBREL and PUBCOMP remain
	At       Position
	Group    string // "$share/name/filter" when it came through a shared subscription
	Retained bool   // the retained message of a new subscription: it is not a part of what Cursor and Sent2 count
}

// Group is the durable state of one shared subscription.
type Group struct {
	Filter      string // "$share/name/filter"
	Members     []string
	Founded     []Position // Start of the subscription that founded it
	Since       int64      // and its Since
	Cursor      []Position // as in Session
	Outstanding []Position // handed to members and not yet acknowledged, above which nothing but Cursor counts
	Exact       []Position // QoS 2 deliveries begun: belong to a session for good [MQTT-4.8.2-4]
}

// ChangeKind says what a Change does.
type ChangeKind byte

// Kinds of changes. Each names the fields of Change that it uses beside Client.
const (
	// Connect begins or resumes the session: Principal, Expiry, Will in place of the one that it had. Clean deletes what there was first. It is
	// what Store.Connect is given; with Change, by the owner, it changes these three.
	Connect ChangeKind = iota + 1
	// Detach ends the connection: Expiry, ExpiresAt, Cursor, Inflight, as Progress; SentUpTo. The will is due at WillAt; 0: it is no more.
	Detach
	// Remove deletes the session and all its state, memberships of groups included. Where several processes share the store, a will that is due is still owed; with WillAt
	// (AtOnce) the session ends with its connection, and it is due.
	Remove
	// Subscribe adds or replaces Subscription. With a shared filter the client becomes a member of the group; the first one founds it at Subscription.Start.
	Subscribe
	// Unsubscribe removes Subscription.Filter. The group whose last member left is deleted.
	Unsubscribe
	// Release removes PacketID from Received, and from Pending.
	Release
	// Send2 records Inflight[0], a QoS 2 message, before it is sent, and raises Sent2 (or, with Inflight[0].Group set, adds to the group's Exact).
	Send2
	// Pubrec marks Inflight[0].PacketID as released.
	Pubrec
	// Done2 removes the QoS 2 message Inflight[0].PacketID; in group Inflight[0].Group its Exact entry is kept until the cursor passes it.
	Done2
	// Progress replaces Cursor, Follows and the QoS 1 part of Inflight; SentUpTo is settled again by the next Detach.
	Progress
	// GroupProgress replaces Cursor and Outstanding of the group Subscription.Filter, and drops Exact entries that are below Cursor and not in Outstanding. Client is empty.
	// It is about the group that was founded at Subscription.Start, and does nothing to one that has come in its place.
	GroupProgress
	// Checkpoint: every session with Follows that is connected in this process has dealt with everything below Cursor but its Inflight. Client is empty.
	Checkpoint
	// WillDone removes the will, which is of QoS 0 and about to be published. One of QoS 1 and 2 is removed by the message, see Message.Will.
	WillDone

	// The rest is for stores whose messages are not where their changelog is.

	// Receive adds Receipt to Pending, in place of one with its packet id.
	Receive
	// Receipted moves PacketID from Pending, if it is there, to Received: the message is stored.
	Receipted
	// Refused removes PacketID from Pending: the message is not stored and never will be.
	Refused
	// Note keeps Value for the queue Cursor[0].Queue, in place of what was kept; empty: nothing is. Client is empty.
	Note
)

// Change is one entry of the sessions' changelog.
type Change struct {
	Kind         ChangeKind
	Client       string
	Principal    string
	Clean        bool
	Expiry       uint32
	ExpiresAt    int64
	Follows      bool
	Subscription Subscription
	Cursor       []Position
	Inflight     []Inflight
	Outstanding  []Position
	PacketID     uint16
	Will         *Will
	WillAt       int64
	SentUpTo     []Position
	Receipt      Receipt
	Value        []byte
}
