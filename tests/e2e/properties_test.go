package e2e

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// The properties of a message go from each library to each, user properties in their order.
func TestProperties(t *testing.T) { onStores(t, testProperties) }

func testProperties(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	for _, from := range libraries() {
		for _, to := range libraries() {
			if !tools.Have(t, slices.Concat(from.needs, to.needs)...) {
				continue
			}
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				roundTrip(t, b, from, to)
			})
		}
	}
}

func roundTrip(t *testing.T, b *broker.Broker, from, to library) {
	t.Helper()
	topic := prefix(t)
	sub, pub := to.open(t, b)(), from.open(t, b)()
	mustConnect(t, sub, connectOptions{version: mqtt.V5, id: topic + "-sub"})
	mustConnect(t, pub, connectOptions{version: mqtt.V5, id: topic + "-pub"})
	mustSubscribe(t, sub, topic, 1)
	sent := props{
		User:          [][2]string{{"zebra", "1"}, {"ant", "2"}, {"zebra", "3"}, {"", "ключ"}, {"DELAY", ""}},
		ContentType:   "application/json; charset=utf-8",
		ResponseTopic: "answers/to/" + topic,
		Correlation:   []byte{0, 1, 0xFF, 'x', 0},
		Expiry:        1000,
		Format:        1,
	}
	mustPublish(t, pub, message{Topic: topic, QoS: 1, Payload: []byte("{}"), Props: sent})
	got := wantText(t, sub, topic, 1, "{}").Props

	if from.groupsUser || to.groupsUser {
		byName := func(a, b [2]string) int { return strings.Compare(a[0], b[0]) }
		slices.SortStableFunc(sent.User, byName)
		slices.SortStableFunc(got.User, byName)
	}
	if !slices.Equal(got.User, sent.User) {
		t.Errorf("user properties %q, want %q", got.User, sent.User)
	}
	if got.ContentType != sent.ContentType || got.ResponseTopic != sent.ResponseTopic || got.Format != sent.Format {
		t.Errorf("got %+v, want %+v", got, sent)
	}
	if !bytes.Equal(got.Correlation, sent.Correlation) {
		t.Errorf("correlation data % x, want % x", got.Correlation, sent.Correlation)
	}
	if got.Expiry > sent.Expiry || got.Expiry < sent.Expiry-uint32(patience/time.Second) {
		t.Errorf("message expiry %d, want %d or a little less", got.Expiry, sent.Expiry)
	}
}

// The time that a message has waited is taken off its expiry, and one that has expired is not delivered.
func TestMessageExpiry(t *testing.T) { onStores(t, testMessageExpiry) }

func testMessageExpiry(t *testing.T, start starter) {
	const waits, expiry = 2 * time.Second, 100
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		if v != mqtt.V5 {
			return
		}
		open, topic := l.open(t, b), prefix(t)
		away := connectOptions{version: v, id: topic + "-sub", keep: true}
		sub, pub := open(), open()
		mustConnect(t, sub, away)
		mustSubscribe(t, sub, topic, 1)
		mustDisconnect(t, sub)
		mustConnect(t, pub, connectOptions{version: v, id: topic + "-pub"})
		mustPublish(t, pub, message{Topic: topic, QoS: 1, Payload: []byte("short"), Props: props{Expiry: 1}})
		mustPublish(t, pub, message{Topic: topic, QoS: 1, Payload: []byte("long"), Props: props{Expiry: expiry}})
		published := time.Now()
		poll(t, "time that the messages wait", func() bool { return time.Since(published) > waits })

		sub = open()
		mustConnect(t, sub, away)
		got := wantText(t, sub, topic, 1, "long").Props.Expiry
		if most := uint32(expiry - waits/time.Second); got > most || got < most-uint32(patience/time.Second) {
			t.Errorf("message expiry %d after %s, want %d or a little less", got, waits, most)
		}
	})
}
