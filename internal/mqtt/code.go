package mqtt

import "fmt"

// ReasonCode is a reason code of MQTT 5 [2.4]; it stands for return codes of 3.1.1 too.
type ReasonCode byte

// Reason codes.
const (
	Success                     ReasonCode = 0x00
	GrantedQoS1                 ReasonCode = 0x01
	GrantedQoS2                 ReasonCode = 0x02
	DisconnectWithWill          ReasonCode = 0x04
	NoMatchingSubscribers       ReasonCode = 0x10
	NoSubscriptionExisted       ReasonCode = 0x11
	ContinueAuthentication      ReasonCode = 0x18
	ReAuthenticate              ReasonCode = 0x19
	UnspecifiedError            ReasonCode = 0x80
	MalformedPacket             ReasonCode = 0x81
	ProtocolError               ReasonCode = 0x82
	ImplementationSpecific      ReasonCode = 0x83
	UnsupportedProtocolVersion  ReasonCode = 0x84
	ClientIDNotValid            ReasonCode = 0x85
	BadUserNameOrPassword       ReasonCode = 0x86
	NotAuthorized               ReasonCode = 0x87
	ServerUnavailable           ReasonCode = 0x88
	ServerBusy                  ReasonCode = 0x89
	Banned                      ReasonCode = 0x8A
	ServerShuttingDown          ReasonCode = 0x8B
	BadAuthMethod               ReasonCode = 0x8C
	KeepAliveTimeout            ReasonCode = 0x8D
	SessionTakenOver            ReasonCode = 0x8E
	TopicFilterInvalid          ReasonCode = 0x8F
	TopicNameInvalid            ReasonCode = 0x90
	PacketIDInUse               ReasonCode = 0x91
	PacketIDNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded      ReasonCode = 0x93
	TopicAliasInvalid           ReasonCode = 0x94
	PacketTooLarge              ReasonCode = 0x95
	MessageRateTooHigh          ReasonCode = 0x96
	QuotaExceeded               ReasonCode = 0x97
	AdministrativeAction        ReasonCode = 0x98
	PayloadFormatInvalid        ReasonCode = 0x99
	RetainNotSupported          ReasonCode = 0x9A
	QoSNotSupported             ReasonCode = 0x9B
	UseAnotherServer            ReasonCode = 0x9C
	ServerMoved                 ReasonCode = 0x9D
	SharedNotSupported          ReasonCode = 0x9E
	ConnectionRateExceeded      ReasonCode = 0x9F
	MaximumConnectTime          ReasonCode = 0xA0
	SubscriptionIDsNotSupported ReasonCode = 0xA1
	WildcardNotSupported        ReasonCode = 0xA2
)

// Error is a packet that breaks the rules. Code is what the peer is told: MalformedPacket,
// ProtocolError or the more exact code that the specification names.
type Error struct {
	Code   ReasonCode
	Reason string // for the peer and the log; never holds the peer's bytes
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

// codes says which packets may carry each reason code [MQTT 5.0, table 2-6], and names it.
var codes = [...]struct {
	in   packets
	name string
}{
	Success:                     {1<<CONNACK | inAck | inSuback | inDisconnect | inAuth, "Success"},
	GrantedQoS1:                 {1 << SUBACK, "Granted QoS 1"},
	GrantedQoS2:                 {1 << SUBACK, "Granted QoS 2"},
	DisconnectWithWill:          {inDisconnect, "Disconnect with Will Message"},
	NoMatchingSubscribers:       {1<<PUBACK | 1<<PUBREC, "No matching subscribers"},
	NoSubscriptionExisted:       {1 << UNSUBACK, "No subscription existed"},
	ContinueAuthentication:      {inAuth, "Continue authentication"},
	ReAuthenticate:              {inAuth, "Re-authenticate"},
	UnspecifiedError:            {inConnack | inPubResult | inSuback | inDisconnect, "Unspecified error"},
	MalformedPacket:             {inConnack | inDisconnect, "Malformed Packet"},
	ProtocolError:               {inConnack | inDisconnect, "Protocol Error"},
	ImplementationSpecific:      {inConnack | inPubResult | inSuback | inDisconnect, "Implementation specific error"},
	UnsupportedProtocolVersion:  {inConnack, "Unsupported Protocol Version"},
	ClientIDNotValid:            {inConnack, "Client Identifier not valid"},
	BadUserNameOrPassword:       {inConnack, "Bad User Name or Password"},
	NotAuthorized:               {inConnack | inPubResult | inSuback | inDisconnect, "Not authorized"},
	ServerUnavailable:           {inConnack, "Server unavailable"},
	ServerBusy:                  {inConnack | inDisconnect, "Server busy"},
	Banned:                      {inConnack, "Banned"},
	ServerShuttingDown:          {inDisconnect, "Server shutting down"},
	BadAuthMethod:               {inConnack | inDisconnect, "Bad authentication method"},
	KeepAliveTimeout:            {inDisconnect, "Keep Alive timeout"},
	SessionTakenOver:            {inDisconnect, "Session taken over"},
	TopicFilterInvalid:          {inSuback | inDisconnect, "Topic Filter invalid"},
	TopicNameInvalid:            {inConnack | inPubResult | inDisconnect, "Topic Name invalid"},
	PacketIDInUse:               {inPubResult | inSuback, "Packet Identifier in use"},
	PacketIDNotFound:            {1<<PUBREL | 1<<PUBCOMP, "Packet Identifier not found"},
	ReceiveMaximumExceeded:      {inDisconnect, "Receive Maximum exceeded"},
	TopicAliasInvalid:           {inDisconnect, "Topic Alias invalid"},
	PacketTooLarge:              {inConnack | inDisconnect, "Packet too large"},
	MessageRateTooHigh:          {inDisconnect, "Message rate too high"},
	QuotaExceeded:               {inConnack | inPubResult | 1<<SUBACK | inDisconnect, "Quota exceeded"},
	AdministrativeAction:        {inDisconnect, "Administrative action"},
	PayloadFormatInvalid:        {inConnack | inPubResult | inDisconnect, "Payload format invalid"},
	RetainNotSupported:          {inConnack | inDisconnect, "Retain not supported"},
	QoSNotSupported:             {inConnack | inDisconnect, "QoS not supported"},
	UseAnotherServer:            {inConnack | inDisconnect, "Use another server"},
	ServerMoved:                 {inConnack | inDisconnect, "Server moved"},
	SharedNotSupported:          {1<<SUBACK | inDisconnect, "Shared Subscriptions not supported"},
	ConnectionRateExceeded:      {inConnack | inDisconnect, "Connection rate exceeded"},
	MaximumConnectTime:          {inDisconnect, "Maximum connect time"},
	SubscriptionIDsNotSupported: {1<<SUBACK | inDisconnect, "Subscription Identifiers not supported"},
	WildcardNotSupported:        {1<<SUBACK | inDisconnect, "Wildcard Subscriptions not supported"},
}

const inPubResult = 1<<PUBACK | 1<<PUBREC

// in reports whether a packet of type t may carry c.
func (c ReasonCode) in(t Type) bool {
	return int(c) < len(codes) && codes[c].in&(1<<t) != 0
}

// String is the code in hexadecimal with its name in the specification, such as "0x8E Session taken over".
func (c ReasonCode) String() string {
	s := fmt.Sprintf("0x%02X", byte(c))
	if int(c) < len(codes) && codes[c].name != "" {
		s += " " + codes[c].name
	}
	return s
}

// The return codes of CONNACK below MQTT 5 [MQTT 3.1.1, table 3.1].
const (
	returnAccepted = iota
	returnUnacceptableVersion
	returnIdentifierRejected
	returnServerUnavailable
	returnBadUserNameOrPassword
	returnNotAuthorized
)

// ReturnCode is what CONNACK says for c below MQTT 5. Failures that pass by themselves become 3 (server
// unavailable), so that clients try again; all that have no code of their own become 5 (not authorized), since clients that
// were told 3 for them would come back for ever.
func (c ReasonCode) ReturnCode() byte {
	switch c {
	case UnsupportedProtocolVersion:
		return returnUnacceptableVersion
	case ClientIDNotValid:
		return returnIdentifierRejected
	case BadUserNameOrPassword:
		return returnBadUserNameOrPassword
	case ServerUnavailable, ServerBusy, ServerShuttingDown, QuotaExceeded, UseAnotherServer, ConnectionRateExceeded:
		return returnServerUnavailable
	}
	if c < UnspecifiedError {
		return returnAccepted
	}
	return returnNotAuthorized
}

// returnCode reads a return code of CONNACK.
func (r *reader) returnCode() ReasonCode {
	reasons := [...]ReasonCode{
		returnAccepted:              Success,
		returnUnacceptableVersion:   UnsupportedProtocolVersion,
		returnIdentifierRejected:    ClientIDNotValid,
		returnServerUnavailable:     ServerUnavailable,
		returnBadUserNameOrPassword: BadUserNameOrPassword,
		returnNotAuthorized:         NotAuthorized,
	}
	n := r.uint8()
	if int(n) >= len(reasons) {
		r.fail(malformed("a return code that is reserved"))
		return UnspecifiedError
	}
	return reasons[n]
}
