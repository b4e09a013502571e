package remoting

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

func TestFrameGolden(t *testing.T) {
	c := command{code: 310, body: []byte("hi")}
	c.str("b", "T")
	c.num("e", -7)
	got := hex.EncodeToString(appendFrame(nil, &c, 5))
	want := strings.Join([]string{
		"0000002c", // length: 44
		"01000026", // binary, header length 38
		"0136",     // code 310
		"09",       // Go
		"01ed",     // version 493
		"00000005", // opaque
		"00000000", // flag
		"00000000", // no remark
		"00000011", // 17 bytes of fields
		"0001" + "62" + "00000001" + "54",
		"0001" + "65" + "00000002" + "2d37",
		"6869",
	}, "")
	if got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for _, test := range []struct {
		name string
		code int32
		json bool
		body string
	}{
		{"binary", 11, false, "body"},
		{"largest binary code", 32767, false, ""},
		{"JSON", 32768, true, "body"},
		{"POP_MESSAGE", 200050, true, ""},
		{"negative", -1006, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command{code: test.code, body: []byte(test.body)}
			c.str("text", "a\"b\\c,{}:\u2028é\x01")
			c.str("empty", "") // is left out
			c.num("number", -1<<63)
			c.flagged("yes", true)
			c.flagged("no", false)
			frame := appendFrame(nil, &c, 77)
			if !test.json && len(frame) > c.size() {
				t.Errorf("size %d is no bound of %d", c.size(), len(frame))
			}
			if isJSON := frame[4] == 0; isJSON != test.json {
				t.Errorf("header is JSON: %v", isJSON)
			}
			h, body, err := newFrameReader(bytes.NewReader(frame), 1<<20, 16).next()
			if err != nil {
				t.Fatal(err)
			}
			if h.code != test.code || h.opaque != 77 || string(body) != test.body {
				t.Errorf("header %+v, body %q", h, body)
			}
			n, err := h.ext.int("number")
			if err != nil || n != -1<<63 {
				t.Errorf("number %d, %v", n, err)
			}
			for name, want := range map[string]string{"text": "a\"b\\c,{}:\u2028é\x01", "yes": "true", "no": "false"} {
				if got := h.ext.get(name); string(got) != want || got == nil {
					t.Errorf("field %s is %q, want %q", name, got, want)
				}
			}
			if h.ext.get("absent") != nil || h.ext.get("empty") != nil {
				t.Error("a field that is not there")
			}
		})
	}
}

func TestReplyOfEitherType(t *testing.T) {
	for _, isJSON := range []bool{false, true} {
		frame := remotingtest.Encode(&remotingtest.Request{
			JSON: isJSON, Code: 21, Opaque: 9, Flag: 1, Remark: "moved", Fields: map[string]string{"minOffset": "3", "x": ""}, Body: []byte("b"),
		})
		h, body, err := newFrameReader(bytes.NewReader(frame), 1<<20, 64).next()
		if err != nil {
			t.Fatal(err)
		}
		if h.code != 21 || h.opaque != 9 || h.flag != 1 || h.remark != "moved" || string(body) != "b" || string(h.ext.get("minOffset")) != "3" {
			t.Errorf("JSON %v: %+v %q", isJSON, h, body)
		}
	}
}

func TestJSONHeaderOfFastjson(t *testing.T) {
	h, err := decodeHeader(typeJSON, []byte(`{"code":0,"extFields":{"a":"1","b":2,"c":true,"d":null},"flag":1,"language":"JAVA","opaque":4,"remark":null,`+
		`"serializeTypeCurrentRPC":"JSON","version":407}`))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for p := h.ext; len(p) > 0; {
		k, v, rest, _ := p.cut()
		got[string(k)], p = string(v), rest
	}
	if !maps.Equal(got, map[string]string{"a": "1", "b": "2", "c": "true"}) || h.opaque != 4 || h.flag != 1 {
		t.Errorf("%+v %v", h, got)
	}
}

func TestMalformedFrames(t *testing.T) {
	whole := remotingtest.Encode(&remotingtest.Request{Fields: map[string]string{"key": "value"}, Remark: "r"})
	change := func(at int, b ...byte) []byte {
		out := bytes.Clone(whole)
		copy(out[at:], b)
		return out
	}
	for name, test := range map[string]struct {
		frame []byte
		want  error
	}{
		"length beyond the limit":        {change(0, 0x7f), errFrame},
		"length with the top bit":        {change(0, 0xff), errFrame},
		"length below the header":        {change(0, 0, 0, 0, 3), errFrame},
		"header beyond the frame":        {change(5, 0xff), errFrame},
		"unknown serialization":          {change(4, 2), errHeader},
		"binary is not JSON":             {change(4, 0), errHeader},
		"remark beyond the header":       {change(8+13, 0, 0, 0xff), errHeader},
		"remark of -1 bytes":             {change(8+13, 0xff, 0xff, 0xff, 0xff), errHeader},
		"fields beyond the header":       {change(8+13+5, 0, 0, 0, 0xff), errHeader},
		"fields end before the header":   {change(8+13+5, 0, 0, 0, 1), errHeader},
		"field's name beyond the fields": {change(8+13+9, 0xff, 0xff), errHeader},
		"field's value beyond them":      {change(8+13+9+5, 0, 0, 0, 9), errHeader},
		"end in the header":              {whole[:12], io.ErrUnexpectedEOF},
		"end in the length":              {whole[:3], io.EOF},
		"JSON that is an array":          {[]byte("\x00\x00\x00\x06\x00\x00\x00\x02[]"), errHeader},
		"nested fields":                  {[]byte("\x00\x00\x00\x1c\x00\x00\x00\x18" + `{"extFields":{"a":{"":1}}`), errHeader},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := newFrameReader(bytes.NewReader(test.frame), 1<<20, 64).next()
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// What a length claims must not be allocated before it comes.
func TestClaimedLengthAllocatesLittle(t *testing.T) {
	frame := []byte{0, 0xff, 0xff, 0xff, 1, 0, 0, binaryHead}
	frame = append(frame, make([]byte, binaryHead+100)...)
	r := newFrameReader(bytes.NewReader(frame), 1<<24, 64)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.r.Reset(bytes.NewReader(frame))
			if _, _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	})
	if n := got.AllocedBytesPerOp(); n > 4096 {
		t.Errorf("%d bytes for a claim of 16 MiB", n)
	}
}

func TestLargeBodies(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 1000, 1 << 20} {
		body := bytes.Repeat([]byte{'x', 'y', 'z'}, n/3+1)[:n]
		frame := remotingtest.Encode(&remotingtest.Request{Body: body})
		_, got, err := newFrameReader(bytes.NewReader(frame), 1<<24, 64).next()
		if err != nil || !bytes.Equal(got, body) || cap(got) != len(got) {
			t.Errorf("body of %d bytes: %d bytes, capacity %d, %v", n, len(got), cap(got), err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(remotingtest.Encode(&remotingtest.Request{Fields: map[string]string{"a": "b"}, Remark: "r", Body: []byte("body")}))
	f.Add(remotingtest.Encode(&remotingtest.Request{JSON: true, Code: 200050, Fields: map[string]string{"a": "b"}}))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 1, 0, 0, 21})                                          // claims 16 MiB
	f.Add([]byte{0, 0, 0, 25, 1, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255}) // remark beyond the header
	f.Add([]byte("\x00\x00\x00\x1c\x00\x00\x00\x18" + `{"extFields":{"a":{"":1}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newFrameReader(bytes.NewReader(in), 1<<24, 1<<14)
		for {
			h, body, err := r.next()
			if n := len(h.remark) + cap(h.ext) + cap(body) + cap(r.head); n > 2*len(in)+64<<10 {
				t.Fatalf("%d bytes of memory for %d of input", n, len(in))
			}
			if err != nil {
				return
			}
			if h.ext.check() != nil {
				t.Fatal("fields that are not whole")
			}
			h.ext.get("a")
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(byte(typeJSON), []byte(`{"code":0,"extFields":{"a":"1","b":2,"d":null},"opaque":4,"remark":"x"}`))
	f.Add(byte(typeBinary), encodedHeader())
	f.Fuzz(func(t *testing.T, kind byte, in []byte) {
		h, err := decodeHeader(kind, in)
		if n := len(h.remark) + cap(h.ext); n > 2*len(in)+64<<10 {
			t.Fatalf("%d bytes of memory for %d of input", n, len(in))
		}
		if err == nil && h.ext.check() != nil {
			t.Fatal("fields that are not whole")
		}
	})
}

func encodedHeader() []byte {
	c := command{code: 11}
	c.str("a", "b")
	return appendBinary(nil, &c, 1)
}
