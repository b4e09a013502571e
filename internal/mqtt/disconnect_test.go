package mqtt

import "testing"

var disconnectGolden = []golden{
	{name: "3.1.1", v: V311, bytes: "E0 00", want: &Disconnect{}},
	{name: "5, shortest", v: V5, bytes: "E0 00", want: &Disconnect{}},
	{name: "5, code only", v: V5, bytes: "E0 01 04", want: &Disconnect{Code: DisconnectWithWill}},
	{name: "5, property length 0", v: V5, bytes: "E0 02 8E 00", want: &Disconnect{Code: SessionTakenOver}, again: "E0 01 8E"},
	{
		name: "5, all", v: V5, bytes: "E0 18 9C 16 11 00000000 1F 0003'why' 1C 0002's2' 26 0000 0001'v'",
		want: &Disconnect{Code: UseAnotherServer, HasSessionExpiry: true, Reason: "why", ServerReference: "s2", User: users("", "v")},
	},
	{name: "5, properties with code 0", v: V5, bytes: "E0 07 00 05 11 0000000A", want: &Disconnect{HasSessionExpiry: true, SessionExpiry: 10}},
}

var disconnectRefused = []refused{
	{"body in 3.1.1", V311, "E0 01 00", MalformedPacket, "after the end"},
	{"code of another packet [MQTT-3.14.2-1]", V5, "E0 01 01", ProtocolError, "reason code"},
	{"code that does not exist [MQTT-3.14.2-1]", V5, "E0 01 A3", ProtocolError, "reason code"},
	{"session expiry twice", V5, "E0 0C 00 0A 11 00000001 11 00000001", ProtocolError, "session expiry interval stands twice"},
	{"property that it cannot have", V5, "E0 05 00 03 21 0001", MalformedPacket, "cannot have it"},
	{"property length past the end", V5, "E0 02 00 01", MalformedPacket, "property length"},
	{"bytes after the end", V5, "E0 03 00 00 00", MalformedPacket, "after the end"},
}

var authGolden = []golden{
	{name: "shortest", v: V5, bytes: "F0 00", want: &Auth{}},
	{name: "method", v: V5, bytes: "F0 06 18 04 15 0001'm'", want: &Auth{Code: ContinueAuthentication, Method: []byte("m")}},
	{
		name: "all", v: V5, bytes: "F0 16 19 14 15 0001'm' 16 0002 00FF 1F 0001'r' 26 0001'k' 0001'v'",
		want: &Auth{Code: ReAuthenticate, Method: []byte("m"), Data: []byte{0, 0xFF}, Reason: "r", User: users("k", "v")},
	},
	{name: "success with an empty method", v: V5, bytes: "F0 05 00 03 15 0000", want: &Auth{Method: []byte{}}},
}

var authRefused = []refused{
	{"below 5 [MQTT-2.2.2-2]", V311, "F0 00", MalformedPacket, "below MQTT 5"},
	{"code of another packet [MQTT-3.15.2-1]", V5, "F0 06 87 04 15 0001'm'", ProtocolError, "reason code"},
	{"no method", V5, "F0 02 18 00", ProtocolError, "without an authentication method"},
	{"no property length", V5, "F0 01 18", MalformedPacket, "runs past"},
	{"method twice", V5, "F0 0A 18 08 15 0001'm' 15 0001'm'", ProtocolError, "authentication method stands twice"},
	{"data twice", V5, "F0 0C 18 0A 15 0001'm' 16 0000 16 0000", ProtocolError, "authentication data stands twice"},
	{"property that it cannot have", V5, "F0 05 18 03 21 0001", MalformedPacket, "cannot have it"},
	{"bytes after the end", V5, "F0 07 18 04 15 0001'm' 00", MalformedPacket, "after the end"},
}

// TestDisconnect shows DISCONNECT of all versions, both ways.
func TestDisconnect(t *testing.T) { testGolden(t, disconnectGolden) }

// TestDisconnectRefuses shows which DISCONNECT is refused, and with which code.
func TestDisconnectRefuses(t *testing.T) { testRefused(t, disconnectRefused) }

// TestAuth shows AUTH, both ways.
func TestAuth(t *testing.T) { testGolden(t, authGolden) }

// TestAuthRefuses shows which AUTH is refused, and with which code.
func TestAuthRefuses(t *testing.T) { testRefused(t, authRefused) }

// TestBelow5 shows that what only MQTT 5 can say is left out in the other versions.
func TestBelow5(t *testing.T) {
	d := Disconnect{Code: ServerShuttingDown, Reason: "r", HasSessionExpiry: true}
	if b := d.Append(nil, V311); string(b) != "\xE0\x00" {
		t.Errorf("DISCONNECT %x", b)
	}
	a := Ack{Type: PUBACK, PacketID: 1, Code: QuotaExceeded, Reason: "r"}
	if b := a.Append(nil, V311); string(b) != "\x40\x02\x00\x01" {
		t.Errorf("PUBACK %x", b)
	}
	if b := (&Auth{Method: []byte("m")}).Append(nil, V311); len(b) != 0 {
		t.Errorf("AUTH %x", b)
	}
}
