package mqtt

// Decode reads a CONNACK. Below MQTT 5 the return code becomes the reason code that means the same. An error is an
// *Error, and c is then undefined.
func (c *Connack) Decode(v Version, flags byte, body []byte) error {
	*c = Connack{User: reuse(c.User)}
	if err := checkVersionFlags(CONNACK, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	ack := r.uint8()
	if ack > 1 && v > V31 { // 3.1 leaves the byte open, and has no session present
		r.fail(malformed("reserved connect acknowledge flags")) // [MQTT-3.2.2-1]
	}
	c.SessionPresent = ack == 1 && v > V31
	if v >= V5 {
		c.Code = r.code(CONNACK) // [MQTT-3.2.2-8]
		c.properties(&r)
	} else {
		c.Code = r.returnCode()
	}
	if c.SessionPresent && c.Code != Success && r.err == nil {
		r.fail(protocolError("session present in a refusal")) // [MQTT-3.2.2-6]; 3.1.1: [MQTT-3.2.2-4]
	}
	return r.end()
}

func (c *Connack) properties(r *reader) {
	r.properties(inConnack)
	for r.nextProperty() {
		switch r.id {
		case propUser:
			c.User = r.user(c.User)
		case propAuthMethod:
			c.AuthMethod = r.val
		case propAuthData:
			c.AuthData = r.val
		case propAssignedClientID:
			c.AssignedClientID = r.copied(r.val)
		case propReason:
			c.Reason = r.copied(r.val)
		case propResponseInfo:
			c.ResponseInformation = r.copied(r.val)
		case propServerReference:
			c.ServerReference = r.copied(r.val)
		default:
			c.number(r.id, r.num)
		}
	}
}

// number takes over a property that is a number.
func (c *Connack) number(id property, n uint32) {
	switch id {
	case propSessionExpiry:
		c.SessionExpiry = &n
	case propReceiveMaximum:
		c.ReceiveMaximum = new(uint16(n))
	case propMaximumQoS:
		c.MaximumQoS = new(byte(n))
	case propRetainAvailable:
		c.RetainAvailable = new(n != 0)
	case propMaximumPacketSize:
		c.MaximumPacketSize = &n
	case propTopicAliasMaximum:
		c.TopicAliasMaximum = new(uint16(n))
	case propWildcardAvailable:
		c.WildcardAvailable = new(n != 0)
	case propSubscriptionIDs:
		c.SubscriptionIDs = new(n != 0)
	case propSharedAvailable:
		c.SharedAvailable = new(n != 0)
	case propServerKeepAlive:
		c.ServerKeepAlive = new(uint16(n))
	}
}

// Append appends the whole packet. It does not allocate when dst has room.
func (c *Connack) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(CONNACK)<<4)
	if c.SessionPresent && c.Code == Success && v > V31 { // [MQTT-3.2.2-6]
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	if v < V5 {
		return frame(append(dst, c.Code.ReturnCode()), start)
	}
	dst = append(dst, byte(c.Code))
	at := len(dst)
	dst = c.appendNumbers(dst)
	dst = propString(dst, propAssignedClientID, c.AssignedClientID)
	dst = propString(dst, propReason, c.Reason)
	dst = propString(dst, propResponseInfo, c.ResponseInformation)
	dst = propString(dst, propServerReference, c.ServerReference)
	dst = propBytes(dst, propAuthMethod, c.AuthMethod)
	dst = propBytes(dst, propAuthData, c.AuthData)
	dst = appendUsers(dst, c.User)
	dst = insertLength(dst, at)
	return frame(dst, start)
}

func (c *Connack) appendNumbers(dst []byte) []byte {
	if c.SessionExpiry != nil {
		dst = propUint32(dst, propSessionExpiry, *c.SessionExpiry)
	}
	if c.MaximumPacketSize != nil {
		dst = propUint32(dst, propMaximumPacketSize, *c.MaximumPacketSize)
	}
	if c.MaximumQoS != nil {
		dst = propBool(dst, propMaximumQoS, *c.MaximumQoS != 0)
	}
	for _, n := range [...]struct {
		id property
		n  *uint16
	}{
		{propReceiveMaximum, c.ReceiveMaximum},
		{propTopicAliasMaximum, c.TopicAliasMaximum},
		{propServerKeepAlive, c.ServerKeepAlive},
	} {
		if n.n != nil {
			dst = propUint16(dst, n.id, *n.n)
		}
	}
	for _, b := range [...]struct {
		id property
		b  *bool
	}{
		{propRetainAvailable, c.RetainAvailable},
		{propWildcardAvailable, c.WildcardAvailable},
		{propSubscriptionIDs, c.SubscriptionIDs},
		{propSharedAvailable, c.SharedAvailable},
	} {
		if b.b != nil {
			dst = propBool(dst, b.id, *b.b)
		}
	}
	return dst
}
