package conformance

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func subscribeTests() []test {
	return []test{
		{"3.8.3-2", "", wildcardsGranted},
		{"3.8.3-3 3.10.3-2", "3.8.3-2 3.10.3-2", noFilter},
		{"3.8.3-4", "3.8.3-5", reservedOptions},
		{"", "3.8.3-3", noLocal},
		{"3.8.4-1 3.8.4-2", "3.8.4-1 3.8.4-2", subscribeIsAnswered},
		{"3.8.4-3", "3.8.4-3", subscriptionReplaced},
		{"3.8.4-3", "3.8.4-4", nothingLostByReplacing},
		{"3.8.4-4", "3.8.4-5", severalFilters},
		{"3.8.4-5 3.9.3-1 3.9.3-2", "3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2", codeForEachFilter},
		{"3.8.4-6", "3.8.4-8", lowerQoS},
		{"3.10.4-1", "3.10.4-1", unsubscribeExactly},
		{"3.10.4-2", "3.10.4-2", unsubscribeStops},
		{"3.10.4-3", "3.10.4-3", unsubscribeCompletes},
		{"3.10.4-4", "3.10.4-4", unsubscribeIsAnswered},
		{"3.10.4-5", "3.10.4-5", unsubscribeOfNothing},
		{"3.10.4-6", "3.10.4-6", unsubscribeSeveral},
		{"", "3.11.3-1 3.11.3-2", unsubackCodes},
		{"3.12.4-1", "3.12.4-1", pingIsAnswered},
	}
}

func wildcardsGranted(r *run) {
	c := r.connect("")
	for _, name := range []string{r.topic + "/#", r.topic + "/+", "+/" + r.topic, r.topic + "/+/#"} {
		c.subscribe(name, 1)
	}
}

func noFilter(r *run) {
	r.throwsOut(mqtt.ProtocolError,
		packet(0x82, []byte{0, 1}, r.props()), packet(0xA2, []byte{0, 1}, r.props()))
	r.throwsOut(mqtt.MalformedPacket,
		packet(0x82), packet(0xA2), packet(0x82, []byte{0, 1}, r.props(), str(r.topic)))
}

// Below MQTT 5 all bits but those of the QoS are reserved.
func reservedOptions(r *run) {
	bad := []byte{0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x03}
	if r.isV5() {
		bad = []byte{0x40, 0x80, 0xC1}
	}
	for _, options := range bad {
		r.throwsOut(mqtt.MalformedPacket,
			packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{options}),
			packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{0}, str(r.topic), []byte{options}),
		)
	}
	if r.isV5() { // QoS 3 and Retain Handling 3
		for _, options := range []byte{0x03, 0x30} {
			r.throwsOut(mqtt.ProtocolError, packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{options}))
		}
	}
}

// Not even over the next connection of the same client identifier.
func noLocal(r *run) {
	c, other, watch := r.connect("", kept), r.connect("other"), r.connect("watch")
	c.subscribe(r.topic, 2, func(p *mqtt.Subscribe) { p.Filters[0].NoLocal = true })
	watch.subscribe(r.topic, 2)
	for range 2 {
		for qos := range byte(3) {
			c.publish(r.topic, "own", qos)
			watch.take(r.topic, "own", qos)
			other.publish(r.topic, "other's", qos)
			watch.take(r.topic, "other's", qos)
			c.take(r.topic, "other's", qos)
		}
		c.publish(r.topic, "last", 1)
		watch.take(r.topic, "last", 1)
		c.leave()
		c = r.connect("", kept)
	}
}

func subscribeIsAnswered(r *run) {
	for _, e := range []edit{clean, kept} {
		c := r.connect("", e)
		for qos := range byte(3) {
			c.lastID = 1000 * uint16(qos)
			c.subscribe(r.topic, qos)
		}
	}
}

// The new subscription takes the place of the old: its QoS, its identifier, and one copy.
func subscriptionReplaced(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	for i, qos := range []byte{2, 0, 1} {
		sub.subscribe(r.topic, qos, identified(uint32(i+1)))
		pub.publish(r.topic, "m", 2)
		pub.publish(r.topic, "end", 2)
		for _, payload := range []string{"m", "end"} {
			if p := sub.take(r.topic, payload, qos); r.isV5() {
				wantIDs(r, p, uint32(i+1))
			}
		}
	}
	sub.unsubscribe(r.topic)
	sub.subscribe(r.topic+"/end", 2)
	pub.publish(r.topic, "m", 2)
	pub.publish(r.topic+"/end", "end", 2)
	sub.take(r.topic+"/end", "end", 2)
}

// Messages are published all the while a subscriber subscribes again and again: each comes once.
func nothingLostByReplacing(r *run) {
	const n = 200
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 1)
	again := make(chan struct{})
	go func() {
		defer close(again)
		for i := range n {
			if sub.Send(&mqtt.Subscribe{PacketID: uint16(10_000 + i), Filters: []mqtt.SubscribeFilter{filter(r.topic, 1)}}) != nil {
				return // the reader will notice
			}
		}
	}()
	for i := range n {
		pub.send(pub.message(r.topic, strconv.Itoa(i), 1))
	}
	next := 0
	for acks := 0; next < n || acks < n; {
		switch p := sub.next().(type) {
		case *mqtt.Suback:
			acks++
		case *mqtt.Publish:
			if string(p.Payload) != strconv.Itoa(next) {
				r.Fatalf("message %s came, want %d", p.Payload, next)
			}
			next++
			sub.accept(p)
		}
	}
	<-again
}

// Three filters in one packet, one of them twice: as if one had come after the other.
func severalFilters(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	codes := sub.subscribeAll(&mqtt.Subscribe{PacketID: 9, Filters: []mqtt.SubscribeFilter{
		filter(r.topic+"/a", 2), filter(r.topic+"/b", 0), filter(r.topic+"/a", 1), filter(r.topic+"/end", 2),
	}})
	if !slices.Equal(codes, []mqtt.ReasonCode{2, 0, 1, 2}) {
		r.Errorf("codes are %v", codes)
	}
	for _, name := range []string{"/a", "/b", "/end"} {
		pub.publish(r.topic+name, "m", 1)
		sub.take(r.topic+name, "m", map[string]byte{"/a": 1, "/b": 0, "/end": 1}[name])
	}
}

func codeForEachFilter(r *run) {
	c := r.connect("")
	failure := mqtt.UnspecifiedError
	if r.isV5() {
		failure = mqtt.TopicFilterInvalid
	}
	codes := c.subscribeAll(&mqtt.Subscribe{PacketID: 9, Filters: []mqtt.SubscribeFilter{
		filter(r.topic, 2), filter("a#", 2), filter(r.topic+"/#", 0), filter("+a/b", 1), filter(r.topic+"/+", 1),
	}})
	if want := []mqtt.ReasonCode{2, failure, 0, failure, 1}; !slices.Equal(codes, want) {
		r.Errorf("codes are %v, want %v", codes, want)
	}
}

func lowerQoS(r *run) {
	pub := r.connect("pub")
	for granted := range byte(3) {
		sub := r.connect(fmt.Sprint("sub", granted))
		sub.subscribe(r.topic, granted)
		for qos := range byte(3) {
			pub.publish(r.topic, "m", qos)
			sub.take(r.topic, "m", min(granted, qos))
		}
	}
}

// Filters that mean the same, or almost, or match the same, are others.
func unsubscribeExactly(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic+"/a", 1)
	sub.subscribe(r.topic+"/+", 1)
	sub.unsubscribe(r.topic+"/A", r.topic+"/a/", r.topic+"/#", r.topic, r.topic+"/b", "+/a")
	sub.unsubscribe(r.topic + "/+")
	pub.publish(r.topic+"/b", "no longer", 1)
	pub.publish(r.topic+"/a", "still", 1)
	sub.take(r.topic+"/a", "still", 1)
	sub.unsubscribe(r.topic + "/a")
	sub.subscribe(r.topic+"/end", 1)
	pub.publish(r.topic+"/a", "no longer", 1)
	pub.publish(r.topic+"/end", "end", 1)
	sub.take(r.topic+"/end", "end", 1)
}

func unsubscribeStops(r *run) {
	pub := r.connect("pub")
	for _, e := range []edit{clean, kept} {
		sub := r.connect("sub", e)
		sub.subscribe(r.topic+"/end", 2)
		sub.subscribe(r.topic, 2)
		sub.unsubscribe(r.topic)
		for qos := range byte(3) {
			pub.publish(r.topic, "m", qos)
			pub.publish(r.topic+"/end", "end", qos)
			sub.take(r.topic+"/end", "end", qos)
		}
	}
}

// What was sent is completed; in MQTT 5 the next connection of the session is sent it again as well.
func unsubscribeCompletes(r *run) {
	for qos := byte(1); qos <= 2; qos++ {
		sub := r.connect("sub", kept)
		sub.subscribe(r.topic, 2)
		r.connect("pub").publish(r.topic, "m", qos)
		p := sub.want(r.topic, "m", qos)
		sub.unsubscribe(r.topic)
		sub.leave()
		sub = r.connect("sub", kept)
		if again := sub.take(r.topic, "m", qos); again.PacketID != p.PacketID {
			r.Errorf("identifier %d, then %d", p.PacketID, again.PacketID)
		}
		sub.leave()
	}
}

func unsubscribeIsAnswered(r *run) {
	for _, e := range []edit{clean, kept} {
		c := r.connect("", e)
		c.subscribe(r.topic, 1)
		c.lastID = 999
		c.unsubscribe(r.topic)
	}
}

func unsubscribeOfNothing(r *run) {
	c := r.connect("")
	c.unsubscribe(r.topic)
	c.unsubscribe(r.topic+"/a", r.topic+"/#", "a#")
}

func unsubscribeSeveral(r *run) {
	sub, pub := r.connect("sub"), r.connect("pub")
	for _, name := range []string{"/a", "/b", "/c"} {
		sub.subscribe(r.topic+name, 1)
	}
	sub.unsubscribe(r.topic+"/a", r.topic+"/none", r.topic+"/b")
	for _, name := range []string{"/a", "/b", "/c"} {
		pub.publish(r.topic+name, "m", 1)
	}
	sub.take(r.topic+"/c", "m", 1)
}

func unsubackCodes(r *run) {
	c := r.connect("")
	c.subscribe(r.topic+"/a", 1)
	c.subscribe(r.topic+"/b", 2)
	codes := c.unsubscribe(r.topic+"/a", r.topic+"/none", r.topic+"/b", r.topic+"/a")
	want := []mqtt.ReasonCode{mqtt.Success, mqtt.NoSubscriptionExisted, mqtt.Success, mqtt.NoSubscriptionExisted}
	if !slices.Equal(codes, want) {
		r.Errorf("codes are %v, want %v", codes, want)
	}
}

func pingIsAnswered(r *run) {
	c := r.connect("")
	for range 3 {
		c.pong()
	}
}
