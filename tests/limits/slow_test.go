package limits

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	publishers  = 4
	published   = 51_200 // messages of QoS 1 of each publisher
	published2  = 2_000  // of the one of QoS 2
	payloadSize = 1200
	atOnce      = 512 // messages that a publisher sends before it waits for their acknowledgements
	unacked     = 100 // Receive Maximum of the subscriber that does not acknowledge

	filter1, filter2 = "one/#", "two/#"

	// slowBound is what the broker may take more than after start while it is sent 240 MB that four subscribers do not take: the end of
	// the log in memory (16 MiB), batches under way, queues of 256 KiB, and as much again that is not yet collected.
	slowBound = 96 * mib
)

// Subscribers that stop reading, or stop acknowledging, cost the broker bounded memory however much is published meanwhile; the others go
// on; and nothing of QoS 1 and 2 is lost: when they go on they get all of it, in order.
func TestSubscribersThatStop(t *testing.T) {
	b := start(t, "maxInflight=8192") // more than the kernel's buffers take: the broker's queues fill up
	before := settles(t, b, afterStart)

	healthy := newConsumer(t, b, "healthy", filter1, 1, publishers*published)
	stopped := newConsumer(t, b, "stopped", filter1, 1, publishers*published)
	stopped2 := newConsumer(t, b, "stopped2", filter2, 2, published2)
	silent := newConsumer(t, b, "silent", filter1, 1, publishers*published)
	zero := newConsumer(t, b, "zero", filter1, 0, 0)
	for _, c := range []*consumer{stopped, zero} { // the others are held by their windows
		if err := c.conn.Net().(*net.TCPConn).SetReadBuffer(4 * kib); err != nil {
			t.Fatal(err)
		}
	}

	most := during(t, b, func() {
		var all errgroup.Group
		for i := range publishers {
			all.Go(func() error { return publish(b.TCP, fmt.Sprintf("one/%d", i), 1, i, published) })
		}
		all.Go(func() error { return publish(b.TCP, "two/0", 2, 0, published2) })
		all.Go(healthy.takeAll)
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "what was dropped of QoS 0 is told", func() bool {
			return strings.Contains(b.Log(), "messages dropped")
		})
	})
	t.Logf("%d KiB after start, at most %d KiB while %d MB were published", before/kib, most/kib, publishers*published*payloadSize/1_000_000)
	if most-before > slowBound {
		t.Errorf("resident memory grew by %d KiB, want at most %d", (most-before)/kib, slowBound/kib)
	}

	silent.window(t)
	var rest errgroup.Group
	rest.Go(silent.takeAll)
	rest.Go(stopped2.takeAll)
	closedByBroker(t, stopped.conn)
	rest.Go(stopped.takeAll)
	if err := rest.Wait(); err != nil {
		t.Fatal(err)
	}
	serves(t, b)
}

// during runs f and returns the most that was resident meanwhile.
func during(t *testing.T, b *broker.Broker, f func()) int64 {
	t.Helper()
	var most atomic.Int64
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			now, err := b.RSS()
			if err != nil {
				t.Error(err)
				return
			}
			most.Store(max(most.Load(), now))
			select {
			case <-done:
				return
			case <-time.After(sample):
			}
		}
	})
	defer watching.Wait()
	defer close(done)
	f()
	return max(most.Load(), rss(t, b))
}

// publish sends count messages to a topic; the payload begins with the publisher's number and the message's. Each is acknowledged.
func publish(addr, topic string, qos byte, publisher, count int) error {
	c, err := open(addr, hello(mqtt.V5, "publisher/"+topic))
	if err != nil {
		return err
	}
	defer c.Close()
	return publishOver(c, topic, qos, publisher, count)
}

// publishOver is publish over a connection that there is.
func publishOver(c *wire.Conn, topic string, qos byte, publisher, count int) error {
	for at := 0; at < count; {
		var batch []wire.Packet
		for ; len(batch) < atOnce && at < count; at++ {
			payload := make([]byte, payloadSize)
			binary.BigEndian.PutUint32(payload, uint32(publisher))
			binary.BigEndian.PutUint32(payload[4:], uint32(at))
			batch = append(batch, &mqtt.Publish{QoS: qos, PacketID: uint16(len(batch) + 1), Topic: []byte(topic), Payload: payload})
		}
		if err := c.Send(batch...); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
		if err := acknowledged(c, qos, len(batch)); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	return nil
}

// acknowledged waits until as many messages are.
func acknowledged(c *wire.Conn, qos byte, count int) error {
	for count > 0 {
		a, err := next[mqtt.Ack](c)
		if err != nil {
			return err
		}
		switch {
		case a.Code >= mqtt.UnspecifiedError:
			return fmt.Errorf("%s with %s", a.Type, a.Code)
		case qos == 2 && a.Type == mqtt.PUBREC:
			if err := c.Send(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: a.PacketID}); err != nil {
				return err
			}
		default:
			count--
		}
	}
	return nil
}

// consumer is a subscriber whose session outlives its connection; with QoS 0 it has none.
type consumer struct {
	addr  string
	hello *mqtt.Connect
	conn  *wire.Conn
	want  int // messages in all

	got     int
	expect  [publishers]uint32 // next message of each publisher
	holding map[uint16]bool    // QoS 2 packet ids that were not released
	unacked []uint16           // QoS 1 packet ids that window has not acknowledged
}

func newConsumer(t *testing.T, b *broker.Broker, id, filter string, qos byte, want int) *consumer {
	t.Helper()
	c := &consumer{addr: b.TCP, hello: hello(mqtt.V5, id), want: want, holding: map[uint16]bool{}}
	if qos > 0 {
		keep(c.hello)
	}
	if id == "silent" {
		c.hello.ReceiveMaximum = unacked
	}
	c.conn = connect(t, b.TCP, c.hello)
	subscribe(t, c.conn, filter, qos)
	return c
}

// takeAll takes and acknowledges messages until it has all. When the connection was ended it comes back.
func (c *consumer) takeAll() error {
	if err := c.release(); err != nil {
		return err
	}
	for c.got < c.want {
		p, err := c.conn.Read(patience)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			return fmt.Errorf("%s got %d of %d messages, and then nothing for %s", c.hello.ClientID, c.got, c.want, patience)
		}
		if err != nil {
			err = c.resume()
		} else {
			err = c.handle(p)
		}
		if err != nil {
			return fmt.Errorf("%s, after %d messages: %w", c.hello.ClientID, c.got, err)
		}
	}
	return c.conn.Send(&mqtt.Disconnect{})
}

func (c *consumer) handle(p any) error {
	switch p := p.(type) {
	case *mqtt.Publish:
		return c.message(p)
	case *mqtt.Ack: // PUBREL
		delete(c.holding, p.PacketID)
		c.acknowledge(mqtt.PUBCOMP, p.PacketID)
	case *mqtt.Disconnect:
		return fmt.Errorf("DISCONNECT with %s", p.Code)
	}
	return nil
}

func (c *consumer) message(p *mqtt.Publish) error {
	publisher, number := binary.BigEndian.Uint32(p.Payload), binary.BigEndian.Uint32(p.Payload[4:])
	again := number < c.expect[publisher]
	switch {
	case p.QoS == 2 && c.holding[p.PacketID]: // the same delivery once more
	case again && p.QoS == 1 && p.Dup:
	case number != c.expect[publisher]:
		return fmt.Errorf("message %d of publisher %d came when %d was due", number, publisher, c.expect[publisher])
	default:
		c.expect[publisher]++
		c.got++
	}
	if p.QoS == 2 {
		c.holding[p.PacketID] = true
		c.acknowledge(mqtt.PUBREC, p.PacketID)
	} else {
		c.acknowledge(mqtt.PUBACK, p.PacketID)
	}
	return nil
}

// acknowledge may fail: then reading does too, and the client comes back.
func (c *consumer) acknowledge(t mqtt.Type, id uint16) {
	_ = c.conn.Send(&mqtt.Ack{Type: t, PacketID: id})
}

// resume connects again; the session must be there.
func (c *consumer) resume() (err error) {
	_ = c.conn.Close()
	if c.conn, err = wire.Dial(c.addr, mqtt.V5); err != nil {
		return err
	}
	a, err := call[mqtt.Connack](c.conn, c.hello)
	if err == nil && !a.SessionPresent {
		err = fmt.Errorf("CONNACK without session: %s", a.Code)
	}
	return err
}

// window takes what was sent to a client that acknowledges nothing: as much as it allows and no more. PINGRESP comes after it.
func (c *consumer) window(t *testing.T) {
	t.Helper()
	send(t, c.conn, wire.Ping{})
	for {
		p, err := c.conn.Read(patience)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := p.(*mqtt.Publish)
		if !ok {
			break
		}
		c.unacked = append(c.unacked, m.PacketID)
		c.expect[binary.BigEndian.Uint32(m.Payload)]++
		c.got++
	}
	if len(c.unacked) != unacked {
		t.Errorf("a client with Receive Maximum %d was sent %d messages", unacked, len(c.unacked))
	}
}

// release acknowledges what window took.
func (c *consumer) release() error {
	for _, id := range c.unacked {
		if err := c.conn.Send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: id}); err != nil {
			return err
		}
	}
	return nil
}

// closedByBroker waits until the broker has closed the connection of a client that does not read: then sending fails.
func closedByBroker(t *testing.T, c *wire.Conn) {
	t.Helper()
	const writeTimeout = 30 * time.Second // of the broker
	if !poll(writeTimeout+patience, func() bool { return c.Send(wire.Ping{}) != nil }) {
		t.Errorf("a client that does not read is still connected after %s", writeTimeout+patience)
	}
}
