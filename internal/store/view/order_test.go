package view

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Changes of one record are applied in their order: PUBRELs go out in that of the PUBRECs, and what was not received yet in that of sending
// [MQTT-4.4.0-1], [MQTT-4.6.0-1]. A dump keeps it, also where it stands below the records that it tells of, since the log went back.
func TestOrderInOneRecord(t *testing.T) {
	step := func(kind store.ChangeKind, id uint16) store.Change { return step2(kind, id, int64(100-id), "") }
	db := open(t)
	write(
		t, db, 100, begins("c"),
		step(store.Send2, 7), step(store.Send2, 3), step(store.Send2, 9), step(store.Send2, 1), step(store.Send2, 5),
		step(store.Pubrec, 9), step(store.Pubrec, 1), step(store.Pubrec, 5), step(store.Pubrec, 9),
		step(store.Done2, 3), step(store.Send2, 3),
	)
	orderIs(t, db, 9, 1, 5, 7, 3)
	replace(t, db, 50, "c", dump(t, db, "c"))
	orderIs(t, db, 9, 1, 5, 7, 3)
	write(t, db, 51, step(store.Pubrec, 7), step(store.Send2, 2))
	orderIs(t, db, 9, 1, 5, 7, 3, 2)
}

func orderIs(t *testing.T, db *pebble.DB, want ...uint16) {
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
