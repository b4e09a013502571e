package mqtt

// Decode reads an AUTH. An error is an *Error, and a is then undefined.
func (a *Auth) Decode(v Version, flags byte, body []byte) error {
	*a = Auth{User: reuse(a.User)}
	if err := (Header{Type: AUTH, Flags: flags}).Check(v); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil // Success without properties [MQTT 5.0, 3.15.2.1]
	}
	r := newReader(body)
	a.Code = r.code(AUTH) // [MQTT-3.15.2-1]
	r.properties(inAuth)
	for r.nextProperty() {
		switch r.id {
		case propAuthMethod:
			a.Method = r.val
		case propAuthData:
			a.Data = r.val
		case propReason:
			a.Reason = r.copied(r.val)
		case propUser:
			a.User = r.user(a.User)
		}
	}
	if r.err == nil && a.Method == nil {
		r.fail(protocolError("AUTH without an authentication method")) // [MQTT 5.0, 3.15.2.2.2]
	}
	return r.end()
}

// Append appends the whole packet; there is none below MQTT 5, and then it appends nothing. Without Method only
// Success can be said, and nothing beside it.
func (a *Auth) Append(dst []byte, v Version) []byte {
	if v < V5 {
		return dst
	}
	start := len(dst)
	dst = append(dst, byte(AUTH)<<4)
	if a.Code != Success || a.Method != nil {
		dst = append(dst, byte(a.Code))
		at := len(dst)
		dst = propBytes(dst, propAuthMethod, a.Method)
		dst = propBytes(dst, propAuthData, a.Data)
		dst = propString(dst, propReason, a.Reason)
		dst = appendUsers(dst, a.User)
		dst = insertLength(dst, at)
	}
	return frame(dst, start)
}
