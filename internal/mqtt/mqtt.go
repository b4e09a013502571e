// Package mqtt encodes and decodes the control packets of MQTT 3.1, 3.1.1 and 5.
//
// To receive, read a fixed header with ParseHeader, wait for the Length bytes after it, the body, and hand them to Decode
// of the type that the header names. Header.Check looks at what depends on the version: call it before Decode, for CONNECT
// after it, with the version that was decoded. To send, call Append; for PUBLISH, whose payload need not be copied,
// Outgoing.AppendHeader. Ids such as [MQTT-3.3.1-4] are those of MQTT 5.0, unless 3.1.1 is said.
//
// Decode checks all that concerns the packet alone, and tells what is wrong as an *Error with the code that the specification
// names. Where 3.1 is more liberal than 3.1.1, so is Decode. What depends on the session, on configuration or on who sends is
// left to the caller, and so is the form of topic filters, which is answered for each of them.
//
// Decoding aliases its input: every []byte in a decoded packet is a part of the
// body it was decoded from and lives exactly as long as that body, unless its field says otherwise. A receiver may be used
// again and again, and then allocates nothing for packets like those before. Encoding
// appends to dst and returns it. Values longer than their length field can say are cut. Nothing here does IO, keeps time, or
// allocates by a length that a peer only claims: decoding allocates at most twice the body's length and 64 KiB.
// All of it may be used by several goroutines at once, but no receiver by two.
package mqtt

// Version is the protocol level of CONNECT.
type Version byte

// The protocol levels that a client can ask for.
const (
	V31  Version = 3 // MQTT 3.1 (MQIsdp)
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

// Type is the control packet type, the high nibble of the first byte.
type Type byte

// Control packet types [MQTT 5.0, 2.1.2].
const (
	CONNECT Type = iota + 1
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH
)

// Header is a fixed header: what stands before a packet's body.
type Header struct {
	Type   Type
	Flags  byte // low nibble of the first byte
	Length int  // remaining length: bytes of the body

	// Overlong: the remaining length is not in its shortest form, which MQTT 5 forbids; see Check.
	Overlong bool
}

// UserProperty is one name and value pair; their order is kept.
type UserProperty struct{ Key, Value []byte }

// Connect is CONNECT. Properties are those of MQTT 5 and have their defaults in other versions.
type Connect struct {
	Version     Version
	CleanStart  bool // Clean Session in 3.1 and 3.1.1
	KeepAlive   uint16
	ClientID    []byte
	HasUsername bool
	Username    []byte
	HasPassword bool
	Password    []byte
	HasWill     bool
	Will        Will

	SessionExpiry     uint32 // seconds; 0xFFFFFFFF never
	ReceiveMaximum    uint16 // 65535 when absent
	MaximumPacketSize uint32 // 0 when absent: no limit
	TopicAliasMaximum uint16
	RequestResponse   bool // Request Response Information
	RequestProblem    bool // Request Problem Information; true when absent
	HasAuthMethod     bool
	AuthMethod        []byte
	AuthData          []byte
	User              []UserProperty
}

// Will is the will message of a CONNECT.
type Will struct {
	QoS     byte
	Retain  bool
	Topic   []byte
	Payload []byte

	Delay            uint32 // seconds
	HasMessageExpiry bool
	MessageExpiry    uint32 // seconds
	Forward          []byte // properties that travel with the message, as Publish.Forward
}

// Connack is CONNACK.
type Connack struct {
	SessionPresent bool
	Code           ReasonCode // in 3.1 and 3.1.1 encoded as the return code nearest to it

	// MQTT 5 only. A nil pointer, or an empty string, is not sent.
	SessionExpiry        *uint32
	ReceiveMaximum       *uint16
	MaximumQoS           *byte
	RetainAvailable      *bool
	MaximumPacketSize    *uint32
	AssignedClientID     string
	TopicAliasMaximum    *uint16
	Reason               string
	WildcardAvailable    *bool
	SubscriptionIDs      *bool
	SharedAvailable      *bool
	ServerKeepAlive      *uint16
	ResponseInformation  string
	ServerReference      string
	AuthMethod, AuthData []byte
	User                 []UserProperty
}

// Publish is PUBLISH as received.
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte // may be empty when TopicAlias is set
	PacketID uint16 // 0 for QoS 0
	Payload  []byte

	HasMessageExpiry bool
	MessageExpiry    uint32 // seconds
	TopicAlias       uint16 // 0 when absent
	SubscriptionIDs  []uint32
	HasPayloadFormat bool
	PayloadFormat    byte
	ContentType      []byte // nil when absent
	ResponseTopic    []byte // nil when absent
	CorrelationData  []byte // nil when absent
	User             []UserProperty

	// Forward holds, encoded as on the wire and in their order, the properties that a server
	// passes on unaltered: all but message expiry, topic alias and subscription identifier
	// [MQTT-3.3.2-4 -15 -16 -17 -18 -20]. It aliases the body when they stand together there.
	// Properties reads it back.
	Forward []byte

	copied []byte // what Forward is a part of when they do not
}

// Outgoing is a PUBLISH to be sent: all of it but the payload's bytes.
type Outgoing struct {
	Version          Version
	Dup              bool
	QoS              byte
	Retain           bool
	Topic            string // empty when TopicAlias stands for it
	PacketID         uint16
	Forward          []byte // see Publish.Forward; ignored below MQTT 5, as is all that follows but PayloadLen
	HasMessageExpiry bool
	MessageExpiry    uint32
	TopicAlias       uint16
	SubscriptionIDs  []uint32
	PayloadLen       int
}

// Ack is PUBACK, PUBREC, PUBREL or PUBCOMP.
type Ack struct {
	Type     Type
	PacketID uint16
	Code     ReasonCode // MQTT 5 only
	Reason   string     // MQTT 5 only; when decoded a copy
	User     []UserProperty
}

// Subscribe is SUBSCRIBE.
type Subscribe struct {
	PacketID       uint16
	SubscriptionID uint32 // 0 when absent
	Filters        []SubscribeFilter
	User           []UserProperty
}

// SubscribeFilter is one topic filter of a SUBSCRIBE with its options.
type SubscribeFilter struct {
	Filter            []byte
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0, 1, 2
}

// Suback is SUBACK or UNSUBACK. UNSUBACK carries no codes below MQTT 5.
type Suback struct {
	Type     Type
	PacketID uint16
	Codes    []ReasonCode // failures become 0x80 below MQTT 5
	Reason   string
	User     []UserProperty
}

// Unsubscribe is UNSUBSCRIBE.
type Unsubscribe struct {
	PacketID uint16
	Filters  [][]byte
	User     []UserProperty
}

// Disconnect is DISCONNECT.
type Disconnect struct {
	Code             ReasonCode
	HasSessionExpiry bool
	SessionExpiry    uint32
	Reason           string
	ServerReference  string
	User             []UserProperty
}

// Auth is AUTH.
type Auth struct {
	Code   ReasonCode
	Method []byte
	Data   []byte
	Reason string
	User   []UserProperty
}
