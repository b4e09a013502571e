package e2e

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// The members of a shared subscription get each message once between them, all of them a part; a subscriber outside
// of the group gets every message.
func TestSharedSubscription(t *testing.T) { onStores(t, testSharedSubscription) }

func testSharedSubscription(t *testing.T, start starter) {
	const members, messages = 3, 90
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		open := l.open(t, b)
		topic := prefix(t)
		var group []client
		for i := range members {
			c := open()
			mustConnect(t, c, connectOptions{version: v, id: fmt.Sprintf("%s-%d", topic, i)})
			mustSubscribe(t, c, "$share/group/"+topic+"/#", 1)
			group = append(group, c)
		}
		outside := open()
		mustConnect(t, outside, connectOptions{version: v, id: topic + "-outside"})
		mustSubscribe(t, outside, topic+"/#", 1)

		for i := range messages {
			mustPublish(t, outside, message{Topic: fmt.Sprintf("%s/%d", topic, i%7), QoS: 1, Payload: fmt.Append(nil, i)})
		}
		for range messages {
			outside.inbox().messages.next(t, "message outside of the group")
		}
		wantShared(t, group, messages)
	})
}

func wantShared(t *testing.T, group []client, messages int) {
	t.Helper()
	times := map[string]int{}
	share := make([]int, len(group))
	poll(t, "all messages in the group", func() bool {
		for i, c := range group {
			for m, ok := c.inbox().messages.take(); ok; m, ok = c.inbox().messages.take() {
				times[string(m.Payload)]++
				share[i]++
			}
		}
		return len(times) == messages
	})
	for payload, n := range times {
		if n != 1 {
			t.Errorf("message %s was delivered %d times in the group", payload, n)
		}
	}
	for i, n := range share {
		if n == 0 {
			t.Errorf("member %d got none of %d messages; shares: %v", i, messages, share)
		}
	}
}
