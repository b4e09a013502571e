package conformance

import (
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func topicTests() []test {
	return []test{
		{"4.7.1-2", "4.7.1-1", multiLevelWildcard},
		{"4.7.1-3", "4.7.1-2", singleLevelWildcard},
		{"4.7.2-1", "4.7.2-1", wildcardsAndDollar},
		{"4.7.3-1", "4.7.3-1", emptyTopic},
		{"4.7.3-4", "4.7.3-4", nothingNormalized},
	}
}

// filters says which are refused and which are granted; those refused do not end the connection.
func (r *run) filters(bad, good []string) {
	r.Helper()
	c := r.connect("")
	for i, names := range [][]string{bad, good} {
		for _, name := range names {
			codes := c.subscribeAll(&mqtt.Subscribe{PacketID: c.id(), Filters: []mqtt.SubscribeFilter{filter(name, 1)}})
			if refused := codes[0] >= mqtt.UnspecifiedError; refused != (i == 0) {
				r.Errorf("filter %q was answered with %v", name, codes)
			}
		}
	}
}

func multiLevelWildcard(r *run) {
	r.filters(
		[]string{r.topic + "#", "#" + r.topic, r.topic + "/#/a", "#/", "##", r.topic + "/a#", r.topic + "/#a", r.topic + "/+#"},
		[]string{r.topic + "/#", r.topic + "/+/#", r.topic + "//#"},
	)
}

func singleLevelWildcard(r *run) {
	r.filters(
		[]string{r.topic + "+", "+" + r.topic, r.topic + "/a+/b", r.topic + "/++", r.topic + "/+a", r.topic + "/a+"},
		[]string{"+/" + r.topic, r.topic + "/+", r.topic + "/+/a", r.topic + "/+/+", "+/" + r.topic + "/+"},
	)
}

// This broker lets nobody publish to such topics, so that it shows no more than that: internal/topic shows the matching.
func wildcardsAndDollar(r *run) {
	sub := r.connect("sub")
	sub.subscribe("+/"+r.topic, 1)
	sub.subscribe("+/"+r.topic+"/#", 1)
	pub := r.connect("pub")
	if r.isV5() {
		p := pub.message("$SYS/"+r.topic, "m", 1)
		pub.send(p)
		pub.ack(mqtt.PUBACK, p.PacketID)
	} else {
		pub.send(pub.message("$SYS/"+r.topic, "m", 1))
		pub.ended()
		pub = r.connect("pub")
	}
	pub.publish("any/"+r.topic, "end", 1)
	sub.take("any/"+r.topic, "end", 1)
}

func emptyTopic(r *run) {
	r.throwsOut(mqtt.ProtocolError,
		packet(0x30, str(""), r.props(), []byte("m")),
		packet(0x32, str(""), []byte{0, 1}, r.props(), []byte("m")),
		packet(0x82, []byte{0, 1}, r.props(), str(""), []byte{0}),
		packet(0xA2, []byte{0, 1}, r.props(), str("")),
	)
	c := r.connect("")
	c.subscribe(r.topic+"/+", 1)
	c.publish(r.topic+"/", "a level may be empty", 0)
	c.want(r.topic+"/", "a level may be empty", 0)
}

// Names that look alike, each of which is its own: composed and decomposed, upper and lower case, spaces, separators,
// characters that nobody knows. The topics are each subscriber's own: a message of QoS 0 may still be on its way when the next one subscribes.
func nothingNormalized(r *run) {
	names := []string{
		"/\u00e9", "/e\u0301", "/E\u0301", "/\u00c9", "/a", "/A", "/ a", "/a ", "/a/", "//a", "/a//", "/\ufb01", "/fi", "/\u212b", "/\u00c5",
		"/\U000e0001", "/\ufffd", "/\u200b", "/.", "/..", "/%61",
	}
	pub := r.connect("pub")
	for i, name := range names {
		sub, topic := r.connect("sub"), fmt.Sprint(r.topic, "/", i)
		sub.subscribe(topic+name, 1)
		sub.subscribe(topic+"/end", 1)
		for _, other := range names {
			pub.publish(topic+other, "m", 0)
		}
		sub.want(topic+name, "m", 0)
		pub.publish(topic+"/end", "end", 0)
		sub.want(topic+"/end", "end", 0)
	}
}
