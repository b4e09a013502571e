package mqtt

// Decode reads an UNSUBSCRIBE. An error is an *Error, and u is then undefined.
func (u *Unsubscribe) Decode(v Version, flags byte, body []byte) error {
	*u = Unsubscribe{Filters: reuse(u.Filters), User: reuse(u.User)}
	if err := checkVersionFlags(UNSUBSCRIBE, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	u.PacketID = r.packetID()
	if v >= V5 {
		r.properties(inUnsubscribe)
		for r.nextProperty() {
			u.User = r.user(u.User)
		}
	}
	for len(r.b) > 0 {
		u.Filters = add(&r, u.Filters, r.filter(), sliceSize, nextFilter)
	}
	if r.err == nil && len(u.Filters) == 0 {
		r.fail(protocolError("UNSUBSCRIBE without a topic filter")) // [MQTT-3.10.3-2]
	}
	return r.err
}

func nextFilter(ahead *reader) bool {
	if len(ahead.b) == 0 {
		return false
	}
	ahead.filter()
	return ahead.err == nil
}

// Append appends the whole packet.
func (u *Unsubscribe) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(UNSUBSCRIBE)<<4|flagReserved)
	dst = appendUint16(dst, u.PacketID)
	if v >= V5 {
		at := len(dst)
		dst = appendUsers(dst, u.User)
		dst = insertLength(dst, at)
	}
	for _, f := range u.Filters {
		dst = appendBytes(dst, f)
	}
	return frame(dst, start)
}
