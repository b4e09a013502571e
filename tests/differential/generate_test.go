package differential

import (
	"fmt"
	"math/rand/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// The size of a script. sharer is a client that has shared subscriptions only, with groups of its own: which member of a
// larger group gets a message is the broker's choice, and copies from a share cannot be told from others.
const (
	clients   = 4
	sharer    = clients - 1
	minSteps  = 15
	moreSteps = 40
	maxBurst  = 6
	maxAlias  = 5 // mosquitto takes 10
)

// generator makes a script. It knows of each client whether it is connected, and how.
type generator struct {
	*rand.Rand
	script
	online  [clients]bool
	half    [clients]bool // as session.half
	last    [clients]connectStep
	numbers int
}

func generate(seed uint64) script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), script: script{seed: seed}}
	for range clients {
		g.clients = append(g.clients, pick(g, mqtt.V31, mqtt.V311, mqtt.V311, mqtt.V5, mqtt.V5, mqtt.V5))
	}
	for i := range clients {
		g.connect(i)
		g.subscribe(i)
	}
	for range minSteps + g.IntN(moreSteps) {
		g.step()
	}
	g.finish()
	return g.script
}

// finish makes everything come that is owed to a session.
func (g *generator) finish() {
	for c := range clients {
		o := connectStep{acks: ackAll}
		if g.clients[c] == mqtt.V5 {
			o.expiry = 3600
		}
		g.begin(c, o)
		g.subscribe(c)
	}
	for c := range clients {
		g.publish(c)
	}
}

func pick[T any](g *generator, choices ...T) T { return choices[g.IntN(len(choices))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) add(s step) { g.steps = append(g.steps, s) }

func (g *generator) step() {
	c := g.IntN(clients)
	if !g.online[c] {
		if g.chance(60) {
			g.connect(c)
		}
		return
	}
	switch n := g.IntN(100); {
	case n < 50:
		g.publish(c)
	case n < 65:
		g.subscribe(c)
	case n < 73:
		g.unsubscribe(c)
	case n < 81:
		g.disconnect(c)
	case n < 88:
		g.add(step{op: drop, client: c})
		g.online[c] = false
	case n < 93:
		g.connect(c) // takeover
	case n < 97:
		g.interrupt(c)
	default:
		g.restart()
	}
}

func (g *generator) connect(c int) {
	o := connectStep{clean: g.chance(25), acks: pick(g, ackAll, ackAll, ackAll, ackRec, ackNone)}
	if g.clients[c] == mqtt.V5 {
		o.expiry = pick(g, uint32(0), 3600, 3600, 3600)
		if g.chance(30) {
			o.aliasMax = uint16(1 + g.IntN(3))
		}
		if g.chance(25) { // a message that waits for room would be seen to depend on later subscriptions
			o.receiveMax, o.acks = uint16(1+g.IntN(3)), ackAll
		}
	}
	g.begin(c, o)
}

func (g *generator) begin(c int, o connectStep) {
	g.add(step{op: connect, client: c, connect: o})
	g.online[c], g.last[c] = true, o
	g.half[c] = o.acks == ackRec || g.half[c] && !o.clean && o.acks == ackNone
}

// restart comes after what lets all that is in mosquitto survive it, see rules_test.go.
func (g *generator) restart() {
	for c := range clients {
		o := g.last[c]
		if c == sharer || g.half[c] || o.clean && o.expiry != 0 {
			o.clean = c == sharer
			if c == sharer {
				o.expiry = 0
			}
			if g.half[c] {
				o.acks = ackAll
			}
			g.begin(c, o)
		}
	}
	g.add(step{op: restart})
	g.online = [clients]bool{}
}

func (g *generator) disconnect(c int) {
	s := step{op: disconnect, client: c}
	if g.clients[c] == mqtt.V5 && g.last[c].expiry != 0 && g.chance(30) {
		expiry := pick(g, uint32(0), 7200)
		s.expiry = &expiry
	}
	g.add(s)
	g.online[c] = false
}

func (g *generator) subscribe(c int) {
	s := step{op: subscribe, client: c}
	for range 1 + g.IntN(3) {
		f := mqtt.SubscribeFilter{Filter: []byte(g.filter(c)), QoS: byte(g.IntN(3))}
		if c == sharer {
			f.QoS = byte(len(f.Filter)) % 3 // always the same, see rules_test.go
		}
		if g.clients[c] == mqtt.V5 {
			f.NoLocal = noLocal(c, string(f.Filter))
			f.RetainAsPublished = g.chance(50)
			f.RetainHandling = byte(g.IntN(3))
		}
		s.filters = append(s.filters, f)
	}
	if g.clients[c] == mqtt.V5 && g.chance(50) {
		s.subID = pick(g, uint32(1), 2, 3, 300, 268_435_455)
	}
	g.add(s)
}

// noLocal is the same for a client and filter in all scripts, see rules_test.go.
func noLocal(c int, filter string) bool {
	return c != sharer && (len(filter)+c)%4 == 0 // [MQTT-3.8.3-4]
}

func (g *generator) unsubscribe(c int) {
	s := step{op: unsubscribe, client: c}
	for range 1 + g.IntN(2) {
		s.names = append(s.names, g.filter(c))
	}
	g.add(s)
}

func (g *generator) filter(c int) string {
	f := pick(g, "#", "+", "+/#", "a", "a/#", "a/+", "a/b", "+/b", "a/b/#", "a/+/c", "+/+/+", "b", "b/", "b/+", "/a", "/+", "/#", "a//b", "a/+/b")
	if c == sharer {
		return fmt.Sprintf("$share/g%d/%s", g.IntN(2), f)
	}
	return f
}

func (g *generator) topic() string {
	return pick(g, "a", "a/b", "a/b", "a/b/c", "a/c", "b", "b/", "b/c", "/a", "a//b", "c", "a/x y/ключ")
}

func (g *generator) message(c int, qos byte) message {
	g.numbers++
	m := message{number: g.numbers, topic: g.topic(), qos: qos, size: pick(g, 0, 0, 0, 200, 5000)}
	if g.clients[c] == mqtt.V5 {
		g.properties(&m)
	}
	return m
}

func (g *generator) properties(m *message) {
	if g.chance(30) {
		m.alias = uint16(1 + g.IntN(maxAlias))
	}
	p := &m.props
	for range g.IntN(3) {
		p.User = append(p.User, mqtt.UserProperty{Key: []byte(pick(g, "k", "k", "a", "")), Value: fmt.Append(nil, g.IntN(10))})
	}
	if g.chance(20) {
		p.ContentType = []byte("text/plain")
	}
	if g.chance(20) {
		p.ResponseTopic = []byte("answers/here")
	}
	if g.chance(20) {
		p.CorrelationData = []byte{0, byte(g.IntN(256)), 0xFF}
	}
	if g.chance(20) {
		p.HasPayloadFormat, p.PayloadFormat = true, byte(g.IntN(2))
	}
	if g.chance(20) {
		p.HasMessageExpiry, p.MessageExpiry = true, longExpiry
	}
}

func (g *generator) publish(c int) {
	s := step{op: publish, client: c}
	for range 1 + g.IntN(maxBurst) {
		s.messages = append(s.messages, g.message(c, byte(g.IntN(3))))
	}
	g.add(s)
}

func (g *generator) interrupt(c int) {
	m := g.message(c, 2)
	m.alias = 0 // it would mean nothing on the second connection
	g.add(step{op: interrupt, client: c, messages: []message{m}, lost: pick(g, lostPubrec, lostPubrel, lostPubcomp)})
}
