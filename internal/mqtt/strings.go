package mqtt

import (
	"bytes"
	"unicode/utf8"
)

// maxString is the longest string or binary value: its length is a two byte integer [MQTT-1.5.4] [MQTT-1.5.6].
const maxString = 65535

// validString reports whether b may be the content of a UTF-8 encoded string. Control characters and
// non-characters are allowed: the specification leaves that to the receiver, and a broker that refuses them
// breaks clients for nothing.
func validString(b []byte) bool {
	return utf8.Valid(b) && // [MQTT-1.5.4-1]; refuses surrogates and overlong forms too
		bytes.IndexByte(b, 0) < 0 // [MQTT-1.5.4-2]
}

// hasWildcard reports whether b, taken as a topic name, has a character that only filters may have [MQTT-4.7.0-1].
func hasWildcard(b []byte) bool {
	return bytes.IndexByte(b, '#') >= 0 || bytes.IndexByte(b, '+') >= 0
}

// cut shortens s to what fits into a string's two byte length, at the start of a character.
func cut(s string) string {
	if len(s) <= maxString {
		return s
	}
	n := maxString
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
