package conformance

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func connectTests() []test {
	return []test{
		{"3.1.0-1", "3.1.0-1", firstPacket},
		{"3.1.0-2", "3.1.0-2 3.2.0-2", secondConnect},
		{"3.1.2-1", "3.1.2-1", protocolName},
		{"3.1.2-2", "3.1.2-2", protocolLevel},
		{"3.1.2-3", "3.1.2-3", reservedConnectFlag},
		{"3.1.2-9", "3.1.2-9", willFieldsMissing},
		{"3.1.2-11 3.1.2-13 3.1.2-15", "3.1.2-11 3.1.2-13", willFlagsWithoutWill},
		{"3.1.2-11", "", willFieldsWithoutWill},
		{"3.1.2-14", "3.1.2-12", willWithQoS3},
		{"3.1.2-18 3.1.2-20", "3.1.2-16 3.1.2-18", loginWithoutFlags},
		{"3.1.2-19 3.1.2-21", "3.1.2-17 3.1.2-19", loginMissing},
		{"3.1.2-22", "", passwordWithoutUserName},
		{"3.1.2-24", "3.1.2-22 3.2.2-22", keepAlive},
		{"3.1.3-1", "3.1.3-1", payloadOrder},
		{"3.1.3-2", "3.1.3-2", identity},
		{"3.1.3-3", "3.1.3-3", clientIDMissing},
		{"3.1.3-4", "3.1.3-4", clientIDIllFormed},
		{"3.1.3-5", "3.1.3-5", clientIDs},
		{"3.1.3-6", "3.1.3-6 3.1.3-7 3.2.2-16", clientIDAssigned},
		{"3.1.3-7 3.1.3-8 3.1.3-9", "", clientIDRejected},
		{"3.1.3-10", "3.1.3-11", willTopicIllFormed},
		{"3.1.3-11", "3.1.3-12", userNameIllFormed},
		{"3.1.4-1 3.2.2-6", "3.1.4-1", malformedConnect},
		{"3.1.4-2", "3.1.4-3", takeover},
	}
}

// connectBytes is a CONNECT with the given flags and payload.
func (r *run) connectBytes(flags byte, payload ...[]byte) []byte {
	return packet(0x10, str("MQTT"), []byte{byte(r.v), flags, 0, 0}, r.props(), bytes.Join(payload, nil))
}

// Nothing is answered to a connection that does not begin with CONNECT.
func firstPacket(r *run) {
	for _, b := range [][]byte{
		packet(0x30, str(r.topic), r.props(), []byte("early")),
		packet(0x82, []byte{0, 1}, r.props(), str(r.topic), []byte{0}),
		{0xC0, 0},
		{0xE0, 0},
	} {
		c := r.dial()
		c.bytes(slices.Concat(b, r.connectBytes(2, str(r.topic))))
		if got := c.ended(); len(got) != 0 {
			r.Errorf("% x was answered with %T", b, got[0])
		}
	}
}

func secondConnect(r *run) {
	c := r.connect("")
	c.send(r.hello(""))
	c.thrownOut(mqtt.ProtocolError)
}

func protocolName(r *run) {
	for _, name := range []string{"MQTx", "mqtt", "MQT", "MQTTT", "", "HTTP"} {
		r.turnsAway(packet(0x10, str(name), []byte{byte(r.v), 2, 0, 0}, r.props(), str(r.topic)))
	}
}

func protocolLevel(r *run) {
	levels, want := []byte{0, 1, 2, 3}, []byte{0x20, 2, 0, 1}
	if r.isV5() {
		levels, want = []byte{6, 7, 100}, []byte{0x20, 3, 0, 0x84}
	}
	for _, level := range levels {
		c := r.rawClient()
		c.bytes(packet(0x10, str("MQTT"), []byte{level, 2, 0, 0}, r.props(), str(r.topic)))
		first, body := c.frame()
		if first != want[0] || !bytes.HasPrefix(body, want[2:]) {
			r.Errorf("level %d was answered with %#x % x", level, first, body)
		}
		c.end()
	}
}

func reservedConnectFlag(r *run) {
	r.turnsAway(r.connectBytes(0x03, str(r.topic)), r.connectBytes(0x01, str(r.topic)))
}

func willFieldsMissing(r *run) {
	const flags = 0x06 // a will, and a clean session
	fields := [][]byte{str(r.topic), r.props(), str("will"), str("payload")}
	for n := 1; n < len(fields); n++ {
		r.turnsAway(r.connectBytes(flags, fields[:n]...))
	}
}

func willFlagsWithoutWill(r *run) {
	for _, flags := range []byte{0x0A, 0x12, 0x1A, 0x22} {
		r.turnsAway(r.connectBytes(flags, str(r.topic)))
	}
}

func willFieldsWithoutWill(r *run) {
	r.turnsAway(r.connectBytes(0x02, str(r.topic), str("will"), str("payload")))
}

func willWithQoS3(r *run) {
	r.turnsAway(
		r.connectBytes(0x1E, str(r.topic), r.props(), str("will"), str("payload")),
		r.connectBytes(0x1A, str(r.topic)),
	)
}

func loginWithoutFlags(r *run) {
	r.turnsAway(
		r.connectBytes(0x02, str(r.topic), str("name")),
		r.connectBytes(0x02, str(r.topic), str("name"), str("password")),
		r.connectBytes(0x82, str(r.topic), str("name"), str("password")),
	)
}

func loginMissing(r *run) {
	r.turnsAway(
		r.connectBytes(0x82, str(r.topic)),
		r.connectBytes(0xC2, str(r.topic), str("name")),
	)
}

func passwordWithoutUserName(r *run) {
	r.turnsAway(r.connectBytes(0x42, str(r.topic), str("password")))
}

// The end comes after one and a half times the keep-alive, and not before.
func keepAlive(r *run) {
	c, a := r.connack("", func(p *mqtt.Connect) { p.KeepAlive = 1 })
	if a.ServerKeepAlive != nil {
		r.Errorf("Server Keep Alive is %d", *a.ServerKeepAlive)
	}
	c.pong()
	silent := time.Now()
	c.thrownOut(mqtt.KeepAliveTimeout)
	if d := time.Since(silent); d < 1500*time.Millisecond {
		r.Errorf("closed after %s", d)
	}
}

// The password is a signature of the client identifier: a login succeeds only where all three were read right.
func payloadOrder(r *run) {
	c := r.dialTo(r.login)
	c.send(r.hello("", login))
	if a := read[mqtt.Connack](c); a.Code != mqtt.Success {
		r.Errorf("CONNACK has %s", a.Code)
	}
}

func login(p *mqtt.Connect) {
	sign := hmac.New(sha1.New, []byte(secretKey))
	sign.Write(p.ClientID)
	p.HasUsername, p.Username = true, []byte(username)
	p.HasPassword, p.Password = true, []byte(base64.StdEncoding.EncodeToString(sign.Sum(nil)))
}

func identity(r *run) {
	one := r.connect("one", kept)
	one.subscribe(r.topic, 1)
	one.leave()
	other, a := r.connack("other", kept)
	if a.SessionPresent {
		r.Error("another client identifier found the session")
	}
	other.publish(r.topic, "for one", 1)
	other.pong()
	one, a = r.connack("one", kept)
	if !a.SessionPresent {
		r.Error("the client identifier did not find its session")
	}
	one.take(r.topic, "for one", 1)
}

func clientIDMissing(r *run) {
	r.turnsAway(r.connectBytes(0x02), r.connectBytes(0x00))
}

func clientIDIllFormed(r *run) {
	r.turnsAway(r.connectBytes(0x02, str("\xff")), r.connectBytes(0x02, str("\xed\xa0\x80")), r.connectBytes(0x02, str("a\x00")))
}

// Every length and every character, all at a time. The versions take other identifiers, for they run side by side.
func clientIDs(r *run) {
	const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	at := 0
	if r.isV5() {
		at = 31
	}
	letters := strings.Repeat(all, 2)[at:]
	for n := 1; n <= 23; n++ {
		id := letters[n : 2*n]
		if n == 23 {
			id = letters[39:62]
		}
		r.connect("", func(p *mqtt.Connect) { p.ClientID = []byte(id) }).pong()
	}
}

func noClientID(p *mqtt.Connect) { p.ClientID = nil }

// Two that give no identifier are two clients. In MQTT 5 they learn theirs, and it is theirs: who comes with it takes the place.
func clientIDAssigned(r *run) {
	one, first := r.connack("", noClientID)
	other, second := r.connack("", noClientID)
	one.subscribe(r.topic, 1)
	other.publish(r.topic, "hello", 1)
	one.take(r.topic, "hello", 1)
	other.pong()
	if !r.isV5() {
		return
	}
	if first.AssignedClientID == "" || second.AssignedClientID == "" || first.AssignedClientID == second.AssignedClientID {
		r.Errorf("assigned are %q and %q", first.AssignedClientID, second.AssignedClientID)
	}
	_, again := r.connack("", func(p *mqtt.Connect) { p.ClientID = []byte(first.AssignedClientID) })
	if again.AssignedClientID != "" {
		r.Errorf("assigned %q to a client that gave an identifier", again.AssignedClientID)
	}
	one.thrownOut(mqtt.SessionTakenOver)
}

func clientIDRejected(r *run) {
	c := r.rawClient()
	c.send(r.hello("", noClientID, kept))
	if first, body := c.frame(); first != 0x20 || !bytes.Equal(body, []byte{0, 2}) {
		r.Errorf("answered with %#x % x", first, body)
	}
	c.end()
}

func willTopicIllFormed(r *run) {
	for _, topic := range []string{"\xff", "a\x00", "\xed\xa0\x80"} {
		r.turnsAway(r.connectBytes(0x06, str(r.topic), r.props(), str(topic), str("payload")))
	}
}

func userNameIllFormed(r *run) {
	for _, name := range []string{"\xff", "a\x00", "\xed\xa0\x80"} {
		r.turnsAway(r.connectBytes(0x82, str(r.topic), str(name)))
	}
}

func malformedConnect(r *run) {
	whole := r.connectBytes(0x02, str(r.topic))
	r.turnsAway(
		packet(0x10),
		packet(0x10, str("MQTT")),
		packet(0x10, str("MQTT"), []byte{byte(r.v)}),
		packet(0x10, str("MQTT"), []byte{byte(r.v), 2, 0}),
		packet(0x10, whole[2:], []byte("more")),
		packet(0x10, whole[2:len(whole)-1]),
		packet(0x10, whole[2:len(whole)-len(r.topic)-2], []byte{0xFF, 0xFF}, []byte(r.topic)),
	)
	if r.isV5() {
		r.turnsAway(
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, []byte{9}, str(r.topic)),                               // length of the properties
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x21, 0, 0}), str(r.topic)),             // Receive Maximum 0
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x27, 0, 0, 0, 0}), str(r.topic)),       // Maximum Packet Size 0
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x17, 2}), str(r.topic)),                // Request Problem Information 2
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x22, 0, 1, 0x22, 0, 1}), str(r.topic)), // twice
			packet(0x10, str("MQTT"), []byte{5, 2, 0, 0}, r.props([]byte{0x01, 0}), str(r.topic)),                // a property of PUBLISH
		)
	}
}

func takeover(r *run) {
	old := r.connect("same")
	old.pong()
	now := r.connect("same")
	old.thrownOut(mqtt.SessionTakenOver)
	now.pong()
}
