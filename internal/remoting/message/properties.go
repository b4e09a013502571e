package message

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Properties are text: name \x01 value \x02, any number of times; the last \x02 may be missing (MessageDecoder.
// string2messageProperties and messageProperties2String).
const (
	nameEnd  = 1 // MessageDecoder.NAME_VALUE_SEPARATOR
	valueEnd = 2 // MessageDecoder.PROPERTY_SEPARATOR
)

// MaxProperties is the most that the properties of one message may have, in bytes: their length is a signed 16-bit
// number. It is the format's limit, not the broker's, which adds properties of its own: above 32,764 bytes in a batch
// 4.9.7 and 5.1.4 answer SEND_OK and destroy what follows in their commit log. Callers stay well below.
const MaxProperties = 1<<15 - 1

// ErrProperty says that a property cannot be written so that every reader finds it as it was.
var ErrProperty = errors.New("property cannot be stored")

// PropertySize is what AppendProperty adds, in bytes, for a name and a value of these lengths.
func PropertySize(name, value int) int { return name + 1 + value + 1 }

// AppendProperty appends one property to dst. It refuses, with an error that wraps ErrProperty and dst unchanged, what
// would come out of RocketMQ as something else: an empty name or value (Java drops the property), \x01 or \x02 in either
// (it becomes two properties, and the second might be an order to the broker: DELAY, INNER_MULTI_DISPATCH), and what is
// not UTF-8 (Java replaces it, which makes it longer). Java takes \x01 within a value, but once dropped such a property.
//
// The sum is the caller's to limit: PropertySize, MaxProperties.
func AppendProperty[V string | []byte](dst []byte, name string, value V) ([]byte, error) {
	out := dst
	out = append(out, name...)
	out = append(out, nameEnd)
	out = append(out, value...)
	end := len(out)
	out = append(out, valueEnd)
	if why := refused(name, out[end-len(value):end]); why != "" {
		return dst, fmt.Errorf("property %q with %d bytes of value: %s: %w", name, len(value), why, ErrProperty)
	}
	return out, nil
}

// refused says why a property cannot be stored, or "".
func refused(name string, value []byte) string {
	switch {
	case name == "" || len(value) == 0:
		return "empty"
	case strings.IndexByte(name, nameEnd) >= 0 || bytes.IndexByte(value, nameEnd) >= 0,
		strings.IndexByte(name, valueEnd) >= 0 || bytes.IndexByte(value, valueEnd) >= 0:
		return `\x01 or \x02 in it, which separate properties`
	case !utf8.ValidString(name) || !utf8.Valid(value):
		return "not UTF-8"
	}
	return ""
}

// Next takes the first property off props and returns what follows it. All three alias props. ok is false when there
// is none left. As Java 5 does, it passes over what is no property: without a separator, with an empty name, with an
// empty value. A name may come twice; the last one counts.
//
//	for name, value, rest, ok := Next(m.Properties); ok; name, value, rest, ok = Next(rest) {
func Next(props []byte) (name, value, rest []byte, ok bool) {
	for len(props) > 0 {
		one := props
		if i := bytes.IndexByte(props, valueEnd); i >= 0 {
			one, props = props[:i:i], props[i+1:]
		} else {
			props = nil
		}
		i := bytes.IndexByte(one, nameEnd)
		if i > 0 && i < len(one)-1 {
			return one[:i:i], one[i+1:], props, true
		}
	}
	return nil, nil, nil, false
}

// Property finds the value of a property, which aliases props; of several of one name the last. It reads all of props
// each time: whoever wants more than a few walks with Next.
func Property(props []byte, name string) (value []byte, ok bool) {
	for n, v, rest, more := Next(props); more; n, v, rest, more = Next(rest) {
		if string(n) == name {
			value, ok = v, true
		}
	}
	return value, ok
}
