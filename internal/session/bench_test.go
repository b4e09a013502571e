package session

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// sink is a connection that takes everything and keeps nothing.
type sink struct{ acks chan struct{} }

func (s *sink) Send(b []byte) {
	if s.acks != nil && mqtt.Type(b[0]>>4) == mqtt.PUBACK {
		s.acks <- struct{}{}
	}
}
func (*sink) SendPublish(_, _ []byte) {}
func (*sink) Full() bool              { return false }
func (*sink) Close()                  {}

func (b *broker) bench(conn Conn, id string) *Client {
	c := b.m.Accept(conn, Peer{Addr: netip.MustParseAddrPort("127.0.0.1:1")})
	feed(c, (&mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte(id)}).Append(nil, mqtt.V311))
	b.t.Cleanup(func() {
		c.end(0, "")
		c.Closed("")
		<-c.gone
	})
	return c
}

func feed(c *Client, b []byte) {
	h, n, _ := mqtt.ParseHeader(b)
	c.Packet(h, b[n:])
}

// BenchmarkDeliver is a QoS 0 publish to a number of subscribers, from the decoded packet to the connections' queues.
func BenchmarkDeliver(b *testing.B) {
	for _, subscribers := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(subscribers, " subscribers"), func(b *testing.B) {
			br := newBroker(b, func(br *broker) { br.fs = vfs.NewMem() })
			for i := range subscribers {
				c := br.bench(&sink{}, fmt.Sprint("sub", i))
				feed(c, (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte("a/+/c")}}}).Append(nil, mqtt.V311))
			}
			pub := br.bench(&sink{}, "pub")
			packet := (&mqtt.Publish{Topic: []byte("a/b/c"), Payload: make([]byte, 128)}).Append(nil, mqtt.V311)
			b.ReportAllocs()
			for b.Loop() {
				feed(pub, packet)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(subscribers), "ns/delivery")
		})
	}
}

// BenchmarkSurvey is what a scrape of the metrics costs with 10,000 sessions.
func BenchmarkSurvey(b *testing.B) {
	br := newBroker(b, func(br *broker) { br.fs = vfs.NewMem() })
	for i := range 10_000 {
		br.bench(&sink{}, fmt.Sprint("client", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		br.m.Survey()
	}
}

// BenchmarkPublish1 is QoS 1 with 64 under way, on a log in memory: what the broker itself costs.
func BenchmarkPublish1(b *testing.B) {
	br := newBroker(b, func(br *broker) { br.fs = vfs.NewMem() })
	conn := &sink{acks: make(chan struct{}, 1024)}
	pub := br.bench(conn, "pub")
	sub := br.bench(&sink{}, "sub")
	feed(sub, (&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte("a/#")}}}).Append(nil, mqtt.V311))
	b.ReportAllocs()
	open, id := 0, uint16(0)
	var buf []byte
	payload := make([]byte, 128)
	for b.Loop() {
		if open == 64 {
			<-conn.acks
			open--
		}
		id = id%1000 + 1
		buf = (&mqtt.Publish{QoS: 1, PacketID: id, Topic: []byte("a/b/c"), Payload: payload}).Append(buf[:0], mqtt.V311)
		feed(pub, buf)
		open++
	}
	for ; open > 0; open-- {
		<-conn.acks
	}
}
