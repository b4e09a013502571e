package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"testing"
)

// decodeCost is the number of bytes that decoding body allocates, at the least of a few tries: other goroutines
// allocate too.
func decodeCost(t Type, v Version, flags byte, body []byte) (cost uint64, err error) {
	cost = 1 << 62
	for range 3 {
		p := packetOf(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err = p.Decode(v, flags, body)
		runtime.ReadMemStats(&after)
		if cost = min(cost, after.TotalAlloc-before.TotalAlloc); cost <= limit(body) {
			break
		}
	}
	return cost, err
}

// limit is what decoding body may allocate.
func limit(body []byte) uint64 { return uint64(2*len(body) + 64<<10) }

// withProperties puts a property block of n copies of prop between before and after.
func withProperties(before, prop string, n int, after string) []byte {
	b := wire(before)
	at := len(b)
	b = append(b, bytes.Repeat(wire(prop), n)...)
	return append(insertLength(b, at), wire(after)...)
}

// TestDecodeAllocatesInProportion shows that no packet makes its receiver allocate more than twice its size and 64 KiB,
// however it is made of the entries that are larger in memory than on the wire, and that packets of many entries
// that are not absurdly short are accepted.
func TestDecodeAllocatesInProportion(t *testing.T) {
	for _, row := range []struct {
		name string
		t    Type
		v    Version
		body func(n int) []byte
		size int // of one entry on the wire
	}{
		{"empty user properties", PUBLISH, V5, func(n int) []byte { return withProperties("0001't'", "26 0000 0000", n, "") }, 5},
		{"user properties of 24 bytes", PUBLISH, V5, func(n int) []byte {
			return withProperties("0001't'", "26 0008'12345678' 000B'12345678901'", n, "")
		}, 24},
		{"empty user properties, scattered", PUBLISH, V5, func(n int) []byte {
			b := wire("0001't'")
			b = append(b, wire("26 0000 0000 02 00000001")...)
			b = append(b, bytes.Repeat(wire("26 0000 0000"), n)...)
			return insertLength(b, 3)
		}, 5},
		{"user properties of CONNECT", CONNECT, V5, func(n int) []byte {
			return withProperties("0004'MQTT' 05 02 0000", "26 0000 0000", n, "0000")
		}, 5},
		{"user properties of a will", CONNECT, V5, func(n int) []byte {
			return withProperties("0004'MQTT' 05 06 0000 00 0000", "26 0000 0000", n, "0001't' 0000")
		}, 5},
		{"user properties of PUBACK", PUBACK, V5, func(n int) []byte { return withProperties("0001 00", "26 0000 0000", n, "") }, 5},
		{"user properties of DISCONNECT", DISCONNECT, V5, func(n int) []byte { return withProperties("00", "26 0000 0000", n, "") }, 5},
		{"subscription identifiers", PUBLISH, V5, func(n int) []byte { return withProperties("0001't'", "0B 01", n, "") }, 2},
		{"shortest filters, 3.1.1", SUBSCRIBE, V311, func(n int) []byte { return append(wire("0001"), bytes.Repeat(wire("0001'a' 00"), n)...) }, 4},
		{"filters of 16 bytes, 5", SUBSCRIBE, V5, func(n int) []byte {
			return append(wire("0001 00"), bytes.Repeat(wire("000D'0123456789abc' 00"), n)...)
		}, 16},
		{"shortest filters of UNSUBSCRIBE", UNSUBSCRIBE, V311, func(n int) []byte { return append(wire("0001"), bytes.Repeat(wire("0001'a'"), n)...) }, 3},
		{"SUBACK", SUBACK, V5, func(n int) []byte { return append(wire("0001 00"), make([]byte, n)...) }, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, n := range []int{1, 100, 1000, 2000, 5000, 40000} {
				body := row.body(n)
				cost, err := decodeCost(row.t, row.v, wantFlags(row.t), body)
				if cost > limit(body) {
					t.Errorf("%d entries in %d bytes cost %d, more than %d", n, len(body), cost, limit(body))
				}
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Code != QuotaExceeded) {
					t.Errorf("%d entries: %v", n, err)
				}
				if err != nil && (n <= 1000 || row.size >= 16) {
					t.Errorf("%d entries of %d bytes are refused", n, row.size)
				}
			}
		})
	}
}

// TestClaimedLengths shows that lengths which are only claimed cost nothing.
func TestClaimedLengths(t *testing.T) {
	for _, row := range []struct {
		t    Type
		v    Version
		body string
	}{
		{CONNECT, V311, "FFFF'MQTT'"},
		{CONNECT, V5, "0004'MQTT' 05 C6 0000 FFFFFF7F"},
		{CONNECT, V5, "0004'MQTT' 05 C6 0000 00 FFFF'x'"},
		{PUBLISH, V5, "FFFF't'"},
		{PUBLISH, V5, "0001't' FFFFFF7F 26 FFFF'x'"},
		{SUBSCRIBE, V5, "0001 00 FFFF'x'"},
		{UNSUBSCRIBE, V311, "0001 FFFF'x'"},
		{DISCONNECT, V5, "00 FFFFFF7F"},
	} {
		cost, err := decodeCost(row.t, row.v, wantFlags(row.t), wire(row.body))
		wantCode(t, err, MalformedPacket)
		if cost > 8<<10 {
			t.Errorf("%v %s cost %d bytes", row.t, row.body, cost)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = ParseHeader([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}) }); n != 0 {
		t.Errorf("a header that claims 256 MiB costs %v allocations", n)
	}
}

// TestReceiverForgets shows that a receiver keeps neither the capacity that a huge packet needed nor, once it has
// decoded another one, any part of its body.
func TestReceiverForgets(t *testing.T) {
	small := wire("0001't' 00")
	var p Publish
	if err := p.Decode(V5, 0, withProperties("0001't'", "26 0008'12345678' 0009'123456789'", 1000, "")); err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(V5, 0, small); err != nil {
		t.Fatal(err)
	}
	if cap(p.User) > keep {
		t.Errorf("room for %d user properties is kept", cap(p.User))
	}
	if err := p.Decode(V5, 0, withProperties("0001't'", "26 0001'k' 0001'v'", 10, "")); err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(V5, 0, small); err != nil {
		t.Fatal(err)
	}
	if cap(p.User) < 10 {
		t.Error("room for ten user properties is not kept")
	}
	for _, u := range p.User[:cap(p.User)] {
		if u.Key != nil || u.Value != nil {
			t.Fatal("a user property of an earlier packet is still referred to")
		}
	}
}

// TestSizes holds the sizes of entries, by which packets are charged, to what they are.
func TestSizes(t *testing.T) {
	for _, row := range []struct {
		v    any
		size int
	}{
		{UserProperty{}, userSize}, {SubscribeFilter{}, filterSize}, {[]byte{}, sliceSize}, {uint32(0), uint32Size},
	} {
		if got := int(reflect.TypeOf(row.v).Size()); got > row.size {
			t.Errorf("%T has %d bytes, %d are charged", row.v, got, row.size)
		}
	}
}

// busy are packets of the hot path.
func busy() []golden {
	return []golden{
		{name: "PUBLISH 3.1.1 QoS 1", v: V311, want: &Publish{QoS: 1, PacketID: 9, Topic: []byte("devices/4711/temperature"), Payload: make([]byte, 64)}},
		{name: "PUBLISH 5 QoS 1", v: V5, want: &Publish{QoS: 1, PacketID: 9, Topic: []byte("devices/4711/temperature"), Payload: make([]byte, 64)}},
		{name: "PUBLISH 5 with properties", v: V5, want: &Publish{
			QoS: 1, PacketID: 9, Topic: []byte("devices/4711/temperature"), Payload: make([]byte, 64), HasMessageExpiry: true,
			ContentType: []byte("application/json"), ResponseTopic: []byte("answers/4711"), CorrelationData: []byte("12345678"),
			User: users("trace", "0af7651916cd43dd8448eb211c80319c", "tenant", "north"),
		}},
		{name: "PUBACK 3.1.1", v: V311, want: &Ack{Type: PUBACK, PacketID: 9}},
		{name: "PUBACK 5", v: V5, want: &Ack{Type: PUBACK, PacketID: 9}},
		{name: "PUBREL 5", v: V5, want: &Ack{Type: PUBREL, PacketID: 9}},
		{name: "SUBSCRIBE 5", v: V5, want: &Subscribe{PacketID: 9, SubscriptionID: 3, Filters: []SubscribeFilter{{Filter: []byte("devices/+/state")}}}},
		{name: "SUBACK 5", v: V5, want: &Suback{Type: SUBACK, PacketID: 9, Codes: []ReasonCode{GrantedQoS1}}},
		{name: "CONNACK 5", v: V5, want: &Connack{ReceiveMaximum: new(uint16(100)), TopicAliasMaximum: new(uint16(10)), RetainAvailable: new(false)}},
	}
}

// scattered is a PUBLISH whose Forward must be copied.
func scattered() []byte {
	return wire("0001't' 17 03 0004'json' 02 0000003C 26 0003'key' 0003'val' 'payload'")
}

// TestHotPathDoesNotAllocate shows that packets of the hot path are decoded, into a receiver that was used before, and
// encoded, into a buffer with room, without an allocation.
func TestHotPathDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 4096)
	for _, row := range busy() {
		b := row.want.Append(nil, row.v)
		h, n, _ := ParseHeader(b)
		p := packetOf(h.Type)
		if h.Type != CONNACK { // decoded by clients only
			if n := testing.AllocsPerRun(100, func() { _ = p.Decode(row.v, h.Flags, b[n:]) }); n != 0 {
				t.Errorf("%s: decoding allocates %v times", row.name, n)
			}
		}
		if n := testing.AllocsPerRun(100, func() { dst = row.want.Append(dst[:0], row.v) }); n != 0 {
			t.Errorf("%s: encoding allocates %v times", row.name, n)
		}
	}
	var p Publish
	body := scattered()
	if n := testing.AllocsPerRun(100, func() { _ = p.Decode(V5, 0, body) }); n != 0 || len(p.Forward) != 18 {
		t.Errorf("scattered properties: %v allocations, forward %x", n, p.Forward)
	}
	o := outgoing()
	if n := testing.AllocsPerRun(100, func() { dst = o.AppendHeader(dst[:0]) }); n != 0 {
		t.Errorf("AppendHeader allocates %v times", n)
	}
}

func outgoing() Outgoing {
	return Outgoing{
		Version: V5, QoS: 1, PacketID: 9, Topic: "devices/4711/temperature", PayloadLen: 64, HasMessageExpiry: true,
		SubscriptionIDs: []uint32{7}, Forward: wire("03 0004'json' 26 0003'key' 0003'val'"),
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, row := range busy() {
		b.Run(row.name, func(b *testing.B) {
			bytes := row.want.Append(nil, row.v)
			h, n, _ := ParseHeader(bytes)
			p := packetOf(h.Type)
			b.SetBytes(int64(len(bytes)))
			b.ReportAllocs()
			for b.Loop() {
				h, _, _ = ParseHeader(bytes)
				_ = p.Decode(row.v, h.Flags, bytes[n:])
			}
		})
	}
	b.Run("PUBLISH 5 with scattered properties", func(b *testing.B) {
		var p Publish
		body := scattered()
		b.ReportAllocs()
		for b.Loop() {
			_ = p.Decode(V5, 0, body)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 4096)
	for _, row := range busy() {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = row.want.Append(dst[:0], row.v)
			}
		})
	}
	for _, v := range []Version{V311, V5} {
		b.Run(fmt.Sprintf("header of an outgoing PUBLISH %v", v), func(b *testing.B) {
			o := outgoing()
			o.Version = v
			b.ReportAllocs()
			for b.Loop() {
				dst = o.AppendHeader(dst[:0])
			}
		})
	}
}
