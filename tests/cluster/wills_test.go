package cluster

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/cutter"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	willsEnv  = "ROCKETMQTT_CLUSTER_WILLS"
	willsMade = 5               // clients of each kind
	noMore    = 5 * time.Second // in which no will comes that is not owed
)

// willKind is what becomes of a client with a will whose node dies.
type willKind struct {
	name   string
	v      mqtt.Version
	kept   bool
	qos    byte
	delay  uint32
	then   string // what the client does after that: "" nothing; "resumes", "begins" anew at another node; "left" with DISCONNECT before
	wanted bool
}

func willKinds() []willKind {
	return []willKind{
		{name: "clean", v: mqtt.V5, qos: 1, wanted: true},
		{name: "clean3", v: mqtt.V311, qos: 1, wanted: true},
		{name: "qos0", v: mqtt.V5, wanted: true},
		{name: "kept", v: mqtt.V5, kept: true, qos: 2, wanted: true},
		{name: "delayed", v: mqtt.V5, kept: true, qos: 1, delay: 1, wanted: true},
		{name: "later", v: mqtt.V5, kept: true, qos: 1, delay: 3600},
		{name: "left", v: mqtt.V5, kept: true, qos: 1, then: "left"},
		{name: "in-time", v: mqtt.V5, kept: true, qos: 1, delay: 3600, then: "resumes"},
		{name: "resumes", v: mqtt.V5, kept: true, qos: 2, then: "resumes", wanted: true},
		{name: "begins", v: mqtt.V5, kept: true, qos: 1, delay: 3600, then: "begins", wanted: true},
		{name: "clean-begins", v: mqtt.V311, qos: 1, then: "begins", wanted: true},
	}
}

// willClient is one of that kind.
type willClient struct {
	willKind
	id   string
	conn *wire.Conn
}

// mourning is clients with wills, and who is subscribed to these.
type mourning struct {
	t     *testing.T
	first string // level of the topics
	all   []*willClient

	mu   sync.Mutex
	got  map[string]int // by client id
	last time.Time      // when the last one came
}

// mourn connects clients to the node at addr, and a subscriber to the one at watch.
func mourn(t *testing.T, first, addr, watch string) *mourning {
	t.Helper()
	m := &mourning{t: t, first: first, got: map[string]int{}}
	w := m.open(watch, &mqtt.Connect{Version: mqtt.V5, ClientID: []byte(first + "-watch"), CleanStart: true, ReceiveMaximum: 65535})
	must(t, w.Send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(first + "/#"), QoS: 2}}}))
	if p, err := w.Read(answer); err != nil {
		t.Fatalf("no SUBACK: %T, %v", p, err)
	}
	go m.read(w)
	for _, k := range willKinds() {
		for i := range check.Number(t, willsEnv, willsMade) {
			c := &willClient{willKind: k, id: fmt.Sprint(first, "-", k.name, "-", i)}
			c.conn = m.open(addr, c.hello(first))
			if c.then == "left" {
				must(t, c.conn.Send(&mqtt.Disconnect{}))
				_, _ = c.conn.Read(answer) // it is closed
			}
			m.all = append(m.all, c)
		}
	}
	return m
}

func (c *willClient) hello(first string) *mqtt.Connect {
	p := &mqtt.Connect{
		Version: c.v, ClientID: []byte(c.id), CleanStart: !c.kept, ReceiveMaximum: 65535, HasWill: true,
		Will: mqtt.Will{Topic: []byte(first + "/" + c.id), Payload: []byte("gone"), QoS: c.qos, Delay: c.delay},
	}
	if c.kept {
		p.SessionExpiry = forever
	}
	return p
}

// open connects a client; the connection ends with the test.
func (m *mourning) open(addr string, p *mqtt.Connect) *wire.Conn {
	m.t.Helper()
	conn, err := wire.Dial(addr, p.Version)
	must(m.t, err)
	m.t.Cleanup(func() { _ = conn.Close() })
	_, err = hello(conn, p)
	must(m.t, err)
	return conn
}

// read counts the wills that come, until the connection ends.
func (m *mourning) read(w *wire.Conn) {
	for {
		p, err := w.Read(silence)
		if err != nil {
			return
		}
		var ack *mqtt.Ack
		switch p := p.(type) {
		case *mqtt.Publish:
			m.mu.Lock()
			m.got[strings.TrimPrefix(string(p.Topic), m.first+"/")]++
			m.last = time.Now()
			m.mu.Unlock()
			if ack = (&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID}); p.QoS == 2 {
				ack.Type = mqtt.PUBREC
			} else if p.QoS == 0 {
				continue
			}
		case *mqtt.Ack:
			ack = &mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: p.PacketID}
		}
		if ack != nil && w.Send(ack) != nil {
			return
		}
	}
}

// goOn has clients go to the node at addr that do, side by side: the node that they were at does not answer.
func (m *mourning) goOn(addr string) {
	m.t.Helper()
	var going sync.WaitGroup
	for _, c := range m.all {
		if c.then != "resumes" && c.then != "begins" {
			continue
		}
		going.Go(func() {
			p := c.hello(m.first)
			p.HasWill, p.CleanStart = false, c.then == "begins"
			conn, err := wire.Dial(addr, p.Version)
			if err == nil {
				m.t.Cleanup(func() { _ = conn.Close() })
				_, err = hello(conn, p)
			}
			if err != nil {
				m.t.Errorf("%s: %v", c.id, err)
			}
		})
	}
	going.Wait()
}

// missing tells what has not come.
func (m *mourning) missing() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, c := range m.all {
		if c.wanted && m.got[c.id] == 0 {
			list = append(list, c.id)
		}
	}
	return strings.Join(list, " ")
}

// came waits until all wills that are wanted have come, and tells when the last one did.
func (m *mourning) came(since time.Time) {
	m.t.Helper()
	eventually(m.t, "all wills come", func() bool { return m.missing() == "" }, m.missing)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t.Logf("all wills have come %v after that", m.last.Sub(since).Round(time.Millisecond))
}

// once fails when something has come twice, or that was not wanted, and waits a while for it.
func (m *mourning) once(wanted bool) {
	m.t.Helper()
	began := time.Now()
	eventually(m.t, "it is time", func() bool { return time.Since(began) >= noMore })
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.all {
		want := 0
		if wanted && c.wanted {
			want = 1
		}
		if n := m.got[c.id]; n != want {
			m.t.Errorf("the will of %s came %d times, want %d", c.id, n, want)
		}
	}
}

// willOptions are those of nodes with the meta module.
func willOptions(namesrv string) broker.Options {
	o := nodeOptions(namesrv, "enableMetaModule=true")
	o.Errors = true // a node says that it was taken for dead
	return o
}

// Wills, of nodes on a RocketMQ where nothing else is: each of the many nodes begins with nothing and reads all that there is of sessions, which under the race detector
// costs more than another RocketMQ.
func TestWills(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	cluster := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540})
	for name, test := range map[string]func(*testing.T, *rocketmqtest.Cluster){
		"of a killed node":          willsOfAKilledNode,
		"of two killed nodes":       willsOfTwoKilledNodes,
		"of a halted node":          willsOfAHaltedNode,
		"of a node that is cut off": willsOfANodeThatIsCutOff,
		"of a node that stops":      willsOfANodeThatStops,
		"without meta on one node":  willsWithoutMetaOnOneNode,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, cluster)
		})
	}
}

// The wills of the clients of a node that is killed come once; those that are not owed do not.
func willsOfAKilledNode(t *testing.T, cluster *rocketmqtest.Cluster) {
	nodes := startNodes(t, 3, willOptions(cluster.Namesrv()))
	m := mourn(t, "wills-killed", nodes[0].TCP, nodes[2].TCP)
	began := time.Now()
	nodes[0].Kill()
	m.goOn(nodes[1].TCP)
	m.came(began)
	m.once(true)
}

// And when a node that publishes them is killed while it does.
func willsOfTwoKilledNodes(t *testing.T, cluster *rocketmqtest.Cluster) {
	nodes := startNodes(t, 3, willOptions(cluster.Namesrv()))
	m := mourn(t, "wills-two", nodes[0].TCP, nodes[2].TCP)
	nodes[0].Kill()
	m.goOn(nodes[1].TCP)
	owed := strings.Count(m.missing(), " ")
	eventually(t, "some wills come", func() bool { return strings.Count(m.missing(), " ") < owed-owed/2 }, m.missing)
	began := time.Now()
	nodes[1].Kill()
	m.came(began)
	m.once(true)
}

// A node that is halted until it is taken for dead publishes none again when it goes on.
func willsOfAHaltedNode(t *testing.T, cluster *rocketmqtest.Cluster) {
	nodes := startNodes(t, 3, willOptions(cluster.Namesrv()))
	m := mourn(t, "wills-halted", nodes[0].TCP, nodes[2].TCP)
	began := time.Now()
	nodes[0].Pause()
	m.goOn(nodes[1].TCP)
	m.came(began)
	nodes[0].Resume()
	m.thrownOut()
	m.once(true)
}

// thrownOut waits until the first node has ended its connections.
func (m *mourning) thrownOut() {
	m.t.Helper()
	for _, c := range m.all {
		for {
			if _, err := c.conn.Read(patience); err != nil {
				break
			}
		}
	}
}

// Nor does one that could not reach RocketMQ.
func willsOfANodeThatIsCutOff(t *testing.T, cluster *rocketmqtest.Cluster) {
	cut := cutter.New(t, cluster.Namesrv(), cluster.Broker(0).Addr)
	nodes := append(startNodes(t, 1, willOptions(cut.Namesrv)), startNodes(t, 2, willOptions(cluster.Namesrv()))...)
	m := mourn(t, "wills-cut", nodes[0].TCP, nodes[2].TCP)
	began := time.Now()
	cut.Cut()
	m.goOn(nodes[1].TCP)
	m.came(began)
	cut.Mend()
	m.thrownOut()
	m.once(true)
}

// A node that is stopped publishes none, and nobody does for it.
func willsOfANodeThatStops(t *testing.T, cluster *rocketmqtest.Cluster) {
	nodes := startNodes(t, 3, willOptions(cluster.Namesrv()))
	m := mourn(t, "wills-stopped", nodes[0].TCP, nodes[2].TCP)
	nodes[0].Stop()
	m.goOn(nodes[1].TCP)
	m.once(false)
}

// Nodes with and without the meta module side by side, as while it is switched on or off: one without has no wills of its own clients, and leaves those of others to
// the nodes that have it, whoever's the sessions are by then.
func willsWithoutMetaOnOneNode(t *testing.T, cluster *rocketmqtest.Cluster) {
	off := nodeOptions(cluster.Namesrv())
	off.Errors = true // it refuses a will
	nodes := append(startNodes(t, 2, willOptions(cluster.Namesrv())), startNodes(t, 1, off)...)
	m := mourn(t, "wills-mixed", nodes[0].TCP, nodes[2].TCP)
	refused, err := wire.Dial(nodes[2].TCP, mqtt.V5)
	must(t, err)
	defer func() { _ = refused.Close() }()
	var no *refusal
	if _, err := hello(refused, m.all[0].hello("elsewhere")); !errors.As(err, &no) || no.code != mqtt.ImplementationSpecific {
		t.Errorf("a will is answered with %v", err)
	}
	began := time.Now()
	nodes[0].Kill()
	m.goOn(nodes[2].TCP)
	m.came(began)
	m.once(true)
}
