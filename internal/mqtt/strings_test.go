package mqtt

import (
	"strings"
	"testing"
)

// TestStrings shows which bytes may be a UTF-8 encoded string. PUBLISH carries it as its topic, and every other
// field goes the same way; TestStringsEverywhere shows that.
func TestStrings(t *testing.T) {
	for _, row := range []struct {
		name, bytes string
		ok          bool
	}{
		{"ASCII", "'abc'", true},
		{"two, three and four bytes", "'é€𐍈'", true},
		{"the example of the specification, 1.5.4", "41 F0 AA 9B 94", true},
		{"byte order mark [MQTT-1.5.4-3]", "EF BB BF 41", true},
		{"control characters, which are only advised against", "01 1F 7F C2 80", true},
		{"non-characters, which are only advised against", "EF BF BF EF B7 90", true},
		{"replacement character", "EF BF BD", true},
		{"last code point", "F4 8F BF BF", true},
		{"U+0000 [MQTT-1.5.4-2]", "41 00 42", false},
		{"U+0000 in two bytes, as Java writes it", "C0 80", false},
		{"first surrogate [MQTT-1.5.4-1]", "ED A0 80", false},
		{"last surrogate", "ED BF BF", false},
		{"pair of surrogates", "ED A0 81 ED B0 80", false},
		{"overlong slash", "C0 AF", false},
		{"overlong in three bytes", "E0 80 AF", false},
		{"beyond the last code point", "F4 90 80 80", false},
		{"continuation byte alone", "80", false},
		{"cut off", "E2 82", false},
		{"Latin-1", "'caf' E9", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := wire(row.bytes)
			b := append(wire("30 00 00 00"), s...)
			b[1], b[3] = byte(2+len(s)), byte(len(s))
			err := decodeInto(new(Publish), V311, b)
			if row.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !row.ok {
				wantCode(t, err, MalformedPacket)
			}
		})
	}
}

// TestStringsEverywhere shows that each field that is a UTF-8 encoded string is checked: FF can stand in none.
func TestStringsEverywhere(t *testing.T) {
	for _, row := range []refused{
		{"client id [MQTT-3.1.3-4]", V5, "10 0E 0004'MQTT' 05 02 0000 00 0001 FF", MalformedPacket, "UTF-8"},
		{"client id, 3.1.1", V311, "10 0D 0004'MQTT' 04 02 0000 0001 FF", MalformedPacket, "UTF-8"},
		{"user name [MQTT-3.1.3-12]", V311, "10 10 0004'MQTT' 04 82 0000 0001'c' 0001 FF", MalformedPacket, "UTF-8"},
		{"will topic [MQTT-3.1.3-11]", V311, "10 12 0004'MQTT' 04 06 0000 0001'c' 0001 FF 0000", MalformedPacket, "UTF-8"},
		{"will user property", V5, "10 1A 0004'MQTT' 05 06 0000 00 0001'c' 06 26 0001 FF 0000 0001't' 0000", MalformedPacket, "UTF-8"},
		{"will content type", V5, "10 18 0004'MQTT' 05 06 0000 00 0001'c' 04 03 0001 FF 0001't' 0000", MalformedPacket, "UTF-8"},
		{"authentication method", V5, "10 11 0004'MQTT' 05 02 0000 04 15 0001 FF 0000", MalformedPacket, "UTF-8"},
		{"user property's value [MQTT-1.5.7-1]", V5, "10 13 0004'MQTT' 05 02 0000 06 26 0000 0001 FF 0000", MalformedPacket, "UTF-8"},
		{"topic name [MQTT-3.3.2-1]", V5, "30 04 0001 FF 00", MalformedPacket, "UTF-8"},
		{"content type [MQTT-3.3.2-19]", V5, "30 08 0001't' 04 03 0001 FF", MalformedPacket, "UTF-8"},
		{"response topic [MQTT-3.3.2-13]", V5, "30 08 0001't' 04 08 0001 FF", MalformedPacket, "UTF-8"},
		{"topic filter [MQTT-3.8.3-1]", V311, "82 06 0001 0001 FF 00", MalformedPacket, "UTF-8"},
		{"topic filter [MQTT-3.10.3-1]", V5, "A2 06 0001 00 0001 FF", MalformedPacket, "UTF-8"},
		{"reason string of PUBACK", V5, "40 08 0001 00 04 1F 0001 FF", MalformedPacket, "UTF-8"},
		{"reason string of SUBACK", V5, "90 08 0001 04 1F 0001 FF 00", MalformedPacket, "UTF-8"},
		{"reason string of DISCONNECT", V5, "E0 06 00 04 1F 0001 FF", MalformedPacket, "UTF-8"},
		{"server reference", V5, "E0 06 00 04 1C 0001 FF", MalformedPacket, "UTF-8"},
		{"reason string of AUTH", V5, "F0 0A 00 08 15 0001'm' 1F 0001 FF", MalformedPacket, "UTF-8"},
		{"assigned client id", V5, "20 07 00 00 04 12 0001 FF", MalformedPacket, "UTF-8"},
		{"response information", V5, "20 07 00 00 04 1A 0001 FF", MalformedPacket, "UTF-8"},
	} {
		testRefused(t, []refused{row})
	}
}

// TestLongStringsAreCut shows that a value too long for its length field does not break the packet: it is cut, a
// string at the start of a character.
func TestLongStringsAreCut(t *testing.T) {
	long := strings.Repeat("é", 40000) // 80,000 bytes; 65,535 is in the midst of a character
	d := Disconnect{Code: ServerBusy, Reason: long}
	var got Disconnect
	if err := decodeInto(&got, V5, d.Append(nil, V5)); err != nil {
		t.Fatal(err)
	}
	if got.Reason != long[:65534] {
		t.Errorf("reason of %d bytes, want the first 65,534", len(got.Reason))
	}
	a := Auth{Code: ContinueAuthentication, Method: []byte("m"), Data: []byte(long)}
	var auth Auth
	if err := decodeInto(&auth, V5, a.Append(nil, V5)); err != nil {
		t.Fatal(err)
	}
	if string(auth.Data) != long[:65535] {
		t.Errorf("binary data of %d bytes, want the first 65,535", len(auth.Data))
	}
}
