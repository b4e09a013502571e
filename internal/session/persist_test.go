package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// ends are the ways in which a broker comes back.
var ends = map[string]func(*broker){
	"restart":    (*broker).restart,
	"power loss": (*broker).crash,
}

// What comes while a session is away is delivered when it is back, in order, QoS 1 and 2, and not QoS 0.
func TestOfflineMessages(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			sub, _ := b.connect(mqtt.V5, "sub", keep)
			sub.subscribe("t/+", 2)
			sub.gone()
			pub, _ := b.connect(mqtt.V5, "pub")
			for i := range 30 {
				pub.send("t/a", fmt.Sprint(i), byte(i%3))
			}
			end(b)
			sub, ack := b.connect(mqtt.V5, "sub", keep)
			if !ack.SessionPresent {
				t.Fatal("no session")
			}
			sub.wantInOrder("t/a", 30)
			sub.nothing()
			sub.gone()
			end(b)
			sub, _ = b.connect(mqtt.V5, "sub", keep)
			sub.nothing()
		})
	}
}

// What was sent and not acknowledged is sent again first, with DUP and, after an orderly end, its packet id [MQTT-4.4.0-1] [MQTT-3.3.1-1].
func TestResend(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	var first [6]*mqtt.Publish
	for i := range first {
		pub.send("t", fmt.Sprint(i), byte(1+i%2))
		first[i] = sub.wantPublish("t", fmt.Sprint(i), byte(1+i%2))
	}
	sub.accept(first[2])                           // QoS 1, done
	sub.ack(mqtt.PUBREC, first[3].PacketID)        // QoS 2, half done
	sub.wantAck(mqtt.PUBREL, first[3].PacketID, 0) //
	sub.gone()                                     //
	pub.send("t", "later", 1)                      //
	for _, how := range []string{"", "restart"} {
		if how == "restart" {
			b.restart()
		}
		sub, _ = b.connect(mqtt.V5, "sub", keep)
		sub.wantAck(mqtt.PUBREL, first[3].PacketID, 0)
		for i, was := range first {
			switch i {
			case 2, 3:
			default:
				p := sub.wantPublish("t", fmt.Sprint(i), was.QoS)
				if !p.Dup || p.PacketID != was.PacketID {
					t.Fatalf("message %d: DUP %v, packet id %d, want %d", i, p.Dup, p.PacketID, was.PacketID)
				}
			}
		}
		p := sub.wantPublish("t", "later", 1)
		if p.Dup != (how == "restart") {
			t.Fatalf("DUP %v", p.Dup)
		}
		sub.gone()
	}
}

// QoS 2 to a subscriber is delivered once, whatever step the broker ends at, power loss included.
func TestQoS2OutOnce(t *testing.T) {
	for name, end := range ends {
		for step := range 4 {
			t.Run(fmt.Sprint(name, " after step ", step), func(t *testing.T) {
				b := newBroker(t)
				sub, _ := b.connect(mqtt.V5, "sub", keep)
				sub.subscribe("t", 2)
				pub, _ := b.connect(mqtt.V5, "pub")
				pub.send("t", "x", 2)
				p := sub.wantPublish("t", "x", 2)
				id := p.PacketID
				switch step {
				case 1: // the client has it, the broker was not told
				case 2:
					sub.ack(mqtt.PUBREC, id)
					sub.wantAck(mqtt.PUBREL, id, 0)
				case 3:
					sub.accept(p)
					other, _ := b.connect(mqtt.V5, "other", keep) // makes all before it durable
					other.gone()
				}
				end(b)
				sub, _ = b.connect(mqtt.V5, "sub", keep)
				switch step {
				case 0, 1:
					again := sub.wantPublish("t", "x", 2)
					if !again.Dup || again.PacketID != id {
						t.Fatalf("DUP %v, packet id %d, want %d", again.Dup, again.PacketID, id)
					}
					sub.accept(again)
				case 2:
					sub.wantAck(mqtt.PUBREL, id, 0)
					sub.ack(mqtt.PUBCOMP, id)
				}
				pub, _ = b.connect(mqtt.V5, "pub")
				pub.send("t", "y", 2)
				sub.accept(sub.wantPublish("t", "y", 2))
				sub.nothing()
			})
		}
	}
}

// After a power loss a QoS 1 message that was sent before comes again with DUP, and what was acknowledged long ago does not.
func TestResendAfterCrash(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "1", 1)
	sub.accept(sub.wantPublish("t", "1", 1))
	q := queueOf("t")
	acknowledged := b.m.opts.Router.Done(q)
	eventually(t, "a checkpoint says that message 1 was acknowledged", func() bool {
		s, err := b.store.Load("sub")
		return err == nil && s.Follows && len(s.Inflight) == 0 && below(store.Position{Queue: q, Offset: acknowledged - 1}, s.Cursor)
	})
	pub.send("t", "2", 1)
	sub.wantPublish("t", "2", 1)
	b.crash()
	sub, ack := b.connect(mqtt.V5, "sub", keep)
	if !ack.SessionPresent {
		t.Fatal("no session")
	}
	if p := sub.wantPublish("t", "2", 1); !p.Dup {
		t.Fatal("sent before, and without DUP")
	}
	sub.nothing()
}

// The incoming QoS 2 exchange goes on after each step, whatever ended the broker, and the message is stored once.
func TestQoS2InOnce(t *testing.T) {
	for name, end := range ends {
		for step := range 3 {
			t.Run(fmt.Sprint(name, " after step ", step), func(t *testing.T) {
				b := newBroker(t)
				sub, _ := b.connect(mqtt.V5, "sub", keep)
				sub.subscribe("t", 2)
				sub.gone()
				pub, _ := b.connect(mqtt.V5, "pub", keep)
				pub.publish("t", "x", 2, 7)
				pub.wantAck(mqtt.PUBREC, 7, mqtt.Success)
				if step == 2 {
					pub.ack(mqtt.PUBREL, 7)
					pub.wantAck(mqtt.PUBCOMP, 7, mqtt.Success)
				}
				end(b)
				pub, _ = b.connect(mqtt.V5, "pub", keep)
				want := mqtt.Success
				switch step {
				case 0: // the client did not see PUBREC
					pub.publish("t", "x", 2, 7, func(p *mqtt.Publish) { p.Dup = true })
					pub.wantAck(mqtt.PUBREC, 7, mqtt.Success)
				case 2:
					want = mqtt.PacketIDNotFound
				}
				pub.ack(mqtt.PUBREL, 7)
				pub.wantAck(mqtt.PUBCOMP, 7, want)
				sub, _ = b.connect(mqtt.V5, "sub", keep)
				sub.accept(sub.wantPublish("t", "x", 2))
				sub.nothing()
			})
		}
	}
}

// A session that is over is removed, with its memberships, without anybody connecting.
func TestExpirySweep(t *testing.T) {
	b := newBroker(t)
	cl, _ := b.connect(mqtt.V5, "a", keep)
	cl.subscribe("$share/g/x", 1)
	cl.gone()
	if n := b.store.Sessions(); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	b.clock.move(2 * time.Hour)
	eventually(t, "no session and no filter is left", func() bool {
		return b.store.Sessions() == 0 && b.m.opts.Router.Filters() == 0
	})
}

// A QoS 2 message that was sent once does not expire any more [MQTT-4.3.3-7]; all others do [MQTT-3.3.2-5].
func TestResendExpired(t *testing.T) {
	b := newBroker(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep, func(p *mqtt.Connect) { p.ReceiveMaximum = 2 })
	sub.subscribe("t", 2)
	pub, _ := b.connect(mqtt.V5, "pub")
	soon := func(p *mqtt.Publish) { p.HasMessageExpiry, p.MessageExpiry = true, 1 }
	for i := range 4 {
		pub.send("t", fmt.Sprint(i), byte(1+i%2), soon)
	}
	sub.wantPublish("t", "0", 1)
	was := sub.wantPublish("t", "1", 2)
	sub.gone()
	b.clock.move(time.Minute)
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	p := sub.wantPublish("t", "1", 2)
	if !p.Dup || p.PacketID != was.PacketID || !p.HasMessageExpiry || p.MessageExpiry != 0 {
		t.Fatalf("%+v", p)
	}
	sub.accept(p)
	sub.nothing()
	if n := b.m.Stats().Dropped[DropExpired].Load(); n != 3 {
		t.Errorf("%d messages expired, want 3", n)
	}
}

// What the store refuses is refused to the client, and does not take effect.
func TestSubscribeNotStored(t *testing.T) {
	h, with := hooked()
	b := newBroker(t, with)
	full := func(c *store.Change) error {
		if c.Kind == store.Subscribe || c.Kind == store.Unsubscribe {
			return store.ErrFull
		}
		return nil
	}
	pub, _ := b.connect(mqtt.V5, "pub")
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("old", 1)
	h.set(full)
	for _, filter := range []string{"t", "$share/g/t"} {
		if code := sub.subscribe(filter, 1); code != mqtt.QuotaExceeded {
			t.Fatalf("code %v", code)
		}
	}
	pub.send("t", "nobody wants this", 1)
	pub.send("old", "1", 1)
	sub.accept(sub.wantPublish("old", "1", 1))

	sub.packet(&mqtt.Subscribe{PacketID: 3, Filters: []mqtt.SubscribeFilter{{Filter: []byte("old"), QoS: 0}}})
	sub.wantDisconnect(mqtt.QuotaExceeded) // what it had is in the store, and comes back with the next connection
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	pub.send("old", "2", 1)
	sub.accept(sub.wantPublish("old", "2", 1))
	sub.packet(&mqtt.Unsubscribe{PacketID: 4, Filters: [][]byte{[]byte("old")}})
	sub.wantDisconnect(mqtt.QuotaExceeded)

	h.set(nil)
	sub.gone()
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	if code := sub.subscribe("t", 1); code != 1 {
		t.Fatalf("code %v", code)
	}
	pub.send("t", "3", 1)
	sub.accept(sub.wantPublish("t", "3", 1))
}
