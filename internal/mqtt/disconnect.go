package mqtt

// Decode reads a DISCONNECT. Rules that depend on CONNECT or on the direction, such as those on the session
// expiry [MQTT-3.14.2-2], are left to the caller. An error is an *Error, and d is then undefined.
func (d *Disconnect) Decode(v Version, flags byte, body []byte) error {
	*d = Disconnect{User: reuse(d.User)}
	if err := checkVersionFlags(DISCONNECT, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	if v < V5 || len(body) == 0 {
		return r.end()
	}
	d.Code = r.code(DISCONNECT)
	if len(r.b) > 0 {
		d.properties(&r)
	}
	return r.end()
}

func (d *Disconnect) properties(r *reader) {
	r.properties(inDisconnect)
	for r.nextProperty() {
		switch r.id {
		case propSessionExpiry:
			d.HasSessionExpiry, d.SessionExpiry = true, r.num
		case propReason:
			d.Reason = r.copied(r.val)
		case propServerReference:
			d.ServerReference = r.copied(r.val)
		case propUser:
			d.User = r.user(d.User)
		}
	}
}

// Append appends the whole packet, in its shortest form.
func (d *Disconnect) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(DISCONNECT)<<4)
	props := d.HasSessionExpiry || d.Reason != "" || d.ServerReference != "" || len(d.User) > 0
	if v >= V5 && (props || d.Code != Success) {
		dst = append(dst, byte(d.Code))
	}
	if v >= V5 && props {
		at := len(dst)
		if d.HasSessionExpiry {
			dst = propUint32(dst, propSessionExpiry, d.SessionExpiry)
		}
		dst = propString(dst, propReason, d.Reason)
		dst = propString(dst, propServerReference, d.ServerReference)
		dst = appendUsers(dst, d.User)
		dst = insertLength(dst, at)
	}
	return frame(dst, start)
}
