package mqtt

// property is the identifier of a property. On the wire it is a variable byte integer, but all are below 128.
type property byte

const (
	propPayloadFormat     property = 0x01
	propMessageExpiry     property = 0x02
	propContentType       property = 0x03
	propResponseTopic     property = 0x08
	propCorrelationData   property = 0x09
	propSubscriptionID    property = 0x0B
	propSessionExpiry     property = 0x11
	propAssignedClientID  property = 0x12
	propServerKeepAlive   property = 0x13
	propAuthMethod        property = 0x15
	propAuthData          property = 0x16
	propRequestProblem    property = 0x17
	propWillDelay         property = 0x18
	propRequestResponse   property = 0x19
	propResponseInfo      property = 0x1A
	propServerReference   property = 0x1C
	propReason            property = 0x1F
	propReceiveMaximum    property = 0x21
	propTopicAliasMaximum property = 0x22
	propTopicAlias        property = 0x23
	propMaximumQoS        property = 0x24
	propRetainAvailable   property = 0x25
	propUser              property = 0x26
	propMaximumPacketSize property = 0x27
	propWildcardAvailable property = 0x28
	propSubscriptionIDs   property = 0x29
	propSharedAvailable   property = 0x2A
)

func (id property) String() string { return rules[id].name }

// packets is a set of packet types, and of two more places where properties stand.
type packets uint32

const (
	inConnect     packets = 1 << CONNECT
	inConnack     packets = 1 << CONNACK
	inPublish     packets = 1 << PUBLISH
	inSubscribe   packets = 1 << SUBSCRIBE
	inUnsubscribe packets = 1 << UNSUBSCRIBE
	inDisconnect  packets = 1 << DISCONNECT
	inAuth        packets = 1 << AUTH
	inWill        packets = 1 << 0  // the will properties of CONNECT
	inForward     packets = 1 << 16 // Publish.Forward, Will.Forward

	inAck     = 1<<PUBACK | 1<<PUBREC | 1<<PUBREL | 1<<PUBCOMP
	inSuback  = 1<<SUBACK | 1<<UNSUBACK
	inMessage = inPublish | inWill | inForward
	inAnswer  = inConnack | inAck | inSuback | inDisconnect | inAuth
	inAny     = inConnect | inMessage | inSubscribe | inUnsubscribe | inAnswer
)

// kind is the data type of a property, and what values it may have.
type kind byte

const (
	kindBool    kind = iota + 1 // a byte that is 0 or 1: true of all properties of one byte
	kindUint16                  //
	kindCount16                 // not 0
	kindUint32                  //
	kindCount32                 // not 0
	kindVarint                  // not 0
	kindString                  //
	kindTopic                   // a topic name
	kindBinary                  //
	kindPair                    // two strings
)

// rules says where each property may stand [MQTT 5.0, table 2-4].
var rules = [...]struct {
	kind kind
	in   packets
	name string
}{
	propPayloadFormat:     {kindBool, inMessage, "payload format indicator"},
	propMessageExpiry:     {kindUint32, inPublish | inWill, "message expiry interval"},
	propContentType:       {kindString, inMessage, "content type"},
	propResponseTopic:     {kindTopic, inMessage, "response topic"},
	propCorrelationData:   {kindBinary, inMessage, "correlation data"},
	propSubscriptionID:    {kindVarint, inPublish | inSubscribe, "subscription identifier"},
	propSessionExpiry:     {kindUint32, inConnect | inConnack | inDisconnect, "session expiry interval"},
	propAssignedClientID:  {kindString, inConnack, "assigned client identifier"},
	propServerKeepAlive:   {kindUint16, inConnack, "server keep alive"},
	propAuthMethod:        {kindString, inConnect | inConnack | inAuth, "authentication method"},
	propAuthData:          {kindBinary, inConnect | inConnack | inAuth, "authentication data"},
	propRequestProblem:    {kindBool, inConnect, "request problem information"},
	propWillDelay:         {kindUint32, inWill, "will delay interval"},
	propRequestResponse:   {kindBool, inConnect, "request response information"},
	propResponseInfo:      {kindString, inConnack, "response information"},
	propServerReference:   {kindString, inConnack | inDisconnect, "server reference"},
	propReason:            {kindString, inAnswer, "reason string"},
	propReceiveMaximum:    {kindCount16, inConnect | inConnack, "receive maximum"},
	propTopicAliasMaximum: {kindUint16, inConnect | inConnack, "topic alias maximum"},
	propTopicAlias:        {kindUint16, inPublish, "topic alias"},
	propMaximumQoS:        {kindBool, inConnack, "maximum QoS"},
	propRetainAvailable:   {kindBool, inConnack, "retain available"},
	propUser:              {kindPair, inAny, "user property"},
	propMaximumPacketSize: {kindCount32, inConnect | inConnack, "maximum packet size"},
	propWildcardAvailable: {kindBool, inConnack, "wildcard subscription available"},
	propSubscriptionIDs:   {kindBool, inConnack, "subscription identifiers available"},
	propSharedAvailable:   {kindBool, inConnack, "shared subscription available"},
}

// properties begins a property block. Then nextProperty is to be called until it returns false, and the reader stands
// behind the block.
func (r *reader) properties(in packets) {
	n := int(r.varint())
	if n > len(r.b) {
		r.fail(malformed("property length runs past the end"))
		return
	}
	r.beginBlock(r.b[:n:n], r.b[n:], in)
}

func (r *reader) beginBlock(block, after []byte, in packets) {
	r.b, r.block, r.after = block, block, after
	r.in, r.seen = in, 0
}

// nextProperty reads one property into id and num, or key and val; what its value must be it checks, as far as
// that does not depend on anything else.
func (r *reader) nextProperty() bool {
	if len(r.b) == 0 {
		if r.err == nil {
			r.b, r.after = r.after, nil
		}
		return false
	}
	r.from = len(r.block) - len(r.b)
	id := r.varint()
	if r.err != nil {
		return false
	}
	if id >= uint32(len(rules)) || rules[id].kind == 0 {
		r.fail(malformed("a property that does not exist")) // [MQTT 5.0, 2.2.2.2]
		return false
	}
	r.id = property(id)
	if rules[id].in&r.in == 0 {
		r.fail(malformed(r.id.String() + " in a packet that cannot have it")) // [MQTT 5.0, 2.2.2.2]
		return false
	}
	if r.seen&(1<<id) != 0 && r.id != propUser && (r.id != propSubscriptionID || r.in != inPublish) {
		r.fail(protocolError(r.id.String() + " stands twice"))
		return false
	}
	r.seen |= 1 << id
	r.value(rules[id].kind)
	return r.err == nil
}

func (r *reader) value(k kind) {
	switch k {
	case kindBool:
		r.num = uint32(r.uint8())
		r.checkValue(r.num <= 1, " is neither 0 nor 1")
	case kindUint16:
		r.num = uint32(r.uint16())
	case kindCount16:
		r.num = uint32(r.uint16())
		r.checkValue(r.num != 0, " is 0")
	case kindUint32:
		r.num = r.uint32()
	case kindCount32:
		r.num = r.uint32()
		r.checkValue(r.num != 0, " is 0")
	case kindVarint:
		r.num = r.varint()
		r.checkValue(r.num != 0, " is 0")
	case kindString:
		r.val = r.string()
	case kindTopic:
		r.val = r.string()
		r.checkValue(len(r.val) != 0 && !hasWildcard(r.val), " is not a topic name") // [MQTT-3.3.2-14] [MQTT-4.7.3-1]
	case kindBinary:
		r.val = r.binary()
	case kindPair:
		r.key = r.string() // [MQTT-1.5.7-1]
		r.val = r.string()
	}
}

// checkValue refuses the property last read unless ok. The reason is put together only then.
func (r *reader) checkValue(ok bool, reason string) {
	if !ok && r.err == nil {
		r.fail(protocolError(r.id.String() + reason))
	}
}

// place is where in the block the property last read stands.
func (r *reader) place() (from, to int) { return r.from, len(r.block) - len(r.b) }

// user appends the user property last read to dst.
func (r *reader) user(dst []UserProperty) []UserProperty {
	return add(r, dst, UserProperty{Key: r.key, Value: r.val}, userSize, nextUser)
}

func nextUser(ahead *reader) bool { return ahead.nextOf(propUser) }

// nextOf goes on to the next property with that identifier.
func (r *reader) nextOf(id property) bool {
	for r.nextProperty() {
		if r.id == id {
			return true
		}
	}
	return false
}

func appendUsers(dst []byte, users []UserProperty) []byte {
	for i := range users {
		dst = append(dst, byte(propUser))
		dst = appendBytes(dst, users[i].Key)
		dst = appendBytes(dst, users[i].Value)
	}
	return dst
}

// propString appends a property unless s is empty.
func propString(dst []byte, id property, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(append(dst, byte(id)), s)
}

// propBytes appends a property unless b is nil.
func propBytes(dst []byte, id property, b []byte) []byte {
	if b == nil {
		return dst
	}
	return appendBytes(append(dst, byte(id)), b)
}

func propUint32(dst []byte, id property, n uint32) []byte {
	return appendUint32(append(dst, byte(id)), n)
}

func propUint16(dst []byte, id property, n uint16) []byte {
	return appendUint16(append(dst, byte(id)), n)
}

func propBool(dst []byte, id property, b bool) []byte {
	if b {
		return append(dst, byte(id), 1)
	}
	return append(dst, byte(id), 0)
}

func propVarint(dst []byte, id property, n uint32) []byte {
	return appendVarint(append(dst, byte(id)), int(min(n, MaxLength)))
}
