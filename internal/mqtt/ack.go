package mqtt

// Decode reads the acknowledgement that a.Type says; the caller sets it first. An error is an *Error, and a is then
// undefined.
func (a *Ack) Decode(v Version, flags byte, body []byte) error {
	*a = Ack{Type: a.Type, User: reuse(a.User)}
	if a.Type < PUBACK || a.Type > PUBCOMP {
		return protocolError("not an acknowledgement of PUBLISH")
	}
	if err := checkVersionFlags(a.Type, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	a.PacketID = r.packetID()
	if v < V5 || len(r.b) == 0 { // a remaining length of 2 stands for Success [MQTT-3.4.2-1 and its like]
		return r.end()
	}
	a.Code = r.code(a.Type)
	if len(r.b) > 0 {
		a.properties(&r)
	}
	return r.end()
}

func (a *Ack) properties(r *reader) {
	r.properties(inAck)
	for r.nextProperty() {
		switch r.id {
		case propReason:
			a.Reason = r.copied(r.val)
		case propUser:
			a.User = r.user(a.User)
		}
	}
}

// code reads a reason code of a packet of type t.
func (r *reader) code(t Type) ReasonCode {
	c := ReasonCode(r.uint8())
	if r.err == nil && !c.in(t) {
		r.fail(protocolError("a reason code that this packet cannot have")) // [MQTT-3.4.2-1] and its like
	}
	return c
}

// Append appends the whole packet, in its shortest form. It does not allocate when dst has room.
func (a *Ack) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(a.Type)<<4|wantFlags(a.Type))
	dst = appendUint16(dst, a.PacketID)
	props := a.Reason != "" || len(a.User) > 0
	if v >= V5 && (props || a.Code != Success) {
		dst = append(dst, byte(a.Code))
	}
	if v >= V5 && props {
		dst = appendReason(dst, a.Reason, a.User)
	}
	return frame(dst, start)
}

// appendReason appends a property block of the two properties that every answer can have.
func appendReason(dst []byte, reason string, users []UserProperty) []byte {
	at := len(dst)
	dst = propString(dst, propReason, reason)
	dst = appendUsers(dst, users)
	return insertLength(dst, at)
}
