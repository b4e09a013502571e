package session

import (
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func (b *broker) wantSurvey(what string, want Survey) {
	b.t.Helper()
	defer func() {
		if b.t.Failed() {
			b.t.Logf("%s: got %+v, want %+v", what, b.m.Survey(), want)
		}
	}()
	eventually(b.t, what, func() bool { return b.m.Survey() == want })
}

// A survey counts what is under way in both directions, and how far those are who do not keep up.
func TestSurvey(t *testing.T) {
	b := newBroker(t)
	b.wantSurvey("nobody is there", Survey{})
	sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
	sub.subscribe("t", 2)
	sub.subscribe("other", 0)
	pub, _ := b.connect(mqtt.V5, "pub")
	b.wantSurvey("nothing is under way", Survey{Connected: 2, Subscriptions: 2})

	pub.publish("t", "", 2, 1)
	pub.wantAck(mqtt.PUBREC, 1, mqtt.Success)
	sub.next(mqtt.PUBLISH, &mqtt.Publish{})
	b.wantSurvey("PUBREL and PUBREC are owed", Survey{Connected: 2, Subscriptions: 2, Sending: 1, Receiving: 1})
	pub.ack(mqtt.PUBREL, 1)
	pub.wantAck(mqtt.PUBCOMP, 1, mqtt.Success)
	b.wantSurvey("PUBREC is owed", Survey{Connected: 2, Subscriptions: 2, Sending: 1})

	var first int64 // offset of the first message that waits
	for i := range 5 {
		if i == 1 {
			first = b.store.Next(0)
		}
		pub.send("t", "x", 1)
	}
	eventually(t, "the session is behind", func() bool {
		least := b.store.Next(0) - first // checkpoints come too
		s := b.m.Survey()
		return s.Behind == 1 && s.Sending == 2 && s.Furthest >= least && s.Furthest <= b.store.Next(0)-first && least >= 4
	})
	sub.gone()
	b.wantSurvey("sessions without a connection are not counted", Survey{Connected: 1})
}

func TestSurveyOfGroups(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 1 })
	sub.subscribe("$share/g/t", 1)
	b.wantSurvey("nothing is under way", Survey{Connected: 1, Subscriptions: 1, Groups: 1})
	pub, _ := b.connect(mqtt.V5, "pub")
	for range 3 {
		pub.send("t", "x", 1)
	}
	eventually(t, "the group is behind", func() bool {
		s := b.m.Survey()
		return s.Behind == 1 && s.Furthest >= 2 && s.Sending == 1
	})
	sub.gone()
	b.wantSurvey("a group that nobody serves is not behind", Survey{Connected: 1, Groups: 1})
}

// Every packet is counted once, in its direction.
func TestTraffic(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	for i, n := range []int{3, 5, 7} {
		for range n {
			pub.send("t", strings.Repeat("x", 10*(i+1)), byte(i))
			sub.accept(sub.wantPublish("t", strings.Repeat("x", 10*(i+1)), byte(i)))
		}
	}
	s := b.m.Stats()
	for qos, n := range []int64{3, 5, 7} {
		for name, way := range map[string]*Traffic{"in": &s.In, "out": &s.Out} {
			if got := way.Messages[qos].Load(); got != n {
				t.Errorf("%s, QoS %d: %d messages, want %d", name, qos, got, n)
			}
			if got, want := way.Bytes[qos].Load(), n*int64(qos+1)*10; got != want {
				t.Errorf("%s, QoS %d: %d bytes, want %d", name, qos, got, want)
			}
		}
	}
	for i, n := range []int64{5, 7, 7, 7} { // PUBACK, PUBREC, PUBREL, PUBCOMP
		if in, out := s.In.Acks[i].Load(), s.Out.Acks[i].Load(); in != n || out != n {
			t.Errorf("%v: %d in, %d out, want %d", mqtt.PUBACK+mqtt.Type(i), in, out, n)
		}
	}
}

// A publish or a CONNECT that is not taken is counted with its reason.
func TestRefusalsAreCounted(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.Sessions = 1 })
	pub, _ := b.connect(mqtt.V5, "pub", keep)
	pub.publish("$SYS/x", "", 1, 1)
	pub.wantAck(mqtt.PUBACK, 1, mqtt.TopicNameInvalid)
	if _, ack := b.tryConnect(mqtt.V5, "one too many", keep); ack.Code != mqtt.QuotaExceeded {
		t.Fatalf("%+v", ack)
	}
	if _, ack := b.tryConnect(mqtt.V5, "auth", func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("x") }); ack.Code != mqtt.BadAuthMethod {
		t.Fatalf("%+v", ack)
	}
	pub.packet(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("again")}) // [MQTT-3.1.0-2]
	pub.wantDisconnect(mqtt.ProtocolError)
	s := b.m.Stats()
	for name, n := range map[string]int64{
		"topic": s.Rejected[RejectedTopic].Load(), "quota": s.Refused[RefusedQuota].Load(), "unsupported": s.Refused[RefusedUnsupported].Load(),
		"broken": s.Broken.Load(),
	} {
		if n != 1 {
			t.Errorf("%s: counted %d times", name, n)
		}
	}
}

func TestReasons(t *testing.T) {
	for code, want := range map[mqtt.ReasonCode]Refusal{
		mqtt.BadUserNameOrPassword: RefusedLogin, mqtt.NotAuthorized: RefusedLogin, mqtt.MalformedPacket: RefusedProtocol,
		mqtt.UnsupportedProtocolVersion: RefusedProtocol, mqtt.ClientIDNotValid: RefusedProtocol, mqtt.QuotaExceeded: RefusedQuota,
		mqtt.ImplementationSpecific: RefusedUnsupported, mqtt.RetainNotSupported: RefusedUnsupported, mqtt.ServerUnavailable: RefusedUnavailable,
	} {
		if got := refusal(code); got != want {
			t.Errorf("%v: got %d, want %d", code, got, want)
		}
	}
	for err, want := range map[error]Rejection{
		store.ErrFull: RejectedFull, store.ErrTooLarge: RejectedLarge, store.ErrFailed: RejectedFailed, store.ErrClosed: RejectedFailed,
	} {
		if got := rejection(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}
