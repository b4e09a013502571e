package mqtt

import "bytes"

// Decode reads a SUBSCRIBE. Whether the filters are well formed, and allowed, is answered for each of them in
// SUBACK and not looked at here. An error is an *Error, and s is then undefined.
func (s *Subscribe) Decode(v Version, flags byte, body []byte) error {
	*s = Subscribe{Filters: reuse(s.Filters), User: reuse(s.User)}
	if err := checkVersionFlags(SUBSCRIBE, v, flags); err != nil {
		return err
	}
	r := newReader(body)
	s.PacketID = r.packetID()
	if v >= V5 {
		s.properties(&r)
	}
	next := func(ahead *reader) bool {
		if len(ahead.b) == 0 {
			return false
		}
		ahead.subscription(v)
		return ahead.err == nil
	}
	for len(r.b) > 0 {
		s.Filters = add(&r, s.Filters, r.subscription(v), filterSize, next)
	}
	if r.err == nil && len(s.Filters) == 0 {
		r.fail(protocolError("SUBSCRIBE without a topic filter")) // [MQTT-3.8.3-2]
	}
	return r.err
}

func (s *Subscribe) properties(r *reader) {
	r.properties(inSubscribe)
	for r.nextProperty() {
		switch r.id {
		case propSubscriptionID:
			s.SubscriptionID = r.num
		case propUser:
			s.User = r.user(s.User)
		}
	}
}

// The subscription options [MQTT 5.0, 3.8.3.1].
const (
	optionNoLocal  = 0x04
	optionRetainAs = 0x08
	optionReserved = 0xC0
)

// subscription reads a filter and its options.
func (r *reader) subscription(v Version) SubscribeFilter {
	f := SubscribeFilter{Filter: r.filter()}
	options := r.uint8()
	if r.err != nil {
		return f
	}
	if v < V5 {
		if options > 2 {
			r.fail(malformed("requested QoS is not 0, 1 or 2")) // 3.1.1: [MQTT-3-8.3-4]
		}
		f.QoS = options
		return f
	}
	f.QoS = options & 3
	f.NoLocal = options&optionNoLocal != 0
	f.RetainAsPublished = options&optionRetainAs != 0
	f.RetainHandling = options >> 4 & 3
	switch {
	case options&optionReserved != 0:
		r.fail(malformed("reserved bits in subscription options")) // [MQTT-3.8.3-5]
	case f.QoS == 3:
		r.fail(protocolError("subscription with QoS 3"))
	case f.RetainHandling == 3:
		r.fail(protocolError("subscription with retain handling 3"))
	case f.NoLocal && bytes.HasPrefix(f.Filter, []byte("$share/")):
		r.fail(protocolError("no local on a shared subscription")) // [MQTT-3.8.3-4]
	}
	return f
}

// filter reads a topic filter.
func (r *reader) filter() []byte {
	b := r.string() // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
	if len(b) == 0 && r.err == nil {
		r.fail(protocolError("empty topic filter")) // [MQTT-4.7.3-1]
	}
	return b
}

// Append appends the whole packet.
func (s *Subscribe) Append(dst []byte, v Version) []byte {
	start := len(dst)
	dst = append(dst, byte(SUBSCRIBE)<<4|flagReserved)
	dst = appendUint16(dst, s.PacketID)
	if v >= V5 {
		at := len(dst)
		if s.SubscriptionID != 0 {
			dst = propVarint(dst, propSubscriptionID, s.SubscriptionID)
		}
		dst = appendUsers(dst, s.User)
		dst = insertLength(dst, at)
	}
	for i := range s.Filters {
		dst = appendBytes(dst, s.Filters[i].Filter)
		dst = append(dst, s.Filters[i].options(v))
	}
	return frame(dst, start)
}

func (f *SubscribeFilter) options(v Version) byte {
	b := f.QoS
	if v < V5 {
		return b
	}
	if f.NoLocal {
		b |= optionNoLocal
	}
	if f.RetainAsPublished {
		b |= optionRetainAs
	}
	return b | f.RetainHandling<<4
}
