package mqtt

// Decode reads the SUBACK or UNSUBACK that s.Type says; the caller sets it first. An error is an *Error, and s is
// then undefined.
func (s *Suback) Decode(v Version, flags byte, body []byte) error {
	*s = Suback{Type: s.Type, Codes: reuse(s.Codes), User: reuse(s.User)}
	if s.Type != SUBACK && s.Type != UNSUBACK {
		return protocolError("neither SUBACK nor UNSUBACK")
	}
	if err := checkVersionFlags(s.Type, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	s.PacketID = r.packetID()
	if v >= V5 {
		s.properties(&r)
	}
	if v < V5 && s.Type == UNSUBACK {
		return r.end()
	}
	s.codes(&r, v)
	return r.err
}

func (s *Suback) properties(r *reader) {
	r.properties(inSuback)
	for r.nextProperty() {
		switch r.id {
		case propReason:
			s.Reason = r.copied(r.val)
		case propUser:
			s.User = r.user(s.User)
		}
	}
}

func (s *Suback) codes(r *reader, v Version) {
	if r.err == nil && len(r.b) == 0 {
		r.fail(protocolError("no reason codes")) // [MQTT-3.8.4-6]: one for each filter, of which there is at least one
	}
	if !r.charge(len(r.b)) {
		return
	}
	if n := len(r.b); n > cap(s.Codes) {
		s.Codes = make([]ReasonCode, 0, n)
	}
	for len(r.b) > 0 {
		c := r.code(s.Type) // [MQTT-3.9.3-2] [MQTT-3.11.3-2]
		if v < V5 && c > UnspecifiedError && r.err == nil {
			r.fail(malformed("a return code that SUBACK cannot have")) // 3.1.1: [MQTT-3.9.3-2]
		}
		s.Codes = append(s.Codes, c)
	}
}

// Append appends the whole packet. It does not allocate when dst has room.
func (s *Suback) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(s.Type)<<4)
	dst = appendUint16(dst, s.PacketID)
	switch {
	case v >= V5:
		dst = appendReason(dst, s.Reason, s.User)
	case s.Type == UNSUBACK:
		return frame(dst, start)
	}
	for _, c := range s.Codes {
		if v < V5 && c >= UnspecifiedError {
			c = UnspecifiedError // 3.1.1: [MQTT-3.9.3-2]; 3.1 has no failure code, its clients see this one
		}
		dst = append(dst, byte(c))
	}
	return frame(dst, start)
}
