package session

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// The send quota begins anew with each connection [MQTT-4.9.0-1]: ids that an earlier one left do not count.
func TestQuotaAfterResume(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.ReceiveMaximum = 2 })
	pub, _ := b.connect(mqtt.V5, "pub", keep)
	for id := uint16(1); id <= 2; id++ {
		pub.publish("t", "x", 2, id)
		pub.wantAck(mqtt.PUBREC, id, mqtt.Success)
	}
	pub.gone()
	pub, _ = b.connect(mqtt.V5, "pub", keep)
	pub.publish("t", "x", 2, 3)
	pub.wantAck(mqtt.PUBREC, 3, mqtt.Success)
}
