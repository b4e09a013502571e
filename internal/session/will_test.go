package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// withWill gives CONNECT a will of QoS 1 to w/<client id> with a delay in seconds.
func withWill(delay uint32, change ...func(*mqtt.Will)) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) {
		p.HasWill = true
		p.Will = mqtt.Will{Topic: append([]byte("w/"), p.ClientID...), Payload: []byte("gone"), QoS: 1, Delay: delay}
		for _, f := range change {
			f(&p.Will)
		}
	}
}

// watch subscribes somebody to all wills.
func (b *broker) watch() *client {
	b.t.Helper()
	w, _ := b.connect(mqtt.V5, "watch", keep)
	w.subscribe("w/#", 2)
	return w
}

// A will is published when its connection ends without DISCONNECT with code 0, and only then [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3].
func TestWill(t *testing.T) {
	for _, c := range []struct {
		name string
		v    mqtt.Version
		end  func(*client)
		want bool
	}{
		{"the connection is lost", mqtt.V5, (*client).gone, true},
		{"the connection is lost, 3.1.1", mqtt.V311, (*client).gone, true},
		{"the connection is lost, 3.1", mqtt.V31, (*client).gone, true},
		{"DISCONNECT", mqtt.V5, func(cl *client) { cl.packet(&mqtt.Disconnect{}) }, false},
		{"DISCONNECT, 3.1.1", mqtt.V311, func(cl *client) { cl.packet(&mqtt.Disconnect{}) }, false},
		{"DISCONNECT with will", mqtt.V5, func(cl *client) { cl.packet(&mqtt.Disconnect{Code: mqtt.DisconnectWithWill}) }, true},
		{"a protocol error", mqtt.V5, func(cl *client) { cl.packet(&mqtt.Suback{Type: mqtt.SUBACK, PacketID: 1, Codes: []mqtt.ReasonCode{0}}) }, true},
		{"keep-alive", mqtt.V311, func(cl *client) { cl.c.KeepAliveExpired() }, true},
	} {
		for qos := range byte(3) {
			for _, kept := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, QoS %d, kept %v", c.name, qos, kept), func(t *testing.T) {
					t.Parallel()
					b := newBroker(t, meta)
					watch := b.watch()
					cl, _ := b.connect(c.v, "c", withWill(0, func(w *mqtt.Will) { w.QoS = qos }), func(p *mqtt.Connect) {
						if kept {
							keep(p)
						}
					})
					c.end(cl)
					cl.gone()
					if c.want {
						watch.accept(watch.wantPublish("w/c", "gone", qos))
					}
					watch.nothing()
					if n := b.store.Sessions(); n != int64(1+map[bool]int{true: 1}[kept]) {
						t.Errorf("%d sessions are stored", n)
					}
				})
			}
		}
	}
}

// A will with a delay waits for the client to come back, at most until the session ends [MQTT-3.1.3-9].
func TestWillDelay(t *testing.T) {
	for _, c := range []struct {
		name   string
		expiry uint32
		away   time.Duration
		back   func(*mqtt.Connect) // nil: the client stays away
		want   bool
	}{
		{"not over", 3600, 9 * time.Second, nil, false},
		{"over", 3600, 11 * time.Second, nil, true},
		{"the session ends before", 5, 6 * time.Second, nil, true},
		{"the session ends with the connection", 0, 0, nil, true},
		{"back in time", 3600, 9 * time.Second, keep, false},
		{"back too late", 3600, 11 * time.Second, keep, true},
		{"back with a clean start", 3600, 9 * time.Second, func(*mqtt.Connect) {}, true},
	} {
		for name, end := range map[string]func(*broker){"": func(*broker) {}, ", restart": (*broker).restart, ", power loss": (*broker).crash} {
			t.Run(c.name+name, func(t *testing.T) {
				t.Parallel()
				b := newBroker(t, meta)
				watch := b.watch()
				watch.gone()
				cl, _ := b.connect(mqtt.V5, "c", keep, withWill(10), func(p *mqtt.Connect) { p.SessionExpiry = c.expiry })
				cl.gone()
				end(b)
				b.clock.move(c.away)
				if c.back != nil {
					b.connect(mqtt.V5, "c", c.back)
				}
				watch, _ = b.connect(mqtt.V5, "watch", keep)
				if c.want {
					watch.accept(watch.wantPublish("w/c", "gone", 1))
				}
				b.ticks(2)
				watch.nothing()
				b.clock.move(time.Minute)
				b.ticks(2)
				if !c.want && c.back == nil {
					watch.accept(watch.wantPublish("w/c", "gone", 1))
				}
				watch.nothing()
			})
		}
	}
}

// ticks waits until the housekeeping has run n times from its beginning.
func (b *broker) ticks(n int64) {
	b.t.Helper()
	from := b.m.ticked.Load()
	eventually(b.t, "housekeeping", func() bool { return b.m.ticked.Load() > from+n })
}

// After a crash the wills of all who were connected are owed, once, from the start on; after a graceful stop none.
func TestWillAfterEnd(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, meta)
			watch := b.watch()
			watch.gone()
			b.connect(mqtt.V5, "clean", withWill(0))
			b.connect(mqtt.V311, "old", withWill(0))
			b.connect(mqtt.V5, "kept", keep, withWill(0, func(w *mqtt.Will) { w.QoS = 2 }))
			b.connect(mqtt.V5, "delayed", keep, withWill(10))
			b.connect(mqtt.V5, "none", keep)
			end(b)
			watch, _ = b.connect(mqtt.V5, "watch", keep)
			got := map[string]int{}
			take := func(n int) {
				t.Helper()
				for range n {
					p := &mqtt.Publish{}
					watch.next(mqtt.PUBLISH, p)
					got[string(p.Topic)]++
					watch.acceptAny(p)
				}
				b.ticks(2)
				watch.nothing()
			}
			if name == "restart" {
				take(0)
				b.clock.move(time.Hour)
				take(0)
				return
			}
			take(3)
			end(b)
			watch, _ = b.connect(mqtt.V5, "watch", keep)
			take(0)
			b.clock.move(11 * time.Second)
			take(1)
			if fmt.Sprint(got) != "map[w/clean:1 w/delayed:1 w/kept:1 w/old:1]" {
				t.Errorf("wills: %v", got)
			}
			if n := b.store.Sessions(); n != 4 { // kept, delayed, none, watch
				t.Errorf("%d sessions are stored", n)
			}
		})
	}
}

// Takeover by a client that resumes the session cancels a will with a delay; without delay, or with a clean start, it is published.
func TestWillTakeover(t *testing.T) {
	for _, c := range []struct {
		delay uint32
		clean bool
		want  bool
	}{{10, false, false}, {10, true, true}, {0, false, true}, {0, true, true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, meta)
			watch := b.watch()
			cl, _ := b.connect(mqtt.V5, "c", keep, withWill(c.delay))
			b.connect(mqtt.V5, "c", keep, func(p *mqtt.Connect) { p.CleanStart = c.clean })
			cl.wantDisconnect(mqtt.SessionTakenOver)
			if c.want {
				watch.accept(watch.wantPublish("w/c", "gone", 1))
			}
			watch.nothing()
			b.clock.move(time.Minute)
			b.ticks(2)
			watch.nothing()
		})
	}
}

// A later connection without a will, and one that is refused, never publish an old one.
func TestWillIsNotOld(t *testing.T) {
	b := newBroker(t, meta)
	watch := b.watch()
	cl, _ := b.connect(mqtt.V5, "c", keep, withWill(0))
	cl.packet(&mqtt.Disconnect{})
	cl.gone()
	cl, _ = b.connect(mqtt.V5, "c", keep)
	cl.gone()
	cl, _ = b.connect(mqtt.V5, "c", keep, withWill(100))
	cl.gone()
	if _, ack := b.tryConnect(mqtt.V5, "c", func(p *mqtt.Connect) { p.HasUsername, p.Username = true, []byte("somebody else") }); ack.Code != mqtt.NotAuthorized {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	cl, _ = b.connect(mqtt.V5, "c", keep)
	cl.gone()
	b.clock.move(time.Hour)
	b.ticks(2)
	watch.nothing()
}

// A will may be retained, has properties, and expires from when it is published.
func TestWillMessage(t *testing.T) {
	b := newBroker(t, meta)
	props := mqtt.Properties{ContentType: []byte("text/x"), User: []mqtt.UserProperty{{Key: []byte("k"), Value: []byte("v")}}}
	cl, _ := b.connect(mqtt.V5, "c", withWill(0, func(w *mqtt.Will) {
		w.Retain = true
		w.HasMessageExpiry, w.MessageExpiry = true, 100
		w.Forward = props.Append(nil)
	}))
	b.clock.move(time.Hour)
	cl.gone()
	b.clock.move(40 * time.Second)
	sub, _ := b.connect(mqtt.V5, "sub")
	sub.subscribe("w/c", 1)
	p := sub.wantRetained("w/c", "gone", 1)
	if p.MessageExpiry != 60 || string(p.ContentType) != "text/x" || fmt.Sprint(p.User) != fmt.Sprint(props.User) {
		t.Errorf("%+v", p)
	}
}

// Nobody can leave a will where he could not publish.
func TestWillReserved(t *testing.T) {
	b := newBroker(t, meta)
	for v, want := range map[mqtt.Version]mqtt.ReasonCode{mqtt.V5: mqtt.TopicNameInvalid, mqtt.V311: mqtt.NotAuthorized} {
		for _, name := range []string{"$SYS/x", "MQTT_SYS_SESSION", "%RETRY%g"} {
			if _, ack := b.tryConnect(v, "c", withWill(0, func(w *mqtt.Will) { w.Topic = []byte(name) })); ack.Code != want {
				t.Errorf("%s: %v", name, ack.Code)
			}
		}
	}
}

// The will of a CONNECT that is not accepted is never published: refused by the store, or ended before CONNACK.
func TestWillOfRefusedConnect(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, meta, with)
	watch := b.watch()
	h.set(func(c *store.Change) error {
		if c.Client == "c" && c.Kind == store.Connect {
			return store.ErrFull
		}
		return nil
	})
	cl, ack := b.tryConnect(mqtt.V5, "c", withWill(0))
	if ack.Code != mqtt.QuotaExceeded {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	cl.gone()
	h.set(nil)

	p := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c"), ReceiveMaximum: 100}
	withWill(0)(p)
	b.endBeforeConnack(h, p)
	watch.nothing()
	b.crash()
	watch, _ = b.connect(mqtt.V5, "watch", keep)
	b.ticks(2)
	watch.nothing()
}
