package view

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// bounded fails when f allocates more than factor bytes for each of n, and some more.
func bounded(t *testing.T, n, factor int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(factor*n+64<<10); got > most {
		t.Errorf("%d bytes were allocated for %d, at most %d may be", got, n, most)
	}
}

// A change decodes or is refused, and what decodes is encoded to the same change.
func FuzzChange(f *testing.F) {
	for _, c := range someChanges() {
		f.Add(AppendChange(nil, &c))
	}
	f.Add([]byte{byte(store.Connect), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}) // a client id of 32 GiB
	f.Add(bytes.Repeat([]byte{0xFF}, 40))                               // varints without end
	f.Fuzz(func(t *testing.T, body []byte) {
		var c store.Change
		var err error
		bounded(t, len(body), 16, func() { c, err = ParseChange(body) }) // a position takes 2 bytes, and 16 in memory
		if err != nil {
			return
		}
		again, err := ParseChange(AppendChange(nil, &c))
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

// someChanges has every kind of change and fills every field once.
func someChanges() []store.Change {
	at := []store.Position{{Queue: 1<<64 - 1, Offset: 1 << 40}, {Offset: -1}}
	in := []store.Inflight{{PacketID: 65535, QoS: 2, Released: true, At: at[0], Group: "$share/g/a/#"}, {PacketID: 1, QoS: 1}}
	sub := store.Subscription{Filter: "$share/g/a/#", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 1 << 27, Start: at, Since: 5, Replay: true}
	will := &store.Will{Topic: "w", Payload: []byte("x"), QoS: 2, Retain: true, Delay: 3, HasExpiry: true, Expiry: 4, Forward: []byte{1}}
	receipt := store.Receipt{PacketID: 65535, Key: "key", At: at[0], Since: 1 << 41}
	var out []store.Change
	for kind := store.Connect; kind <= store.Note; kind++ {
		out = append(out, store.Change{
			Kind: kind, Client: "c", Principal: "p", Clean: kind%2 == 0, Expiry: 100, ExpiresAt: 1, Follows: true, Subscription: sub, Cursor: at,
			Inflight: in, Outstanding: at, PacketID: 9, Will: will, WillAt: 7, SentUpTo: at, Receipt: receipt, Value: []byte("value"),
		})
	}
	return out
}

// The values of the view decode or are refused.
func FuzzValues(f *testing.F) {
	f.Add((&Head{Principal: "p", Expiry: 1, Connected: true, Run: 1 << 40}).encode(nil))
	f.Add((&groupHead{members: 1, since: 3, cursor: []store.Position{{Offset: 7}}}).encode(nil))
	f.Add((&progress{follows: true, at: 9, inflight: []store.Inflight{{PacketID: 1, QoS: 1}}}).encode(nil))
	f.Add((&exactly{at: step{1, 2}, inflight: store.Inflight{PacketID: 1, QoS: 2}}).encode(nil))
	f.Add(appendReceipt(nil, &store.Receipt{PacketID: 9, Key: "key", At: store.Position{Queue: 1 << 63, Offset: 4}, Since: 5}))
	f.Add(sessionKey("client", partFilter))
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, len(b), 100, func() { // six decoders, each of which may take 16 times its input
			for _, decode := range []func([]byte) error{
				new(Head).decode, new(groupHead).decode, new(progress).decode, new(checkpoint).decode, new(exactly).decode,
				func(b []byte) error { d := Decoder{B: b}; d.receipt(); return d.Err },
			} {
				decode(b) //nolint:errcheck,gosec // any answer will do
			}
			splitName(b)
			SplitNumber(b)
			splitExact(b)
		})
	})
}
