package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	answerTimeout = 20 * time.Second // for an answer of a broker that is up
	never         = 0xFFFFFFFF
)

// belief is what a client may know of something that the broker keeps: what was asked for and not answered may have happened or not.
type belief byte

const (
	no belief = iota
	yes
	maybe
)

func (b belief) asked(want belief) belief {
	if b == want {
		return b
	}
	return maybe
}

func believe(b bool) belief {
	if b {
		return yes
	}
	return no
}

// peer is one client id: what it knows of its session, and what happened to it lately.
type peer struct {
	tr      *trial
	id      string
	version mqtt.Version
	rand    *rand.Rand
	window  uint16 // Receive Maximum that it asks for with MQTT 5; 0: none
	session belief // whether the broker has one
	conns   int    // connections so far
	history history
}

// how says what kind of session a CONNECT asks for.
type how struct {
	clean  bool
	expiry uint32 // below MQTT 5: 0 with clean, never without
}

func keep() how { return how{expiry: never} }

// connect connects, over outages, and checks that what the broker says of the session is true. present is what it knew, or
// learned, of a session that goes on.
func (p *peer) connect(h how) (l *link, present belief, err error) {
	for {
		epoch, err := p.tr.awaitUp()
		if err != nil {
			return nil, no, err
		}
		l, ack, err := p.attempt(h, epoch)
		switch {
		case err == nil:
			present, err := p.answered(h, ack)
			if err != nil {
				l.close()
			}
			return l, present, err
		case p.tr.steady(epoch) || malformed(err):
			return nil, no, p.failure("cannot connect although the broker is up: %v", err)
		}
	}
}

func (p *peer) attempt(h how, epoch int64) (*link, *mqtt.Connack, error) {
	c, err := wire.Dial(p.tr.b.TCP, p.version)
	if err != nil {
		return nil, nil, err
	}
	p.note("-> CONNECT", 0, message{}, h.clean)
	kept := p.session
	p.session = kept.asked(believe(h.expiry != 0))
	connect := &mqtt.Connect{
		Version: p.version, ClientID: []byte(p.tr.level + "-" + p.id), CleanStart: h.clean, SessionExpiry: h.expiry, RequestProblem: true,
		ReceiveMaximum: max(p.window, 1),
	}
	if p.window == 0 {
		connect.ReceiveMaximum = 65535
	}
	ack, err := exchange(c, connect)
	if err != nil {
		_ = c.Close() // the error before is the one to tell
		return nil, nil, err
	}
	p.session = kept
	p.conns++
	return newLink(c, epoch), ack, nil
}

func exchange(c *wire.Conn, connect *mqtt.Connect) (*mqtt.Connack, error) {
	if err := c.Send(connect); err != nil {
		return nil, err
	}
	got, err := c.Read(answerTimeout)
	if err != nil {
		return nil, err
	}
	ack, ok := got.(*mqtt.Connack)
	if !ok || ack.Code != mqtt.Success {
		return nil, fmt.Errorf("CONNECT was answered with %T %+v", got, got)
	}
	return ack, nil
}

// answered checks session present [MQTT-3.2.2-2] [MQTT-3.2.2-3] and takes in what it says.
func (p *peer) answered(h how, ack *mqtt.Connack) (belief, error) {
	p.note("<- CONNACK", 0, message{}, ack.SessionPresent)
	p.tr.moments.saw(accepted)
	want := p.session
	if h.clean {
		want = no
	}
	switch {
	case p.version == mqtt.V31: // has no such flag
		if ack.SessionPresent {
			return no, p.failure("session present in MQTT 3.1")
		}
	case want == maybe:
		want = believe(ack.SessionPresent)
	case ack.SessionPresent != (want == yes):
		return no, p.failure("session present is %t, and is not true", ack.SessionPresent)
	}
	p.session = believe(h.expiry != 0)
	return want, nil
}

// ended says what was wrong with the end of a connection; nil when an outage explains it.
func (p *peer) ended(l *link) error {
	p.note("connection ended", 0, message{}, false)
	switch {
	case malformed(l.err):
		return p.failure("the broker sent what is no packet: %v", l.err)
	case p.tr.steady(l.epoch):
		return p.failure("the broker ended a connection although it was up: %v", l.err)
	}
	return nil
}

// other handles a packet that was not expected.
func (p *peer) other(l *link, packet any) error {
	d, ok := packet.(*mqtt.Disconnect)
	if !ok {
		return p.failure("a packet that has no place here: %T %+v", packet, packet)
	}
	p.note("<- DISCONNECT", uint16(d.Code), message{}, false)
	if d.Code != mqtt.ServerShuttingDown || p.tr.steady(l.epoch) {
		return p.failure("disconnected with %s: %s", d.Code, d.Reason)
	}
	return nil
}

// leave ends the connection in order.
func (p *peer) leave(l *link) {
	p.note("-> DISCONNECT", 0, message{}, false)
	_ = l.conn.Send(&mqtt.Disconnect{}) // when it fails the connection is gone anyway
	l.close()
}

func malformed(err error) bool {
	var bad *mqtt.Error
	return errors.As(err, &bad)
}

// failure tells what went wrong, and what happened before.
func (p *peer) failure(format string, args ...any) error {
	return fmt.Errorf("%s (MQTT %d, connection %d): %s\n%s", p.id, p.version, p.conns, fmt.Sprintf(format, args...), p.history.tail())
}

func (p *peer) note(what string, id uint16, m message, flag bool) {
	p.history.add(event{time.Since(p.tr.began), p.conns, what, id, m, flag})
}

// history is what a client did and saw lately.
type history struct {
	events [80]event
	n      int
}

type event struct {
	at   time.Duration
	conn int
	what string
	id   uint16
	message
	flag bool // DUP, clean start, session present
}

func (h *history) add(e event) {
	h.events[h.n%len(h.events)] = e
	h.n++
}

func (h *history) tail() string {
	var b strings.Builder
	for i := max(0, h.n-len(h.events)); i < h.n; i++ {
		e := &h.events[i%len(h.events)]
		fmt.Fprintf(&b, "  %10.6f connection %d: %s id %d flag %t %s\n", e.at.Seconds(), e.conn, e.what, e.id, e.flag, e.message)
	}
	return b.String()
}
