package view

import (
	"reflect"
	"slices"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A change is its caller's, and stays as it was.
func TestChangeIsOnlyRead(t *testing.T) {
	list := []store.Inflight{{PacketID: 1, QoS: 2}, {PacketID: 2, QoS: 1}, {PacketID: 3, QoS: 2}, {PacketID: 4, QoS: 1}}
	for _, kind := range []store.ChangeKind{store.Progress, store.Detach} {
		c := store.Change{Kind: kind, Client: "c", Inflight: slices.Clone(list)}
		write(t, open(t), 1, begins("c"), c)
		if !reflect.DeepEqual(c.Inflight, list) {
			t.Errorf("after a change of kind %d: %+v", kind, c.Inflight)
		}
	}
}
