package mqtt

import (
	"bytes"
	"testing"
)

var connackGolden = []golden{
	{name: "3.1", v: V31, bytes: "20 02 00 00", want: &Connack{}},
	{name: "3.1 has no session present", v: V31, bytes: "20 02 01 00", want: &Connack{}, again: "20 02 00 00"},
	{name: "3.1 leaves the first byte open", v: V31, bytes: "20 02 FE 05", want: &Connack{Code: NotAuthorized}, again: "20 02 00 05"},
	{name: "3.1.1, session present", v: V311, bytes: "20 02 01 00", want: &Connack{SessionPresent: true}},
	{name: "3.1.1, return code 1", v: V311, bytes: "20 02 00 01", want: &Connack{Code: UnsupportedProtocolVersion}},
	{name: "3.1.1, return code 2", v: V311, bytes: "20 02 00 02", want: &Connack{Code: ClientIDNotValid}},
	{name: "3.1.1, return code 3", v: V311, bytes: "20 02 00 03", want: &Connack{Code: ServerUnavailable}},
	{name: "3.1.1, return code 4", v: V311, bytes: "20 02 00 04", want: &Connack{Code: BadUserNameOrPassword}},
	{name: "3.1.1, return code 5", v: V311, bytes: "20 02 00 05", want: &Connack{Code: NotAuthorized}},
	{name: "5, accepted", v: V5, bytes: "20 03 01 00 00", want: &Connack{SessionPresent: true}},
	{name: "5, refused", v: V5, bytes: "20 03 00 87 00", want: &Connack{Code: NotAuthorized}},
	{
		name: "5, all properties", v: V5,
		bytes: "20 44 00 00 41 11 0000000A 27 00001000 24 01 21 0010 22 0008 13 001E 25 00 28 01 29 01 2A 00" +
			"12 0002'id' 1F 0003'why' 1A 0002'/r' 1C 0002's2' 15 0001'm' 16 0001 FF 26 0001'k' 0001'v'",
		want: &Connack{
			SessionExpiry: new(uint32(10)), MaximumPacketSize: new(uint32(4096)), MaximumQoS: new(byte(1)),
			ReceiveMaximum: new(uint16(16)), TopicAliasMaximum: new(uint16(8)), ServerKeepAlive: new(uint16(30)),
			RetainAvailable: new(false), WildcardAvailable: new(true), SubscriptionIDs: new(true), SharedAvailable: new(false),
			AssignedClientID: "id", Reason: "why", ResponseInformation: "/r", ServerReference: "s2",
			AuthMethod: []byte("m"), AuthData: []byte{0xFF}, User: users("k", "v"),
		},
	},
	{name: "5, session expiry 0 is not absent", v: V5, bytes: "20 08 00 00 05 11 00000000", want: &Connack{SessionExpiry: new(uint32(0))}},
}

var connackRefused = []refused{
	{"empty", V5, "20 00", MalformedPacket, "runs past"},
	{"no reason code", V5, "20 01 00", MalformedPacket, "runs past"},
	{"no property length [MQTT-2.2.2-1]", V5, "20 02 00 00", MalformedPacket, "runs past"},
	{"reserved flags [MQTT-3.2.2-1]", V5, "20 03 02 00 00", MalformedPacket, "reserved"},
	{"reserved flags, 3.1.1", V311, "20 02 81 00", MalformedPacket, "reserved"},
	{"reserved return code", V311, "20 02 00 06", MalformedPacket, "reserved"},
	{"reason code of another packet [MQTT-3.2.2-8]", V5, "20 03 00 8E 00", ProtocolError, "reason code"},
	{"session present in a refusal [MQTT-3.2.2-6]", V5, "20 03 01 87 00", ProtocolError, "session present"},
	{"session present in a refusal, 3.1.1 [MQTT-3.2.2-4]", V311, "20 02 01 05", ProtocolError, "session present"},
	{"bytes after the end", V311, "20 03 00 00 00", MalformedPacket, "after the end"},
	{"maximum QoS 2", V5, "20 05 00 00 02 24 02", ProtocolError, "maximum QoS is neither 0 nor 1"},
	{"retain available 2", V5, "20 05 00 00 02 25 02", ProtocolError, "retain available is neither 0 nor 1"},
	{"shared available twice", V5, "20 07 00 00 04 2A 01 2A 01", ProtocolError, "shared subscription available stands twice"},
	{"receive maximum 0", V5, "20 06 00 00 03 21 0000", ProtocolError, "receive maximum is 0"},
	{"maximum packet size 0", V5, "20 08 00 00 05 27 00000000", ProtocolError, "maximum packet size is 0"},
	{"topic alias", V5, "20 06 00 00 03 23 0001", MalformedPacket, "cannot have it"},
}

// TestConnack shows CONNACK of all versions, both ways.
func TestConnack(t *testing.T) { testGolden(t, connackGolden) }

// TestConnackRefuses shows which CONNACK a client refuses.
func TestConnackRefuses(t *testing.T) { testRefused(t, connackRefused) }

// TestConnackNeverPromisesInARefusal shows that session present is 0 in a refusal, whatever is asked [MQTT-3.2.2-6].
func TestConnackNeverPromisesInARefusal(t *testing.T) {
	for _, v := range []Version{V31, V311, V5} {
		b := (&Connack{SessionPresent: true, Code: NotAuthorized}).Append(nil, v)
		if b[2] != 0 {
			t.Errorf("%v: flags %x", v, b[2])
		}
	}
}

// TestConnackOf31 shows that MQTT 3.1, which has no session present, is not sent it.
func TestConnackOf31(t *testing.T) {
	if b := (&Connack{SessionPresent: true}).Append(nil, V31); !bytes.Equal(b, wire("20 02 00 00")) {
		t.Errorf("CONNACK %x", b)
	}
}

// TestReturnCode shows how each reason code is told below MQTT 5: none that is a failure becomes a success.
func TestReturnCode(t *testing.T) {
	want := map[ReasonCode]byte{
		Success: 0, UnsupportedProtocolVersion: 1, ClientIDNotValid: 2, BadUserNameOrPassword: 4, NotAuthorized: 5,
		ServerUnavailable: 3, ServerBusy: 3, ServerShuttingDown: 3, QuotaExceeded: 3, UseAnotherServer: 3, ConnectionRateExceeded: 3,
		ServerMoved: 5, Banned: 5, BadAuthMethod: 5, MalformedPacket: 5, RetainNotSupported: 5, ImplementationSpecific: 5,
	}
	for c, n := range want {
		if got := c.ReturnCode(); got != n {
			t.Errorf("%v became %d, want %d", c, got, n)
		}
	}
	for c := range 256 {
		n := ReasonCode(c).ReturnCode()
		if n > 5 || (n == 0) != (c < 0x80) {
			t.Errorf("%#x became %d", c, n)
		}
	}
}
