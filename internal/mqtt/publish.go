package mqtt

import "math"

// keepForward is the capacity up to which the buffer for a copied Forward is kept for the next packet, in bytes.
const keepForward = 4 << 10

// Decode reads a PUBLISH. All slices alias body, but for Forward where the properties that are passed on do not
// stand together: then it is a copy, valid until the next Decode. Subscription identifiers are read too; that a client
// must not send them [MQTT-3.3.4-6] is for the server to check, as is the topic alias's range. An error is an *Error, and p is then
// undefined.
func (p *Publish) Decode(v Version, flags byte, body []byte) error {
	p.reset()
	if err := checkPublishFlags(flags); err != nil {
		return err
	}
	p.Dup, p.QoS, p.Retain = flags&flagDup != 0, flags>>1&3, flags&flagRetain != 0
	r := newReader(body)
	p.Topic = r.string() // [MQTT-3.3.2-1]
	if hasWildcard(p.Topic) {
		return &Error{Code: TopicNameInvalid, Reason: "topic name with a wildcard"} // [MQTT-3.3.2-2]
	}
	if p.QoS > 0 { // [MQTT-2.2.1-2]
		p.PacketID = r.packetID()
	}
	if v >= V5 {
		p.properties(&r)
	}
	if r.err == nil && len(p.Topic) == 0 && p.TopicAlias == 0 { // [MQTT 5.0, 3.3.2.1] [MQTT-4.7.3-1]
		r.fail(protocolError("empty topic name without a topic alias"))
	}
	if r.err != nil {
		return r.err
	}
	p.Payload = r.b
	return nil
}

func (p *Publish) reset() {
	users, ids, buf := reuse(p.User), reuse(p.SubscriptionIDs), p.copied
	if cap(buf) > keepForward {
		buf = nil
	}
	*p = Publish{User: users, SubscriptionIDs: ids, copied: buf[:0]}
}

func (p *Publish) properties(r *reader) {
	fw := forwarder{buf: p.copied}
	same := Properties{User: p.User}
	r.properties(inPublish)
	for r.nextProperty() {
		switch r.id {
		case propMessageExpiry:
			p.HasMessageExpiry, p.MessageExpiry = true, r.num
		case propTopicAlias:
			if r.num == 0 {
				r.fail(&Error{Code: TopicAliasInvalid, Reason: "topic alias 0"}) // [MQTT-3.3.2-8]
			}
			p.TopicAlias = uint16(r.num)
		case propSubscriptionID:
			p.SubscriptionIDs = add(r, p.SubscriptionIDs, r.num, uint32Size, nextSubscriptionID)
		default:
			same.set(r)
			fw.add(r)
		}
	}
	p.HasPayloadFormat, p.PayloadFormat = same.HasPayloadFormat, same.PayloadFormat
	p.ContentType, p.ResponseTopic, p.CorrelationData = same.ContentType, same.ResponseTopic, same.CorrelationData
	p.User = same.User
	p.Forward, p.copied = fw.out, fw.buf
}

func nextSubscriptionID(ahead *reader) bool { return ahead.nextOf(propSubscriptionID) }

// Append appends the whole packet. It is for clients and tests; a server sends Outgoing. Forward is not looked at:
// the fields that say the same are.
func (p *Publish) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, publishByte(p.Dup, p.QoS, p.Retain))
	dst = appendBytes(dst, p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if v >= V5 {
		at := len(dst)
		dst = p.appendProperties(dst)
		dst = insertLength(dst, at)
	}
	dst = append(dst, p.Payload...)
	return frame(dst, start)
}

func (p *Publish) appendProperties(dst []byte) []byte {
	if p.HasMessageExpiry {
		dst = propUint32(dst, propMessageExpiry, p.MessageExpiry)
	}
	if p.TopicAlias != 0 {
		dst = propUint16(dst, propTopicAlias, p.TopicAlias)
	}
	for _, id := range p.SubscriptionIDs {
		dst = propVarint(dst, propSubscriptionID, id)
	}
	same := Properties{
		HasPayloadFormat: p.HasPayloadFormat, PayloadFormat: p.PayloadFormat, ContentType: p.ContentType,
		ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, User: p.User,
	}
	return same.Append(dst)
}

func publishByte(dup bool, qos byte, retain bool) byte {
	b := byte(PUBLISH)<<4 | qos<<1
	if dup {
		b |= flagDup
	}
	if retain {
		b |= flagRetain
	}
	return b
}

// lengths works out the remaining length, payload included, and the property length.
func (o *Outgoing) lengths() (rest, props int) {
	rest = 2 + len(o.Topic) + o.PayloadLen
	if o.QoS > 0 {
		rest += 2
	}
	if o.Version < V5 {
		return rest, 0
	}
	props = len(o.Forward)
	if o.HasMessageExpiry {
		props += 5
	}
	if o.TopicAlias != 0 {
		props += 3
	}
	for _, id := range o.SubscriptionIDs {
		props += 1 + varintSize(int(id))
	}
	return rest + varintSize(props) + props, props
}

// Size is the size of the whole packet in bytes, payload included, to compare with the receiver's Maximum Packet Size
// [MQTT-3.1.2-24]. It is math.MaxInt for a packet that cannot be expressed: longer than MaxLength, or with a topic longer than
// 65,535 bytes.
func (o *Outgoing) Size() int {
	rest, _ := o.lengths()
	if rest > MaxLength || len(o.Topic) > maxString {
		return math.MaxInt
	}
	return 1 + varintSize(rest) + rest
}

// AppendHeader appends all of the packet that stands before the payload, and nothing when Size is math.MaxInt. It does not
// allocate when dst has room.
func (o *Outgoing) AppendHeader(dst []byte) []byte {
	rest, props := o.lengths()
	if rest > MaxLength || len(o.Topic) > maxString {
		return dst
	}
	dst = append(dst, publishByte(o.Dup, o.QoS, o.Retain))
	dst = appendVarint(dst, rest)
	dst = appendString(dst, o.Topic)
	if o.QoS > 0 {
		dst = appendUint16(dst, o.PacketID)
	}
	if o.Version < V5 {
		return dst
	}
	dst = appendVarint(dst, props)
	if o.HasMessageExpiry {
		dst = propUint32(dst, propMessageExpiry, o.MessageExpiry) // [MQTT-3.3.2-6]
	}
	if o.TopicAlias != 0 {
		dst = propUint16(dst, propTopicAlias, o.TopicAlias)
	}
	for _, id := range o.SubscriptionIDs {
		dst = propVarint(dst, propSubscriptionID, id) // [MQTT-3.3.4-3 -4 -5]
	}
	return append(dst, o.Forward...)
}
