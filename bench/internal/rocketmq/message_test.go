package rocketmq

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

// What a flood stores, singly and in batches, is what it was given, with ids of its own: read back, it is the same again.
func TestFloodStoresItsMessages(t *testing.T) {
	if !rocketmqtest.Have(t, Version) {
		return
	}
	c, err := Start(t.TempDir(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	want := Small(256)
	for i := range want {
		want[i].before = append([]byte("TAGS\x01MQTT_COMMON\x02extData\x01{\"qosLevel\":\"1\"}\x02"), want[i].before...)
		want[i].after = fmt.Appendf(want[i].after, "originMqttTopic\x01t/%d\x02", i)
	}
	found := 0
	for _, size := range []int{1, 4} {
		if _, err := c.Flood(Flood{Under: 2, Batch: size, Messages: want, Measure: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		found = same(t, c, want, found+2*size)
	}
}

// same finds that the queues have these messages, and not fewer than so many. It returns how many.
func same(t *testing.T, c *Cluster, want []Message, least int) (found int) {
	t.Helper()
	client, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := c.Settle(); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for queue := range int32(Queues) {
		stored, err := c.stored(context.Background(), client, queue)
		if err != nil {
			t.Fatal(err)
		}
		for i := range stored {
			got := asSent(&stored[i])
			id, _ := message.Property(stored[i].Properties, idProperty)
			ids[string(id)] = true
			if !equal(got, want[queue]) || len(id) != idBytes {
				t.Fatalf("queue %d: %q, want %+v", queue, stored[i].Properties, want[queue])
			}
		}
		found += len(stored)
	}
	if len(ids) != found || found < least {
		t.Errorf("%d messages with %d ids, of at least %d", found, len(ids), least)
	}
	return found
}

// equal reports whether two messages are the same, in whatever order their properties are.
func equal(a, b Message) bool {
	return a.queue == b.queue && string(a.body) == string(b.body) && maps.Equal(properties(a), properties(b))
}

func properties(m Message) map[string]string {
	all := map[string]string{}
	props := m.appendProperties(nil, []byte("id"))
	for name, value, rest, ok := message.Next(props); ok; name, value, rest, ok = message.Next(rest) {
		all[string(name)] = string(value)
	}
	return all
}
