package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// packet is one packet that a client got, without what a broker chooses: packet identifiers, topic aliases, its limits.
type packet struct {
	conn  int // which of the client's connections in the script
	kind  mqtt.Type
	order string // packets of a connection with the same order are compared in their order
	about int    // number of the message; 0: of none

	qos  byte
	dup  bool
	ids  []uint32 // subscription identifiers, sorted
	code mqtt.ReasonCode
	text string // all the rest
}

// closed stands for the end of the connection.
const closed mqtt.Type = 0

func (p *packet) String() string {
	var b strings.Builder
	b.WriteString(kindName(p.kind))
	if p.about != 0 {
		fmt.Fprintf(&b, " #%d", p.about)
	}
	if p.kind == mqtt.PUBLISH {
		fmt.Fprintf(&b, " qos=%d", p.qos)
	}
	if p.dup {
		b.WriteString(" dup")
	}
	if len(p.ids) > 0 {
		fmt.Fprintf(&b, " ids=%d", p.ids)
	}
	if p.code != 0 {
		fmt.Fprintf(&b, " code=0x%02X", byte(p.code))
	}
	if p.text != "" {
		b.WriteString(" " + p.text)
	}
	return b.String()
}

// orderOn is the name of an order on a connection.
func (p *packet) orderOn(conn int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", conn, kindName(p.kind), p.order))
}

func kindName(k mqtt.Type) string {
	if k == closed {
		return "closed"
	}
	return k.String()
}

// longExpiry is the message expiry that scripts use, in seconds; what is left of it when it arrives is not compared to
// the second.
const (
	longExpiry = 10_000
	takesMost  = 600
)

// properties are those of a PUBLISH that a broker passes on [MQTT-3.3.2-4 -15 -16 -18 -20], the user properties in their
// order [MQTT-3.3.2-18].
func properties(p *mqtt.Publish) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if p.HasMessageExpiry {
		if p.MessageExpiry <= longExpiry && p.MessageExpiry > longExpiry-takesMost {
			add("expiry")
		} else {
			add("expiry=%d", p.MessageExpiry)
		}
	}
	if p.HasPayloadFormat {
		add("format=%d", p.PayloadFormat)
	}
	if p.ContentType != nil {
		add("type=%q", p.ContentType)
	}
	if p.ResponseTopic != nil {
		add("response=%q", p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		add("correlation=%x", p.CorrelationData)
	}
	for _, u := range p.User {
		add("%q=%q", u.Key, u.Value)
	}
	return strings.Join(all, " ")
}

func connackPacket(v mqtt.Version, p *mqtt.Connack) packet {
	text := fmt.Sprintf("present=%t", p.SessionPresent)
	if v == mqtt.V31 {
		text = "" // it has no session present
	}
	if p.SessionExpiry != nil {
		text += fmt.Sprintf(" expiry=%d", *p.SessionExpiry)
	}
	if p.ServerKeepAlive != nil {
		text += fmt.Sprintf(" keepAlive=%d", *p.ServerKeepAlive)
	}
	if p.AssignedClientID != "" {
		text += " assigned"
	}
	return packet{kind: mqtt.CONNACK, code: p.Code, text: text}
}

// publishPacket reads the number of the message from its payload. sent are the messages of the script.
func publishPacket(p *mqtt.Publish, name string, sent map[int]message) packet {
	got := packet{kind: mqtt.PUBLISH, qos: p.QoS, dup: p.Dup, ids: slices.Clone(p.SubscriptionIDs)}
	slices.Sort(got.ids)
	got.ids = slices.Compact(got.ids)                      // one identifier may stand for several subscriptions
	_, _ = fmt.Sscanf(string(p.Payload), "%d", &got.about) // else it is 0, which no message has
	m := sent[got.about]
	got.order = fmt.Sprintf("%q of QoS %d at QoS %d", name, m.qos, p.QoS)
	got.text = fmt.Sprintf("%q", name)
	if p.Retain {
		got.text += " retain"
	}
	if s := properties(p); s != "" {
		got.text += " " + s
	}
	if !bytes.Equal(p.Payload, m.payload()) {
		got.text += fmt.Sprintf(" payload=%q", p.Payload)
	}
	return got
}

func codes(p *mqtt.Suback) string { return fmt.Sprintf("codes=%d", p.Codes) }
