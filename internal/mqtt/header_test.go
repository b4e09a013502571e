package mqtt

import (
	"testing"
)

// TestParseHeader shows what a fixed header is read as, and when more bytes are needed.
func TestParseHeader(t *testing.T) {
	for _, row := range []struct {
		name, bytes string
		h           Header
		n           int
	}{
		{"nothing yet", "", Header{}, 0},
		{"type only", "10", Header{}, 0},
		{"length not complete after 1", "30 80", Header{}, 0},
		{"length not complete after 3", "30 FF FF FF", Header{}, 0},
		{"ping", "C0 00", Header{Type: PINGREQ}, 2},
		{"more follows", "C0 00 C0 00", Header{Type: PINGREQ}, 2},
		{"flags of PUBLISH", "3D 7F", Header{Type: PUBLISH, Flags: 0xD, Length: 127}, 2},
		{"128, the least of two bytes", "30 80 01", Header{Type: PUBLISH, Length: 128}, 3},
		{"16,383, the most of two bytes", "30 FF 7F", Header{Type: PUBLISH, Length: 16383}, 3},
		{"16,384", "30 80 80 01", Header{Type: PUBLISH, Length: 16384}, 4},
		{"2,097,152", "30 80 80 80 01", Header{Type: PUBLISH, Length: 2097152}, 5},
		{"268,435,455, the most there is", "30 FF FF FF 7F", Header{Type: PUBLISH, Length: MaxLength}, 5},
		{"MQTT 3.1 PUBREL sent again", "6A 02", Header{Type: PUBREL, Flags: 0xA, Length: 2}, 2},
		{"padded length [MQTT-1.5.5-1]", "40 82 00", Header{Type: PUBACK, Length: 2, Overlong: true}, 3},
		{"padded zero", "E0 80 80 80 00", Header{Type: DISCONNECT, Overlong: true}, 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, n, err := ParseHeader(wire(row.bytes))
			if err != nil || h != row.h || n != row.n {
				t.Errorf("got %+v, %d, %v, want %+v, %d", h, n, err, row.h, row.n)
			}
		})
	}
}

// TestParseHeaderRefuses shows that what cannot be a packet is told from the first byte that shows it.
func TestParseHeaderRefuses(t *testing.T) {
	for _, row := range []struct{ name, bytes string }{
		{"type 0 [MQTT-2.1.3-1]", "00"},
		{"CONNECT flags [MQTT-2.1.3-1]", "11"},
		{"CONNACK flags", "21"},
		{"PUBACK flags", "42"},
		{"PUBREC flags", "52"},
		{"PUBREL flags 0 [MQTT-3.6.1-1]", "60"},
		{"PUBREL flags 3", "63"},
		{"PUBCOMP flags", "72"},
		{"SUBSCRIBE flags 0 [MQTT-3.8.1-1]", "80"},
		{"SUBACK flags", "92"},
		{"UNSUBSCRIBE flags 1 [MQTT-3.10.1-1]", "A1"},
		{"UNSUBACK flags", "B2"},
		{"PINGREQ flags", "C1"},
		{"PINGRESP flags", "D8"},
		{"DISCONNECT flags [MQTT-3.14.1-1]", "E1"},
		{"AUTH flags [MQTT-3.15.1-1]", "F1"},
		{"HTTP request", "'GET / HTTP/1.1'"},
		{"TLS client hello", "16 03 01"},
		{"QoS 3 [MQTT-3.3.1-4]", "36"},
		{"DUP at QoS 0 [MQTT-3.3.1-2]", "38"},
		{"length of five bytes", "30 FF FF FF FF"},
		{"length of five bytes, all seen", "30 80 80 80 80 01"},
		{"PINGREQ with a body", "C0 01"},
		{"PINGRESP with a body", "D0 80 01"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, n, err := ParseHeader(wire(row.bytes))
			wantCode(t, err, MalformedPacket)
			if h != (Header{}) || n != 0 {
				t.Errorf("header %+v of %d bytes beside an error", h, n)
			}
		})
	}
}

// TestHeaderCheck shows what depends on the version.
func TestHeaderCheck(t *testing.T) {
	for _, row := range []struct {
		name, bytes string
		v           Version
		ok          bool
	}{
		{"AUTH in 5", "F0 00", V5, true},
		{"AUTH in 3.1.1, where type 15 is reserved", "F0 00", V311, false},
		{"AUTH in 3.1", "F0 00", V31, false},
		{"padded length in 3.1.1", "40 82 00", V311, true},
		{"padded length in 5 [MQTT-1.5.5-1]", "40 82 00", V5, false},
		{"DUP on PUBREL in 3.1", "6A 02", V31, true},
		{"DUP on PUBREL in 3.1.1 [MQTT-3.6.1-1]", "6A 02", V311, false},
		{"DUP on SUBSCRIBE in 3.1", "8A 02", V31, true},
		{"DUP on SUBSCRIBE in 5 [MQTT-3.8.1-1]", "8A 02", V5, false},
		{"DUP on UNSUBSCRIBE in 5 [MQTT-3.10.1-1]", "AA 02", V5, false},
		{"DUP on PUBLISH in 5", "3A 02", V5, true},
		{"SUBSCRIBE in 5", "82 02", V5, true},
		{"CONNECT before the version is known", "10 02", 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, _, err := ParseHeader(wire(row.bytes))
			if err != nil {
				t.Fatal(err)
			}
			err = h.Check(row.v)
			if row.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !row.ok {
				wantCode(t, err, MalformedPacket)
			}
		})
	}
}

// TestVarint shows the borders of the variable byte integer, both ways [MQTT 5.0, table 1-1].
func TestVarint(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, MaxLength} {
		b := appendVarint(nil, n)
		if len(b) != varintSize(n) {
			t.Errorf("%d takes %d bytes, varintSize says %d", n, len(b), varintSize(n))
		}
		r := newReader(b)
		if got := r.varint(); int(got) != n || r.end() != nil {
			t.Errorf("%d became %x became %d, %v", n, b, got, r.err)
		}
		for i := range b {
			r := newReader(b[:i])
			r.varint()
			wantCode(t, r.err, MalformedPacket)
		}
	}
}

// TestNames shows how types, versions and codes appear in logs.
func TestNames(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{CONNECT.String(), "CONNECT"},
		{AUTH.String(), "AUTH"},
		{Type(0).String(), "packet type 0"},
		{Type(16).String(), "packet type 16"},
		{V31.String(), "3.1"},
		{V311.String(), "3.1.1"},
		{V5.String(), "5.0"},
		{Version(9).String(), "level 9"},
		{SessionTakenOver.String(), "0x8E Session taken over"},
		{ReasonCode(0x03).String(), "0x03"},
		{ReasonCode(0xA3).String(), "0xA3"},
		{ReasonCode(0xFF).String(), "0xFF"},
		{(&Error{Code: ProtocolError, Reason: "why"}).Error(), "why"},
	} {
		if row.got != row.want {
			t.Errorf("got %q, want %q", row.got, row.want)
		}
	}
}

// TestPropertyNames shows that every property there is, and no other, has a name for reasons and logs.
func TestPropertyNames(t *testing.T) {
	for id, rule := range rules {
		if (rule.kind == 0) != (rule.in == 0) || (rule.kind == 0) != (rule.name == "") {
			t.Errorf("property %#x: %+v", id, rule)
		}
	}
}
