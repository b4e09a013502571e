package rocketmq

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// client is one connection of an MQTT client. It acknowledges what comes at once and puts it into its inbox, and completes what it publishes. Its
// methods are for any goroutine and fail no test; what is behind ended is for whoever has seen that closed.
type client struct {
	conn  *wire.Conn
	box   *inbox
	ended chan struct{} // the connection is over
	err   error         // why
	code  mqtt.ReasonCode
	why   string // what the server said when it ended the connection

	present bool // CONNACK's session present

	mu    sync.Mutex
	next  uint16
	waits map[uint16]chan answer // of packets sent, by their id
}

// answer is what the server said of a packet that was sent.
type answer struct {
	code   mqtt.ReasonCode
	reason string
	err    error // the connection ended first
	codes  []mqtt.ReasonCode
}

// ok is nil when the server did what it was asked for.
func (a answer) ok() error {
	switch {
	case a.err != nil:
		return a.err
	case a.code >= mqtt.UnspecifiedError:
		return fmt.Errorf("refused with %v: %s", a.code, a.reason)
	}
	for _, code := range a.codes {
		if code >= mqtt.UnspecifiedError {
			return fmt.Errorf("refused with %v: %s", code, a.reason)
		}
	}
	return nil
}

// keep asks for a session that outlives its connection.
func keep(c *mqtt.Connect) { c.CleanStart, c.SessionExpiry = false, 3600 }

// v3 is MQTT 3.1.1.
func v3(c *mqtt.Connect) { c.Version = mqtt.V311 }

// dial connects; box is what the client id has received so far.
func dial(addr, id string, box *inbox, change ...func(*mqtt.Connect)) (*client, error) {
	p := &mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(id), RequestProblem: true, ReceiveMaximum: 65535}
	for _, f := range change {
		f(p)
	}
	conn, err := wire.Dial(addr, p.Version)
	if err != nil {
		return nil, err
	}
	if err := conn.Send(p); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	got, err := conn.Read(patience)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ack, ok := got.(*mqtt.Connack)
	if !ok || ack.Code != mqtt.Success {
		return nil, errors.Join(fmt.Errorf("CONNECT of %s was answered with %+v", id, got), conn.Close())
	}
	c := &client{conn: conn, box: box, ended: make(chan struct{}), present: ack.SessionPresent, waits: map[uint16]chan answer{}}
	go c.read()
	return c, nil
}

// connect is dial for the test's own goroutine; the connection ends with the test.
func connect(t testing.TB, addr, id string, box *inbox, change ...func(*mqtt.Connect)) *client {
	t.Helper()
	c, err := dial(addr, id, box, change...)
	must(t, err)
	t.Cleanup(c.close)
	return c
}

// connectSoon is connect with a session that is kept, for a client that comes while its broker has just been away: it comes again until it is served.
func connectSoon(t testing.TB, addr, id string, box *inbox) *client {
	t.Helper()
	var c *client
	var err error
	eventually(t, id+" is served", func() bool {
		c, err = dial(addr, id, box, keep)
		return err == nil
	}, func() string { return err.Error() })
	t.Cleanup(c.close)
	return c
}

// close ends the connection without a word and waits for its goroutine.
func (c *client) close() {
	_ = c.conn.Close() // read sees the end
	<-c.ended
}

// leave ends it in order.
func (c *client) leave() {
	_ = c.conn.Send(&mqtt.Disconnect{}) // if this fails it has ended already
	c.close()
}

func (c *client) read() {
	const idle = 10 * time.Minute // longer than any test
	defer close(c.ended)
	for {
		p, err := c.conn.Read(idle)
		if err == nil {
			err = c.packet(p)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// end tells all who wait that no answer comes.
func (c *client) end(err error) {
	c.err = fmt.Errorf("the connection ended: %w (%v %s)", err, c.code, c.why)
	_ = c.conn.Close()
	c.box.end(fmt.Errorf("%w at %s", c.err, time.Now().Format("15:04:05.000")))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, wait := range c.waits {
		wait <- answer{err: c.err}
	}
	c.waits = nil
}

func (c *client) packet(p any) error {
	switch p := p.(type) {
	case *mqtt.Publish:
		return c.publication(p)
	case *mqtt.Suback:
		c.answered(p.PacketID, answer{reason: p.Reason, codes: p.Codes})
	case *mqtt.Ack:
		switch {
		case p.Type == mqtt.PUBREL:
			c.box.release(p.PacketID)
			return c.conn.Send(&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: p.PacketID})
		case p.Type == mqtt.PUBREC && p.Code < mqtt.UnspecifiedError:
			return c.conn.Send(&mqtt.Ack{Type: mqtt.PUBREL, PacketID: p.PacketID})
		}
		c.answered(p.PacketID, answer{code: p.Code, reason: p.Reason})
	case *mqtt.Disconnect:
		c.code, c.why = p.Code, p.Reason
	}
	return nil
}

func (c *client) publication(p *mqtt.Publish) error {
	c.box.put(p)
	switch p.QoS {
	case 1:
		return c.conn.Send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID})
	case 2:
		return c.conn.Send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID})
	}
	return nil
}

func (c *client) answered(id uint16, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.waits[id]; wait != nil {
		delete(c.waits, id)
		wait <- a
	}
}

// ask sends the packet that make makes with a packet id of its own; its answer comes through the channel, whatever happens.
func (c *client) ask(make_ func(id uint16) wire.Packet) <-chan answer {
	wait := make(chan answer, 1)
	c.mu.Lock()
	if c.waits == nil {
		c.mu.Unlock()
		wait <- answer{err: c.err}
		return wait
	}
	for c.next++; c.next == 0 || c.waits[c.next] != nil; {
		c.next++
	}
	id := c.next
	c.waits[id] = wait
	c.mu.Unlock()
	_ = c.conn.Send(make_(id)) // that it has ended is told by the reader
	return wait
}

// send publishes; p's packet id is chosen here. Of QoS 0 there is no answer: the channel has one at once.
func (c *client) send(p *mqtt.Publish) <-chan answer {
	if p.QoS == 0 {
		wait := make(chan answer, 1)
		wait <- answer{err: c.conn.Send(p)}
		return wait
	}
	return c.ask(func(id uint16) wire.Packet { p.PacketID = id; return p })
}

// publish publishes and waits until the server has the message.
func (c *client) publish(topic, payload string, qos byte) error {
	return within(c.send(&mqtt.Publish{QoS: qos, Topic: []byte(topic), Payload: []byte(payload)}), "publish to "+topic)
}

// subscribe returns when all filters are there.
func (c *client) subscribe(qos byte, filters ...string) error {
	return within(c.ask(func(id uint16) wire.Packet {
		p := &mqtt.Subscribe{PacketID: id}
		for _, f := range filters {
			p.Filters = append(p.Filters, mqtt.SubscribeFilter{Filter: []byte(f), QoS: qos})
		}
		return p
	}), fmt.Sprintf("subscribe to %.100q", filters))
}

func (c *client) unsubscribe(filter string) error {
	return within(c.ask(func(id uint16) wire.Packet {
		return &mqtt.Unsubscribe{PacketID: id, Filters: [][]byte{[]byte(filter)}}
	}), "unsubscribe from "+filter)
}

func within(wait <-chan answer, what string) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case a := <-wait:
		if err := a.ok(); err != nil {
			return fmt.Errorf("%.200s: %w", what, err)
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("%.200s: no answer within %v", what, patience)
	}
}
