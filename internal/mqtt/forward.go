package mqtt

import "slices"

// Properties are the properties of a message that a server passes on unaltered; Publish.Forward and Will.Forward
// hold them as on the wire.
type Properties struct {
	HasPayloadFormat bool
	PayloadFormat    byte   // 1: the payload is UTF-8 text
	ContentType      []byte // nil when absent
	ResponseTopic    []byte // nil when absent
	CorrelationData  []byte // nil when absent
	User             []UserProperty
}

// Decode reads them back from forward, which its slices alias. p.User's capacity is used again. An error is an
// *Error: forward is then not what Publish.Decode or Append made.
func (p *Properties) Decode(forward []byte) error {
	*p = Properties{User: reuse(p.User)}
	r := newReader(forward)
	r.beginBlock(forward, nil, inForward)
	for r.nextProperty() {
		p.set(&r)
	}
	return r.end()
}

// set takes over the property last read.
func (p *Properties) set(r *reader) {
	switch r.id {
	case propPayloadFormat:
		p.HasPayloadFormat, p.PayloadFormat = true, byte(r.num)
	case propContentType:
		p.ContentType = r.val
	case propResponseTopic:
		p.ResponseTopic = r.val
	case propCorrelationData:
		p.CorrelationData = r.val
	case propUser:
		p.User = r.user(p.User)
	}
}

// Append appends them in wire form, as Forward has them.
func (p *Properties) Append(dst []byte) []byte {
	if p.HasPayloadFormat {
		dst = propBool(dst, propPayloadFormat, p.PayloadFormat != 0)
	}
	dst = propBytes(dst, propContentType, p.ContentType)
	dst = propBytes(dst, propResponseTopic, p.ResponseTopic)
	dst = propBytes(dst, propCorrelationData, p.CorrelationData)
	return appendUsers(dst, p.User)
}

// forwarder gathers the properties of a block that are passed on: a part of the block while they stand together,
// a copy in buf from where they do not.
type forwarder struct {
	out      []byte
	from, to int // of out, in the block
	buf      []byte
	copied   bool
}

// add takes up the property last read.
func (f *forwarder) add(r *reader) {
	from, to := r.place()
	switch {
	case f.out == nil:
		f.from = from
		f.out = r.block[from:to:to]
	case !f.copied && from == f.to:
		f.out = r.block[f.from:to:to]
	default:
		f.split(r)
		f.buf = append(f.buf, r.block[from:to]...)
		f.out = slices.Clip(f.buf)
	}
	f.to = to
}

func (f *forwarder) split(r *reader) {
	if f.copied || !r.charge(len(r.block)) {
		return
	}
	f.copied = true
	if cap(f.buf) < len(r.block) {
		f.buf = make([]byte, 0, len(r.block))
	}
	f.buf = append(f.buf[:0], f.out...)
}
