package mqtt

import "testing"

var subscribeGolden = []golden{
	{
		name: "3.1.1, the example of 3.8.3", v: V311, bytes: "82 0E 000A 0003'a/b' 01 0003'c/d' 02",
		want: &Subscribe{PacketID: 10, Filters: []SubscribeFilter{{Filter: []byte("a/b"), QoS: 1}, {Filter: []byte("c/d"), QoS: 2}}},
	},
	{
		name: "3.1, sent again", v: V31, bytes: "8A 06 0001 0001'#' 00", again: "82 06 0001 0001'#' 00",
		want: &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: []byte("#")}}},
	},
	{
		name: "5, no properties", v: V5, bytes: "82 07 0001 00 0001'+' 00",
		want: &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: []byte("+")}}},
	},
	{
		name: "5, all", v: V5, bytes: "82 24 0001 0C 0B FFFFFF7F 26 0001'k' 0001'v' 0001'a' 2D 0001'b' 12 000A'$share/g/#' 01",
		want: &Subscribe{
			PacketID: 1, SubscriptionID: MaxLength, User: users("k", "v"),
			Filters: []SubscribeFilter{
				{Filter: []byte("a"), QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
				{Filter: []byte("b"), QoS: 2, RetainHandling: 1},
				{Filter: []byte("$share/g/#"), QoS: 1},
			},
		},
	},
	{
		name: "a filter that is not well formed is answered in SUBACK", v: V5, bytes: "82 0A 0001 00 0004'a#/+' 00",
		want: &Subscribe{PacketID: 1, Filters: []SubscribeFilter{{Filter: []byte("a#/+")}}},
	},
}

var subscribeRefused = []refused{
	{"empty", V5, "82 00", MalformedPacket, "runs past"},
	{"no filter [MQTT-3.8.3-2]", V5, "82 03 0001 00", ProtocolError, "without a topic filter"},
	{"no filter, 3.1.1 [MQTT-3.8.3-3]", V311, "82 02 0001", ProtocolError, "without a topic filter"},
	{"packet id 0 [MQTT-2.2.1-3]", V5, "82 07 0000 00 0001'a' 00", ProtocolError, "identifier 0"},
	{"packet id 0, 3.1.1 [MQTT-2.3.1-1]", V311, "82 06 0000 0001'a' 00", ProtocolError, "identifier 0"},
	{"empty filter [MQTT-4.7.3-1]", V311, "82 05 0001 0000 00", ProtocolError, "empty topic filter"},
	{"QoS 3", V5, "82 07 0001 00 0001'a' 03", ProtocolError, "QoS 3"},
	{"QoS 3, 3.1.1 [MQTT-3-8.3-4]", V311, "82 06 0001 0001'a' 03", MalformedPacket, "requested QoS"},
	{"options of 5 in 3.1.1 [MQTT-3-8.3-4]", V311, "82 06 0001 0001'a' 04", MalformedPacket, "requested QoS"},
	{"reserved bit 6 [MQTT-3.8.3-5]", V5, "82 07 0001 00 0001'a' 40", MalformedPacket, "reserved bits"},
	{"reserved bit 7 [MQTT-3.8.3-5]", V5, "82 07 0001 00 0001'a' 80", MalformedPacket, "reserved bits"},
	{"retain handling 3", V5, "82 07 0001 00 0001'a' 30", ProtocolError, "retain handling 3"},
	{"no local on a shared subscription [MQTT-3.8.3-4]", V5, "82 10 0001 00 000A'$share/g/a' 04", ProtocolError, "no local"},
	{"subscription identifier 0", V5, "82 09 0001 02 0B 00 0001'a' 00", ProtocolError, "subscription identifier is 0"},
	{"subscription identifier twice", V5, "82 0B 0001 04 0B 01 0B 02 0001'a' 00", ProtocolError, "subscription identifier stands twice"},
	{"subscription identifier padded [MQTT-1.5.5-1]", V5, "82 0A 0001 03 0B 81 00 0001'a' 00", MalformedPacket, "shortest"},
	{"property that it cannot have", V5, "82 0B 0001 04 1F 0001'r' 0001'a' 00", MalformedPacket, "cannot have it"},
	{"options missing", V311, "82 05 0001 0001'a'", MalformedPacket, "runs past"},
	{"second filter cut off", V311, "82 08 0001 0001'a' 00 0001", MalformedPacket, "runs past"},
}

var unsubscribeGolden = []golden{
	{
		name: "3.1.1, the example of 3.10.3", v: V311, bytes: "A2 0C 0001 0003'a/b' 0003'c/d'",
		want: &Unsubscribe{PacketID: 1, Filters: [][]byte{[]byte("a/b"), []byte("c/d")}},
	},
	{name: "3.1, sent again", v: V31, bytes: "AA 05 0001 0001'#'", want: &Unsubscribe{PacketID: 1, Filters: [][]byte{[]byte("#")}}, again: "A2 05 0001 0001'#'"},
	{
		name: "5", v: V5, bytes: "A2 0D 0001 07 26 0001'k' 0001'v' 0001'a'",
		want: &Unsubscribe{PacketID: 1, Filters: [][]byte{[]byte("a")}, User: users("k", "v")},
	},
}

var unsubscribeRefused = []refused{
	{"no filter [MQTT-3.10.3-2]", V5, "A2 03 0001 00", ProtocolError, "without a topic filter"},
	{"no filter, 3.1.1 [MQTT-3.10.3-2]", V311, "A2 02 0001", ProtocolError, "without a topic filter"},
	{"packet id 0 [MQTT-2.2.1-3]", V5, "A2 06 0000 00 0001'a'", ProtocolError, "identifier 0"},
	{"empty filter [MQTT-4.7.3-1]", V5, "A2 08 0001 00 0001'a' 0000", ProtocolError, "empty topic filter"},
	{"subscription identifier", V5, "A2 08 0001 02 0B 01 0001'a'", MalformedPacket, "cannot have it"},
	{"second filter cut off", V311, "A2 07 0001 0001'a' 0001", MalformedPacket, "runs past"},
}

var subackGolden = []golden{
	{
		name: "SUBACK, 3.1.1", v: V311, bytes: "90 06 0001 00 01 02 80",
		want: &Suback{Type: SUBACK, PacketID: 1, Codes: []ReasonCode{Success, GrantedQoS1, GrantedQoS2, UnspecifiedError}},
	},
	{
		name: "SUBACK, 5", v: V5, bytes: "90 10 0001 0B 1F 0001'r' 26 0001'k' 0001'v' 02 8F",
		want: &Suback{Type: SUBACK, PacketID: 1, Reason: "r", User: users("k", "v"), Codes: []ReasonCode{GrantedQoS2, TopicFilterInvalid}},
	},
	{name: "UNSUBACK, 3.1.1", v: V311, bytes: "B0 02 0001", want: &Suback{Type: UNSUBACK, PacketID: 1}},
	{
		name: "UNSUBACK, 5", v: V5, bytes: "B0 05 0001 00 00 11",
		want: &Suback{Type: UNSUBACK, PacketID: 1, Codes: []ReasonCode{Success, NoSubscriptionExisted}},
	},
}

var subackRefused = []refused{
	{"no codes", V5, "90 03 0001 00", ProtocolError, "no reason codes"},
	{"no codes, 3.1.1", V311, "90 02 0001", ProtocolError, "no reason codes"},
	{"no codes in UNSUBACK", V5, "B0 03 0001 00", ProtocolError, "no reason codes"},
	{"codes in UNSUBACK, 3.1.1", V311, "B0 03 0001 00", MalformedPacket, "after the end"},
	{"packet id 0 [MQTT-2.2.1-6]", V5, "90 04 0000 00 00", ProtocolError, "identifier 0"},
	{"code of UNSUBACK in SUBACK [MQTT-3.9.3-2]", V5, "90 04 0001 00 11", ProtocolError, "reason code"},
	{"code of SUBACK in UNSUBACK [MQTT-3.11.3-2]", V5, "B0 04 0001 00 01", ProtocolError, "reason code"},
	{"return code 3, 3.1.1 [MQTT-3.9.3-2]", V311, "90 03 0001 03", ProtocolError, "reason code"},
	{"code of 5 in 3.1.1 [MQTT-3.9.3-2]", V311, "90 03 0001 87", MalformedPacket, "return code"},
}

// TestSubscribe shows SUBSCRIBE of all versions, both ways.
func TestSubscribe(t *testing.T) { testGolden(t, subscribeGolden) }

// TestSubscribeRefuses shows which SUBSCRIBE is refused, and with which code.
func TestSubscribeRefuses(t *testing.T) { testRefused(t, subscribeRefused) }

// TestUnsubscribe shows UNSUBSCRIBE of all versions, both ways.
func TestUnsubscribe(t *testing.T) { testGolden(t, unsubscribeGolden) }

// TestUnsubscribeRefuses shows which UNSUBSCRIBE is refused, and with which code.
func TestUnsubscribeRefuses(t *testing.T) { testRefused(t, unsubscribeRefused) }

// TestSuback shows SUBACK and UNSUBACK of all versions, both ways.
func TestSuback(t *testing.T) { testGolden(t, subackGolden) }

// TestSubackRefuses shows which SUBACK and UNSUBACK a client refuses.
func TestSubackRefuses(t *testing.T) { testRefused(t, subackRefused) }

// TestSubackBelow5 shows that all failures become 0x80 below MQTT 5, and that UNSUBACK has no codes there.
func TestSubackBelow5(t *testing.T) {
	codes := []ReasonCode{GrantedQoS1, NotAuthorized, QuotaExceeded}
	if b := (&Suback{Type: SUBACK, PacketID: 1, Codes: codes}).Append(nil, V311); string(b) != string(wire("90 05 0001 01 80 80")) {
		t.Errorf("SUBACK %x", b)
	}
	if b := (&Suback{Type: UNSUBACK, PacketID: 1, Codes: codes, Reason: "r"}).Append(nil, V31); string(b) != string(wire("B0 02 0001")) {
		t.Errorf("UNSUBACK %x", b)
	}
}
