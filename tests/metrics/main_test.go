// Package metrics scrapes a broker process while clients talk to it, and compares each number with what they did.
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	patience = 30 * time.Second // how long a test waits for what must happen
	sample   = 20 * time.Millisecond
)

func start(t *testing.T, set ...string) *broker.Broker {
	t.Helper()
	return broker.Start(t, broker.Options{Set: set, Exporter: true})
}

// get asks the broker's metrics port.
func get(b *broker.Broker, path string) (code int, body string, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + b.Exporter + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = r.Body.Close() }()
	all, err := io.ReadAll(r.Body)
	return r.StatusCode, string(all), err
}

// values are a scrape: `name{label="value"}` without the prefix. A histogram has name_count and name_sum.
type values map[string]float64

// scrape reads /metrics, which must be what Prometheus and its linter accept.
func scrape(t *testing.T, b *broker.Broker) values {
	t.Helper()
	code, body, err := get(b, "/metrics")
	if err != nil || code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %v\n%s", code, err, body)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	v := values{}
	for name, f := range families {
		for _, m := range f.Metric {
			v.add(strings.TrimPrefix(name, "rocketmqtt_"), m)
		}
	}
	return v
}

func (v values) add(name string, m *dto.Metric) {
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	key := name
	if labels != nil {
		key += "{" + strings.Join(labels, ",") + "}"
	}
	switch {
	case m.Counter != nil:
		v[key] = m.Counter.GetValue()
	case m.Gauge != nil:
		v[key] = m.Gauge.GetValue()
	case m.Histogram != nil:
		v[key+"_count"] = float64(m.Histogram.GetSampleCount())
		v[key+"_sum"] = m.Histogram.GetSampleSum()
	}
}

// wrong lists what of want v has another value for.
func (v values) wrong(want values) (list []string) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got, ok := v[key]; !ok || got != want[key] {
			list = append(list, fmt.Sprintf("%s: got %v, want %v", key, got, want[key]))
		}
	}
	return list
}

// expect polls until the broker shows want.
func expect(t *testing.T, b *broker.Broker, what string, want values) {
	t.Helper()
	var wrong []string
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(sample)
	defer tick.Stop()
	for {
		if wrong = scrape(t, b).wrong(want); wrong == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s:\n%s", what, strings.Join(wrong, "\n"))
		}
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(sample)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not happen within %s: %s", patience, what)
		}
	}
}

// client is a connection that counts its bytes.
type client struct {
	*wire.Conn
	t  *testing.T
	nc *counted
}

type counted struct {
	net.Conn
	in, out atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}

// dial connects and sends nothing.
func dial(t *testing.T, b *broker.Broker) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", b.TCP, patience)
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Conn: nc}
	cl := &client{Conn: wire.New(c, mqtt.V5), t: t, nc: c}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// connect is dial with a CONNECT that must be accepted.
func connect(t *testing.T, b *broker.Broker, id string, change ...func(*mqtt.Connect)) *client {
	t.Helper()
	c := dial(t, b)
	p := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id), RequestProblem: true}
	for _, f := range change {
		f(p)
	}
	c.send(p)
	if a := read[mqtt.Connack](c); a.Code != mqtt.Success {
		t.Fatalf("CONNECT of %s: %v %s", id, a.Code, a.Reason)
	}
	return c
}

func keep(p *mqtt.Connect) { p.CleanStart, p.SessionExpiry = false, 3600 }

func (c *client) send(p ...wire.Packet) {
	c.t.Helper()
	if err := c.Send(p...); err != nil {
		c.t.Fatal(err)
	}
}

// read reads the next packet, which must be a P.
func read[P any](c *client) *P {
	c.t.Helper()
	p, err := c.Read(patience)
	if err != nil {
		c.t.Fatal(err)
	}
	got, ok := p.(*P)
	if !ok {
		c.t.Fatalf("read %T %+v, want %T", p, p, new(P))
	}
	return got
}

func (c *client) subscribe(filter string, qos byte) {
	c.t.Helper()
	c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(filter), QoS: qos}}})
	if a := read[mqtt.Suback](c); len(a.Codes) != 1 || a.Codes[0] != mqtt.ReasonCode(qos) {
		c.t.Fatalf("SUBACK %+v", a)
	}
}

func (c *client) wantAck(t mqtt.Type, code mqtt.ReasonCode) {
	c.t.Helper()
	if a := read[mqtt.Ack](c); a.Type != t || a.Code != code {
		c.t.Fatalf("got %v %v, want %v %v", a.Type, a.Code, t, code)
	}
}

// publish publishes and goes through the whole exchange.
func (c *client) publish(topic string, payload []byte, qos byte) {
	c.t.Helper()
	p := &mqtt.Publish{QoS: qos, Topic: []byte(topic), Payload: payload}
	if qos > 0 {
		p.PacketID = 7
	}
	c.send(p)
	switch qos {
	case 1:
		c.wantAck(mqtt.PUBACK, mqtt.Success)
	case 2:
		c.wantAck(mqtt.PUBREC, mqtt.Success)
		c.send(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: 7})
		c.wantAck(mqtt.PUBCOMP, mqtt.Success)
	}
}

// receive reads a PUBLISH and goes through the whole exchange.
func (c *client) receive() *mqtt.Publish {
	c.t.Helper()
	p := read[mqtt.Publish](c)
	switch p.QoS {
	case 1:
		c.send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID})
	case 2:
		c.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID})
		c.wantAck(mqtt.PUBREL, mqtt.Success)
		c.send(&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: p.PacketID})
	}
	return p
}
