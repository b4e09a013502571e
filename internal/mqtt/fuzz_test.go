package mqtt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// Every decoder is fuzzed by the same rules, see checkDecode. The corpus in testdata/fuzz holds what fuzzing found worth
// keeping; the seeds below are the tables of the other tests.

// seed adds all packets of type t from the tables.
func seed(f *testing.F, types ...Type) {
	add := func(v Version, b []byte) {
		h, n, err := ParseHeader(b)
		if err != nil || n+h.Length != len(b) {
			return
		}
		for i, t := range types {
			if h.Type == t {
				f.Add(byte(v), byte(i), h.Flags, b[n:])
			}
		}
	}
	for _, rows := range [][]golden{
		connectGolden, connackGolden, publishGolden, ackGolden, subscribeGolden, unsubscribeGolden, subackGolden, disconnectGolden, authGolden,
	} {
		for _, row := range rows {
			add(row.v, wire(row.bytes))
		}
	}
	for _, rows := range [][]refused{
		connectRefused, connackRefused, publishRefused, ackRefused, subscribeRefused, unsubscribeRefused, subackRefused, disconnectRefused, authRefused,
	} {
		for _, row := range rows {
			add(row.v, wire(row.bytes))
		}
	}
	for _, t := range types {
		g := gen{rand.New(rand.NewPCG(1, uint64(t)))}
		for _, v := range versions(t) {
			add(v, g.packet(t, v).Append(nil, v))
		}
	}
}

// fuzz fuzzes the decoder of the types given, which share one.
func fuzz(f *testing.F, types ...Type) {
	seed(f, types...)
	f.Fuzz(func(t *testing.T, v, which, flags byte, body []byte) {
		checkDecode(t, types[int(which)%len(types)], V31+Version(v)%3, flags&0x0F, body)
	})
}

// checkDecode holds for any input: no panic, the input is left as it was, an error is one that a peer can be told, memory is
// bounded; and what was accepted can be encoded, is decoded to the same again, and encoded to the same bytes.
func checkDecode(t *testing.T, typ Type, v Version, flags byte, body []byte) {
	before := bytes.Clone(body)
	p := packetOf(typ)
	err := p.Decode(v, flags, body)
	if !bytes.Equal(body, before) {
		t.Fatalf("the body was changed from %x to %x", before, body)
	}
	if len(body) > 1<<10 { // below, no packet can cost 64 KiB
		if cost, _ := decodeCost(typ, v, flags, body); cost > limit(body) {
			t.Fatalf("%d bytes cost %d", len(body), cost)
		}
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.Code < UnspecifiedError || !e.Code.in(DISCONNECT) && !e.Code.in(CONNACK) || e.Reason == "" {
			t.Fatalf("error %#v", err)
		}
		return
	}
	if c, ok := p.(*Connect); ok {
		v = c.Version
	}
	encoded := p.Append(nil, v)
	again := packetOf(typ)
	if err := decodeInto(again, v, encoded); err != nil {
		t.Fatalf("%x was accepted, and encoded to %x, which is not: %v", body, encoded, err)
	}
	forwardIs(t, p)
	forwardIs(t, again)
	if d := diff(withoutForward(again), withoutForward(p)); d != "" {
		t.Fatalf("%x was encoded to %x, which says something else: %s", body, encoded, d)
	}
	if twice := again.Append(nil, v); !bytes.Equal(twice, encoded) {
		t.Fatalf("encoded to\n%x, then to\n%x", encoded, twice)
	}
	if err := again.Decode(v, flags, body); err != nil {
		t.Fatalf("accepted by a new receiver, refused by a used one: %v", err)
	}
	if d := diff(again, p); d != "" {
		t.Fatalf("a used receiver decodes %s", d)
	}
}

// forwardIs checks that the Forward of a PUBLISH says what its fields say.
func forwardIs(t *testing.T, packet codec) {
	p, ok := packet.(*Publish)
	if !ok {
		return
	}
	want := Properties{p.HasPayloadFormat, p.PayloadFormat, p.ContentType, p.ResponseTopic, p.CorrelationData, p.User}
	var got Properties
	if err := got.Decode(p.Forward); err != nil {
		t.Fatalf("forward %x: %v", p.Forward, err)
	}
	if d := diff(got, want); d != "" {
		t.Fatalf("forward %x: %s", p.Forward, d)
	}
}

// withoutForward is the packet without the order of its properties, which Append does not keep; forwardIs sees to the rest.
func withoutForward(packet codec) codec {
	if p, ok := packet.(*Publish); ok {
		other := *p
		other.Forward = nil
		return &other
	}
	return packet
}

func FuzzConnect(f *testing.F)     { fuzz(f, CONNECT) }
func FuzzConnack(f *testing.F)     { fuzz(f, CONNACK) }
func FuzzPublish(f *testing.F)     { fuzz(f, PUBLISH) }
func FuzzAck(f *testing.F)         { fuzz(f, PUBACK, PUBREC, PUBREL, PUBCOMP) }
func FuzzSubscribe(f *testing.F)   { fuzz(f, SUBSCRIBE) }
func FuzzSuback(f *testing.F)      { fuzz(f, SUBACK, UNSUBACK) }
func FuzzUnsubscribe(f *testing.F) { fuzz(f, UNSUBSCRIBE) }
func FuzzDisconnect(f *testing.F)  { fuzz(f, DISCONNECT) }
func FuzzAuth(f *testing.F)        { fuzz(f, AUTH) }

// FuzzProperties reads Forward from any bytes, as from a store that was tampered with.
func FuzzProperties(f *testing.F) {
	for _, row := range publishGolden {
		if p, ok := row.want.(*Publish); ok {
			f.Add(p.Forward)
		}
	}
	f.Fuzz(func(t *testing.T, forward []byte) {
		var p, again Properties
		if err := p.Decode(forward); err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		encoded := p.Append(nil)
		if len(encoded) != len(forward) {
			t.Fatalf("%x was encoded to %x", forward, encoded)
		}
		if err := again.Decode(encoded); err != nil {
			t.Fatalf("%x: %v", encoded, err)
		}
		if d := diff(again, p); d != "" {
			t.Fatalf("%x became %x: %s", forward, encoded, d)
		}
	})
}

// packetAt is a packet of a stream.
type packetAt struct {
	h    Header
	from int // where the body begins
}

// whole reads all packets of a stream that is there at once.
func whole(stream []byte) (packets []packetAt, err error) {
	for at := 0; ; {
		h, n, err := ParseHeader(stream[at:])
		if err != nil || n == 0 || at+n+h.Length > len(stream) {
			return packets, err
		}
		packets = append(packets, packetAt{h, at + n})
		at += n + h.Length
	}
}

// pieces reads the same stream as it arrives in pieces, the lengths of which cuts gives, and keeps no more than the packet
// under way.
func pieces(stream, cuts []byte) (packets []packetAt, err error) {
	var buf []byte
	at := 0 // of buf, in the stream
	for i := 0; len(stream) > 0; i++ {
		n := 1
		if len(cuts) > 0 {
			n = min(1+int(cuts[i%len(cuts)]), len(stream))
		}
		buf, stream = append(buf, stream[:n]...), stream[n:]
		for {
			h, n, err := ParseHeader(buf)
			if err != nil {
				return packets, err
			}
			if n == 0 || n+h.Length > len(buf) {
				break
			}
			packets = append(packets, packetAt{h, at + n})
			at += n + h.Length
			buf = buf[n+h.Length:]
		}
	}
	return packets, nil
}

// FuzzFraming shows that a stream is cut into the same packets, and refused for the same reason, however it arrives.
func FuzzFraming(f *testing.F) {
	f.Add(wire("C0 00 30 03 0001't' E0 00"), []byte{0})
	f.Add(wire("30 80 01 00"), []byte{1, 2})
	f.Add(wire("30 FF FF FF 7F"), []byte{3})
	f.Add(wire("30 FF FF FF FF 01"), []byte{})
	f.Add(wire("40 82 00 0001 C0 00 C1"), []byte{5, 1})
	f.Add(wire("10 0C 0004'MQTT' 04 02 0000 0000 6A 02 0001"), []byte{200})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		want, wantErr := whole(stream)
		got, gotErr := pieces(stream, cuts)
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Fatalf("in pieces: %v, at once: %v", gotErr, wantErr)
		}
		if len(got) != len(want) {
			t.Fatalf("in pieces: %d packets, at once: %d", len(got), len(want))
		}
		for i, p := range got {
			if p != want[i] {
				t.Fatalf("packet %d in pieces: %+v, at once: %+v", i, p, want[i])
			}
			if p.h.Length > MaxLength || p.h.Type == 0 || p.h.Flags > 0x0F {
				t.Fatalf("header %+v", p.h)
			}
			for _, v := range []Version{V31, V311, V5} {
				if q := packetOf(p.h.Type); q != nil {
					_ = q.Decode(v, p.h.Flags, stream[p.from:p.from+p.h.Length])
				}
			}
		}
	})
}
