package conformance

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func encodingTests() []test {
	return []test{
		{"1.5.3-1 3.8.3-1 3.10.3-1", "1.5.4-1 3.8.3-1 3.10.3-1", illFormedStrings},
		{"1.5.3-2 4.7.3-2", "1.5.4-2 4.7.3-2", nullCharacter},
		{"1.5.3-3", "1.5.4-3", byteOrderMark},
		{"", "1.5.5-1", longLengths},
		{"", "1.5.7-1", illFormedPairs},
		{"2.2.2-1", "2.1.3-1", sentFlags},
		{"2.2.2-2", "2.1.3-1", wrongFlags},
		{"3.6.1-1", "3.6.1-1", wrongFlagsOfPubrel},
		{"3.8.1-1", "3.8.1-1", wrongFlagsOfSubscribe},
		{"3.10.1-1", "3.10.1-1", wrongFlagsOfUnsubscribe},
		{"3.14.1-1", "3.14.1-1", wrongFlagsOfDisconnect},
		{"", "3.15.1-1", wrongFlagsOfAuth},
		{"2.3.1-1", "2.2.1-3", identifierZero},
		{"2.3.1-4", "2.2.1-4 4.3.2-1 4.3.3-1", identifiersOfServer},
		{"2.3.1-5", "2.2.1-2", noIdentifierAtQoS0},
		{"2.3.1-6", "2.2.1-5", identifiersOfAcknowledgements},
		{"2.3.1-7", "2.2.1-6", identifiersOfAnswers},
		{"", "2.2.2-1", emptyProperties},
	}
}

// badStrings are in every place where a client sends a string.
func (r *run) badStrings(bad string) [][]byte {
	return [][]byte{
		packet(0x30, str(bad), r.props(), []byte("payload")),
		packet(0x32, str(r.topic+"/"+bad), []byte{0, 1}, r.props()),
		packet(0x82, []byte{0, 1}, r.props(), str(bad), []byte{0}),
		packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{0}, str(bad), []byte{0}),
		packet(0xA2, []byte{0, 1}, r.props(), str(bad)),
	}
}

func illFormedStrings(r *run) {
	for _, bad := range []string{"\xff", "a\xc0\x80", "\xed\xa0\x80", "x\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xe2\x82"} {
		r.throwsOut(mqtt.MalformedPacket, r.badStrings(bad)...)
	}
}

func nullCharacter(r *run) {
	r.throwsOut(mqtt.MalformedPacket, r.badStrings("a\x00b")...)
	r.throwsOut(mqtt.MalformedPacket, r.badStrings("\x00")...)
}

func byteOrderMark(r *run) {
	name := "\ufeff" + r.topic + "/\ufeff"
	without, with := r.connect("without"), r.connect("with")
	without.subscribe(r.topic+"/#", 1)
	with.subscribe(name, 1)
	c := r.connect("")
	c.publish(name, "marked", 1)
	c.publish(r.topic+"/end", "end", 1)
	with.take(name, "marked", 1)
	without.take(r.topic+"/end", "end", 1)
}

// A Property Length, a Subscription Identifier and a Remaining Length that take a byte too many; what the broker sends is read
// by a decoder that insists too, at the sizes where the length grows.
func longLengths(r *run) {
	r.throwsOut(mqtt.MalformedPacket,
		[]byte{0xC0, 0x80, 0x00},
		packet(0x30, str(r.topic), []byte{0x80, 0x00}),
		packet(0x82, []byte{0, 1}, []byte{3, 0x0B, 0x81, 0x00}, str(r.topic), []byte{0}),
	)
	c := r.connect("")
	c.subscribe(r.topic, 0)
	for _, size := range []int{1, 100, 128, 200, 16 << 10, 17 << 10} {
		payload := strings.Repeat("x", size)
		c.publish(r.topic, payload, 0)
		c.want(r.topic, payload, 0)
	}
}

func illFormedPairs(r *run) {
	for _, pair := range [][2]string{{"\xff", "v"}, {"k", "\xff"}, {"k\x00", "v"}, {"k", "\xed\xa0\x80"}} {
		user := r.props([]byte{0x26}, str(pair[0]), str(pair[1]))
		r.throwsOut(mqtt.MalformedPacket,
			packet(0x30, str(r.topic), user),
			packet(0x82, []byte{0, 1}, user, str(r.topic), []byte{0}),
		)
	}
}

func sentFlags(r *run) {
	c := r.rawClient()
	var got []byte
	for _, step := range []struct{ send, want []byte }{ // want: the first bytes of packets that have come then
		{r.hello("").Append(nil, r.v), []byte{0x20}},
		{packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{2}), []byte{0x90}},
		{packet(0x34, str(r.topic), []byte{0, 9}, r.props()), []byte{0x50}},
		{packet(0x62, []byte{0, 9}), []byte{0x70, 0x34}}, // the message has identifier 1
		{packet(0x50, []byte{0, 1}), []byte{0x62}},
		{packet(0x70, []byte{0, 1}), nil},
		{packet(0x32, str(r.topic), []byte{0, 9}, r.props()), []byte{0x40, 0x32}},
		{packet(0x30, str(r.topic), r.props()), []byte{0x30}},
		{packet(0xA2, []byte{0, 1}, r.props(), str(r.topic)), []byte{0xB0}},
		{packet(0xC0), []byte{0xD0}},
	} {
		c.bytes(step.send)
		for _, first := range step.want {
			for !bytes.Contains(got, []byte{first}) {
				one, _ := c.frame()
				got = append(got, one)
			}
		}
	}
	if len(got) != 11 {
		r.Errorf("%d packets came, want 11: % x", len(got), got)
	}
}

func wrongFlags(r *run) {
	r.throwsOut(mqtt.MalformedPacket,
		[]byte{0xC1, 0}, []byte{0xC8, 0},
		packet(0x41, []byte{0, 1}), packet(0x52, []byte{0, 1}), packet(0x72, []byte{0, 1}),
		packet(0x11, str("MQTT"), []byte{byte(r.v), 2, 0, 0}, r.props(), str(r.topic)),
		packet(0x00),
	)
}

// withFlags is every one of the 16 packets but that with the right flags.
func withFlags(typ mqtt.Type, right byte, parts ...[]byte) [][]byte {
	var all [][]byte
	for flags := range byte(16) {
		if flags != right {
			all = append(all, packet(byte(typ)<<4|flags, parts...))
		}
	}
	return all
}

func wrongFlagsOfPubrel(r *run) {
	r.throwsOut(mqtt.MalformedPacket, withFlags(mqtt.PUBREL, 2, []byte{0, 1})...)
}

func wrongFlagsOfSubscribe(r *run) {
	r.throwsOut(mqtt.MalformedPacket, withFlags(mqtt.SUBSCRIBE, 2, []byte{0, 1}, r.props(), str(r.topic), []byte{0})...)
}

func wrongFlagsOfUnsubscribe(r *run) {
	r.throwsOut(mqtt.MalformedPacket, withFlags(mqtt.UNSUBSCRIBE, 2, []byte{0, 1}, r.props(), str(r.topic))...)
}

func wrongFlagsOfDisconnect(r *run) {
	r.throwsOut(mqtt.MalformedPacket, withFlags(mqtt.DISCONNECT, 0)...)
}

func wrongFlagsOfAuth(r *run) {
	r.throwsOut(mqtt.MalformedPacket, withFlags(mqtt.AUTH, 0)...)
}

// refusedIdentifier is what MQTT 5 says of an identifier 0.
const refusedIdentifier = mqtt.ProtocolError

func identifierZero(r *run) {
	r.throwsOut(refusedIdentifier,
		packet(0x32, str(r.topic), []byte{0, 0}, r.props()),
		packet(0x34, str(r.topic), []byte{0, 0}, r.props()),
		packet(0x82, []byte{0, 0}, r.props(), str(r.topic), []byte{0}),
		packet(0xA2, []byte{0, 0}, r.props(), str(r.topic)),
	)
}

// Many messages are under way at a time, then as many again.
func identifiersOfServer(r *run) {
	const n = 8
	sub, pub := r.connect("sub"), r.connect("pub")
	sub.subscribe(r.topic, 2)
	for round := range 2 {
		used := map[uint16]bool{}
		for i := range n {
			payload := fmt.Sprint(round, i)
			pub.publish(r.topic, payload, byte(1+i%2))
		}
		var got []*mqtt.Publish
		for range n {
			p := read[mqtt.Publish](sub)
			if p.PacketID == 0 || used[p.PacketID] {
				r.Fatalf("a new message has identifier %d; in use are %v", p.PacketID, used)
			}
			used[p.PacketID] = true
			got = append(got, p)
		}
		for _, p := range got {
			sub.accept(p)
		}
	}
}

func noIdentifierAtQoS0(r *run) {
	sub, pub := r.connectRaw("sub"), r.connect("pub")
	sub.bytes(packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{2}))
	sub.firsts(0x90)
	pub.publish(r.topic, "payload", 0)
	first, body := sub.frame()
	want := bytes.Join([][]byte{str(r.topic), r.props(), []byte("payload")}, nil)
	if first != 0x30 || !bytes.Equal(body, want) {
		r.Errorf("read %#x % x, want 0x30 % x", first, body, want)
	}
}

func identifiersOfAcknowledgements(r *run) {
	c := r.connect("")
	for _, id := range []uint16{1, 0x1234, 0xFFFF} {
		c.send(&mqtt.Publish{Topic: []byte(r.topic), QoS: 1, PacketID: id})
		c.ack(mqtt.PUBACK, id)
		c.send(&mqtt.Publish{Topic: []byte(r.topic), QoS: 2, PacketID: id})
		c.ack(mqtt.PUBREC, id)
		c.sendAck(mqtt.PUBREL, id)
		c.ack(mqtt.PUBCOMP, id)
	}
	sub := r.connect("sub")
	sub.subscribe(r.topic+"/out", 2)
	c.publish(r.topic+"/out", "out", 2)
	sub.take(r.topic+"/out", "out", 2) // PUBREL with the identifier of the PUBLISH
}

func identifiersOfAnswers(r *run) {
	c := r.connect("")
	for _, id := range []uint16{1, 0x1234, 0xFFFF} {
		c.subscribeAll(&mqtt.Subscribe{PacketID: id, Filters: []mqtt.SubscribeFilter{filter(r.topic, 0)}})
		c.lastID = id - 1
		c.unsubscribe(r.topic)
	}
}

func emptyProperties(r *run) {
	c := r.connectRaw("")
	c.bytes(packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{1}))
	if _, body := c.frame(); !bytes.Equal(body, []byte{0, 1, 0, 1}) {
		r.Errorf("SUBACK is % x", body)
	}
	c.bytes(packet(0x30, str(r.topic), r.props(), []byte("p")))
	if _, body := c.frame(); !bytes.Equal(body, append(append(str(r.topic), 0), 'p')) {
		r.Errorf("PUBLISH is % x", body)
	}
	c.bytes(packet(0xA2, []byte{0, 2}, r.props(), str(r.topic)))
	if _, body := c.frame(); !bytes.Equal(body, []byte{0, 2, 0, 0}) {
		r.Errorf("UNSUBACK is % x", body)
	}
}
