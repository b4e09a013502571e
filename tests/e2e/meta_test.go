package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// The last retained message of a topic is there for who subscribes later, after a restart and a kill -9 as well, until an empty one ends it.
func TestRetained(t *testing.T) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			b := broker.Start(t, durable())
			forEachInTurn(t, func(t *testing.T, l library, v mqtt.Version) {
				topic, pub := fmt.Sprint(l.name, v), l.open(t, b)()
				mustConnect(t, pub, connectOptions{version: v, id: topic + "-pub"})
				for qos := range byte(3) {
					name := fmt.Sprint(topic, "/", qos)
					mustPublish(t, pub, message{Topic: name, QoS: qos, Retain: true, Payload: []byte("old")})
					mustPublish(t, pub, message{Topic: name, QoS: qos, Retain: true, Payload: []byte("new")})
				}
				mustPublish(t, pub, message{Topic: topic + "/ended", QoS: 1, Retain: true, Payload: []byte("x")})
				mustPublish(t, pub, message{Topic: topic + "/ended", QoS: 1, Retain: true, Payload: []byte{}})
				mustDisconnect(t, pub)
			})
			o.down(b)
			b.Start()
			forEachInTurn(t, func(t *testing.T, l library, v mqtt.Version) {
				topic, sub := fmt.Sprint(l.name, v), l.open(t, b)()
				mustConnect(t, sub, connectOptions{version: v, id: topic + "-sub"})
				mustSubscribe(t, sub, topic+"/+", 2)
				for qos := range byte(3) {
					wantRetained(t, sub, fmt.Sprint(topic, "/", qos), qos, "new")
				}
				mustPublish(t, sub, message{Topic: topic + "/live", QoS: 1, Retain: true, Payload: []byte("live")})
				wantText(t, sub, topic+"/live", 1, "live")
			})
		})
	}
}

// forEachInTurn is forEach without running side by side: all have ended when it returns.
func forEachInTurn(t *testing.T, f func(t *testing.T, l library, v mqtt.Version)) {
	t.Helper()
	for _, l := range libraries() {
		if !tools.Have(t, l.needs...) {
			continue
		}
		for _, v := range l.versions {
			t.Run(fmt.Sprintf("%s/%s", l.name, v), func(t *testing.T) { f(t, l, v) })
		}
	}
}

// A will is published when its client is gone without a DISCONNECT, after its delay, and when the broker was killed; not after DISCONNECT.
func TestWill(t *testing.T) {
	b := broker.Start(t, broker.Options{})
	forEach(t, func(t *testing.T, l library, v mqtt.Version) {
		open, topic := l.open(t, b), prefix(t)
		watch, dies, leaves, later := open(), open(), open(), open()
		mustConnect(t, watch, connectOptions{version: v, id: topic + "-watch"})
		mustSubscribe(t, watch, topic+"/#", 2)
		will := func(name string) *message {
			return &message{Topic: topic + "/" + name, QoS: 1, Retain: true, Payload: []byte("gone")}
		}
		mustConnect(t, leaves, connectOptions{version: v, id: topic + "-leaves", will: will("leaves")})
		mustDisconnect(t, leaves)
		mustConnect(t, dies, connectOptions{version: v, id: topic + "-dies", will: will("dies")})
		if err := dies.drop(); err != nil {
			t.Fatal(err)
		}
		wantText(t, watch, topic+"/dies", 1, "gone")
		if v == mqtt.V5 {
			mustConnect(t, later, connectOptions{version: v, id: topic + "-later", keep: true, will: will("later"), willDelay: 1})
			if err := later.drop(); err != nil {
				t.Fatal(err)
			}
			wantText(t, watch, topic+"/later", 1, "gone")
		}
		sub := open()
		mustConnect(t, sub, connectOptions{version: v, id: topic + "-sub"})
		mustSubscribe(t, sub, topic+"/dies", 1)
		wantRetained(t, sub, topic+"/dies", 1, "gone")
	})
}

// The wills of all who were connected when the broker was killed are published when it is back, once; none after it was stopped.
func TestWillOverOutage(t *testing.T) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			forEach(t, func(t *testing.T, l library, v mqtt.Version) {
				b := broker.Start(t, durable())
				open, topic := l.open(t, b), prefix(t)
				watch := connectOptions{version: v, id: topic + "-watch", keep: true}
				sub := open()
				mustConnect(t, sub, watch)
				mustSubscribe(t, sub, topic+"/#", 1)
				mustDisconnect(t, sub)
				will := &message{Topic: topic + "/will", QoS: 1, Payload: []byte("gone")}
				mustConnect(t, open(), connectOptions{version: v, id: topic + "-c", will: will})
				o.down(b)
				b.Start()
				pub := open()
				mustConnect(t, pub, connectOptions{version: v, id: topic + "-pub"})
				sub = open()
				mustConnect(t, sub, watch)
				if o.name != "restart" {
					wantText(t, sub, topic+"/will", 1, "gone")
				}
				mustPublish(t, pub, message{Topic: topic + "/last", QoS: 1, Payload: []byte("x")})
				wantText(t, sub, topic+"/last", 1, "x")
			})
		})
	}
}

// With enableMetaModule=false a will and RETAIN are refused, at every QoS, with words where the version has them; nothing is stored or
// delivered, an older connection of the client id is left alone, and the log says who it was, what, and which key turns it on.
func TestMetaOff(t *testing.T) {
	b := broker.Start(t, broker.Options{Set: []string{"enableMetaModule=false"}, Errors: true})
	forEachInTurn(t, func(t *testing.T, l library, v mqtt.Version) {
		open, topic := l.open(t, b), prefix(t)
		watch := open()
		mustConnect(t, watch, connectOptions{version: v, id: topic + "-watch"})
		mustSubscribe(t, watch, topic+"/#", 2)
		for _, retain := range []bool{false, true} {
			_, err := open().connect(connectOptions{
				version: v, id: topic + "-watch", will: &message{Topic: topic + "/will", QoS: 1, Retain: retain, Payload: []byte("x")},
			})
			want := []refused{5, refused(mqtt.NotAuthorized)}
			if v == mqtt.V5 {
				want = []refused{refused(mqtt.ImplementationSpecific)}
				if retain {
					want = []refused{refused(mqtt.RetainNotSupported)}
				}
			}
			if got := refused(0); !errors.As(err, &got) || !slices.Contains(want, got) {
				t.Errorf("a will, retained %v: %v, want code %v", retain, err, want)
			}
		}
		for qos := range byte(3) {
			for _, payload := range []string{"x", ""} {
				pub := open()
				mustConnect(t, pub, connectOptions{version: v, id: fmt.Sprintf("%s-pub%d%s", topic, qos, payload)})
				m := message{Topic: topic + "/retained", QoS: qos, Retain: true, Payload: []byte(payload)}
				if l.knowsRetain { // it does not even send it
					if _, err := pub.publish(m); err == nil {
						t.Errorf("QoS %d: the library published it", qos)
					}
					continue
				}
				go pub.publish(m) //nolint:errcheck // it is not answered
				code := pub.inbox().downs.next(t, "end of the publisher's connection")
				if v == mqtt.V5 && code != byte(mqtt.RetainNotSupported) {
					t.Errorf("QoS %d: the connection was ended with %#x", qos, code)
				}
			}
		}
		mustPublish(t, watch, message{Topic: topic + "/last", QoS: 1, Payload: []byte("last")})
		wantText(t, watch, topic+"/last", 1, "last")
	})
	log := b.Log()
	for _, want := range []string{"level=ERROR", "enableMetaModule=false", "client=", "/will", "/retained"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
}

// mosquitto_pub and mosquitto_sub see retained messages and wills, and with meta off why there are none.
func TestMosquittoMeta(t *testing.T) {
	on := broker.Start(t, broker.Options{})
	off := broker.Start(t, broker.Options{Set: []string{"enableMetaModule=false"}, Errors: true})
	forMosquitto(t, func(t *testing.T, version string) {
		topic := prefix(t)
		mosquittoPub(t, on, version, topic+"/r", "", "-q", "1", "-r", "-m", "kept")
		s := mosquittoSub(t, on, version, "%t %r %p", "-t", topic+"/#", "-q", "1")
		s.want(topic + "/r 1 kept")
		dying := mosquittoCommand(t.Context(), tools.MosquittoSub().Path(t), on, version,
			[]string{"-t", topic + "/nothing", "-E", "--will-topic", topic + "/w", "--will-payload", "gone", "--will-qos", "1"})
		if out, err := dying.CombinedOutput(); err != nil { // it says DISCONNECT: no will
			t.Fatalf("%v\n%s", err, out)
		}
		mosquittoPub(t, on, version, topic+"/last", "", "-q", "1", "-m", "x")
		s.want(topic + "/last 0 x")

		for _, args := range [][]string{
			{"-d", "-t", topic, "-q", "1", "-r", "-m", "x"},
			{"-t", topic, "-q", "1", "-m", "x", "--will-topic", topic, "--will-payload", "gone"},
		} {
			cmd := mosquittoCommand(t.Context(), tools.MosquittoPub().Path(t), off, version, args)
			out, err := cmd.CombinedOutput()
			heeded := version == "mqttv5" && strings.Contains(string(out), ", r0, ") // CONNACK says Retain Available 0
			if err == nil && !heeded {
				t.Errorf("mosquitto_pub %q succeeded:\n%s", args, out)
			}
		}
	})
}
