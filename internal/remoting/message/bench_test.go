package message

import (
	"bytes"
	"net/netip"
	"testing"
)

// pulled is the body of an answer to PULL_MESSAGE with 32 messages of 256 bytes.
func pulled() []byte {
	var b []byte
	for i := range int64(32) {
		b = appendStored(b, stored(i, bytes.Repeat([]byte{'x'}, 256)))
	}
	return b
}

func decodeAll(tb testing.TB, b []byte) {
	for len(b) > 0 {
		m, rest, err := Decode(b)
		if err != nil || len(m.Body) != 256 {
			tb.Fatal(err)
		}
		b = rest
	}
}

func nextAll(tb testing.TB, props []byte) {
	n := 0
	for _, _, rest, ok := Next(props); ok; _, _, rest, ok = Next(rest) {
		n++
	}
	if n != 7 {
		tb.Fatal(n)
	}
}

// What the benchmarks show must stay: nothing is allocated per message.
func TestAllocations(t *testing.T) {
	b, props := pulled(), stored(1, nil).Properties
	ids, err := NewIDs(netip.MustParseAddr("10.0.0.7"), 1)
	if err != nil {
		t.Fatal(err)
	}
	buf, body, text := make([]byte, 0, 1<<10), make([]byte, 256), []byte("sensors/a")
	for name, f := range map[string]func() error{
		"Decode":     func() error { decodeAll(t, b); return nil },
		"Next":       func() error { nextAll(t, props); return nil },
		"Property":   func() error { Property(props, "qosLevel"); return nil },
		"AppendNext": func() error { ids.AppendNext(buf); return nil },
		"AppendBatchEntry": func() error {
			_, err := AppendBatchEntry(buf, 0, body, props)
			return err
		},
		"AppendProperty": func() error {
			_, err := AppendProperty(buf, "originMqttTopic", "sensors/a")
			return err
		},
		"AppendProperty of bytes": func() error {
			_, err := AppendProperty(buf, "originMqttTopic", text)
			return err
		},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkDecode32(b *testing.B) {
	body := pulled()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		decodeAll(b, body)
	}
}

func BenchmarkDecode32AndCheckCRC(b *testing.B) {
	body := pulled()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := body; len(rest) > 0; {
			var m Message
			var err error
			if m, rest, err = Decode(rest); err != nil {
				b.Fatal(err)
			}
			if err = m.CheckCRC(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkNext(b *testing.B) {
	props := stored(1, nil).Properties
	b.ReportAllocs()
	for b.Loop() {
		nextAll(b, props)
	}
}

func BenchmarkAppendProperty(b *testing.B) {
	buf := make([]byte, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendProperty(buf, "originMqttTopic", "sensors/building 7/temperature"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendNext(b *testing.B) {
	ids, err := NewIDs(netip.MustParseAddr("10.0.0.7"), 1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 32)
		for pb.Next() {
			ids.AppendNext(buf)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	for kind := range kinds() {
		b.Run(kind, func(b *testing.B) {
			d, m := newDecompressor(b, 1<<20), golden(b, "readings", kind)
			b.SetBytes(20_000)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Body(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
