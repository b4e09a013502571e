package wire

import (
	"bytes"
	"testing"
)

func TestSetUpPackets(t *testing.T) {
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	f(AppendConnect(nil, "ab", true), "\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ab")
	f(AppendConnect(nil, "ab", false), "\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02ab")
	f(AppendSubscribe(nil, 0x102, 1, "a/b", "#"), "\x82\x0c\x01\x02\x00\x03a/b\x01\x00\x01#\x01")
	f(AppendAck(nil, PUBACK, 0x102), "\x40\x02\x01\x02")
	f(AppendAck(nil, PUBREL, 0x102), "\x62\x02\x01\x02")
	f(AppendDisconnect(nil), "\xe0\x00")
	f(appendHeader(nil, 0x30, 321), "\x30\xc1\x02")
}

func TestTemplate(t *testing.T) {
	for _, size := range []int{MinPayload, 128, 70_000} {
		for qos := range byte(3) {
			tmpl := NewTemplate("a/b", qos, qos == 1, size, 7, 99)
			b := tmpl.Append([]byte("before"), 0x1234, 1<<40, -5)[6:]
			var p Packet
			n, err := p.Parse(b)
			if err != nil || n != len(b) || n != tmpl.Size() {
				t.Fatalf("%d of %d bytes, %v", n, len(b), err)
			}
			wantID := uint16(0x1234)
			if qos == 0 {
				wantID = 0
			}
			if p.Kind != PUBLISH || p.QoS != qos || p.Retain != (qos == 1) || p.Dup || p.ID != wantID || len(p.Payload) != size {
				t.Errorf("%+v", p)
			}
			got, ok := ReadPayload(p.Payload)
			if want := (Payload{Stream: 7, Mark: 99, Seq: 1 << 40, Time: -5}); !ok || got != want {
				t.Errorf("%+v %v", got, ok)
			}
		}
	}
}

// Damage in any of the fields is found.
func TestDamagedPayload(t *testing.T) {
	tmpl := NewTemplate("a", 0, false, 64, 3, 4)
	b := tmpl.Append(nil, 0, 5, 6)
	payload := b[len(b)-64:]
	for bit := range MinPayload * 8 {
		bad := bytes.Clone(payload)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, ok := ReadPayload(bad); ok {
			t.Errorf("bit %d turned is not found", bit)
		}
	}
	if _, ok := ReadPayload(payload[:MinPayload-1]); ok {
		t.Error("short payload accepted")
	}
}

func TestParse(t *testing.T) {
	f := func(b string, want Packet) {
		t.Helper()
		var got Packet
		n, err := got.Parse([]byte(b + "more"))
		if err != nil || n != len(b) {
			t.Errorf("%q: %d, %v", b, n, err)
		}
		if !bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("%q: payload %q", b, got.Payload)
		}
		got.Payload, want.Payload = nil, nil
		if got.Kind != want.Kind || got.ID != want.ID || got.Code != want.Code || got.Dup != want.Dup || got.QoS != want.QoS || got.Session != want.Session {
			t.Errorf("%q: %+v, want %+v", b, got, want)
		}
		for i := range b {
			if n, err := got.Parse([]byte(b[:i])); n != 0 || err != nil {
				t.Errorf("%q: %d, %v; want more", b[:i], n, err)
			}
		}
	}
	f("\x20\x02\x01\x05", Packet{Kind: CONNACK, Session: true, Code: 5})
	f("\x40\x02\x01\x02", Packet{Kind: PUBACK, ID: 0x102})
	f("\x50\x02\x01\x02", Packet{Kind: PUBREC, ID: 0x102})
	f("\x62\x02\x01\x02", Packet{Kind: PUBREL, ID: 0x102})
	f("\x70\x02\x01\x02", Packet{Kind: PUBCOMP, ID: 0x102})
	f("\x90\x05\x01\x02\x00\x80\x01", Packet{Kind: SUBACK, ID: 0x102, Code: 0x80})
	f("\xd0\x00", Packet{Kind: PINGRESP})
	f("\x3a\x07\x00\x01a\x00\x09hi", Packet{Kind: PUBLISH, Dup: true, QoS: 1, ID: 9, Payload: []byte("hi")})
}

func TestParseRefuses(t *testing.T) {
	for _, b := range []string{
		"\x30\xff\xff\xff\xff\x01", "\x30\x01\x00", "\x30\x02\x00\x01", "\x32\x04\x00\x01a\x00", "\x40\x01\x00", "\x20\x01\x00", "\x90\x01\x00", "\x10\x00",
	} {
		var p Packet
		if _, err := p.Parse([]byte(b)); err == nil {
			t.Errorf("%q accepted: %+v", b, p)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	tmpl := NewTemplate("a/b", 1, false, 128, 1, 2)
	buf := make([]byte, 0, 4096)
	var p Packet
	n := testing.AllocsPerRun(1000, func() {
		b := tmpl.Append(buf, 1, 2, 3)
		b = AppendAck(b, PUBACK, 1)
		for len(b) > 0 {
			n, err := p.Parse(b)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			if _, ok := ReadPayload(p.Payload); p.Kind == PUBLISH && !ok {
				t.Fatal("payload")
			}
			b = b[n:]
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
