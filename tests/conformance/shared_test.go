package conformance

import (
	"fmt"
	"strconv"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func sharedTests() []test {
	return []test{
		{"", "3.8.3-4", sharedNoLocal},
		{"", "4.8.2-1 4.8.2-2", sharedFilters},
		{"", "4.8.2-3", sharedQoS},
		{"", "4.8.2-4", sharedCompleted},
		{"", "4.8.2-5", sharedSessionEnds},
		{"", "4.8.2-6", sharedRefused},
	}
}

func sharedNoLocal(r *run) {
	r.throwsOut(mqtt.ProtocolError, packet(0x82, []byte{0, 1}, r.props(), str("$share/g/"+r.topic), []byte{0x04}))
}

func sharedFilters(r *run) {
	r.filters(
		[]string{
			"$share", "$share/", "$share/g", "$share/g/", "$share//" + r.topic, "$share/g+/" + r.topic, "$share/g#/" + r.topic,
			"$share/+/" + r.topic, "$share/#", "$share/g/" + r.topic + "#", "$shared/g/" + r.topic, "$SHARE/g/" + r.topic,
		},
		[]string{"$share/g/" + r.topic, "$share/g/" + r.topic + "/#", "$share/g//" + r.topic, "$share/\u00e9 $/+/" + r.topic},
	)
}

func sharedQoS(r *run) {
	const n = 9
	pub := r.connect("pub")
	for granted := range byte(3) {
		sub := r.connect("sub")
		sub.subscribe(fmt.Sprint("$share/g", granted, "/", r.topic), granted)
		for i := range n {
			pub.publish(r.topic, strconv.Itoa(i), byte(i%3))
			sub.take(r.topic, strconv.Itoa(i), min(granted, byte(i%3)))
		}
	}
}

// begun is a group of two whose first member was sent a message of QoS 2, has not answered and has gone; the second has been
// connected since before that.
func (r *run) begun(leaves func(first *client)) (second *client) {
	r.Helper()
	filter := "$share/g/" + r.topic
	first := r.connect("first", kept)
	first.subscribe(filter, 2)
	r.connect("pub").publish(r.topic, "m", 2)
	first.want(r.topic, "m", 2)
	second = r.connect("second")
	second.subscribe(filter, 2)
	leaves(first)
	return second
}

// alone says that the member is sent what is published now, and nothing before it.
func (r *run) alone(member *client) {
	r.Helper()
	for qos := byte(1); qos <= 2; qos++ {
		r.connect("pub").publish(r.topic, "end", qos)
		member.take(r.topic, "end", qos)
	}
}

func sharedCompleted(r *run) {
	second := r.begun((*client).leave)
	r.alone(second)
	first := r.connect("first", kept)
	if p := first.take(r.topic, "m", 2); !p.Dup {
		r.Error("no DUP")
	}
	second.pong()
}

func sharedSessionEnds(r *run) {
	second := r.begun(func(first *client) {
		first.send(&mqtt.Disconnect{HasSessionExpiry: true})
		first.ended()
	})
	r.alone(second)
	if _, a := r.connack("first", kept); a.SessionPresent {
		r.Error("the session did not end")
	}
	r.alone(second)
}

// The member that refused leaves, so that the message could go to the other only.
func sharedRefused(r *run) {
	for qos, typ := range map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		filter := "$share/g/" + r.topic
		first := r.connect("first")
		first.subscribe(filter, 2)
		r.connect("pub").publish(r.topic, "m", qos)
		p := first.want(r.topic, "m", qos)
		second := r.connect("second")
		second.subscribe(filter, 2)
		first.send(&mqtt.Ack{Type: typ, PacketID: p.PacketID, Code: mqtt.UnspecifiedError})
		first.pong()
		first.leave()
		r.alone(second)
		second.leave()
	}
}
