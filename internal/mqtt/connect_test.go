package mqtt

import (
	"errors"
	"math"
	"testing"
)

// plain is what CONNECT has when its properties are absent.
func plain(c Connect) *Connect {
	c.ReceiveMaximum, c.RequestProblem = math.MaxUint16, true
	return &c
}

var connectGolden = []golden{
	{
		name: "3.1, and QoS of an absent will disregarded", v: V31,
		bytes: "10 0F 0006'MQIsdp' 03 1A 0E10 0001'c'",
		want:  plain(Connect{Version: V31, CleanStart: true, KeepAlive: 3600, ClientID: []byte("c")}),
		again: "10 0F 0006'MQIsdp' 03 02 0E10 0001'c'",
	},
	{
		name: "3.1, reserved flag set, which it leaves open", v: V31,
		bytes: "10 0F 0006'MQIsdp' 03 01 0000 0001'c'",
		want:  plain(Connect{Version: V31, ClientID: []byte("c")}),
		again: "10 0F 0006'MQIsdp' 03 00 0000 0001'c'",
	},
	{
		name: "3.1, user name flag without a user name is valid", v: V31,
		bytes: "10 0F 0006'MQIsdp' 03 C2 0000 0001'c'",
		want:  plain(Connect{Version: V31, CleanStart: true, ClientID: []byte("c")}),
		again: "10 0F 0006'MQIsdp' 03 02 0000 0001'c'",
	},
	{
		name: "3.1, user name without the password that the flags announce", v: V31,
		bytes: "10 12 0006'MQIsdp' 03 C2 0000 0001'c' 0001'u'",
		want:  plain(Connect{Version: V31, CleanStart: true, ClientID: []byte("c"), HasUsername: true, Username: []byte("u")}),
		again: "10 12 0006'MQIsdp' 03 82 0000 0001'c' 0001'u'",
	},
	{
		name: "3.1, client id of more than 23 bytes is let through", v: V31,
		bytes: "10 26 0006'MQIsdp' 03 02 0000 0018'abcdefghijklmnopqrstuvwx'",
		want:  plain(Connect{Version: V31, CleanStart: true, ClientID: []byte("abcdefghijklmnopqrstuvwx")}),
	},
	{
		name: "3.1.1, least", v: V311,
		bytes: "10 0C 0004'MQTT' 04 00 0000 0000",
		want:  plain(Connect{Version: V311, ClientID: []byte{}}),
	},
	{
		name: "3.1.1, all fields", v: V311,
		bytes: "10 1E 0004'MQTT' 04 F6 003C 0002'id' 0003'a/b' 0001 00 0002'me' 0002 FF 00",
		want: plain(Connect{
			Version: V311, CleanStart: true, KeepAlive: 60, ClientID: []byte("id"),
			HasWill: true, Will: Will{QoS: 2, Retain: true, Topic: []byte("a/b"), Payload: []byte{0}},
			HasUsername: true, Username: []byte("me"), HasPassword: true, Password: []byte{0xFF, 0},
		}),
	},
	{
		name: "5, least", v: V5,
		bytes: "10 0D 0004'MQTT' 05 02 0000 00 0000",
		want:  plain(Connect{Version: V5, CleanStart: true, ClientID: []byte{}}),
	},
	{
		name: "5, password without a user name", v: V5,
		bytes: "10 11 0004'MQTT' 05 42 0000 00 0001'c' 0001'p'",
		want:  plain(Connect{Version: V5, CleanStart: true, ClientID: []byte("c"), HasPassword: true, Password: []byte("p")}),
	},
	{
		name: "5, all properties", v: V5,
		bytes: "10 44 0004'MQTT' 05 0C 000A" +
			"2B 11 FFFFFFFF 21 0014 27 00000100 22 000A 19 01 17 00 15 0001'm' 16 0002 0001" +
			"   26 0001'a' 0001'1' 26 0001'a' 0001'2'" +
			"0001'c'" +
			"05 18 00000005" +
			"0001'w' 0000",
		want: &Connect{
			Version: V5, KeepAlive: 10, ClientID: []byte("c"),
			HasWill:       true,
			Will:          Will{QoS: 1, Topic: []byte("w"), Payload: []byte{}, Delay: 5},
			SessionExpiry: math.MaxUint32, ReceiveMaximum: 20, MaximumPacketSize: 256, TopicAliasMaximum: 10,
			RequestResponse: true, RequestProblem: false,
			HasAuthMethod: true, AuthMethod: []byte("m"), AuthData: []byte{0, 1}, User: users("a", "1", "a", "2"),
		},
	},
	{
		name: "5, will properties in a row", v: V5,
		bytes: "10 34 0004'MQTT' 05 06 0000 00 0001'c'" +
			"1F 18 00000001 02 0000003C 01 01 03 0001'j' 08 0001'r' 09 0001 FF 26 0001'k' 0001'v'" +
			"0001'w' 0001'p'",
		want: plain(Connect{
			Version: V5, CleanStart: true, ClientID: []byte("c"), HasWill: true,
			Will: Will{
				Topic: []byte("w"), Payload: []byte("p"), Delay: 1, HasMessageExpiry: true, MessageExpiry: 60,
				Forward: wire("01 01 03 0001'j' 08 0001'r' 09 0001 FF 26 0001'k' 0001'v'"),
			},
		}),
	},
	{
		name: "5, will properties mixed", v: V5,
		bytes: "10 24 0004'MQTT' 05 06 0000 00 0001'c'" +
			"10 01 00 02 0000003C 03 0001'j' 18 00000001" +
			"0001'w' 0000",
		want: plain(Connect{
			Version: V5, CleanStart: true, ClientID: []byte("c"), HasWill: true,
			Will: Will{
				Topic: []byte("w"), Payload: []byte{}, Delay: 1, HasMessageExpiry: true, MessageExpiry: 60,
				Forward: wire("01 00 03 0001'j'"),
			},
		}),
		again: "10 24 0004'MQTT' 05 06 0000 00 0001'c'" +
			"10 18 00000001 02 0000003C 01 00 03 0001'j'" +
			"0001'w' 0000",
	},
}

var connectRefused = []refused{
	{"empty", V311, "10 00", MalformedPacket, "runs past"},
	{"reserved flag [MQTT-3.1.2-3]", V5, "10 0D 0004'MQTT' 05 03 0000 00 0000", MalformedPacket, "reserved connect flag"},
	{"reserved flag, 3.1.1", V311, "10 0C 0004'MQTT' 04 03 0000 0000", MalformedPacket, "reserved connect flag"},
	{"will QoS without a will [MQTT-3.1.2-11]", V5, "10 0D 0004'MQTT' 05 0A 0000 00 0000", MalformedPacket, "without a will"},
	{"will retain without a will [MQTT-3.1.2-13]", V311, "10 0C 0004'MQTT' 04 22 0000 0000", MalformedPacket, "without a will"},
	{"will QoS 3 [MQTT-3.1.2-12]", V5, "10 14 0004'MQTT' 05 1E 0000 00 0000 00 0001't' 0001'p'", MalformedPacket, "QoS 3"},
	{"will QoS 3, 3.1", V31, "10 12 0006'MQIsdp' 03 1E 0000 0000 0000 0000", MalformedPacket, "QoS 3"},
	{"password without user name, 3.1.1 [MQTT-3.1.2-22]", V311, "10 0F 0004'MQTT' 04 42 0000 0000 0001'p'", MalformedPacket, "without a user name"},
	{"password without user name, 3.1", V31, "10 11 0006'MQIsdp' 03 42 0000 0000 0001'p'", MalformedPacket, "without a user name"},
	{"user name missing, 3.1.1 [MQTT-3.1.2-19]", V311, "10 0C 0004'MQTT' 04 82 0000 0000", MalformedPacket, "runs past"},
	{"password missing, 5 [MQTT-3.1.2-19]", V5, "10 0D 0004'MQTT' 05 42 0000 00 0000", MalformedPacket, "runs past"},
	{"will missing [MQTT-3.1.2-9]", V311, "10 0C 0004'MQTT' 04 06 0000 0000", MalformedPacket, "runs past"},
	{"client id missing [MQTT-3.1.3-3]", V311, "10 0A 0004'MQTT' 04 02 0000", MalformedPacket, "runs past"},
	{"user name without its flag [MQTT-3.1.2-16]", V311, "10 0F 0004'MQTT' 04 02 0000 0000 0001'u'", MalformedPacket, "after the end"},
	{"bytes after the end", V5, "10 0E 0004'MQTT' 05 02 0000 00 0000 00", MalformedPacket, "after the end"},
	{"will topic with #", V5, "10 13 0004'MQTT' 05 06 0000 00 0000 00 0001'#' 0000", TopicNameInvalid, "will topic"},
	{"will topic with +, 3.1.1", V311, "10 13 0004'MQTT' 04 06 0000 0000 0003'a/+' 0000", TopicNameInvalid, "will topic"},
	{"will topic empty [MQTT-4.7.3-1]", V311, "10 10 0004'MQTT' 04 06 0000 0000 0000 0000", TopicNameInvalid, "will topic"},
	{"will response topic with a wildcard", V5, "10 17 0004'MQTT' 05 06 0000 00 0000 04 08 0001'#' 0001't' 0000", ProtocolError, "response topic"},
	{"will delay twice", V5, "10 1D 0004'MQTT' 05 06 0000 00 0000 0A 18 00000001 18 00000001 0001't' 0000", ProtocolError, "will delay interval stands twice"},
	{"will with a topic alias", V5, "10 16 0004'MQTT' 05 06 0000 00 0000 03 23 0001 0001't' 0000", MalformedPacket, "cannot have it"},
	{"will delay among the properties of CONNECT", V5, "10 12 0004'MQTT' 05 02 0000 05 18 00000001 0000", MalformedPacket, "cannot have it"},
	{"session expiry twice", V5, "10 17 0004'MQTT' 05 02 0000 0A 11 00000001 11 00000001 0000", ProtocolError, "session expiry interval stands twice"},
	{"receive maximum 0", V5, "10 10 0004'MQTT' 05 02 0000 03 21 0000 0000", ProtocolError, "receive maximum is 0"},
	{"receive maximum twice", V5, "10 13 0004'MQTT' 05 02 0000 06 21 0001 21 0001 0000", ProtocolError, "receive maximum stands twice"},
	{"maximum packet size 0", V5, "10 12 0004'MQTT' 05 02 0000 05 27 00000000 0000", ProtocolError, "maximum packet size is 0"},
	{"request problem information 2", V5, "10 0F 0004'MQTT' 05 02 0000 02 17 02 0000", ProtocolError, "request problem information is neither 0 nor 1"},
	{"request response information 255", V5, "10 0F 0004'MQTT' 05 02 0000 02 19 FF 0000", ProtocolError, "request response information is neither 0 nor 1"},
	{"will payload format 2", V5, "10 15 0004'MQTT' 05 06 0000 00 0000 02 01 02 0001't' 0000", ProtocolError, "payload format indicator is neither 0 nor 1"},
	{"authentication data without a method", V5, "10 11 0004'MQTT' 05 02 0000 04 16 0001 FF 0000", ProtocolError, "without a method"},
	{"property of another packet", V5, "10 10 0004'MQTT' 05 02 0000 03 13 0001 0000", MalformedPacket, "cannot have it"},
	{"property that does not exist", V5, "10 0F 0004'MQTT' 05 02 0000 02 04 00 0000", MalformedPacket, "property that does not exist"},
	{"property one beyond the last", V5, "10 0F 0004'MQTT' 05 02 0000 02 2B 00 0000", MalformedPacket, "property that does not exist"},
	{"property of two bytes that does not exist", V5, "10 10 0004'MQTT' 05 02 0000 03 A6 01 00 0000", MalformedPacket, "property that does not exist"},
	{"property identifier padded [MQTT-1.5.5-1]", V5, "10 10 0004'MQTT' 05 02 0000 03 97 00 01 0000", MalformedPacket, "shortest"},
	{"property length padded [MQTT-1.5.5-1]", V5, "10 0E 0004'MQTT' 05 02 0000 80 00 0000", MalformedPacket, "shortest"},
	{"property length of five bytes", V5, "10 0F 0004'MQTT' 05 02 0000 FF FF FF FF 01", MalformedPacket, "more than four"},
	{"property length past the end", V5, "10 0D 0004'MQTT' 05 02 0000 03 0000", MalformedPacket, "property length"},
	{"property past the property length", V5, "10 0F 0004'MQTT' 05 02 0000 02 21 00 0000", MalformedPacket, "runs past"},
	{"no property length [MQTT-2.2.2-1]", V5, "10 0A 0004'MQTT' 05 02 0000", MalformedPacket, "runs past"},
}

// TestConnect shows CONNECT of all versions, both ways.
func TestConnect(t *testing.T) { testGolden(t, connectGolden) }

// TestConnectRefuses shows which CONNECT is refused, and with which code.
func TestConnectRefuses(t *testing.T) { testRefused(t, connectRefused) }

// TestConnectVersion shows in which version a client is told that its own is not spoken [MQTT-3.1.2-1 -2].
func TestConnectVersion(t *testing.T) {
	for _, row := range []struct {
		name, bytes string
		code        ReasonCode
		answer      Version
	}{
		{"MQTT level 6", "10 0D 0004'MQTT' 06 02 0000 00 0000", UnsupportedProtocolVersion, V5},
		{"MQTT level 127", "10 0D 0004'MQTT' 7F 02 0000 00 0000", UnsupportedProtocolVersion, V5},
		{"MQTT level 128", "10 0C 0004'MQTT' 80 02 0000 0000", UnsupportedProtocolVersion, V311},
		{"MQTT level 3", "10 0C 0004'MQTT' 03 02 0000 0000", UnsupportedProtocolVersion, V311},
		{"MQTT level 0", "10 0C 0004'MQTT' 00 02 0000 0000", UnsupportedProtocolVersion, V311},
		{"bridge of mosquitto, level 4 with bit 7", "10 0C 0004'MQTT' 84 02 0000 0000", UnsupportedProtocolVersion, V311},
		{"MQIsdp level 4", "10 0E 0006'MQIsdp' 04 02 0000 0000", UnsupportedProtocolVersion, V311},
		{"another name", "10 0C 0004'mqtt' 04 02 0000 0000", UnsupportedProtocolVersion, 0},
		{"no name", "10 03 0000 05", UnsupportedProtocolVersion, 0},
		{"cut off in the name", "10 04 0004'MQ'", MalformedPacket, 0},
		{"cut off before the level", "10 06 0004'MQTT'", MalformedPacket, 0},
		{"malformed further on, 5", "10 07 0004'MQTT' 05", MalformedPacket, V5},
		{"malformed further on, 3.1.1", "10 07 0004'MQTT' 04", MalformedPacket, V311},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c Connect
			err := decodeInto(&c, 0, wire(row.bytes))
			wantCode(t, err, row.code)
			if c.Version != row.answer {
				t.Errorf("to be answered in %v, want %v", c.Version, row.answer)
			}
			if !c.RequestProblem {
				t.Error("an error before the properties must leave Request Problem Information at its default")
			}
		})
	}
}

// TestConnectOtherVersion shows that Append takes the version given when the packet names none.
func TestConnectOtherVersion(t *testing.T) {
	c := plain(Connect{ClientID: []byte("c"), CleanStart: true})
	for _, v := range []Version{V31, V311, V5} {
		var got Connect
		if err := decodeInto(&got, 0, c.Append(nil, v)); err != nil || got.Version != v {
			t.Errorf("version %v became %v, %v", v, got.Version, err)
		}
	}
}

// TestErrorsAreNotNil guards against a nil *Error in an error, which is not nil.
func TestErrorsAreNotNil(t *testing.T) {
	var e *Error
	if err := decodeInto(new(Connect), 0, wire("10 0C 0004'MQTT' 04 02 0000 0000")); err != nil || errors.As(err, &e) {
		t.Fatalf("a valid packet gave %v", err)
	}
}
