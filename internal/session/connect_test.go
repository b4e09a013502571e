package session

import (
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/auth"
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// What a CONNECT is answered, by version.
func TestConnectAnswers(t *testing.T) {
	type change = func(*mqtt.Connect)
	will := func(retain bool) change {
		return func(p *mqtt.Connect) {
			p.HasWill = true
			p.Will = mqtt.Will{Topic: []byte("w"), Retain: retain}
		}
	}
	tests := []struct {
		name    string
		version mqtt.Version
		id      string
		change  change
		want    mqtt.ReasonCode
	}{
		{"3.1", mqtt.V31, "a", nil, mqtt.Success},
		{"3.1 without a client id", mqtt.V31, "", nil, mqtt.ClientIDNotValid},
		{"3.1.1 assigns a client id", mqtt.V311, "", nil, mqtt.Success},
		{"3.1.1 kept session without a client id [MQTT-3.1.3-8]", mqtt.V311, "", keep, mqtt.ClientIDNotValid},
		{"5 without a client id", mqtt.V5, "", keep, mqtt.Success},
		{"long client id", mqtt.V5, strings.Repeat("x", 60000), nil, mqtt.Success},
		{"3.1.1 will while there are none", mqtt.V311, "a", will(false), mqtt.NotAuthorized},
		{"5 will while there are none", mqtt.V5, "a", will(false), mqtt.ImplementationSpecific},
		{"5 retained will while there are none [MQTT-3.2.2-13]", mqtt.V5, "a", will(true), mqtt.RetainNotSupported},
		{"5 authentication method [MQTT-4.12.0-1]", mqtt.V5, "a", func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("SCRAM") }, mqtt.BadAuthMethod},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBroker(t)
			if test.change == nil {
				test.change = func(*mqtt.Connect) {}
			}
			cl, ack := b.tryConnect(test.version, test.id, test.change)
			if ack.Code != test.want {
				t.Fatalf("CONNACK %v, want %v", ack.Code, test.want)
			}
			if test.want != mqtt.Success {
				cl.wantClosed()
			}
			if assigned := ack.AssignedClientID != ""; assigned != (test.id == "" && test.version == mqtt.V5) { // [MQTT-3.1.3-7]
				t.Fatalf("assigned client id %q", ack.AssignedClientID)
			}
		})
	}
}

// The first packet must be CONNECT [MQTT-3.1.0-1], and a second one ends the connection [MQTT-3.1.0-2].
func TestConnectFirstAndOnce(t *testing.T) {
	b := newBroker(t)
	cl := b.dial(mqtt.V5)
	cl.bytes([]byte{0xC0, 0})
	cl.wantClosed()
	cl.nothing()

	cl, _ = b.connect(mqtt.V5, "a")
	cl.packet(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("a"), ReceiveMaximum: 1, RequestProblem: true})
	cl.wantDisconnect(mqtt.ProtocolError)
}

type refusing struct{ result auth.Result }

func (r refusing) Authenticate(*auth.Request) (string, auth.Result) { return "", r.result }

// A login that fails gets its code and leaves the session and the connection that exist alone.
func TestConnectBadLogin(t *testing.T) {
	for result, want := range map[auth.Result]mqtt.ReasonCode{auth.BadCredentials: mqtt.BadUserNameOrPassword, auth.NotAuthorized: mqtt.NotAuthorized} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			b := newBroker(t)
			first, _ := b.connect(v, "a")
			b.m.opts.Auth = refusing{result}
			_, ack := b.tryConnect(v, "a")
			if ack.Code != want {
				t.Fatalf("CONNACK %v, want %v", ack.Code, want)
			}
			first.bytes([]byte{0xC0, 0})
			if r := <-first.got; r.h.Type != mqtt.PINGRESP {
				t.Fatalf("the first connection got %v", r.h.Type)
			}
		}
	}
}

// Nobody takes over what another principal began, connected or not.
func TestConnectOtherPrincipal(t *testing.T) {
	b := newBroker(t)
	as := func(name string) func(*mqtt.Connect) {
		return func(p *mqtt.Connect) { p.HasUsername, p.Username = true, []byte(name) }
	}
	alice, _ := b.connect(mqtt.V5, "device", keep, as("alice"))
	if _, ack := b.tryConnect(mqtt.V5, "device", as("mallory")); ack.Code != mqtt.NotAuthorized {
		t.Fatalf("CONNACK %v while connected", ack.Code)
	}
	alice.subscribe("x", 1)
	alice.gone()
	for _, clean := range []bool{false, true} {
		if _, ack := b.tryConnect(mqtt.V5, "device", as("mallory"), func(p *mqtt.Connect) { p.CleanStart = clean }); ack.Code != mqtt.NotAuthorized {
			t.Fatalf("CONNACK %v, clean start %v", ack.Code, clean)
		}
	}
	if _, ack := b.connect(mqtt.V5, "device", keep, as("alice")); !ack.SessionPresent {
		t.Fatal("alice's session is gone")
	}
}

// The older connection is told 0x8E and the session goes on with the newer [MQTT-3.1.4-3].
func TestConnectTakeover(t *testing.T) {
	b := newBroker(t)
	one, _ := b.connect(mqtt.V5, "a", keep)
	one.subscribe("x", 1)
	two, ack := b.connect(mqtt.V5, "a", keep)
	one.wantDisconnect(mqtt.SessionTakenOver)
	if !ack.SessionPresent {
		t.Fatal("session not present")
	}
	pub, _ := b.connect(mqtt.V311, "p")
	pub.publish("x", "1", 1, 1)
	two.wantPublish("x", "1", 1)
	one.nothing()
}

// Session Present is true exactly when there is a session [MQTT-3.2.2-2] [MQTT-3.2.2-3], over restarts too.
func TestConnectSessionPresent(t *testing.T) {
	tests := []struct {
		name          string
		version       mqtt.Version
		first, second func(*mqtt.Connect)
		after         func(*broker)
		want          bool
	}{
		{"3.1.1 kept", mqtt.V311, keep, keep, nil, true},
		{"3.1.1 clean first", mqtt.V311, nil, keep, nil, false},
		{"3.1.1 clean second", mqtt.V311, keep, nil, nil, false},
		{"3.1.1 kept over a restart", mqtt.V311, keep, keep, (*broker).restart, true},
		{"5 kept", mqtt.V5, keep, keep, nil, true},
		{"5 kept over a restart", mqtt.V5, keep, keep, (*broker).restart, true},
		{"5 no expiry", mqtt.V5, func(p *mqtt.Connect) { p.CleanStart = false }, keep, nil, false},
		{"5 clean start", mqtt.V5, keep, func(p *mqtt.Connect) { p.SessionExpiry = 9 }, nil, false},
		{"5 expired", mqtt.V5, keep, keep, func(b *broker) { b.clock.move(time.Hour + time.Second) }, false},
		{"5 not expired", mqtt.V5, keep, keep, func(b *broker) { b.clock.move(time.Hour - time.Second) }, true},
		{"5 expired while the server was stopped", mqtt.V5, keep, keep, func(b *broker) {
			b.stop()
			b.clock.move(time.Hour + time.Second)
			b.start()
		}, false},
		{"longer than allowed", mqtt.V311, keep, keep, func(b *broker) { b.clock.move(8 * 24 * time.Hour) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBroker(t)
			if test.first == nil {
				test.first = func(*mqtt.Connect) {}
			}
			if test.second == nil {
				test.second = func(*mqtt.Connect) {}
			}
			one, ack := b.connect(test.version, "a", test.first)
			if ack.SessionPresent {
				t.Fatal("present at first")
			}
			one.gone()
			if test.after != nil {
				test.after(b)
			}
			if _, ack := b.connect(test.version, "a", test.second); ack.SessionPresent != test.want {
				t.Fatalf("session present %v, want %v", ack.SessionPresent, test.want)
			}
		})
	}
}

// DISCONNECT may shorten or lengthen the session's life, but not give one to a session that has none [MQTT-3.14.2-2].
func TestDisconnectExpiry(t *testing.T) {
	b := newBroker(t)
	cl, _ := b.connect(mqtt.V5, "a", keep)
	cl.packet(&mqtt.Disconnect{HasSessionExpiry: true})
	cl.wantClosed()
	<-cl.c.gone
	cl, ack := b.connect(mqtt.V5, "a")
	if ack.SessionPresent {
		t.Fatal("the session outlived an expiry of 0")
	}
	cl.packet(&mqtt.Disconnect{HasSessionExpiry: true, SessionExpiry: 5})
	cl.wantDisconnect(mqtt.ProtocolError)
}

// What the server decided otherwise than asked is told in CONNACK.
func TestConnackTellsLimits(t *testing.T) {
	b := newBroker(t, func(b *broker) {
		b.limits.KeepAlive = 30 * time.Second
		b.limits.SessionExpiry = time.Minute
		b.limits.MaxPacket = 5000
		b.limits.ReceiveMaximum = 7
		b.limits.TopicAliases = 3
	})
	cl, ack := b.connect(mqtt.V5, "a", keep, func(p *mqtt.Connect) { p.KeepAlive = 0 })
	if *ack.ServerKeepAlive != 30 || *ack.SessionExpiry != 60 || *ack.MaximumPacketSize != 5000 ||
		*ack.ReceiveMaximum != 7 || *ack.TopicAliasMaximum != 3 || *ack.RetainAvailable {
		t.Fatalf("%+v", ack)
	}
	if cl.c.KeepAlive() != 30*time.Second {
		t.Fatalf("keep-alive %v", cl.c.KeepAlive())
	}
	cl.c.KeepAliveExpired()
	cl.wantDisconnect(mqtt.KeepAliveTimeout)
}

// AUTH while no method is offered [MQTT-4.12.0-6].
func TestAuthPacket(t *testing.T) {
	b := newBroker(t)
	cl, _ := b.connect(mqtt.V5, "a")
	cl.packet(&mqtt.Auth{Code: mqtt.ReAuthenticate, Method: []byte("x")})
	cl.wantDisconnect(mqtt.ProtocolError)
}

// A stop tells clients why, and later connections get an answer.
func TestManagerDisconnect(t *testing.T) {
	b := newBroker(t)
	five, _ := b.connect(mqtt.V5, "a")
	three, _ := b.connect(mqtt.V311, "b")
	b.m.Disconnect()
	five.wantDisconnect(mqtt.ServerShuttingDown)
	three.wantClosed()
	three.nothing()
	if _, ack := b.tryConnect(mqtt.V5, "c"); ack.Code != mqtt.ServerUnavailable {
		t.Fatalf("CONNACK %v", ack.Code)
	}
}

// Sessions that outlive their connection are limited; those that exist, and those that do not outlive it, are not refused.
func TestConnectMaxSessions(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.limits.Sessions = 2 })
	for _, id := range []string{"a", "b"} {
		cl, _ := b.connect(mqtt.V5, id, keep)
		cl.gone()
	}
	if _, ack := b.tryConnect(mqtt.V5, "c", keep); ack.Code != mqtt.QuotaExceeded {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	if _, ack := b.tryConnect(mqtt.V311, "c", keep); ack.Code != mqtt.ServerUnavailable {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	b.connect(mqtt.V5, "c")
	if _, ack := b.connect(mqtt.V5, "a", keep); !ack.SessionPresent {
		t.Fatal("an existing session is gone")
	}
}
