package mqtt

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

var publishGolden = []golden{
	{name: "3.1.1, QoS 0, no payload", v: V311, bytes: "30 05 0003'a/b'", want: &Publish{Topic: []byte("a/b"), Payload: []byte{}}},
	{
		name: "3.1, QoS 1, retain", v: V31, bytes: "33 08 0001'a' 000A 'xyz'",
		want: &Publish{QoS: 1, Retain: true, Topic: []byte("a"), PacketID: 10, Payload: []byte("xyz")},
	},
	{
		name: "3.1.1, QoS 2, DUP", v: V311, bytes: "3C 06 0001'a' FFFF 00",
		want: &Publish{QoS: 2, Dup: true, Topic: []byte("a"), PacketID: 65535, Payload: []byte{0}},
	},
	{
		name: "5, no properties, the example of 3.3.2", v: V5, bytes: "32 08 0003'a/b' 000A 00",
		want: &Publish{QoS: 1, Topic: []byte("a/b"), PacketID: 10, Payload: []byte{}},
	},
	{
		name: "5, what is passed on stands together", v: V5,
		bytes: "30 2C 0001't' 27 02 0000003C 23 0005" +
			"01 01 03 0002'ct' 08 0002'rt' 09 0002 0000 26 0001'k' 0001'1' 26 0001'k' 0001'2' 'p'",
		want: &Publish{
			Topic: []byte("t"), Payload: []byte("p"), HasMessageExpiry: true, MessageExpiry: 60, TopicAlias: 5,
			HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("ct"), ResponseTopic: []byte("rt"),
			CorrelationData: []byte{0, 0}, User: users("k", "1", "k", "2"),
			Forward: wire("01 01 03 0002'ct' 08 0002'rt' 09 0002 0000 26 0001'k' 0001'1' 26 0001'k' 0001'2'"),
		},
	},
	{
		name: "5, what is passed on is scattered, and its order kept [MQTT-3.3.2-18]", v: V5,
		bytes: "30 23 0001't' 1F 26 0001'b' 0001'1' 02 00000001 26 0001'a' 0001'2' 23 0001 01 00 26 0000 0000 0B 01",
		want: &Publish{
			Topic: []byte("t"), Payload: []byte{}, HasMessageExpiry: true, MessageExpiry: 1, TopicAlias: 1,
			SubscriptionIDs: []uint32{1}, HasPayloadFormat: true, User: users("b", "1", "a", "2", "", ""),
			Forward: wire("26 0001'b' 0001'1' 26 0001'a' 0001'2' 01 00 26 0000 0000"),
		},
		again: "30 23 0001't' 1F 02 00000001 23 0001 0B 01 01 00 26 0001'b' 0001'1' 26 0001'a' 0001'2' 26 0000 0000",
	},
	{
		name: "5, empty is not absent", v: V5, bytes: "30 0C 0001't' 08 03 0000 09 0000 01 00",
		want: &Publish{
			Topic: []byte("t"), Payload: []byte{}, HasPayloadFormat: true, ContentType: []byte{}, CorrelationData: []byte{},
			Forward: wire("03 0000 09 0000 01 00"),
		},
		again: "30 0C 0001't' 08 01 00 03 0000 09 0000",
	},
	{
		name: "5, alias for the topic", v: V5, bytes: "30 07 0000 03 23 0001 'p'",
		want: &Publish{Topic: []byte{}, TopicAlias: 1, Payload: []byte("p")},
	},
	{
		name: "5, several subscription identifiers, the largest among them", v: V5, bytes: "30 0B 0001't' 07 0B 01 0B FF FF FF 7F",
		want: &Publish{Topic: []byte("t"), SubscriptionIDs: []uint32{1, MaxLength}, Payload: []byte{}},
	},
}

var publishRefused = []refused{
	{"empty", V311, "30 00", MalformedPacket, "runs past"},
	{"topic past the end", V311, "30 03 0002'a'", MalformedPacket, "runs past"},
	{"remaining length ends before the packet id", V311, "32 04 0001'a' 00", MalformedPacket, "runs past"},
	{"packet id 0 [MQTT-2.2.1-3]", V5, "32 06 0001'a' 0000 00", ProtocolError, "identifier 0"},
	{"packet id 0, 3.1.1 [MQTT-2.3.1-1]", V311, "34 05 0001'a' 0000", ProtocolError, "identifier 0"},
	{"# in the topic [MQTT-3.3.2-2]", V5, "30 06 0003'a/#' 00", TopicNameInvalid, "wildcard"},
	{"+ in the topic, 3.1.1 [MQTT-3.3.2-2]", V311, "30 03 0001'+'", TopicNameInvalid, "wildcard"},
	{"wildcard with an alias", V5, "30 07 0001'#' 03 23 0001", TopicNameInvalid, "wildcard"},
	{"empty topic without an alias", V5, "30 03 0000 00", ProtocolError, "empty topic"},
	{"empty topic, 3.1.1 [MQTT-4.7.3-1]", V311, "30 02 0000", ProtocolError, "empty topic"},
	{"topic alias 0 [MQTT-3.3.2-8]", V5, "30 07 0001'a' 03 23 0000", TopicAliasInvalid, "alias 0"},
	{"topic alias twice", V5, "30 0A 0001'a' 06 23 0001 23 0001", ProtocolError, "topic alias stands twice"},
	{"payload format 2", V5, "30 06 0001'a' 02 01 02", ProtocolError, "payload format indicator is neither 0 nor 1"},
	{"message expiry twice", V5, "30 0E 0001'a' 0A 02 00000001 02 00000001", ProtocolError, "message expiry interval stands twice"},
	{"content type twice", V5, "30 0A 0001'a' 06 03 0000 03 0000", ProtocolError, "content type stands twice"},
	{"response topic with a wildcard [MQTT-3.3.2-14]", V5, "30 0A 0001'a' 06 08 0003'r/+'", ProtocolError, "response topic"},
	{"response topic empty [MQTT-4.7.3-1]", V5, "30 07 0001'a' 03 08 0000", ProtocolError, "response topic"},
	{"correlation data past the property length", V5, "30 08 0001'a' 03 09 0001 FF", MalformedPacket, "runs past"},
	{"subscription identifier 0", V5, "30 06 0001'a' 02 0B 00", ProtocolError, "subscription identifier is 0"},
	{"subscription identifier of five bytes", V5, "30 0A 0001'a' 06 0B FFFFFFFF01", MalformedPacket, "more than four"},
	{"property of CONNECT", V5, "30 09 0001'a' 05 11 00000001", MalformedPacket, "cannot have it"},
	{"property length past the end", V5, "30 05 0001'a' 02 01", MalformedPacket, "property length"},
	{"no property length [MQTT-2.2.2-1]", V5, "30 03 0001'a'", MalformedPacket, "runs past"},
	{"property identifier cut off", V5, "30 05 0001'a' 01 80", MalformedPacket, "runs past"},
}

// TestPublish shows PUBLISH of all versions, both ways.
func TestPublish(t *testing.T) { testGolden(t, publishGolden) }

// TestPublishRefuses shows which PUBLISH is refused, and with which code.
func TestPublishRefuses(t *testing.T) { testRefused(t, publishRefused) }

// TestPublishAliases shows that decoding copies nothing, but for Forward where it must, and that slices are capped.
func TestPublishAliases(t *testing.T) {
	together := wire("0001't' 10 02 00000001 03 0001'c' 26 0001'k' 0001'v' 'pay'")
	var p Publish
	if err := p.Decode(V5, 0, together); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"topic": p.Topic, "payload": p.Payload, "content type": p.ContentType, "key": p.User[0].Key, "forward": p.Forward,
	} {
		if !within(together, b) {
			t.Errorf("%s is a copy", name)
		}
		if name != "payload" && cap(b) != len(b) {
			t.Errorf("%s has capacity %d for %d bytes: to append to it would write into the body", name, cap(b), len(b))
		}
	}
	apart := wire("0001't' 10 03 0001'c' 02 00000001 26 0001'k' 0001'v' 'pay'")
	if err := p.Decode(V5, 0, apart); err != nil {
		t.Fatal(err)
	}
	if within(apart, p.Forward) {
		t.Error("forward cannot be a part of the body here")
	}
	if want := wire("03 0001'c' 26 0001'k' 0001'v'"); !bytes.Equal(p.Forward, want) || cap(p.Forward) != len(want) {
		t.Errorf("forward %x, capacity %d, want %x", p.Forward, cap(p.Forward), want)
	}
}

// within reports whether part lies in whole's memory.
func within(whole, part []byte) bool {
	for i := range whole {
		if &whole[i] == &part[0] {
			return true
		}
	}
	return false
}

// TestProperties shows that Forward can be read back, and what is not one of its properties is refused.
func TestProperties(t *testing.T) {
	want := Properties{
		HasPayloadFormat: true, PayloadFormat: 1, ContentType: []byte("c"), ResponseTopic: []byte("r/t"),
		CorrelationData: []byte{0}, User: users("a", "1", "a", "2"),
	}
	forward := want.Append(nil)
	if b := wire("01 01 03 0001'c' 08 0003'r/t' 09 0001 00 26 0001'a' 0001'1' 26 0001'a' 0001'2'"); !bytes.Equal(forward, b) {
		t.Errorf("encoded %x, want %x", forward, b)
	}
	var got Properties
	for range 2 {
		if err := got.Decode(forward); err != nil || diff(got, want) != "" {
			t.Errorf("decoded %s, %v", diff(got, want), err)
		}
	}
	if err := got.Decode(nil); err != nil || diff(got, Properties{}) != "" {
		t.Errorf("nothing became %s, %v", diff(got, Properties{}), err)
	}
	wantCode(t, got.Decode(wire("02 00000001")), MalformedPacket) // message expiry
	wantCode(t, got.Decode(wire("23 0001")), MalformedPacket)     // topic alias
	wantCode(t, got.Decode(wire("0B 01")), MalformedPacket)       // subscription identifier
	wantCode(t, got.Decode(wire("03 0001")), MalformedPacket)     // cut off
	wantCode(t, got.Decode(wire("01 01 01 01")), ProtocolError)   // twice
}

// TestOutgoing shows the header of a PUBLISH to be sent: a client decodes what was meant, and Size is right.
func TestOutgoing(t *testing.T) {
	payload := bytes.Repeat([]byte("p"), 200)
	forward := wire("26 0001'k' 0001'v' 01 01")
	for _, row := range []struct {
		name string
		o    Outgoing
		want Publish
	}{
		{"3.1, QoS 0", Outgoing{Version: V31, Topic: "a/b"}, Publish{Topic: []byte("a/b")}},
		{
			"3.1.1 has no properties",
			Outgoing{
				Version: V311, QoS: 1, PacketID: 7, Dup: true, Topic: "a", Forward: forward, TopicAlias: 3,
				HasMessageExpiry: true, MessageExpiry: 1, SubscriptionIDs: []uint32{1},
			},
			Publish{QoS: 1, PacketID: 7, Dup: true, Topic: []byte("a")},
		},
		{"5, none", Outgoing{Version: V5, QoS: 2, PacketID: 1, Retain: true, Topic: "a"}, Publish{QoS: 2, PacketID: 1, Retain: true, Topic: []byte("a")}},
		{
			"5, all",
			Outgoing{
				Version: V5, Topic: "a", Forward: forward, TopicAlias: 3, HasMessageExpiry: true, MessageExpiry: 9,
				SubscriptionIDs: []uint32{1, 128, 16384, 2097152, MaxLength},
			},
			Publish{
				Topic: []byte("a"), TopicAlias: 3, HasMessageExpiry: true, MessageExpiry: 9,
				SubscriptionIDs: []uint32{1, 128, 16384, 2097152, MaxLength}, HasPayloadFormat: true, PayloadFormat: 1,
				User: users("k", "v"), Forward: forward,
			},
		},
		{"5, alias only", Outgoing{Version: V5, TopicAlias: 65535}, Publish{Topic: []byte{}, TopicAlias: 65535}},
		{
			"5, topic of 65,535 bytes",
			Outgoing{Version: V5, Topic: strings.Repeat("t", 65535)},
			Publish{Topic: []byte(strings.Repeat("t", 65535))},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.o.PayloadLen, row.want.Payload = len(payload), payload
			b := append(row.o.AppendHeader([]byte("x")), payload...)[1:]
			if len(b) != row.o.Size() {
				t.Errorf("%d bytes, Size says %d", len(b), row.o.Size())
			}
			var got Publish
			if err := decodeInto(&got, row.o.Version, b); err != nil {
				t.Fatal(err)
			}
			if d := diff(got, row.want); d != "" {
				t.Errorf("decoded %s", d)
			}
		})
	}
}

// TestOutgoingTooLarge shows that what MQTT cannot express is not sent, up to the byte.
func TestOutgoingTooLarge(t *testing.T) {
	fits := Outgoing{Version: V5, Topic: "t", PayloadLen: MaxLength - 4}
	if n := fits.Size(); n != MaxLength+MaxHeader {
		t.Errorf("the largest packet has %d bytes, want %d", n, MaxLength+MaxHeader)
	}
	if b := fits.AppendHeader(nil); !bytes.Equal(b, wire("30 FFFFFF7F 0001't' 00")) {
		t.Errorf("its header is %x", b)
	}
	for name, o := range map[string]Outgoing{
		"payload": {Version: V5, Topic: "t", PayloadLen: MaxLength - 3},
		"topic":   {Version: V311, Topic: strings.Repeat("t", 65536)},
	} {
		if o.Size() != math.MaxInt {
			t.Errorf("%s too long: Size is %d", name, o.Size())
		}
		if b := o.AppendHeader([]byte("x")); string(b) != "x" {
			t.Errorf("%s too long: %d bytes appended", name, len(b)-1)
		}
	}
}
