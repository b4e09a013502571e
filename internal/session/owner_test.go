package session

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A client that another process takes over is told so, and what is written of its end is where it stood: whoever goes on with the
// session sends what is owed, and nothing else [MQTT-3.1.4-3].
func TestTaken(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			s, b := share(t)
			sub, _ := b.connect(v, "sub", keep)
			sub.subscribe("t", 2)
			pub, _ := b.connect(mqtt.V5, "pub")
			var sent []*mqtt.Publish
			for i := range 6 {
				qos := byte(1 + i%2)
				pub.send("t", fmt.Sprint(i), qos)
				sent = append(sent, sub.wantPublish("t", fmt.Sprint(i), qos))
			}
			sub.accept(sent[0])
			sub.accept(sent[1])
			sub.ack(mqtt.PUBREC, sent[3].PacketID)
			sub.wantAck(mqtt.PUBREL, sent[3].PacketID, mqtt.Success)

			s.take("sub", true)
			if v == mqtt.V5 {
				sub.wantDisconnect(mqtt.SessionTakenOver)
			}
			sub.gone()
			pub.send("t", "later", 1)
			sub.nothing()
			ends := s.ended()
			if len(ends) != 1 || ends[0].Kind != store.Detach {
				t.Fatalf("the end of the connection is %+v", ends)
			}
			var ids []uint16
			for _, in := range ends[0].Inflight {
				ids = append(ids, in.PacketID)
			}
			if want := []uint16{sent[2].PacketID, sent[4].PacketID}; !slices.Equal(ids, want) {
				t.Errorf("QoS 1 in flight is %v, want %v", ids, want)
			}

			s.back("sub")
			sub, _ = b.connect(v, "sub", keep)
			sub.wantAck(mqtt.PUBREL, sent[3].PacketID, mqtt.Success)
			for _, i := range []int{2, 4, 5} {
				if p := sub.wantPublish("t", fmt.Sprint(i), sent[i].QoS); !p.Dup || p.PacketID != sent[i].PacketID {
					t.Errorf("message %d: DUP %v, packet id %d, want %d", i, p.Dup, p.PacketID, sent[i].PacketID)
				}
			}
			sub.wantPublish("t", "later", 1)
			sub.nothing()
		})
	}
}

// A QoS 2 delivery whose beginning the store does not take any more, since another process owns the session by then, has not begun: whoever goes on with the session
// makes it.
func TestTakenWhileADeliveryBegins(t *testing.T) {
	s, b := share(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 2)
	held := make(chan func(error), 1)
	s.set(func() {
		s.hold = func(c *store.Change, answer func(error)) bool {
			if c.Kind != store.Send2 {
				return false
			}
			held <- answer
			return true
		}
	})
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "begins", 2)
	answer := <-held
	s.take("sub", true)
	sub.wantDisconnect(mqtt.SessionTakenOver)
	sub.Close()
	select {
	case <-sub.c.gone:
		t.Error("the end was written while it was not known whether the delivery has begun")
	case <-time.After(quiet):
	}
	answer(fmt.Errorf("for the test: %w", store.ErrTaken))
	sub.gone()
	s.set(func() { s.hold = nil })
	s.back("sub")
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	sub.wantPublish("t", "begins", 2)
	sub.nothing()
}

// What the store does not take since another process owns the session is not acknowledged, though this one was not told yet.
func TestTakenNotTold(t *testing.T) {
	for name, step := range map[string]func(cl *client, sent *mqtt.Publish){
		"SUBSCRIBE": func(cl *client, _ *mqtt.Publish) {
			cl.packet(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte("u")}}})
		},
		"UNSUBSCRIBE": func(cl *client, _ *mqtt.Publish) {
			cl.packet(&mqtt.Unsubscribe{PacketID: 1, Filters: [][]byte{[]byte("t")}})
		},
		"PUBLISH": func(cl *client, _ *mqtt.Publish) { cl.publish("u", "x", 2, 1) },
		"PUBREC":  func(cl *client, sent *mqtt.Publish) { cl.ack(mqtt.PUBREC, sent.PacketID) },
		"PUBREL":  func(cl *client, _ *mqtt.Publish) { cl.ack(mqtt.PUBREL, 9) },
		"a message comes": func(cl *client, _ *mqtt.Publish) {
			pub, _ := cl.b.connect(mqtt.V5, "pub")
			pub.send("t", "later", 2)
		},
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			t.Run(fmt.Sprint(name, " ", v), func(t *testing.T) {
				s, b := share(t)
				cl, _ := b.connect(v, "c", keep)
				cl.subscribe("t", 2)
				cl.publish("u", "x", 2, 9)
				cl.wantAck(mqtt.PUBREC, 9, mqtt.Success)
				pub, _ := b.connect(mqtt.V5, "pub")
				pub.send("t", "x", 2)
				sent := cl.wantPublish("t", "x", 2)
				s.take("c", false)
				step(cl, sent)
				if v == mqtt.V5 {
					cl.wantDisconnect(mqtt.SessionTakenOver)
				}
				cl.wantClosed()
				cl.nothing()
				cl.gone()
				if ends := s.ended(); len(ends) != 1 || ends[0].Kind != store.Detach {
					t.Errorf("the end of the connection is %+v", ends)
				}
			})
		}
	}
}

// What the store says of the owner is what CONNECT is answered.
func TestConnectRefusedByOwner(t *testing.T) {
	for err, want := range map[error]mqtt.ReasonCode{store.ErrPrincipal: mqtt.NotAuthorized, store.ErrTaken: mqtt.ServerBusy} {
		s, b := share(t)
		s.set(func() { s.connect = func(*store.Change) error { return fmt.Errorf("for the test: %w", err) } })
		cl, ack := b.tryConnect(mqtt.V5, "c", keep)
		if ack.Code != want {
			t.Errorf("%v: CONNACK %v, want %v", err, ack.Code, want)
		}
		cl.wantClosed()
		cl.gone()
		s.set(func() { s.connect = nil })
		if _, ack := b.connect(mqtt.V5, "c", keep); ack.SessionPresent {
			t.Errorf("%v: what was refused has begun a session", err)
		}
	}
}

// A client that is taken over before CONNACK gets no other answer than a refusal, and leaves the session as it was.
func TestTakenBeforeConnack(t *testing.T) {
	s, b := share(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "owed", 1)
	sent := sub.wantPublish("t", "owed", 1)
	sub.gone()

	s.set(func() { s.between = func() { s.take("sub", true) } })
	sub, ack := b.tryConnect(mqtt.V5, "sub", keep)
	if ack.Code != mqtt.ServerBusy {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	sub.wantClosed()
	sub.nothing()
	sub.gone()

	s.set(func() { s.between = nil })
	s.back("sub")
	sub, _ = b.connect(mqtt.V5, "sub", keep)
	if p := sub.wantPublish("t", "owed", 1); !p.Dup || p.PacketID != sent.PacketID {
		t.Errorf("DUP %v, packet id %d, want %d", p.Dup, p.PacketID, sent.PacketID)
	}
}

// When the messages of a stored session cannot be watched its client is refused, and all of the session is as it was: what is in flight, what was
// received, where it reads on, its will, and when it ends.
func TestWatchFails(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := &sharing{elsewhere: map[string]bool{}}
			b := newBroker(t, meta, func(b *broker) {
				b.wrap = func(under store.Store) store.Store {
					s.Store = under
					return s
				}
			})
			watch := b.watch()
			watch.gone()
			sub, _ := b.connect(mqtt.V5, "sub", keep, withWill(600))
			for _, filter := range []string{"t", "u/+", "$share/g/v"} {
				sub.subscribe(filter, 2)
			}
			sub.publish("x", "x", 2, 7)
			sub.wantAck(mqtt.PUBREC, 7, mqtt.Success)
			pub, _ := b.connect(mqtt.V5, "pub")
			var sent []*mqtt.Publish
			for i := range 4 {
				qos := byte(1 + i%2)
				pub.send("t", fmt.Sprint(i), qos)
				sent = append(sent, sub.wantPublish("t", fmt.Sprint(i), qos))
			}
			sub.ack(mqtt.PUBREC, sent[1].PacketID)
			sub.wantAck(mqtt.PUBREL, sent[1].PacketID, mqtt.Success)
			if name == "restart" { // a stop of the server leaves no will
				sub.gone()
			}
			end(b)
			was := b.stored("sub")

			s.set(func() {
				times := 0
				s.watch = func() error {
					if times++; times == 2 {
						return fmt.Errorf("for the test: %w", store.ErrAway)
					}
					return nil
				}
			})
			b.clock.move(time.Minute)
			sub, ack := b.tryConnect(mqtt.V5, "sub", withWill(0), func(p *mqtt.Connect) { p.CleanStart, p.SessionExpiry = false, 5 })
			if ack.Code != mqtt.ServerUnavailable {
				t.Fatalf("CONNACK %v", ack.Code)
			}
			sub.gone()
			is := b.stored("sub")
			was.Connected = false // its end is known now
			if !reflect.DeepEqual(was, is) {
				t.Errorf("the session\n was %+v\n is  %+v", was, is)
			}

			pub, _ = b.connect(mqtt.V5, "pub")
			pub.send("t", "later", 1)
			sub, ack = b.connect(mqtt.V5, "sub", keep)
			if !ack.SessionPresent {
				t.Fatal("the session is gone")
			}
			sub.wantAck(mqtt.PUBREL, sent[1].PacketID, mqtt.Success)
			got := map[string]bool{}
			for range 4 {
				p := &mqtt.Publish{}
				sub.next(mqtt.PUBLISH, p)
				got[string(p.Payload)] = true
			}
			if len(got) != 4 || !got["0"] || !got["2"] || !got["3"] || !got["later"] {
				t.Errorf("got %v", got)
			}
			watch, _ = b.connect(mqtt.V5, "watch", keep)
			b.ticks(2)
			watch.nothing()
		})
	}
}

// stored is the session as the Manager's store has it. An empty SentUpTo is nil.
func (b *broker) stored(client string) *store.Session {
	b.t.Helper()
	s, err := newManyQueues(b.store).Load(client)
	if err != nil || s == nil {
		b.t.Fatalf("session %q: %v, %v", client, s, err)
	}
	s.Follows = false // no connection does
	if len(s.SentUpTo) == 0 {
		s.SentUpTo = nil
	}
	return s
}

// A session that ends with its connection is announced, and is gone with it; one that is not, or may not be, new to the store is asked for.
func TestAnnounce(t *testing.T) {
	noExpiry := func(p *mqtt.Connect) { p.CleanStart = false }
	meta := func(b *broker) { b.caps.Will = true }
	for _, c := range []struct {
		name                     string
		before, with             func(*mqtt.Connect)
		asked, announced, leaves bool
	}{
		{"clean", nil, func(*mqtt.Connect) {}, false, true, true},
		{"not clean, without expiry", nil, noExpiry, true, false, true},
		{"clean, in place of a stored one", keep, func(*mqtt.Connect) {}, true, false, true},
		{"in place of a stored one, without expiry", keep, noExpiry, true, false, false},
		{"with a will", nil, withWill(0), true, false, false},
		{"kept", nil, keep, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, b := share(t, meta)
			if c.before != nil {
				cl, _ := b.connect(mqtt.V5, "c", c.before)
				cl.gone()
			}
			asked := 0
			s.set(func() { s.connect = func(*store.Change) error { asked++; return nil } })
			cl, _ := b.connect(mqtt.V5, "c", c.with)
			announced, gone := s.told()
			if len(announced) > 0 != c.announced || asked > 0 != c.asked || len(gone) > 0 {
				t.Errorf("announced %v, asked %d times, gone %v", announced, asked, gone)
			}
			cl.gone()
			if _, gone := s.told(); len(gone) > 0 != c.leaves {
				t.Errorf("gone %v at the end", gone)
			}
		})
	}
}

// An announced client is ended when another process serves it.
func TestTakenAnnounced(t *testing.T) {
	s, b := share(t)
	cl, _ := b.connect(mqtt.V5, "c")
	s.take("c", true)
	cl.wantDisconnect(mqtt.SessionTakenOver)
	cl.gone()
	if _, gone := s.told(); !slices.Equal(gone, []string{"c"}) {
		t.Errorf("gone: %v", gone)
	}
	s.take("c", true) // told late: there is nobody
}

// Whether there is a session, and which, is what the store said when it made this process the owner, not what was read before.
func TestSessionPresentIsTheOwners(t *testing.T) {
	s, b := share(t)
	sub, _ := b.connect(mqtt.V5, "sub", keep)
	sub.subscribe("t", 1)
	sub.gone()
	pub, _ := b.connect(mqtt.V5, "pub")
	pub.send("t", "x", 1)
	s.set(func() { s.load = func(*store.Session) *store.Session { return nil } })
	sub, ack := b.connect(mqtt.V5, "sub", keep)
	if !ack.SessionPresent {
		t.Fatal("the session that the other process has handed over is not present")
	}
	sub.accept(sub.wantPublish("t", "x", 1))
	sub.gone()

	old := b.stored("sub")
	w := waiter{make(chan error, 1)}
	b.store.Change(&store.Change{Kind: store.Remove, Client: "sub"}, w, 0)
	if err := <-w.err; err != nil {
		t.Fatal(err)
	}
	s.set(func() { s.load = func(*store.Session) *store.Session { return old } })
	if _, ack := b.connect(mqtt.V5, "sub", keep); ack.SessionPresent {
		t.Error("a session is present that the other process has ended")
	}
}

// A session that another process has while its connection ends with its session is not over for this one.
func TestConnectedElsewhereIsNotOver(t *testing.T) {
	s, b := share(t)
	s.set(func() {
		s.load = func(*store.Session) *store.Session {
			return &store.Session{Client: "c", Connected: true, Will: &store.Will{Topic: "w"}}
		}
	})
	s.take("c", false)
	if _, ack := b.connect(mqtt.V5, "c", keep); ack.SessionPresent {
		t.Error("present")
	}
	if ends := s.ended(); len(ends) > 0 {
		t.Errorf("written before this process is the owner: %+v", ends)
	}
	s.back("c")
}

// Sessions whose time is over, and with which another process was faster, are left to it.
func TestSweepTaken(t *testing.T) {
	s, b := share(t, meta)
	cl, _ := b.connect(mqtt.V5, "c", keep)
	cl.gone()
	s.take("c", false)
	s.set(func() { s.ends = nil })
	b.clock.move(2 * time.Hour)
	b.ticks(2)
}

// A will is not lost when the time of its session is over while its client comes back.
func TestWillAtTheEndOfTime(t *testing.T) {
	s, b := share(t, meta)
	watch := b.watch()
	cl, _ := b.connect(mqtt.V5, "c", keep, withWill(3600))
	cl.gone()
	s.set(func() {
		s.connect = func(*store.Change) error {
			b.clock.move(time.Hour)
			return nil
		}
	})
	if _, ack := b.connect(mqtt.V5, "c", keep); ack.SessionPresent {
		t.Error("the session outlived its time")
	}
	watch.accept(watch.wantPublish("w/c", "gone", 1))
	b.ticks(2)
	watch.nothing()
}
