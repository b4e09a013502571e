package message

import (
	"bytes"
	"errors"
	"testing"
)

// Whatever the bytes: no panic, one of the errors, and what is decoded lies within them and encodes to them again.
func FuzzDecode(f *testing.F) {
	f.Add(fromHex(f, goldenV1))
	f.Add(v2Bytes(f))
	f.Add(append(fromHex(f, goldenV1), v2Bytes(f)...))
	f.Add(appendStored(nil, stored(1, []byte("body"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := Decode(b)
			if len(rest) >= len(b) {
				t.Fatalf("%d bytes left of %d", len(rest), len(b))
			}
			switch {
			case err == nil:
				if again := appendStored(nil, &m); !bytes.Equal(again, b[:len(b)-len(rest)]) {
					t.Fatalf("%x encodes to %x", b[:len(b)-len(rest)], again)
				}
			case errors.Is(err, ErrCorrupt):
			case errors.Is(err, ErrTruncated), errors.Is(err, ErrBlank), errors.Is(err, ErrMagic):
				if rest != nil {
					t.Fatalf("%v, and yet something follows", err)
				}
			default:
				t.Fatalf("an error of no kind: %v", err)
			}
			b = rest
		}
	})
}

func FuzzDecodeBatchEntry(f *testing.F) {
	f.Add(fromHex(f, goldenEntry))
	f.Add(bytes.Repeat(fromHex(f, goldenEntry), 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			e, rest, err := DecodeBatchEntry(b)
			if err != nil {
				if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("an error of no kind: %v", err)
				}
				return
			}
			again, err := AppendBatchEntry(nil, e.Flag, e.Body, e.Properties)
			if err != nil {
				t.Fatal(err)
			}
			one := bytes.Clone(b[:len(b)-len(rest)])
			clear(one[4:12]) // magic and CRC are nobody's
			if !bytes.Equal(again, one) {
				t.Fatalf("%x encodes to %x", one, again)
			}
			b = rest
		}
	})
}

// What Next finds are properties, and written again they read the same.
func FuzzProperties(f *testing.F) {
	f.Add([]byte("a\x01b\x02c\x01d"))
	f.Add([]byte("\x01\x01\x02\x02a\x01\x01\x02"))
	f.Add(stored(1, nil).Properties)
	f.Fuzz(func(t *testing.T, props []byte) {
		var again []byte
		want := map[string]string{}
		complete := true
		for name, value, rest, ok := Next(props); ok; name, value, rest, ok = Next(rest) {
			if len(name) == 0 || len(value) == 0 || bytes.IndexByte(name, nameEnd) >= 0 ||
				bytes.IndexByte(name, valueEnd) >= 0 || bytes.IndexByte(value, valueEnd) >= 0 {
				t.Fatalf("%q=%q is no property", name, value)
			}
			out, err := AppendProperty(again, string(name), value)
			if err != nil {
				complete = false // \x01 in the value, or not UTF-8
				continue
			}
			again, want[string(name)] = out, string(value)
		}
		for name, value := range want {
			if got, ok := Property(again, name); !ok || string(got) != value {
				t.Fatalf("%q is %q, want %q", name, got, value)
			}
			if got, ok := Property(props, name); complete && (!ok || string(got) != value) {
				t.Fatalf("%q is %q in what came, want %q", name, got, value)
			}
		}
	})
}

// No property that AppendProperty takes changes, or adds, another one.
func FuzzAppendProperty(f *testing.F) {
	f.Add("TAGS", "a", "clientId", "b")
	f.Add("a\x01", "b", "", "\x02DELAY\x014\x02")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		var props []byte
		want := map[string]string{}
		for _, p := range [][2]string{{name1, value1}, {name2, value2}} {
			before := len(props)
			out, err := AppendProperty(props, p[0], p[1])
			if err != nil {
				if len(out) != before {
					t.Fatalf("refused, and yet %q", out)
				}
				continue
			}
			if len(out) != before+PropertySize(len(p[0]), len(p[1])) {
				t.Fatalf("%q added %d bytes", p, len(out)-before)
			}
			props, want[p[0]] = out, p[1]
		}
		got := javaMap(props)
		if len(got) != len(want) {
			t.Fatalf("%q reads as %q, want %q", props, got, want)
		}
		for name, value := range want {
			if got[name] != value {
				t.Fatalf("%q reads as %q, want %q", props, got, want)
			}
		}
	})
}

// Whatever the body and its flags: no panic, and never more than the limit.
func FuzzBody(f *testing.F) {
	const limit = 64 << 10
	for kind, flags := range kinds() {
		for _, name := range []string{"readings", "zeros", "noise"} {
			f.Add(int32(flags), golden(f, name, kind).Body)
		}
	}
	for _, m := range bombs(f) {
		if len(m.Body) < 1<<10 {
			f.Add(int32(m.SysFlag), m.Body)
		}
	}
	d := newDecompressor(f, limit)
	f.Fuzz(func(t *testing.T, flags int32, body []byte) {
		m := &Message{SysFlag: SysFlag(flags), Body: body}
		got, err := d.Body(m)
		switch {
		case err != nil:
			if !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCompression) {
				t.Fatalf("an error of no kind: %v", err)
			}
		case len(got) > limit:
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		case m.SysFlag&Compressed == 0 && !bytes.Equal(got, body):
			t.Fatal("a body that is not compressed changed")
		}
	})
}
