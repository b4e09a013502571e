package message

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// What Java's decoder of 5.4.0 makes of these bytes was compared field by field.
const goldenV1 = `
	00000069                 # size: 105
	daa320a7                 # magic: V1
	3610a686                 # CRC of "hello"
	00000003                 # queue 3
	00000007                 # flag 7
	0000000000000102         # queue offset 258
	0000000000010203         # physical offset 66051
	00000000                 # no flags
	000001a0c4506c00         # born at 1790000000000
	0a000007 00009c40        # born on 10.0.0.7:40000
	000001a0c4506c01         # stored 1 ms later
	0a000001 00002a9f        # stored on 10.0.0.1:10911
	00000002                 # consumed again twice
	0000000000000009         # of a half message at 9
	00000005 68656c6c6f      # body "hello"
	02 7431                  # topic "t1"
	0007 610162026301 64     # properties a=b and c=d, the last without its end
`

func messageV1() Message {
	return Message{
		Size: 105, Version: V1, BodyCRC: 907060870, QueueID: 3, Flag: 7, QueueOffset: 258, PhysicalOffset: 66051,
		BornTimestamp: 1_790_000_000_000, BornHost: netip.MustParseAddrPort("10.0.0.7:40000"),
		StoreTimestamp: 1_790_000_000_001, StoreHost: netip.MustParseAddrPort("10.0.0.1:10911"),
		ReconsumeTimes: 2, PreparedTransactionOffset: 9,
		Body: []byte("hello"), Topic: []byte("t1"), Properties: []byte("a\x01b\x02c\x01d"),
	}
}

const goldenV2 = `
	000000f4                 # size: 244
	daa320ab                 # magic: V2
	00000000                 # CRC of nothing
	ffffffff                 # queue -1
	00000000
	7fffffffffffffff         # the last queue offset there can be
	0000000000000000
	00000030                 # born and stored on IPv6
	0000000000000000
	20010db8000000000000000000000001 0000ffff # [2001:db8::1]:65535
	0000000000000000
	00000000000000000000ffff0a000001 00002a9f # an IPv4 address in IPv6
	00000000
	0000000000000000
	00000000                 # no body
	0080 %                   # topic: 128 times "t"
	0000                     # no properties
`

func messageV2() Message {
	return Message{
		Size: 244, Version: V2, QueueID: -1, QueueOffset: 1<<63 - 1, SysFlag: BornHostV6 | StoreHostV6,
		BornHost:  netip.MustParseAddrPort("[2001:db8::1]:65535"),
		StoreHost: netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 10911),
		Body:      []byte{}, Topic: bytes.Repeat([]byte("t"), 128), Properties: []byte{},
	}
}

func v2Bytes(t testing.TB) []byte {
	return fromHex(t, strings.Replace(goldenV2, "%", strings.Repeat("74", 128), 1))
}

func TestDecodeGolden(t *testing.T) {
	b := append(fromHex(t, goldenV1), v2Bytes(t)...)
	for _, want := range []Message{messageV1(), messageV2()} {
		m, rest, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("got  %+v\nwant %+v", m, want)
		}
		if err := m.CheckCRC(); err != nil {
			t.Error(err)
		}
		b = rest
	}
	if len(b) != 0 {
		t.Errorf("%d bytes left", len(b))
	}
}

func TestDecodeAliasesAndCaps(t *testing.T) {
	b := fromHex(t, goldenV1)
	m, _, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("hello"))] = 'j'
	if string(m.Body) != "jello" {
		t.Errorf("body %q was copied", m.Body)
	}
	for _, s := range [][]byte{m.Body, m.Topic, m.Properties} {
		if cap(s) != len(s) {
			t.Errorf("%q can be appended to, over what follows it", s)
		}
	}
}

// A message with one thing wrong. The errors are told apart, since a caller steps over one, and not over another.
func TestDecodeRefuses(t *testing.T) {
	good := fromHex(t, goldenV1)
	edit := func(at int, value ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], value)
		return b
	}
	const body, topic, props = 84, 93, 96 // where their lengths are
	cases := []struct {
		name string
		in   []byte
		want error
		over bool // can be stepped over
	}{
		{"nothing", nil, ErrTruncated, false},
		{"7 bytes", good[:7], ErrTruncated, false},
		{"size and magic only", good[:8], ErrTruncated, false},
		{"last byte missing", good[:len(good)-1], ErrTruncated, false},
		{"size beyond the input", edit(0, 0x7f, 0xff, 0xff, 0xff), ErrTruncated, false},
		{"size 0", edit(0, 0, 0, 0, 0), ErrCorrupt, false},
		{"size negative", edit(0, 0xff, 0xff, 0xff, 0xff), ErrCorrupt, false},
		{"size below the smallest", edit(0, 0, 0, 0, minSize-1), ErrCorrupt, false},
		{"blank", edit(4, 0xcb, 0xd4, 0x31, 0x94), ErrBlank, false},
		{"blank, larger than the input", edit(0, 0, 0xff, 0, 0, 0xcb, 0xd4, 0x31, 0x94), ErrBlank, false},
		{"magic of a version to come", edit(4, 0xda, 0xa3, 0x20, 0xaf), ErrMagic, false},
		{"magic of a batch's entry", edit(4, 0, 0, 0, 0), ErrMagic, false},
		{"size one below the sum", edit(0, 0, 0, 0, 104), ErrCorrupt, true},
		{"body one too short", edit(body, 0, 0, 0, 4), ErrCorrupt, true},
		{"body beyond the message", edit(body, 0, 0, 0, 0xff), ErrCorrupt, true},
		{"body largest", edit(body, 0x7f, 0xff, 0xff, 0xff), ErrCorrupt, true},
		{"body negative", edit(body, 0xff, 0xff, 0xff, 0xff), ErrCorrupt, true},
		{"topic beyond the message", edit(topic, 0x7f), ErrCorrupt, true},
		{"topic negative", edit(topic, 0x80), ErrCorrupt, true},
		{"properties beyond the message", edit(props, 0, 8), ErrCorrupt, true},
		{"properties one too short", edit(props, 0, 6), ErrCorrupt, true},
		{"properties negative", edit(props, 0xff, 0xff), ErrCorrupt, true},
		{"port above 65535", edit(52, 0, 1, 0, 0), ErrCorrupt, true},
		{"IPv6 flag on IPv4", edit(39, byte(BornHostV6)), ErrCorrupt, true},
		{"V2 magic on V1", edit(4, 0xda, 0xa3, 0x20, 0xab), ErrCorrupt, true},
	}
	for _, c := range cases {
		in := c.in
		if c.over {
			in = append(bytes.Clone(in), good...)
		}
		m, rest, err := Decode(in)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if !c.over {
			if rest != nil || m.Size != 0 {
				t.Errorf("%s: a message of %d bytes and a rest of %d, want none", c.name, m.Size, len(rest))
			}
			continue
		}
		if size := int(binary.BigEndian.Uint32(in)); len(rest) != len(in)-size {
			t.Errorf("%s: %d bytes left, want what follows the %d of the message", c.name, len(rest), size)
		}
		if m.QueueOffset != 258 || m.PhysicalOffset != 66051 {
			t.Errorf("%s: offsets %d and %d are not known", c.name, m.QueueOffset, m.PhysicalOffset)
		}
	}
}

func TestDecodeRoundTrip(t *testing.T) {
	var b []byte
	for i := range int64(32) {
		b = appendStored(b, stored(i, bytes.Repeat([]byte{byte(i)}, int(i)*10)))
	}
	var again []byte
	for rest := b; len(rest) > 0; {
		m, more, err := Decode(rest)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.CheckCRC(); err != nil {
			t.Error(err)
		}
		again, rest = appendStored(again, &m), more
	}
	if !bytes.Equal(again, b) {
		t.Error("what was decoded does not encode to the same bytes")
	}
}

func TestCheckCRC(t *testing.T) {
	m := messageV1()
	m.Body = []byte("jello")
	if err := m.CheckCRC(); !errors.Is(err, ErrCRC) {
		t.Errorf("another body: %v, want ErrCRC", err)
	}
	m = messageV1()
	m.Body = nil
	m.BodyCRC = 0 // UtilAll.crc32 of nothing
	if err := m.CheckCRC(); err != nil {
		t.Errorf("no body: %v", err)
	}
}

func TestSysFlag(t *testing.T) {
	for f, want := range map[SysFlag]Compression{
		0: Zlib, 1: Zlib, 0x101: LZ4, 0x201: Zstd, 0x301: Zlib, 0x401: 4, 0x7ff: 7, -1: 7,
	} {
		if got := f.Compression(); got != want {
			t.Errorf("compression of %#x: %d, want %d", int32(f), got, want)
		}
	}
	for f, want := range map[SysFlag]bool{
		0: false, NeedUnwrap: false, InnerBatch: false, InnerBatch | NeedUnwrap | Compressed: true,
	} {
		if got := f.Wrapped(); got != want {
			t.Errorf("wrapped of %#x: %t, want %t", int32(f), got, want)
		}
	}
}
