package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	pauseEnv  = "ROCKETMQTT_CLUSTER_PAUSE"
	pauseMade = 12 // seconds; longer than it takes to take a node for dead (6 s)
	shortly   = 3 * time.Second
)

// A node is halted, for a moment or until it is taken for dead, and its clients go on at others. When it wakes up it knows nothing of that; what was sent to it meanwhile it
// must not acknowledge, nor act on.
func TestPause(t *testing.T) {
	cluster := shared.Cluster(t)
	if cluster == nil {
		return
	}
	o := nodeOptions(cluster.Namesrv())
	o.Errors = true // it says that it was taken for dead
	nodes := startNodes(t, 3, o)
	for name, d := range map[string]time.Duration{"short": shortly, "long": time.Duration(check.Number(t, pauseEnv, pauseMade)) * time.Second} {
		t.Run(name, func(t *testing.T) { pause(t, nodes, "pause-"+name, d) })
	}
}

func pause(t *testing.T, nodes []*broker.Broker, first string, d time.Duration) {
	c := newCrowd(t, addresses(nodes))
	c.populate(first, 6, 6)
	hand := newHand(t, c, first)
	c.publish(steady, 1<<30)
	c.progress("at first", 10)

	nodes[0].Pause()
	began := time.Now()
	defer nodes[0].Resume()
	hand.sendToHalted()
	var here []*roamer
	for _, r := range c.roamers {
		if r.node() == 0 {
			here = append(here, r)
		}
	}
	eventually(t, "those who publish to the halted node wait", func() bool {
		for _, w := range c.writers {
			if c.where(w.session) == 0 && !w.full() {
				return c.broken()
			}
		}
		return true
	}, c.state)
	unanswered := c.idsSince(began)
	c.goAll(here, []int{1, 2})
	c.progress("served by others", 10)
	hand.goOn()
	eventually(t, "it is time", func() bool { return time.Since(began) >= d })

	nodes[0].Resume()
	c.progress("the node is awake", 10)
	tally := map[string]int{}
	for _, r := range here {
		for _, l := range r.left {
			eventually(t, "the node ends what is another's by now", func() bool { return isClosed(l.ended) })
			r.mu.Lock()
			for _, p := range l.late {
				c.late(r, unanswered[r.session], p, tally)
			}
			r.mu.Unlock()
		}
	}
	hand.checkOld()
	t.Logf("on the connections that were left, after the node was awake: %v", tally)
	for i := range here {
		must(t, c.order(here[i], 0, part(i%int(parts))))
	}
	c.progress("back at the node", 10)
	c.quiet()
	hand.check()
	c.report()
}

// idsSince are the packet ids of each writer that are under way; true: sent first after t.
func (c *crowd) idsSince(t time.Time) map[*session]map[uint16]bool {
	all := map[*session]map[uint16]bool{}
	for _, w := range c.writers {
		all[w.session] = w.since(t)
	}
	return all
}

// late looks at what a node sent over a connection whose client has gone on. session.mu is held.
func (c *crowd) late(r *roamer, ids map[uint16]bool, p any, tally map[string]int) {
	if m, ok := p.(*mqtt.Publish); ok {
		tally[fmt.Sprint("PUBLISH of QoS ", m.QoS)]++
		return
	}
	a, ok := p.(*mqtt.Ack)
	if !ok {
		tally[fmt.Sprintf("%T", p)]++
		return
	}
	tally[a.Type.String()]++
	if ids[a.PacketID] && a.Type != mqtt.PUBREL {
		c.t.Errorf("%s: %s of packet id %d, which was sent to the node while it was halted and its client had gone on elsewhere", r.id, a.Type, a.PacketID)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// hand is a client whose packets the test chooses one by one, with a connection to a node that is halted, and a reader elsewhere of what it publishes.
type hand struct {
	t        *testing.T
	c        *crowd
	id       string
	topic    string
	old, now *wire.Conn
	reader   *reader
	stream   *stream
}

// Packet ids of a hand.
const (
	received = iota + 7 // QoS 2, and PUBREC came before the node was halted
	once                // QoS 1
	twice               // QoS 2
	wanted              // SUBSCRIBE
)

func newHand(t *testing.T, c *crowd, first string) *hand {
	t.Helper()
	h := &hand{t: t, c: c, id: first + "-hand", topic: first + "-by-hand"}
	h.stream = &stream{topic: h.topic, name: h.topic, qos: 2}
	h.reader = newReader(first+"-hand-reader", mqtt.V5, 2, h.topic, []*stream{h.stream})
	c.read(h.reader, 1)
	h.old = h.connect(0, false)
	h.send(h.old, h.publish(received, 2, false))
	h.want(h.old, mqtt.PUBREC, received)
	return h
}

func (h *hand) connect(at int, present bool) *wire.Conn {
	h.t.Helper()
	conn, err := wire.Dial(h.c.addrs[at], mqtt.V5)
	must(h.t, err)
	h.t.Cleanup(func() { _ = conn.Close() })
	ack, err := hello(conn, &mqtt.Connect{Version: mqtt.V5, ClientID: []byte(h.id), SessionExpiry: forever, RequestProblem: true, ReceiveMaximum: 10})
	must(h.t, err)
	if ack.SessionPresent != present {
		h.t.Errorf("%s: session present is %t", h.id, ack.SessionPresent)
	}
	return conn
}

func (h *hand) send(conn *wire.Conn, packets ...wire.Packet) {
	h.t.Helper()
	must(h.t, conn.Send(packets...))
}

// publish is a message whose number is its packet id.
func (h *hand) publish(id uint16, qos byte, dup bool) *mqtt.Publish {
	topic := h.topic
	if qos == 1 {
		topic += "/once"
	}
	return &mqtt.Publish{QoS: qos, Dup: dup, Topic: []byte(topic), PacketID: id, Payload: h.stream.payload(int(id))}
}

func (h *hand) want(conn *wire.Conn, what mqtt.Type, id uint16) {
	h.t.Helper()
	p, err := conn.Read(answer)
	must(h.t, err)
	if a, ok := p.(*mqtt.Ack); !ok || a.Type != what || a.PacketID != id || a.Code >= mqtt.UnspecifiedError {
		h.t.Fatalf("%s: %T %+v, want %s %d", h.id, p, p, what, id)
	}
}

// sendToHalted sends what must not be answered any more by the node that is halted.
func (h *hand) sendToHalted() {
	h.t.Helper()
	h.send(h.old, pubrel(received), h.publish(once, 1, false), h.publish(twice, 2, false),
		&mqtt.Subscribe{PacketID: wanted, Filters: []mqtt.SubscribeFilter{{Filter: []byte(h.topic + "/none"), QoS: 1}}})
}

// goOn is what a client does at another node.
func (h *hand) goOn() {
	h.t.Helper()
	h.now = h.connect(2, true)
	h.send(h.now, pubrel(received))
	h.want(h.now, mqtt.PUBCOMP, received)
	h.send(h.now, h.publish(once, 1, true))
	h.want(h.now, mqtt.PUBACK, once)
	h.send(h.now, h.publish(twice, 2, true))
	h.want(h.now, mqtt.PUBREC, twice)
	h.send(h.now, pubrel(twice))
	h.want(h.now, mqtt.PUBCOMP, twice)
}

// checkOld reads what the node that was halted says to its connection. That it ends it is all that it may do.
func (h *hand) checkOld() {
	h.t.Helper()
	for {
		p, err := h.old.Read(patience)
		if err != nil {
			return
		}
		if bye, ok := p.(*mqtt.Disconnect); !ok {
			h.t.Errorf("%s: the node that was halted sent %T %+v", h.id, p, p)
		} else {
			h.t.Logf("the node that was halted ends the connection with %s: %s", bye.Code, bye.Reason)
		}
	}
}

// check looks at what its reader got.
func (h *hand) check() {
	h.t.Helper()
	eventually(h.t, "what was published by hand arrives", func() bool { return h.reader.arrived() == 2 })
	for _, fault := range h.reader.wrong() {
		h.t.Error(fault)
	}
}
