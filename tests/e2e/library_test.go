// Package e2e runs the clients that people use against the built broker, as they use them. Each file asks one
// question of every client library and every version of MQTT that it speaks.
package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/tools"
)

// patience is how long a client may wait for what must come: much, since the machine may be busy, and nothing is
// waited for that is not to come.
const patience = 30 * time.Second

// library is an MQTT client library.
type library struct {
	name     string
	versions []mqtt.Version
	needs    []tools.Tool
	open     func(t *testing.T, b *broker.Broker) func() client // makes clients until the test ends

	// groupsUser: it gives user properties grouped by name, and loses the order between names.
	groupsUser bool
	// knowsRetain: it heeds Retain Available.
	knowsRetain bool
}

// client is one client of a library. Its methods return when the broker has answered.
type client interface {
	connect(connectOptions) (connected, error)
	subscribe(filter string, qos byte) (code byte, err error)
	publish(message) (code byte, err error) // until PUBACK or PUBCOMP; QoS 0 until it is sent
	disconnect() error
	drop() error // ends the connection without DISCONNECT
	inbox() *inbox
}

// connectOptions of a client. keep is for clean=0 below MQTT 5, and for Clean Start 0 with a session expiry in it.
type connectOptions struct {
	version   mqtt.Version
	id        string
	keep      bool
	reconnect bool // the library connects again by itself
	will      *message
	willDelay uint32 // seconds; MQTT 5
}

// refused is the code with which the broker refused a connection, as the library has it: some turn the return codes of
// MQTT 3 into reason codes of MQTT 5.
type refused byte

func (r refused) Error() string { return fmt.Sprintf("refused with code %#x", byte(r)) }

const sessionExpiry = 3600 // seconds, of sessions that are kept

func (o connectOptions) expiry() uint32 {
	if o.keep {
		return sessionExpiry
	}
	return 0
}

type connected struct {
	present  bool
	assigned string // Assigned Client Identifier
}

// toldPresent is what CONNACK says of a session that is there: 3.1 has no flag for it.
func (o connectOptions) toldPresent() bool { return o.version != mqtt.V31 }

// message is a PUBLISH as an application sees it; its JSON is what the drivers speak.
type message struct {
	Topic   string `json:"topic"`
	Payload []byte `json:"payload"`
	QoS     byte   `json:"qos"`
	Dup     bool   `json:"dup"`
	Retain  bool   `json:"retain"`
	Props   props  `json:"props"`
}

type props struct {
	User          [][2]string `json:"user,omitempty"`
	ContentType   string      `json:"contentType,omitempty"`
	ResponseTopic string      `json:"responseTopic,omitempty"`
	Correlation   []byte      `json:"correlation,omitempty"`
	Expiry        uint32      `json:"expiry,omitempty"` // seconds; 0: none
	Format        byte        `json:"format,omitempty"`
}

func libraries() []library {
	return []library{pahoPython(), mqttjs(), autopahoLibrary()}
}

// forEach runs f for each library that is installed and each version that it speaks, side by side.
func forEach(t *testing.T, f func(t *testing.T, l library, v mqtt.Version)) {
	t.Helper()
	for _, l := range libraries() {
		if !tools.Have(t, l.needs...) {
			continue
		}
		for _, v := range l.versions {
			t.Run(fmt.Sprintf("%s/%s", l.name, v), func(t *testing.T) {
				t.Parallel()
				f(t, l, v)
			})
		}
	}
}

// prefix is a topic level, and a start of client ids, that no other test uses.
func prefix(t *testing.T) string {
	return strings.NewReplacer("/", "-", ".", "", " ", "_", "#", "_", "+", "_").Replace(t.Name())
}

// inbox is what came to a client. It is for one reader; any goroutine may put.
type inbox struct {
	messages stream[message]
	ups      stream[connected] // connected again by itself
	downs    stream[byte]      // connection ended: the code of the broker's DISCONNECT, or 0
}

func newInbox() *inbox {
	return &inbox{messages: newStream[message](), ups: newStream[connected](), downs: newStream[byte]()}
}

// stream is an unbounded queue: a client library must never wait for the test.
type stream[T any] struct {
	state *streamState[T]
}

type streamState[T any] struct {
	mu      sync.Mutex
	items   []T
	arrived chan struct{} // capacity 1: there may be items
}

func newStream[T any]() stream[T] {
	return stream[T]{&streamState[T]{arrived: make(chan struct{}, 1)}}
}

func (s stream[T]) put(item T) {
	s.state.mu.Lock()
	s.state.items = append(s.state.items, item)
	s.state.mu.Unlock()
	select {
	case s.state.arrived <- struct{}{}:
	default:
	}
}

func (s stream[T]) take() (item T, ok bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if len(s.state.items) == 0 {
		return item, false
	}
	item = s.state.items[0]
	s.state.items = s.state.items[1:]
	return item, true
}

// next waits for the next item.
func (s stream[T]) next(t *testing.T, what string) T {
	t.Helper()
	deadline := time.After(patience)
	for {
		if item, ok := s.take(); ok {
			return item
		}
		select {
		case <-s.state.arrived:
		case <-deadline:
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}

// The helpers below are for steps of which a test needs nothing but that they succeed.

func mustConnect(t *testing.T, c client, o connectOptions) connected {
	t.Helper()
	got, err := c.connect(o)
	if err != nil {
		t.Fatalf("connect %q: %v", o.id, err)
	}
	return got
}

func mustSubscribe(t *testing.T, c client, filter string, qos byte) {
	t.Helper()
	code, err := c.subscribe(filter, qos)
	if err != nil || code != qos {
		t.Fatalf("subscribe %q with QoS %d: code %#x, %v", filter, qos, code, err)
	}
}

func mustPublish(t *testing.T, c client, m message) {
	t.Helper()
	code, err := c.publish(m)
	if err != nil || code >= 0x80 {
		t.Fatalf("publish to %q with QoS %d: code %#x, %v", m.Topic, m.QoS, code, err)
	}
}

func mustDisconnect(t *testing.T, c client) {
	t.Helper()
	if err := c.disconnect(); err != nil {
		t.Fatalf("disconnect: %v", err)
	}
}

// wantText takes the next message and fails the test when it is not this text on this topic with this QoS, or is a retained one.
func wantText(t *testing.T, c client, topic string, qos byte, text string) message {
	t.Helper()
	m := nextText(t, c, topic, qos, text)
	if m.Retain {
		t.Errorf("%q on %q has RETAIN set", text, topic)
	}
	return m
}

// wantRetained is wantText for a retained message.
func wantRetained(t *testing.T, c client, topic string, qos byte, text string) message {
	t.Helper()
	m := nextText(t, c, topic, qos, text)
	if !m.Retain {
		t.Errorf("%q on %q has no RETAIN", text, topic)
	}
	return m
}

func nextText(t *testing.T, c client, topic string, qos byte, text string) message {
	t.Helper()
	m := c.inbox().messages.next(t, fmt.Sprintf("message %q on %q", text, topic))
	if m.Topic != topic || m.QoS != qos || string(m.Payload) != text {
		t.Fatalf("got %q on %q with QoS %d, want %q on %q with QoS %d", m.Payload, m.Topic, m.QoS, text, topic, qos)
	}
	return m
}

// poll asks until it is so.
func poll(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !isSo() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}
