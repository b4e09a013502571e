package metrics

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What clients do wrong, and the names they choose, do not fill the log: a line for each cause and second, and no long one.
func TestLogIsBounded(t *testing.T) {
	b := start(t, "username=u", "secretKey=k", "bindAddress=127.0.0.1", "allowAnonymous=true")
	long := bytes.Repeat([]byte("x"), 5_000)
	began := time.Now()
	const n = 200
	pub := connect(t, b, "pub")
	for range n {
		c := dial(t, b)
		c.send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: long, HasUsername: true, Username: long})
		if a := read[mqtt.Connack](c); a.Code != mqtt.BadUserNameOrPassword {
			t.Fatalf("CONNACK %v", a.Code)
		}
		_ = c.Close()
		c = connect(t, b, string(long))
		c.send(&mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("$SYS/x")})
		c.wantAck(mqtt.PUBACK, mqtt.TopicNameInvalid)
		c.send(&mqtt.Connect{Version: mqtt.V5})
		read[mqtt.Disconnect](c)
		_ = c.Close()
	}
	pub.publish("t", nil, 1)
	most := int(time.Since(began)/time.Second) + 1
	for _, cause := range []string{"connection refused", "publish refused", "client broke the protocol"} {
		if lines := strings.Count(b.Log(), cause); lines < 1 || lines > most || most > n/2 {
			t.Errorf("%d lines of %q, want 1 to %d of %d", lines, cause, most, n)
		}
	}
	for line := range strings.Lines(b.Log()) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes: %.300s", len(line), line)
		}
	}
}
