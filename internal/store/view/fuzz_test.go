package view

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// A change decodes or is refused, and what decodes is encoded to the same change.
func FuzzChange(f *testing.F) {
	for _, c := range storetest.Changes() {
		f.Add(AppendChange(nil, &c))
	}
	f.Add([]byte{byte(store.Connect), 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}) // a client id of 32 GiB
	f.Add(bytes.Repeat([]byte{0xFF}, 40))                               // varints without end
	f.Fuzz(func(t *testing.T, body []byte) {
		var c store.Change
		var err error
		storetest.Bounded(t, len(body), 16, func() { c, err = ParseChange(body) }) // a position takes 2 bytes, and 16 in memory
		if err != nil {
			return
		}
		again, err := ParseChange(AppendChange(nil, &c))
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

// The values of the view decode or are refused.
func FuzzValues(f *testing.F) {
	f.Add((&Head{Principal: "p", Expiry: 1, Connected: true, Run: 1 << 40}).encode(nil))
	f.Add((&groupHead{members: 1, since: 3, cursor: []store.Position{{Offset: 7}}}).encode(nil))
	f.Add((&progress{follows: true, at: 9, inflight: []store.Inflight{{PacketID: 1, QoS: 1}}}).encode(nil))
	f.Add((&exactly{step: step{1, 2}, Inflight: store.Inflight{PacketID: 1, QoS: 2}}).encode(nil))
	f.Add(appendReceipt(nil, &store.Receipt{PacketID: 9, Key: "key", At: store.Position{Queue: 1 << 63, Offset: 4}, Since: 5}))
	f.Add(sessionKey("client", partFilter))
	f.Fuzz(func(t *testing.T, b []byte) {
		storetest.Bounded(t, len(b), 100, func() { // six decoders, each of which may take 16 times its input
			for _, read := range []func(*Decoder){
				new(Head).read, new(groupHead).read, new(progress).read, new(checkpoint).read,
				func(d *Decoder) { d.exactly() }, func(d *Decoder) { d.receipt() },
			} {
				read(&Decoder{B: b})
			}
			splitName(b)
			SplitNumber(b)
			splitExact(b)
		})
	})
}
