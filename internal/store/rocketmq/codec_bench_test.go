package rocketmq

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Two kinds of messages: of MQTT 3.1.1, and with every property there is.
func benchmarked() map[string]*store.Message {
	return map[string]*store.Message{
		"plain": {Topic: "sensors/building-7/floor-3/temperature", Payload: make([]byte, 256), QoS: 1, Origin: 0xDEADBEEF0123},
		"full":  full(),
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, m := range benchmarked() {
		b.Run(name, func(b *testing.B) {
			var e encoder
			key := []byte(testKey)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.encode(m, testNode, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, m := range benchmarked() {
		b.Run(name, func(b *testing.B) {
			var e encoder
			out, err := e.encode(m, testNode, []byte(testKey))
			if err != nil {
				b.Fatal(err)
			}
			k := kept(out.body, string(out.props))
			d := newDecoder()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.decode(k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the hot paths allocate: nothing, but the properties that a record keeps.
func TestAllocations(t *testing.T) {
	for name, m := range benchmarked() {
		var e encoder
		key := []byte(testKey)
		encode := func() { mustEncode(t, &e, m, key) }
		if n := testing.AllocsPerRun(100, encode); n > 0 {
			t.Errorf("encode %s: %v allocations", name, n)
		}
		out := mustEncode(t, &e, m, key)
		k := kept(out.body, string(out.props))
		d := newDecoder()
		want := 0.0
		if len(m.Forward) > 0 {
			want = 1
		}
		decode := func() {
			if _, err := d.decode(k); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(100, decode); n > want {
			t.Errorf("decode %s: %v allocations, want %v", name, n, want)
		}
	}
	qs := queuesOf("t1", []string{"a", "b"}, 8)
	if n := testing.AllocsPerRun(100, func() { choose("t1/a", qs) }); n > 0 {
		t.Errorf("choose: %v allocations", n)
	}
}

func mustEncode(t *testing.T, e *encoder, m *store.Message, key []byte) outgoing {
	t.Helper()
	out, err := e.encode(m, testNode, key)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
