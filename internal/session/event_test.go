package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// diary is what was told of clients.
type diary struct {
	mu  sync.Mutex
	all []Event
}

func told() (*diary, func(*broker)) {
	d := &diary{}
	return d, func(b *broker) {
		b.event = func(e *Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.all = append(d.all, *e)
		}
	}
}

// of is what was told of client, in words.
func (d *diary) of(client string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, e := range d.all {
		switch {
		case e.Client != client:
		case e.Kind == Connected:
			out = append(out, fmt.Sprintf("connected clean=%t present=%t expiry=%d", e.Clean, e.Present, e.Expiry))
		default:
			out = append(out, fmt.Sprintf("disconnected by=%d code=%d %s expiry=%d", e.Ending.By, e.Ending.Code, e.Ending.Reason, e.Expiry))
		}
	}
	return out
}

func (d *diary) want(t *testing.T, client string, want ...string) {
	t.Helper()
	if got := d.of(client); !slices.Equal(got, want) {
		t.Errorf("told of %s:\n got %q\nwant %q", client, got, want)
	}
}

// Each way in which a connection ends is told with who ended it, how, and how long the session is kept.
func TestEventsTellWhy(t *testing.T) {
	d, tell := told()
	b := newBroker(t, tell)

	lost, _ := b.connect(mqtt.V5, "lost", keep)
	lost.gone()
	again, _ := b.connect(mqtt.V5, "lost", keep)
	again.packet(&mqtt.Disconnect{Code: mqtt.DisconnectWithWill, Reason: "battery", HasSessionExpiry: true})
	again.gone()
	d.want(t, "lost", "connected clean=false present=false expiry=3600", "disconnected by=0 code=0 test expiry=3600",
		"connected clean=false present=true expiry=3600", "disconnected by=1 code=4 battery expiry=0")

	old, _ := b.connect(mqtt.V311, "twice")
	b.connect(mqtt.V311, "twice")
	old.wantClosed()
	bad, _ := b.connect(mqtt.V311, "bad")
	bad.packet(&mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("bad")})
	bad.gone()
	silent, _ := b.connect(mqtt.V5, "silent")
	silent.c.KeepAliveExpired()
	silent.gone()
	b.stop()
	clean := "connected clean=true present=false expiry=0"
	d.want(t, "twice", clean, "disconnected by=2 code=142 the client connected again expiry=0",
		clean, "disconnected by=2 code=139 server is stopping expiry=0")
	d.want(t, "bad", clean, "disconnected by=2 code=130 packet not allowed from a client here expiry=0")
	d.want(t, "silent", clean, "disconnected by=2 code=141 no packet within one and a half times the keep-alive expiry=0")
	for _, e := range d.all {
		if e.At != b.clock.now().UnixMilli() || e.Connected != e.At || e.Peer.Listener != "tcp" {
			t.Errorf("%+v", e)
		}
	}
}

// Of a client that is not let in nothing is told.
func TestNoEventsOfRefusals(t *testing.T) {
	d, tell := told()
	b := newBroker(t, tell)
	cl, ack := b.tryConnect(mqtt.V5, "no", func(p *mqtt.Connect) { p.HasAuthMethod, p.AuthMethod = true, []byte("x") })
	if ack.Code != mqtt.BadAuthMethod {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	cl.gone()
	b.dial(mqtt.V5).gone()
	if len(d.all) != 0 {
		t.Errorf("told %+v", d.all)
	}
}

// However often a client takes itself over, its events alternate: who reads them knows at each moment whether it is connected.
func TestEventsAlternate(t *testing.T) {
	d, tell := told()
	b := newBroker(t, tell)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				cl := b.dial(mqtt.V5)
				cl.packet(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("one"), ReceiveMaximum: 1})
			}
		})
	}
	all.Wait()
	b.stop()
	got := d.all
	if len(got) == 0 || len(got)%2 != 0 {
		t.Fatalf("%d events", len(got))
	}
	for i, e := range got {
		if want := []EventKind{Connected, Disconnected}[i%2]; e.Kind != want {
			t.Fatalf("event %d is %d, want %d", i, e.Kind, want)
		}
	}
}

// Clients must not write what is told of clients: not as a message, not as a will, not behind a slash, which is the same RocketMQ topic.
func TestReservedTopic(t *testing.T) {
	b := newBroker(t, func(b *broker) { b.reserved, b.caps.Will = "events", true })
	cl, _ := b.connect(mqtt.V5, "c")
	for topic, want := range map[string]mqtt.ReasonCode{
		"events": mqtt.TopicNameInvalid, "events/c": mqtt.TopicNameInvalid, "/events/c": mqtt.TopicNameInvalid,
		"eventsx/c": mqtt.Success, "x/events": mqtt.Success, "//events": mqtt.Success,
	} {
		cl.publish(topic, "x", 1, 9)
		ack := &mqtt.Ack{Type: mqtt.PUBACK}
		cl.next(mqtt.PUBACK, ack)
		if ack.Code != want && (want != mqtt.Success || ack.Code >= mqtt.UnspecifiedError) {
			t.Errorf("publish to %s: %v, want %v", topic, ack.Code, want)
		}
	}
	if code := cl.subscribe("events/#", 1); code >= mqtt.UnspecifiedError {
		t.Errorf("subscribe: %v", code)
	}
	_, ack := b.tryConnect(mqtt.V5, "will", func(p *mqtt.Connect) { p.HasWill, p.Will.Topic = true, []byte("events/c") })
	if ack.Code != mqtt.TopicNameInvalid {
		t.Errorf("will: %v", ack.Code)
	}
}
