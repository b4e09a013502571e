package conformance

import (
	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func authTests() []test {
	return []test{
		{"", "4.12.0-1", methodRefused},
		{"", "4.12.0-6", noMethod},
		{"", "4.12.0-7 4.12.1-1", authRefused},
	}
}

func methodRefused(r *run) {
	for _, data := range [][]byte{nil, {}, []byte("data")} {
		c := r.dial()
		c.send(r.hello("", func(p *mqtt.Connect) {
			p.HasAuthMethod, p.AuthMethod, p.AuthData = true, []byte("SCRAM-SHA-1"), data
		}))
		got := c.ended()
		if len(got) != 1 || got[0].(*mqtt.Connack).Code != mqtt.BadAuthMethod {
			r.Errorf("read %+v, want CONNACK 0x8C", got)
		}
	}
}

func noMethod(r *run) {
	_, a := r.connack("")
	if a.AuthMethod != nil || a.AuthData != nil {
		r.Errorf("CONNACK has the method %q and data %q", a.AuthMethod, a.AuthData)
	}
}

func authRefused(r *run) {
	for _, code := range []mqtt.ReasonCode{mqtt.ContinueAuthentication, mqtt.ReAuthenticate} {
		c := r.connect("")
		c.send(&mqtt.Auth{Code: code, Method: []byte("X")})
		c.thrownOut(mqtt.ProtocolError)
	}
}
