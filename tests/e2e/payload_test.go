package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Payloads from nothing to 64 KiB arrive byte for byte, with every QoS.
func TestPayloads(t *testing.T) { onStores(t, testPayloads) }

func testPayloads(t *testing.T, start starter) {
	b := start(t, broker.Options{Set: []string{"maxPacketSizeInByte=128KB"}})
	random := rand.NewChaCha8([32]byte{3})
	var payloads [][]byte
	for _, size := range []int{0, 1, 127, 128, 16_383, 16_384, 64 << 10} {
		p := make([]byte, size)
		if _, err := random.Read(p); err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, p)
	}
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		c := l.open(t, b)()
		mustConnect(t, c, connectOptions{version: v, id: prefix(t)})
		mustSubscribe(t, c, prefix(t)+"/+", 2)
		for qos := range byte(3) {
			for i, p := range payloads {
				topic := fmt.Sprintf("%s/%d-%d", prefix(t), qos, i)
				mustPublish(t, c, message{Topic: topic, QoS: qos, Payload: p})
				m := c.inbox().messages.next(t, fmt.Sprintf("payload of %d bytes", len(p)))
				if m.Topic != topic || m.QoS != qos || !bytes.Equal(m.Payload, p) {
					t.Errorf("got %d bytes on %s with QoS %d, want the %d bytes of %s with QoS %d",
						len(m.Payload), m.Topic, m.QoS, len(p), topic, qos)
				}
			}
		}
	})
}
