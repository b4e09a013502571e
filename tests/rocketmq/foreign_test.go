package rocketmq

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// RocketMQ applications and MQTT clients reach each other.
func TestForeign(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	foreign(t, c, node(t, c))
}

// foreign has a producer of RocketMQ, which knows nothing of MQTT, write to clients of n, and a consumer read what they publish.
func foreign(t *testing.T, c *rocketmqtest.Cluster, n *broker.Broker) {
	t.Helper()
	const topic = "orders"
	rmq := admin(t, c)
	addr := c.Broker(0).Addr
	must(t, rmq.CreateTopic(t.Context(), addr, remoting.TopicConfig{Topic: topic, ReadQueues: 4, WriteQueues: 4, Perm: remoting.PermRead | remoting.PermWrite}))
	eventually(t, "the topic has a route", func() bool { _, err := rmq.Route(t.Context(), topic); return err == nil })

	var box inbox
	client := connect(t, n.TCP, "foreign", &box)
	must(t, client.subscribe(1, topic, topic+"/#"))
	for i, p := range []produced{
		{body: "plain", want: topic},
		{body: "tagged", props: "TAGS\x01TagA\x02KEYS\x01k1\x02", want: topic},
		{body: "named", props: "mqttTopic\x01orders/eu/1\x02", want: "orders/eu/1"},
		{body: "like Java", props: "originMqttTopic\x01orders/us/2\x02", want: "orders/us/2"},
		{body: "both", props: "originMqttTopic\x01orders/us/2\x02mqttTopic\x01orders/eu/1\x02", want: "orders/eu/1"},
		{body: "zlib", compress: true, want: topic},
	} {
		p.send(t, rmq, addr, topic, int32(i%4))
		d, err := box.await(p.body)
		must(t, err)
		if d.topic != p.want {
			t.Errorf("what was produced as %q came on %q, not %q", p.body, d.topic, p.want)
		}
	}

	must(t, client.publish("orders/by/mqtt", "to RocketMQ", 1))
	consumed(t, rmq, addr, topic, "to RocketMQ", map[string]string{
		"TAGS": "MQTT_COMMON", "originMqttTopic": "orders/by/mqtt", "qosLevel": "1", "IS_EMPTY_MSG": "false", "retryTimes": "0",
		"extData": `{"qosLevel":"1"}`,
	})
}

// produced is a message as an application's producer sends it.
type produced struct {
	body, props string
	compress    bool
	want        string // topic that it reaches clients with
}

func (p produced) send(t *testing.T, rmq *remoting.Client, addr, topic string, queue int32) {
	t.Helper()
	r := &remoting.SendRequest{Group: "orders-producer", Topic: topic, QueueID: queue, Born: time.Now(), Properties: p.props, Body: []byte(p.body)}
	if p.compress {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, err := z.Write(r.Body)
		must(t, err)
		must(t, z.Close())
		r.Body, r.SysFlag = b.Bytes(), int32(message.Compressed)
	}
	_, err := rmq.SendSync(t.Context(), addr, r)
	must(t, err)
}

// consumed pulls a message as a consumer that subscribes to the tag, and looks at its properties.
func consumed(t *testing.T, rmq *remoting.Client, addr, topic, body string, want map[string]string) {
	t.Helper()
	var found *message.Message
	eventually(t, "a consumer finds what was published", func() bool {
		for queue := range int32(4) {
			if found == nil {
				found = pull(t.Context(), rmq, addr, topic, queue, body)
			}
		}
		return found != nil
	})
	for name, value := range want {
		if got, _ := message.Property(found.Properties, name); string(got) != value {
			t.Errorf("the consumer sees %s=%q, not %q", name, got, value)
		}
	}
	if key, _ := message.Property(found.Properties, "UNIQ_KEY"); len(key) == 0 {
		t.Error("the consumer sees no UNIQ_KEY")
	}
}

// pull looks for a body in a queue, among the messages with the tag of all MQTT messages.
func pull(ctx context.Context, rmq *remoting.Client, addr, topic string, queue int32, body string) *message.Message {
	for offset := int64(0); ; {
		res, err := rmq.PullSync(ctx, addr, &remoting.PullRequest{Topic: topic, QueueID: queue, Offset: offset, MaxMsgs: 32, SubscriptionExpr: "MQTT_COMMON"})
		if err != nil || res.NextOffset <= offset {
			return nil
		}
		for rest := res.Body; len(rest) > 0; {
			m, more, err := message.Decode(rest)
			if err != nil {
				panic(fmt.Sprintf("a message that does not decode: %v", err))
			}
			if string(m.Body) == body {
				return &m
			}
			rest = more
		}
		offset = res.NextOffset
	}
}
