// Package differential runs random valid scripts of MQTT clients against rocketmqtt and against mosquitto side by side,
// and compares what the clients get, packet by packet.
//
// A script is made from a seed. After each step both brokers are left to settle (run_test.go says how), so that what a
// step causes belongs to that step. compare_test.go says what is compared, rules_test.go which differences the
// specification allows. The first step that differs ends a script; what is left of it when all steps are taken out
// that are not needed for a difference is printed, with what both brokers sent.
//
//	ROCKETMQTT_DIFFERENTIAL_SCRIPTS=1000 go test ./tests/differential -timeout 1h   more scripts
//	ROCKETMQTT_DIFFERENTIAL_SEED=17 go test ./tests/differential                    this one
package differential

import (
	"fmt"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// script is what some clients do, one after the other.
type script struct {
	seed    uint64
	clients []mqtt.Version // one for each client
	steps   []step
}

type operation int

const (
	connect operation = iota // while connected it is a takeover
	disconnect
	drop // end the connection without DISCONNECT
	subscribe
	unsubscribe
	publish
	interrupt // a QoS 2 publish that loses its connection half way and is completed on the next
	restart   // the broker stops and comes back
)

// step is one operation of one client. A step of a client that is not connected does nothing, unless it is connect: so
// any part of a script is a valid script.
type step struct {
	op     operation
	client int

	connect  connectStep
	expiry   *uint32 // of disconnect: the session expiry that it changes to
	filters  []mqtt.SubscribeFilter
	subID    uint32
	names    []string // of unsubscribe
	messages []message
	lost     string // of interrupt: lostPubrec, lostPubrel or lostPubcomp
}

// What does not arrive because the connection ends. The client waits for the two answers and then acts as if it had not
// got them: what the broker has done by then is known.
const (
	lostPubrec  = "PUBREC"  // PUBLISH is sent again
	lostPubrel  = "PUBREL"  // it is sent on the next connection only
	lostPubcomp = "PUBCOMP" // PUBREL is sent again
)

type connectStep struct {
	clean      bool
	expiry     uint32 // MQTT 5: seconds
	receiveMax uint16 // MQTT 5: 0 for none
	aliasMax   uint16 // MQTT 5: aliases that the broker may use
	acks       ackMode
}

// ackMode is how a client answers what it is sent.
type ackMode int

const (
	ackAll  ackMode = iota
	ackRec          // no PUBCOMP
	ackNone         // neither PUBACK nor PUBREC
)

func (m ackMode) String() string { return [...]string{"ackAll", "ackRec", "ackNone"}[m] }

// message is one PUBLISH. Its payload begins with its number, which no other in the script has.
type message struct {
	number int
	topic  string
	qos    byte
	alias  uint16       // MQTT 5; 0 for none
	props  mqtt.Publish // the properties only
	size   int          // of the payload, filled up
}

func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, clients:", s.seed)
	for i, v := range s.clients {
		fmt.Fprintf(&b, " c%d=MQTT %s", i, v)
	}
	for i, st := range s.steps {
		fmt.Fprintf(&b, "\n  %2d %s", i, st)
	}
	return b.String()
}

func (s step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "c%d ", s.client)
	switch s.op {
	case connect:
		c := s.connect
		fmt.Fprintf(&b, "connect clean=%t expiry=%d receiveMax=%d aliasMax=%d %s", c.clean, c.expiry, c.receiveMax, c.aliasMax, c.acks)
	case disconnect:
		b.WriteString("disconnect")
		if s.expiry != nil {
			fmt.Fprintf(&b, " expiry=%d", *s.expiry)
		}
	case drop:
		b.WriteString("drop")
	case subscribe:
		fmt.Fprintf(&b, "subscribe id=%d", s.subID)
		for _, f := range s.filters {
			fmt.Fprintf(&b, " %q:%d", f.Filter, f.QoS)
			if f.NoLocal {
				b.WriteString(" noLocal")
			}
			if f.RetainAsPublished {
				b.WriteString(" retainAsPublished")
			}
		}
	case unsubscribe:
		fmt.Fprintf(&b, "unsubscribe %q", s.names)
	case publish:
		b.WriteString("publish")
		for _, m := range s.messages {
			b.WriteString(" " + m.String())
		}
	case interrupt:
		fmt.Fprintf(&b, "publish %s, connection and %s lost", s.messages[0], s.lost)
	case restart:
		return "restart"
	}
	return b.String()
}

func (m message) String() string {
	s := fmt.Sprintf("#%d %q:%d", m.number, m.topic, m.qos)
	if m.alias != 0 {
		s += fmt.Sprintf(" alias=%d", m.alias)
	}
	if p := properties(&m.props); p != "" {
		s += " " + p
	}
	return s
}

// payload is the number, filled up to the size with dots.
func (m message) payload() []byte {
	p := fmt.Appendf(nil, "%d", m.number)
	for len(p) < m.size {
		p = append(p, '.')
	}
	return p
}
