package e2e

import (
	"fmt"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Each QoS of a publish meets each QoS of a subscription: the lower of both is delivered, once.
func TestQoSMatrix(t *testing.T) { onStores(t, testQoSMatrix) }

func testQoSMatrix(t *testing.T, start starter) {
	b := start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		open := l.open(t, b)
		pub := open()
		mustConnect(t, pub, connectOptions{version: v, id: prefix(t) + "-pub"})
		for sub := range byte(3) {
			c := open()
			mustConnect(t, c, connectOptions{version: v, id: fmt.Sprintf("%s-sub%d", prefix(t), sub)})
			mustSubscribe(t, c, fmt.Sprintf("%s/%d/+", prefix(t), sub), sub)
			for qos := range byte(3) {
				topic := fmt.Sprintf("%s/%d/%d", prefix(t), sub, qos)
				text := fmt.Sprintf("published %d, subscribed %d", qos, sub)
				mustPublish(t, pub, message{Topic: topic, QoS: qos, Payload: []byte(text)})
				if m := wantText(t, c, topic, min(qos, sub), text); m.Dup {
					t.Errorf("%s: DUP on the first delivery", text)
				}
			}
			mustDisconnect(t, c)
			if m, ok := c.inbox().messages.take(); ok {
				t.Errorf("one message too many: %q on %q", m.Payload, m.Topic)
			}
		}
	})
}
