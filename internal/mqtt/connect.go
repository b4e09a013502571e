package mqtt

import "math"

// Decode reads a CONNECT of any version, and sets Version; the version given is not looked at. An error is an *Error,
// and c is then undefined but for Version and RequestProblem, by which it can be answered: with UnsupportedProtocolVersion, Version
// is the one that the answer should be in, and 0 when the peer may not speak MQTT at all. What is a matter of policy is left
// to the server: length, characters and absence of the client identifier.
func (c *Connect) Decode(_ Version, flags byte, body []byte) error {
	*c = Connect{ReceiveMaximum: math.MaxUint16, RequestProblem: true, User: reuse(c.User)}
	if err := checkFlags(CONNECT, flags); err != nil {
		return err
	}
	r := newReader(body)
	c.protocol(&r)
	connect := r.uint8()
	c.flags(&r, connect)
	c.KeepAlive = r.uint16()
	if c.Version >= V5 {
		c.properties(&r)
	}
	c.ClientID = r.string() // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	if c.HasWill {
		c.Will.decode(&r, c.Version) // [MQTT-3.1.2-9]
	}
	c.credentials(&r)
	return r.end()
}

// protocol reads protocol name and level.
func (c *Connect) protocol(r *reader) {
	name, level := r.binary(), r.uint8()
	if r.err != nil {
		return
	}
	isMQTT, isOld := string(name) == "MQTT", string(name) == "MQIsdp"
	switch {
	case isOld && level == byte(V31), isMQTT && (level == byte(V311) || level == byte(V5)):
		c.Version = Version(level)
		return
	case isMQTT && level > byte(V5) && level < 0x80:
		c.Version = V5
	case isMQTT || isOld:
		c.Version = V311 // bridges of mosquitto set bit 7, and take the return code 1 as a hint to go on without
	}
	r.fail(&Error{Code: UnsupportedProtocolVersion, Reason: "unsupported protocol name or level"}) // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
}

// The connect flags [MQTT 5.0, 3.1.2.3].
const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80

	connectWillQoSShift = 3
)

func (c *Connect) flags(r *reader, flags byte) {
	if r.err != nil {
		return
	}
	c.CleanStart = flags&connectCleanStart != 0
	c.HasWill = flags&connectWill != 0
	c.HasUsername = flags&connectUsername != 0
	c.HasPassword = flags&connectPassword != 0
	if c.HasWill {
		c.Will.QoS = flags >> connectWillQoSShift & 3
		c.Will.Retain = flags&connectWillRetain != 0
	}
	switch {
	case c.Version > V31 && flags&connectReserved != 0: // 3.1 leaves the bit open
		r.fail(malformed("reserved connect flag is set")) // [MQTT-3.1.2-3]
	case c.Will.QoS == 3:
		r.fail(malformed("will with QoS 3")) // [MQTT-3.1.2-12]
	case c.Version > V31 && !c.HasWill && flags&(connectWillRetain|3<<connectWillQoSShift) != 0: // 3.1 disregards the bits
		r.fail(malformed("will QoS or will retain without a will")) // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
	case c.Version < V5 && c.HasPassword && !c.HasUsername:
		r.fail(malformed("password without a user name")) // 3.1.1: [MQTT-3.1.2-22]
	}
}

func (c *Connect) properties(r *reader) {
	r.properties(inConnect)
	for r.nextProperty() {
		switch r.id {
		case propSessionExpiry:
			c.SessionExpiry = r.num
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(r.num)
		case propMaximumPacketSize:
			c.MaximumPacketSize = r.num
		case propTopicAliasMaximum:
			c.TopicAliasMaximum = uint16(r.num)
		case propRequestResponse:
			c.RequestResponse = r.num != 0
		case propRequestProblem:
			c.RequestProblem = r.num != 0
		case propAuthMethod:
			c.HasAuthMethod, c.AuthMethod = true, r.val
		case propAuthData:
			c.AuthData = r.val
		case propUser:
			c.User = r.user(c.User)
		}
	}
	if r.err == nil && c.AuthData != nil && !c.HasAuthMethod {
		r.fail(protocolError("authentication data without a method")) // [MQTT 5.0, 3.1.2.11.10]
	}
}

// decode reads will properties, topic and payload. Forward is a part of the body, or a copy.
func (w *Will) decode(r *reader, v Version) {
	if v >= V5 {
		w.properties(r)
	}
	w.Topic = r.string() // [MQTT-3.1.3-11]
	if r.err == nil && (len(w.Topic) == 0 || hasWildcard(w.Topic)) {
		r.fail(&Error{Code: TopicNameInvalid, Reason: "will topic is not a topic name"}) // [MQTT-4.7.0-1] [MQTT-4.7.3-1]
	}
	w.Payload = r.binary()
}

func (w *Will) properties(r *reader) {
	var fw forwarder
	r.properties(inWill)
	for r.nextProperty() {
		switch r.id {
		case propWillDelay:
			w.Delay = r.num
		case propMessageExpiry:
			w.HasMessageExpiry, w.MessageExpiry = true, r.num
		default:
			fw.add(r)
		}
	}
	w.Forward = fw.out
}

// credentials reads user name and password. In 3.1 the remaining length takes precedence over their flags, for
// clients of MQTT 3: a packet that ends before them has none, and is valid.
func (c *Connect) credentials(r *reader) {
	missing := func() bool { return c.Version == V31 && r.err == nil && len(r.b) == 0 }
	if c.HasUsername = c.HasUsername && !missing(); c.HasUsername {
		c.Username = r.string() // [MQTT-3.1.3-12]
	}
	if c.HasPassword = c.HasPassword && !missing(); c.HasPassword {
		c.Password = r.binary()
	}
}

// Append appends the whole packet in version c.Version, or v where that is 0. It is for clients and tests. The zero
// value asks for no problem information: set RequestProblem.
func (c *Connect) Append(dst []byte, v Version) []byte {
	if c.Version != 0 {
		v = c.Version
	}
	name := "MQTT"
	if v <= V31 {
		name = "MQIsdp"
	}
	start := len(dst)
	dst = append(dst, byte(CONNECT)<<4)
	dst = appendString(dst, name)
	dst = append(dst, byte(v), c.connectFlags())
	dst = appendUint16(dst, c.KeepAlive)
	if v >= V5 {
		at := len(dst)
		dst = c.appendProperties(dst)
		dst = insertLength(dst, at)
	}
	dst = appendBytes(dst, c.ClientID)
	if c.HasWill {
		dst = c.Will.append(dst, v)
	}
	if c.HasUsername {
		dst = appendBytes(dst, c.Username)
	}
	if c.HasPassword {
		dst = appendBytes(dst, c.Password)
	}
	return frame(dst, start)
}

func (c *Connect) connectFlags() (flags byte) {
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(connectCleanStart, c.CleanStart)
	set(connectWill, c.HasWill)
	set(connectWillRetain, c.HasWill && c.Will.Retain)
	set(c.Will.QoS<<connectWillQoSShift, c.HasWill)
	set(connectPassword, c.HasPassword)
	set(connectUsername, c.HasUsername)
	return flags
}

func (c *Connect) appendProperties(dst []byte) []byte {
	if c.SessionExpiry != 0 {
		dst = propUint32(dst, propSessionExpiry, c.SessionExpiry)
	}
	if c.ReceiveMaximum != 0 && c.ReceiveMaximum != math.MaxUint16 {
		dst = propUint16(dst, propReceiveMaximum, c.ReceiveMaximum)
	}
	if c.MaximumPacketSize != 0 {
		dst = propUint32(dst, propMaximumPacketSize, c.MaximumPacketSize)
	}
	if c.TopicAliasMaximum != 0 {
		dst = propUint16(dst, propTopicAliasMaximum, c.TopicAliasMaximum)
	}
	if c.RequestResponse {
		dst = propBool(dst, propRequestResponse, true)
	}
	if !c.RequestProblem {
		dst = propBool(dst, propRequestProblem, false)
	}
	if c.HasAuthMethod {
		dst = appendBytes(append(dst, byte(propAuthMethod)), c.AuthMethod)
		dst = propBytes(dst, propAuthData, c.AuthData)
	}
	return appendUsers(dst, c.User)
}

func (w *Will) append(dst []byte, v Version) []byte {
	if v >= V5 {
		at := len(dst)
		if w.Delay != 0 {
			dst = propUint32(dst, propWillDelay, w.Delay)
		}
		if w.HasMessageExpiry {
			dst = propUint32(dst, propMessageExpiry, w.MessageExpiry)
		}
		dst = append(dst, w.Forward...)
		dst = insertLength(dst, at)
	}
	dst = appendBytes(dst, w.Topic)
	return appendBytes(dst, w.Payload)
}
