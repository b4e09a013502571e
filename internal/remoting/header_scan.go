package remoting

import (
	"encoding/binary"
	"math"
)

// Brokers answer with a JSON header whatever the request's was: it is what serializeTypeConfigInThisServer (class RemotingCommand) is out of
// the box. So each acknowledgement and each pull has one. The form in which they write it is read here: no white space, texts of ASCII without
// escapes, whole numbers. Anything else is left to encoding/json, which takes the same and makes the same of it, at many times the cost.

// scanHeader reads a header in that form. ok is false when it is in another; h is nothing then.
func scanHeader(b []byte) (h header, ok bool) {
	s := scanner(b)
	ok = s.object(func(name []byte) bool { return s.member(string(name), &h) })
	return h, ok && len(s) == 0
}

// member reads the value of a member of a header. Names that are not known here are left to encoding/json, which looks at upper and lower case
// alike.
func (s *scanner) member(name string, h *header) bool {
	var ignored int32
	switch name {
	case "code":
		return s.number(&h.code)
	case "opaque":
		return s.number(&h.opaque)
	case "flag":
		return s.number(&h.flag)
	case "version":
		return s.number(&ignored)
	case "language", "serializeTypeCurrentRPC":
		_, ok := s.text()
		return ok
	case "remark":
		text, ok := s.text()
		h.remark = string(text)
		return ok
	case "extFields":
		h.ext = make(pairs, 0, len(*s)) // a pair is no longer than its JSON
		return s.object(func(name []byte) bool { return s.pair(name, &h.ext) })
	}
	return false
}

// scanner is what is left of the JSON.
type scanner []byte

// byte takes one byte, if it is this one.
func (s *scanner) byte(c byte) bool {
	if len(*s) == 0 || (*s)[0] != c {
		return false
	}
	*s = (*s)[1:]
	return true
}

// object takes an object; value takes the value of each member.
func (s *scanner) object(value func(name []byte) bool) bool {
	if !s.byte('{') {
		return false
	}
	if s.byte('}') {
		return true
	}
	for {
		name, ok := s.text()
		if !ok || !s.byte(':') || !value(name) {
			return false
		}
		if s.byte('}') {
			return true
		}
		if !s.byte(',') {
			return false
		}
	}
}

// text takes a string, which aliases s.
func (s *scanner) text() (text []byte, ok bool) {
	if !s.byte('"') {
		return nil, false
	}
	for i, c := range *s {
		switch {
		case c == '"':
			text, *s = (*s)[:i], (*s)[i+1:]
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// number takes a whole number of 32 bits.
func (s *scanner) number(to *int32) bool {
	minus := s.byte('-')
	n, digits := int64(0), 0
	for digits < len(*s) && n <= math.MaxInt32 && '0' <= (*s)[digits] && (*s)[digits] <= '9' {
		n = 10*n + int64((*s)[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 1 && (*s)[0] == '0' || n > math.MaxInt32 {
		return false
	}
	if minus {
		n = -n
	}
	*to, *s = int32(n), (*s)[digits:]
	return true
}

// pair takes the value of a field and appends both to p.
func (s *scanner) pair(name []byte, p *pairs) bool {
	text, ok := s.text()
	if !ok || len(name) > math.MaxUint16 {
		return false
	}
	*p = binary.BigEndian.AppendUint16(*p, uint16(len(name)))
	*p = append(*p, name...)
	*p = binary.BigEndian.AppendUint32(*p, uint32(len(text)))
	*p = append(*p, text...)
	return true
}
