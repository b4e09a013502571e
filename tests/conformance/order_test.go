package conformance

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func orderTests() []test {
	return []test{
		{"4.6.0-1", "", orderOfRepetitions},
		{"4.6.0-2 4.6.0-3", "", orderOfAcknowledgements},
		{"4.6.0-4", "", orderOfPubrels},
		{"4.6.0-5 4.6.0-6", "4.6.0-5 4.6.0-6", orderOfMessages},
	}
}

// numbers reads n messages and returns what they say, those of each QoS by themselves.
func numbers(sub *client, n int, dup bool) (by [3][]int, got []*mqtt.Publish) {
	sub.r.Helper()
	for range n {
		p := read[mqtt.Publish](sub)
		if p.Dup != dup {
			sub.r.Errorf("message %s has DUP %t", p.Payload, p.Dup)
		}
		i, _ := strconv.Atoi(string(p.Payload))
		by[p.QoS] = append(by[p.QoS], i)
		got = append(got, p)
	}
	return by, got
}

func orderOfRepetitions(r *run) {
	const n = 16
	sub := r.connect("sub", kept)
	sub.subscribe(r.topic, 2)
	pub := r.connect("pub")
	for i := range n {
		pub.publish(r.topic, strconv.Itoa(i), byte(1+i%2))
	}
	first, _ := numbers(sub, n, false)
	sub.leave()
	sub = r.connect("sub", kept)
	again, _ := numbers(sub, n, true)
	for qos := range first {
		if !slices.Equal(first[qos], again[qos]) || !slices.IsSorted(first[qos]) {
			r.Errorf("QoS %d: first %v, then %v", qos, first[qos], again[qos])
		}
	}
}

// All are sent before the first answer is read.
func orderOfAcknowledgements(r *run) {
	const n = 50
	c := r.connect("", kept)
	for i := range n {
		c.send(c.message(r.topic, "m", byte(1+i%2)))
	}
	by := map[mqtt.Type][]uint16{}
	for range n {
		a := read[mqtt.Ack](c)
		by[a.Type] = append(by[a.Type], a.PacketID)
	}
	for typ, ids := range by {
		if len(ids) != n/2 || !slices.IsSorted(ids) {
			r.Errorf("%s of %v", typ, ids)
		}
	}
}

// PUBREC is sent in an order of the client's own, in a session that ends and in one that is kept.
func orderOfPubrels(r *run) {
	const n = 20
	for _, e := range []edit{clean, kept} {
		sub, pub := r.connect("sub", e), r.connect("pub")
		sub.subscribe(r.topic, 2)
		for i := range n {
			pub.publish(r.topic, strconv.Itoa(i), 2)
		}
		_, got := numbers(sub, n, false)
		slices.Reverse(got)
		got[3], got[n-4] = got[n-4], got[3]
		for _, p := range got {
			sub.sendAck(mqtt.PUBREC, p.PacketID)
		}
		for _, p := range got {
			sub.ack(mqtt.PUBREL, p.PacketID)
		}
	}
}

// Two clients publish, with every QoS and without waiting, to two topics; one subscriber is connected and one comes later.
func orderOfMessages(r *run) {
	const n = 60
	live, late := r.connect("live"), r.connect("late", kept)
	live.subscribe(r.topic+"/#", 2)
	late.subscribe(r.topic+"/#", 2)
	late.leave()
	pubs := []*client{r.connect("pub0"), r.connect("pub1")}
	for i := range n {
		for c, pub := range pubs {
			pub.send(pub.message(fmt.Sprint(r.topic, "/", i%2), fmt.Sprint(c, " ", i), byte(i/2%3)))
		}
	}
	for _, pub := range pubs {
		for range n { // PUBACK, or PUBREC and PUBCOMP
			if a := read[mqtt.Ack](pub); a.Type == mqtt.PUBREC {
				pub.sendAck(mqtt.PUBREL, a.PacketID)
			}
		}
	}
	check := func(sub *client, n int) {
		r.Helper()
		last := map[string]int{}
		for n > 0 {
			in := sub.next()
			if a, ok := in.(*mqtt.Ack); ok {
				sub.sendAck(mqtt.PUBCOMP, a.PacketID)
				continue
			}
			p := in.(*mqtt.Publish)
			n--
			var c, i int
			_, _ = fmt.Sscan(string(p.Payload), &c, &i)
			of := fmt.Sprint(c, " ", string(p.Topic), " ", p.QoS)
			if at, before := last[of]; before && i <= at {
				r.Errorf("client, topic and QoS %s: %d came after %d", of, i, at)
			}
			last[of] = i
			switch p.QoS {
			case 1:
				sub.sendAck(mqtt.PUBACK, p.PacketID)
			case 2:
				sub.sendAck(mqtt.PUBREC, p.PacketID)
			}
		}
	}
	check(live, 2*n)
	late = r.connect("late", kept)
	check(late, 2*n*2/3)
}
