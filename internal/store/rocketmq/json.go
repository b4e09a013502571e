package rocketmq

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// User properties are stored as fastjson writes them for the Java proxy (MessageUtil.toMessage of develop_mqtt5.0):
//
//	[{"key":"name","value":"text"},{"key":"","value":"line\nline"}]
//
// The little JSON that is needed is read and written here, not by encoding/json: that replaces what it does not like, takes
// "KEY" for "key", and allocates for each string.

const hexDigits = "0123456789abcdef"

// appendUsers appends the array of user properties to dst.
func appendUsers(dst []byte, users []mqtt.UserProperty) []byte {
	for i := range users {
		if i == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = appendJSON(dst, users[i].Key)
		dst = append(dst, `,"value":`...)
		dst = appendJSON(dst, users[i].Value)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendJSON appends s, which is UTF-8, as a JSON string. Control characters are escaped, \x01 and \x02 among them.
func appendJSON(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// readUsers appends the user properties of the array b to dst; they alias b, which is written to. Of what is no such array nothing
// is taken.
func readUsers(dst []mqtt.UserProperty, b []byte) []mqtt.UserProperty {
	out := dst
	r := jsonReader{b: b}
	r.list('[', ']', func() { out = append(out, r.user()) })
	if r.end(); r.bad {
		return dst
	}
	return out
}

// user reads one object. Either member may be absent.
func (r *jsonReader) user() (u mqtt.UserProperty) {
	r.members(func(name, value []byte) {
		switch string(name) {
		case "key":
			u.Key = value
		case "value":
			u.Value = value
		default:
			r.bad = true
		}
	})
	r.bad = r.bad || !validString(u.Key) || !validString(u.Value)
	return u
}

// jsonMember finds the value of a member of the object b whose members are all strings. It aliases b, which is written to.
func jsonMember(b []byte, name string) (value []byte, ok bool) {
	r := jsonReader{b: b}
	r.members(func(n, v []byte) {
		if string(n) == name {
			value, ok = v, true
		}
	})
	r.end()
	return value, ok && !r.bad
}

// jsonReader takes JSON off the front of b. Strings are decoded where they stand: none is longer decoded. Once bad, it takes
// nothing.
type jsonReader struct {
	b   []byte
	bad bool
}

// members reads an object of strings, and calls f for each member.
func (r *jsonReader) members(f func(name, value []byte)) {
	r.list('{', '}', func() {
		name := r.string()
		r.expect(':')
		if value := r.string(); !r.bad {
			f(name, value)
		}
	})
}

// list reads what stands between first and last, divided by commas. one is called for each, to read it.
func (r *jsonReader) list(first, last byte, one func()) {
	if r.expect(first); r.next(last) {
		return
	}
	for one(); r.next(','); {
		one()
	}
	r.expect(last)
}

// next takes c, behind white space, if it is what follows.
func (r *jsonReader) next(c byte) bool {
	r.space()
	if r.bad || len(r.b) == 0 || r.b[0] != c {
		return false
	}
	r.b = r.b[1:]
	return true
}

func (r *jsonReader) expect(c byte) { r.bad = !r.next(c) || r.bad }

// end makes r bad when anything is left.
func (r *jsonReader) end() {
	r.space()
	r.bad = r.bad || len(r.b) > 0
}

func (r *jsonReader) space() {
	for len(r.b) > 0 && (r.b[0] == ' ' || r.b[0] == '\t' || r.b[0] == '\n' || r.b[0] == '\r') {
		r.b = r.b[1:]
	}
}

// string reads a string. It aliases r.b; nil when bad.
func (r *jsonReader) string() []byte {
	if r.expect('"'); r.bad {
		return nil
	}
	b, to := r.b, 0
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '"':
			r.b = b[i+1:]
			return b[:to:to]
		case '\\':
			char, n := unescape(b[i:])
			if n == 0 {
				r.bad = true
				return nil
			}
			to += utf8.EncodeRune(b[to:], char)
			i += n
		default:
			b[to] = c
			to++
			i++
		}
	}
	r.bad = true
	return nil
}

// unescape reads the escape sequence that b begins with; n is its length, 0 when it is none. A half of a surrogate pair is
// none: there is no UTF-8 for it.
func unescape(b []byte) (char rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	switch char = unit(b); {
	case char < 0:
		return 0, 0
	case !utf16.IsSurrogate(char):
		return char, 6
	case len(b) < 12:
		return 0, 0
	}
	if char = utf16.DecodeRune(char, unit(b[6:])); char == utf8.RuneError {
		return 0, 0
	}
	return char, 12
}

// unit reads \uXXXX; -1 when b does not begin with that.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
