package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// codec is what all packet types do.
type codec interface {
	Decode(v Version, flags byte, body []byte) error
	Append(dst []byte, v Version) []byte
}

// packetOf is an empty packet of type t; nil for pings, which have no body.
func packetOf(t Type) codec {
	switch t {
	case CONNECT:
		return new(Connect)
	case CONNACK:
		return new(Connack)
	case PUBLISH:
		return new(Publish)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return &Ack{Type: t}
	case SUBSCRIBE:
		return new(Subscribe)
	case SUBACK, UNSUBACK:
		return &Suback{Type: t}
	case UNSUBSCRIBE:
		return new(Unsubscribe)
	case DISCONNECT:
		return new(Disconnect)
	case AUTH:
		return new(Auth)
	}
	return nil
}

// wire reads bytes written as hexadecimal digits and 'text'; white space separates.
func wire(s string) []byte {
	var b []byte
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if text, rest, ok := strings.Cut(s[1:], "'"); ok && s[0] == '\'' {
			b, s = append(b, text...), rest
			continue
		}
		n, err := strconv.ParseUint(s[:2], 16, 8)
		if err != nil {
			return append([]byte("bad test data: "), s...)
		}
		b, s = append(b, byte(n)), s[2:]
	}
	return b
}

// decodeInto decodes one whole packet, fixed header included, into p.
func decodeInto(p codec, v Version, b []byte) error {
	h, n, err := ParseHeader(b)
	if err != nil {
		return err
	}
	if n == 0 || len(b) != n+h.Length {
		return fmt.Errorf("test data: header %d bytes, remaining length %d, packet %d bytes", n, h.Length, len(b))
	}
	if err := h.Check(v); err != nil {
		return err
	}
	return p.Decode(v, h.Flags, b[n:])
}

// golden is a packet and its bytes, both ways.
type golden struct {
	name  string
	v     Version
	bytes string
	want  codec
	again string // what Append makes of want, where it is not bytes
}

func testGolden(t *testing.T, rows []golden) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := wire(row.bytes)
			got := packetOf(Type(b[0] >> 4))
			for range 2 { // the second time into a receiver that was used
				if err := decodeInto(got, row.v, b); err != nil {
					t.Fatalf("decode: %v", err)
				}
				if d := diff(got, row.want); d != "" {
					t.Fatalf("decoded %s", d)
				}
			}
			again := b
			if row.again != "" {
				again = wire(row.again)
			}
			if out := row.want.Append([]byte("before"), row.v); !bytes.Equal(out, append([]byte("before"), again...)) {
				t.Errorf("encoded\n  %x, want\n  %x", out[len("before"):], again)
			}
		})
	}
}

// refused is a packet that must not be accepted.
type refused struct {
	name  string // with the id of the statement that it breaks
	v     Version
	bytes string
	code  ReasonCode
	why   string // a part of the reason: it is refused for this and nothing else
}

func testRefused(t *testing.T, rows []refused) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := wire(row.bytes)
			err := decodeInto(packetOf(Type(b[0]>>4)), row.v, b)
			wantCode(t, err, row.code)
			if row.why == "" || !strings.Contains(err.Error(), row.why) {
				t.Errorf("refused because %q, want %q", err, row.why)
			}
		})
	}
}

func wantCode(t *testing.T, err error, code ReasonCode) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error with %v", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %v (%s), want %v", e.Code, e.Reason, code)
	}
	if e.Reason == "" || len(e.Reason) > 100 {
		t.Fatalf("reason %q does not suit a reason string", e.Reason)
	}
}

// diff says where two packets differ, and nothing when they say the same. A nil []byte is not an empty one: it means
// that something is absent. Of other slices, and of what is not exported, that is the receiver's business.
func diff(got, want any) string {
	return diffValue("", reflect.ValueOf(got), reflect.ValueOf(want))
}

func diffValue(path string, a, b reflect.Value) string {
	if a.Type() != b.Type() {
		return fmt.Sprintf("%s: type %v, want %v", path, a.Type(), b.Type())
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() == b.IsNil() {
				return ""
			}
			return fmt.Sprintf("%s: nil %v, want %v", path, a.IsNil(), b.IsNil())
		}
		return diffValue(path, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			f := a.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			if d := diffValue(path+"."+f.Name, a.Field(i), b.Field(i)); d != "" {
				return d
			}
		}
		return ""
	case reflect.Slice:
		return diffSlice(path, a, b)
	}
	if !a.Equal(b) {
		return fmt.Sprintf("%s: %v, want %v", path, a, b)
	}
	return ""
}

func diffSlice(path string, a, b reflect.Value) string {
	if a.Type().Elem().Kind() == reflect.Uint8 && a.Type().Elem().Name() == "uint8" {
		if a.IsNil() != b.IsNil() || !bytes.Equal(a.Bytes(), b.Bytes()) {
			return fmt.Sprintf("%s: %q (nil %v), want %q (nil %v)", path, a.Bytes(), a.IsNil(), b.Bytes(), b.IsNil())
		}
		return ""
	}
	if a.Len() != b.Len() {
		return fmt.Sprintf("%s: %d entries, want %d", path, a.Len(), b.Len())
	}
	for i := range a.Len() {
		if d := diffValue(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i)); d != "" {
			return d
		}
	}
	return ""
}

// users makes user properties of keys and values in turn.
func users(s ...string) (u []UserProperty) {
	for i := 0; i < len(s); i += 2 {
		u = append(u, UserProperty{Key: []byte(s[i]), Value: []byte(s[i+1])})
	}
	return u
}
