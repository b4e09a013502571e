package view

import (
	"errors"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// Changes that cannot be meant are told from those that can.
func TestSound(t *testing.T) {
	for _, c := range storetest.Changes() {
		if err := Sound(&c); err != nil {
			t.Errorf("a change of kind %d: %v", c.Kind, err)
		}
	}
	one := func(in store.Inflight) []store.Inflight { return []store.Inflight{in} }
	for name, c := range map[string]store.Change{
		"an unknown kind":              {Kind: store.Note + 1},
		"a client id that is too long": {Kind: store.Connect, Client: long},
		"a filter that is too long":    {Kind: store.Unsubscribe, Subscription: store.Subscription{Filter: long}},
		"no message":                   {Kind: store.Send2},
		"a message without id":         {Kind: store.Send2, Inflight: one(store.Inflight{QoS: 2})},
		"a message of QoS 1":           {Kind: store.Send2, Inflight: one(store.Inflight{PacketID: 1, QoS: 1})},
		"a group that is too long":     {Kind: store.Send2, Inflight: one(store.Inflight{PacketID: 1, QoS: 2, Group: long})},
		"PUBREC of no message":         {Kind: store.Pubrec, Inflight: one(store.Inflight{})},
		"PUBCOMP of no message":        {Kind: store.Done2, Inflight: one(store.Inflight{})},
		"progress with an id twice":    {Kind: store.Progress, Inflight: []store.Inflight{{PacketID: 1, QoS: 1}, {PacketID: 1, QoS: 2}}},
		"progress with a missing id":   {Kind: store.Detach, Inflight: one(store.Inflight{QoS: 1})},
		"a receipt without id":         {Kind: store.Receive},
		"a note of no queue":           {Kind: store.Note},
	} {
		if Sound(&c) == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := Sound(&store.Change{Kind: store.Subscribe, Client: long}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a client id that is too long: %v", err)
	}
}
