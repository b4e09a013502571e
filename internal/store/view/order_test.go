package view

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Changes of one record are applied in their order: PUBRELs go out in that of the PUBRECs, and what was not received yet in that of sending
// [MQTT-4.4.0-1], [MQTT-4.6.0-1].
func TestOrderInOneRecord(t *testing.T) {
	step := func(kind store.ChangeKind, id uint16) store.Change {
		return store.Change{Kind: kind, Client: "c", Inflight: []store.Inflight{{PacketID: id, QoS: 2, At: store.Position{Offset: int64(100 - id)}}}}
	}
	one := []store.Change{
		{Kind: store.Connect, Client: "c", Expiry: 100},
		step(store.Send2, 7), step(store.Send2, 3), step(store.Send2, 9), step(store.Send2, 1), step(store.Send2, 5),
		step(store.Pubrec, 9), step(store.Pubrec, 1), step(store.Pubrec, 5), step(store.Pubrec, 9),
		step(store.Done2, 3), step(store.Send2, 3),
	}
	db := open(t)
	write(t, db, 100, one)
	sameOrder(t, db, 9, 1, 5, 7, 3)
	write(t, db, 101, []store.Change{step(store.Pubrec, 7), step(store.Send2, 2)})
	sameOrder(t, db, 9, 1, 5, 7, 3, 2)
}

func sameOrder(t *testing.T, db *pebble.DB, want ...uint16) {
	t.Helper()
	s, _, err := Load(db, "c")
	if err != nil {
		t.Fatal(err)
	}
	var got []uint16
	for _, in := range s.Inflight {
		got = append(got, in.PacketID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %d, want %d", got, want)
	}
}
