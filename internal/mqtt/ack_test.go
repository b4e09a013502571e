package mqtt

import "testing"

var ackGolden = []golden{
	{name: "PUBACK, 3.1", v: V31, bytes: "40 02 0001", want: &Ack{Type: PUBACK, PacketID: 1}},
	{name: "PUBREC, 3.1.1", v: V311, bytes: "50 02 FFFF", want: &Ack{Type: PUBREC, PacketID: 65535}},
	{name: "PUBREL, 3.1.1", v: V311, bytes: "62 02 0102", want: &Ack{Type: PUBREL, PacketID: 258}},
	{name: "PUBREL sent again, 3.1", v: V31, bytes: "6A 02 0102", want: &Ack{Type: PUBREL, PacketID: 258}, again: "62 02 0102"},
	{name: "PUBCOMP, 3.1.1", v: V311, bytes: "70 02 0001", want: &Ack{Type: PUBCOMP, PacketID: 1}},
	{name: "5, shortest", v: V5, bytes: "40 02 0001", want: &Ack{Type: PUBACK, PacketID: 1}},
	{name: "5, code without a property length", v: V5, bytes: "50 03 0001 97", want: &Ack{Type: PUBREC, PacketID: 1, Code: QuotaExceeded}},
	{name: "5, success in three bytes", v: V5, bytes: "40 03 0001 00", want: &Ack{Type: PUBACK, PacketID: 1}, again: "40 02 0001"},
	{name: "5, property length 0", v: V5, bytes: "40 04 0001 10 00", want: &Ack{Type: PUBACK, PacketID: 1, Code: NoMatchingSubscribers}, again: "40 03 0001 10"},
	{
		name: "5, all", v: V5, bytes: "70 13 0001 92 0F 1F 0003'why' 26 0001'k' 0003'val'",
		want: &Ack{Type: PUBCOMP, PacketID: 1, Code: PacketIDNotFound, Reason: "why", User: users("k", "val")},
	},
	{
		name: "5, properties with success", v: V5, bytes: "62 08 0001 00 04 1F 0001'r'",
		want: &Ack{Type: PUBREL, PacketID: 1, Reason: "r"},
	},
}

var ackRefused = []refused{
	{"empty", V5, "40 00", MalformedPacket, "runs past"},
	{"one byte", V311, "40 01 00", MalformedPacket, "runs past"},
	{"packet id 0 [MQTT-2.2.1-5]", V5, "40 02 0000", ProtocolError, "identifier 0"},
	{"packet id 0, 3.1.1", V311, "70 02 0000", ProtocolError, "identifier 0"},
	{"reason code in 3.1.1", V311, "40 03 0001 00", MalformedPacket, "after the end"},
	{"PUBACK with a code that it cannot have [MQTT-3.4.2-1]", V5, "40 03 0001 92", ProtocolError, "reason code"},
	{"PUBREC with a code that it cannot have [MQTT-3.5.2-1]", V5, "50 03 0001 01", ProtocolError, "reason code"},
	{"PUBREL with a code that it cannot have [MQTT-3.6.2-1]", V5, "62 03 0001 10", ProtocolError, "reason code"},
	{"PUBCOMP with a code that does not exist [MQTT-3.7.2-1]", V5, "70 03 0001 FF", ProtocolError, "reason code"},
	{"reason string twice", V5, "40 0C 0001 00 08 1F 0001'a' 1F 0001'b'", ProtocolError, "reason string stands twice"},
	{"property that it cannot have", V5, "40 09 0001 00 05 11 00000001", MalformedPacket, "cannot have it"},
	{"bytes after the properties", V5, "40 05 0001 00 00 00", MalformedPacket, "after the end"},
}

// TestAck shows PUBACK, PUBREC, PUBREL and PUBCOMP of all versions, both ways.
func TestAck(t *testing.T) { testGolden(t, ackGolden) }

// TestAckRefuses shows which of them are refused, and with which code.
func TestAckRefuses(t *testing.T) { testRefused(t, ackRefused) }

// TestAckFlags shows that Decode looks at the flags itself, for callers that did not call Header.Check [MQTT-3.6.1-1].
func TestAckFlags(t *testing.T) {
	body := []byte{0, 1}
	wantCode(t, (&Ack{Type: PUBREL}).Decode(V311, 0xA, body), MalformedPacket)
	wantCode(t, (&Ack{Type: PUBREL}).Decode(V5, 0, body), MalformedPacket)
	wantCode(t, (&Ack{Type: PUBACK}).Decode(V5, 2, body), MalformedPacket)
	wantCode(t, (&Ack{}).Decode(V5, 0, body), ProtocolError)
	wantCode(t, (&Ack{Type: SUBACK}).Decode(V5, 0, body), ProtocolError)
	wantCode(t, (&Suback{Type: PUBACK}).Decode(V5, 0, body), ProtocolError)
	wantCode(t, new(Subscribe).Decode(V5, 0xA, body), MalformedPacket)
	wantCode(t, new(Unsubscribe).Decode(V311, 0, body), MalformedPacket)
	wantCode(t, new(Disconnect).Decode(V5, 1, nil), MalformedPacket)
	wantCode(t, new(Auth).Decode(V5, 1, nil), MalformedPacket)
	wantCode(t, new(Connack).Decode(V5, 1, body), MalformedPacket)
	wantCode(t, new(Connect).Decode(V5, 1, body), MalformedPacket)
	wantCode(t, new(Publish).Decode(V5, 6, body), MalformedPacket)
	wantCode(t, new(Publish).Decode(V5, 8, body), MalformedPacket)
}

// TestPing shows the two packets that have a fixed header only.
func TestPing(t *testing.T) {
	if got := AppendPingreq(nil); string(got) != "\xC0\x00" {
		t.Errorf("PINGREQ is %x", got)
	}
	if got := AppendPingresp(nil); string(got) != "\xD0\x00" {
		t.Errorf("PINGRESP is %x", got)
	}
}
