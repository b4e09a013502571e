package rocketmq

import (
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

// What is published to first/p2p/client id reaches that client without SUBSCRIBE: at any node, and later when its session was away; from MQTT clients and from
// RocketMQ's producers. The first level is a static one, or one that the name servers list for Java proxies.
func TestP2P(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	rmq, addr := admin(t, c), c.Broker(0).Addr
	const topic = "p2pfleet"
	must(t, rmq.CreateTopic(t.Context(), addr, remoting.TopicConfig{Topic: topic, ReadQueues: 4, WriteQueues: 4, Perm: remoting.PermRead | remoting.PermWrite}))
	eventually(t, "the topic has a route", func() bool { _, err := rmq.Route(t.Context(), topic); return err == nil })
	must(t, rmq.PutKV(t.Context(), "LMQ", "ALL_FIRST_TOPICS", topic))
	a, b := node(t, c, "enableMetaModule=true"), node(t, c, "staticFirstTopics="+topic)

	var live, kept inbox
	connect(t, a.TCP, "p2p-live", &live)
	device := connect(t, a.TCP, "p2p-kept", &kept, keep)
	pub := connect(t, b.TCP, "p2p-pub", &inbox{})
	sent := map[*inbox]int{}
	says := func(box *inbox, id, how string) {
		t.Helper()
		for i, p := range []produced{
			{body: how + " from MQTT", want: topic + "/p2p/" + id},
			{body: how + " by its topic", props: "mqttTopic\x01" + topic + "/p2p/" + id + "/x\x02", want: topic + "/p2p/" + id + "/x"},
			{body: how + " by its light queue", props: "INNER_MULTI_DISPATCH\x01%LMQ%%p2p%" + id + "%\x02", want: "/p2p/" + id + "/"},
		} {
			if i == 0 {
				must(t, pub.publish(p.want, p.body, 2))
			} else {
				p.send(t, rmq, addr, topic, int32(i))
			}
			sent[box]++
			if how == "offline" {
				continue
			}
			came(t, box, p)
		}
	}
	says(&live, "p2p-live", "live")
	says(&kept, "p2p-kept", "live")
	device.leave()
	says(&kept, "p2p-kept", "offline")
	device = connect(t, b.TCP, "p2p-kept", &kept, keep)
	if !device.present {
		t.Error("the session is gone")
	}
	came(t, &kept, produced{body: "offline from MQTT", want: topic + "/p2p/p2p-kept"})
	came(t, &kept, produced{body: "offline by its topic", want: topic + "/p2p/p2p-kept/x"})
	came(t, &kept, produced{body: "offline by its light queue", want: "/p2p/p2p-kept/"})
	says(&kept, "p2p-kept", "moved")
	device.leave()
	connect(t, a.TCP, "p2p-kept", &kept, keep)
	says(&kept, "p2p-kept", "back")
	for box, n := range sent {
		if box.size() != n {
			t.Errorf("%d messages came, not %d: %v", box.size(), n, box.deliveries())
		}
	}
}

// came waits for what was produced, on its topic.
func came(t *testing.T, box *inbox, p produced) {
	t.Helper()
	d, err := box.await(p.body)
	must(t, err)
	if d.topic != p.want {
		t.Errorf("%q came on %q, not %q", p.body, d.topic, p.want)
	}
}
