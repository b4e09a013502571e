package conformance

import (
	"strconv"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func flowTests() []test {
	return []test{
		{"", "3.3.4-7", receiveMaximumExceeded},
		{"", "3.3.4-9 4.9.0-1 4.9.0-2", receiveMaximumKept},
		{"", "3.3.4-10 4.9.0-3", otherPacketsGoOn},
		{"", "3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1", acknowledgementCodes},
		{"", "3.4.2-2 3.5.2-2 3.6.2-2 3.7.2-2", acknowledgementsFit},
	}
}

func receiveMaximumExceeded(r *run) {
	c, a := r.connack("")
	if a.ReceiveMaximum == nil {
		r.Fatal("CONNACK has no Receive Maximum")
	}
	for range *a.ReceiveMaximum {
		c.send(c.message(r.topic, "", 2))
	}
	for id := range *a.ReceiveMaximum {
		c.ack(mqtt.PUBREC, id+1)
	}
	c.pong()
	c.send(c.message(r.topic, "", 2))
	c.thrownOut(mqtt.ReceiveMaximumExceeded)
}

// window fills the window of a subscriber and returns what it was sent.
func (r *run) window(sub *client, size int) []*mqtt.Publish {
	r.Helper()
	pub := r.connect("pub")
	for i := range size + 4 {
		pub.publish(r.topic, strconv.Itoa(i), byte(1+i%2))
	}
	var got []*mqtt.Publish
	for range size {
		got = append(got, read[mqtt.Publish](sub))
	}
	return got
}

// The next message comes after PUBACK, PUBCOMP or a PUBREC that refuses, and not before; of QoS 0 they come at any time.
func receiveMaximumKept(r *run) {
	for _, size := range []int{1, 2, 5} {
		sub := r.connect("sub", receiveMaximum(uint16(size)))
		sub.subscribe(r.topic, 2)
		open := r.window(sub, size)
		for range 4 {
			r.connect("pub").publish(r.topic, "0", 0)
			sub.want(r.topic, "0", 0) // and nothing before it
			p := open[0]
			open = open[1:]
			switch p.QoS {
			case 1:
				sub.sendAck(mqtt.PUBACK, p.PacketID)
			case 2:
				sub.sendAck(mqtt.PUBREC, p.PacketID)
				sub.ack(mqtt.PUBREL, p.PacketID)
				sub.pong()
				sub.sendAck(mqtt.PUBCOMP, p.PacketID)
			}
			open = append(open, read[mqtt.Publish](sub))
		}
	}
}

func otherPacketsGoOn(r *run) {
	sub := r.connect("sub", receiveMaximum(1))
	sub.subscribe(r.topic, 2)
	r.window(sub, 1)
	sub.pong()
	sub.subscribe(r.topic+"/other", 1)
	sub.unsubscribe(r.topic + "/other")
	for qos := range byte(3) {
		sub.publish(r.topic+"/out", "m", qos)
	}
}

// refusals makes the broker send each acknowledgement with a code that refuses; the decoder takes those of the tables only.
func (r *run) refusals(c *client) map[mqtt.Type]*mqtt.Ack {
	r.Helper()
	all := map[mqtt.Type]*mqtt.Ack{}
	for qos, typ := range map[byte]mqtt.Type{1: mqtt.PUBACK, 2: mqtt.PUBREC} {
		p := c.message("$"+r.topic+"/a", "m", qos)
		c.send(p)
		all[typ] = c.ack(typ, p.PacketID)
	}
	c.sendAck(mqtt.PUBREC, 77)
	all[mqtt.PUBREL] = c.ack(mqtt.PUBREL, 77)
	c.sendAck(mqtt.PUBREL, 78)
	all[mqtt.PUBCOMP] = c.ack(mqtt.PUBCOMP, 78)
	for typ, a := range all {
		if a.Code < mqtt.UnspecifiedError {
			r.Errorf("%s has %s", typ, a.Code)
		}
	}
	return all
}

func acknowledgementCodes(r *run) {
	c := r.connect("")
	r.refusals(c)
	c.subscribe(r.topic, 2)
	c.publish(r.topic+"/x", "m", 1)
	c.publish(r.topic+"/x", "m", 2)
	r.connect("pub").publish(r.topic, "m", 2)
	c.take(r.topic, "m", 2)
}

// With its reason each would be too large: they come without. Where there is room they have one.
func acknowledgementsFit(r *run) {
	for typ, a := range r.refusals(r.connect("small", packetSize(32))) {
		if a.Reason != "" || len(a.User) != 0 {
			r.Errorf("%s has the reason %q", typ, a.Reason)
		}
	}
	for typ, a := range r.refusals(r.connect("large")) {
		if a.Reason == "" {
			r.Errorf("%s has no reason", typ)
		}
	}
}
