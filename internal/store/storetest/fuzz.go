package storetest

import (
	"runtime"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Bounded fails when f allocates more than factor times n bytes, and 64 KiB. Nothing else is to run meanwhile.
func Bounded(t *testing.T, n, factor int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(factor*n+64<<10); got > most {
		t.Errorf("%d bytes were allocated for %d, at most %d may be", got, n, most)
	}
}

// Changes has every kind of change about the client "c", and fills every field. What ends the session comes last, so that the others find it.
func Changes() []store.Change {
	at := []store.Position{{Queue: 1<<64 - 1, Offset: 1 << 40}, {Offset: -1}}
	var out []store.Change
	for kind := store.Connect; kind <= store.Note; kind++ {
		out = append(out, store.Change{
			Kind: kind, Client: "c", Principal: "p", Clean: true, Expiry: 100, ExpiresAt: 1, Follows: true,
			Subscription: store.Subscription{
				Filter: "$share/g/a/#", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 1 << 27, Start: at, Since: 5, Replay: true,
			},
			Cursor: at, Outstanding: at, SentUpTo: at,
			Inflight: []store.Inflight{{PacketID: 65535, QoS: 2, Released: true, At: at[0], Group: "$share/g/a/#"}, {PacketID: 1, QoS: 1, Retained: true}},
			PacketID: 65535,
			Will:     &store.Will{Topic: "w", Payload: []byte("x"), QoS: 2, Retain: true, Delay: 3, HasExpiry: true, Expiry: 4, Forward: []byte{1}},
			WillAt:   7,
			Receipt:  store.Receipt{PacketID: 65535, Key: "key", Sum: 1 << 63, At: at[0], Since: 1 << 41},
			Value:    []byte("value"),
		})
	}
	return slices.Concat(out[:1], out[3:], out[1:3]) // Detach and Remove
}
