package differential

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// peer is one client at one broker. side.mu guards all of it but the fields of the goroutine that runs the script.
type peer struct {
	side    *side
	id      string
	version mqtt.Version

	link *link // the script's goroutine's; nil: never connected
	next uint16

	got       []packet
	conns     int
	delivered map[uint16]int       // packet id -> number of a QoS 2 message that it stands for
	sent      map[uint16]*exchange // what this client began and waits for
}

// exchange is a PUBLISH, SUBSCRIBE or UNSUBSCRIBE that is not over.
type exchange struct {
	about int
	hold  bool // the script sends PUBREL itself
	rec   bool // PUBREC came
}

// link is one connection.
type link struct {
	p       *peer
	wire    *wire.Conn
	n       int
	acks    ackMode
	aliases map[uint16]string // the broker's; the reading goroutine's
	mine    map[uint16]string // this client's; the script's goroutine's

	accepted, ended bool // CONNACK came; the connection is over
	pongs           int
}

const (
	readTimeout = time.Hour // the test's own timeout comes first; closing the socket ends a read
	keepAlive   = 3600      // seconds
)

// dial connects and waits for CONNACK. An older connection ends by that [MQTT-3.1.4-3].
func (p *peer) dial(o connectStep) error {
	w, err := wire.Dial(p.side.broker.TCP, p.version)
	if err != nil {
		return err
	}
	old := p.link
	l := &link{p: p, wire: w, acks: o.acks, aliases: map[uint16]string{}, mine: map[uint16]string{}}
	p.side.mu.Lock()
	p.conns++
	l.n = p.conns
	p.side.mu.Unlock()
	p.link = l
	p.side.readers.Go(l.read)
	c := &mqtt.Connect{
		Version: p.version, ClientID: []byte(p.id), CleanStart: o.clean, KeepAlive: keepAlive, RequestProblem: true,
		SessionExpiry: o.expiry, ReceiveMaximum: o.receiveMax, TopicAliasMaximum: o.aliasMax,
	}
	if err := w.Send(c); err != nil {
		return err
	}
	if err := p.side.wait("CONNACK", func() bool { return l.accepted || l.ended }); err != nil || old == nil {
		return err
	}
	return old.awaitEnd()
}

// half closes this client's direction, as a client that is gone, and waits until the broker has noticed.
func (l *link) half() error {
	tcp, ok := l.wire.Net().(*net.TCPConn)
	if !ok {
		return errors.New("not TCP")
	}
	_ = tcp.CloseWrite() // the broker may have closed it
	return l.awaitEnd()
}

func (l *link) awaitEnd() error {
	return l.p.side.wait("the end of the connection", func() bool { return l.ended })
}

func (l *link) read() {
	for {
		got, err := l.wire.Read(readTimeout)
		if err != nil {
			_ = l.wire.Close() // a broker that stops need not wait for this client
		}
		l.p.side.mu.Lock()
		if err != nil {
			l.ended = true
			l.put(packet{kind: closed, text: whyClosed(err)})
			l.p.side.mu.Unlock()
			return
		}
		answer := l.take(got)
		l.p.side.mu.Unlock()
		if answer != nil {
			_ = l.wire.Send(answer) // fails when the connection is over, which the next read says
		}
	}
}

// whyClosed is empty for every way in which a peer ends a connection.
func whyClosed(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return ""
	}
	return err.Error()
}

// put notes a packet. side.mu is held.
func (l *link) put(p packet) {
	p.conn = l.n
	p.order = p.orderOn(l.n)
	l.p.got = append(l.p.got, p)
	l.p.side.changed()
}

// take notes a packet and returns the answer to it, if any. side.mu is held.
func (l *link) take(got any) wire.Packet {
	switch got := got.(type) {
	case wire.Ping:
		l.pongs++
		l.p.side.changed()
	case *mqtt.Connack:
		l.accepted = true
		l.put(connackPacket(l.p.version, got))
	case *mqtt.Suback:
		about := l.p.over(got.PacketID)
		l.put(packet{kind: got.Type, about: about, text: codes(got)})
	case *mqtt.Disconnect:
		l.put(packet{kind: mqtt.DISCONNECT, code: got.Code})
	case *mqtt.Publish:
		return l.publish(got)
	case *mqtt.Ack:
		return l.ack(got)
	default:
		l.put(packet{kind: mqtt.AUTH, text: "unexpected"})
	}
	return nil
}

// over ends what the packet id stands for and returns its number, or -1 for an id that was not under way.
func (p *peer) over(id uint16) int {
	x := p.sent[id]
	if x == nil {
		return -1
	}
	delete(p.sent, id)
	return x.about
}

func (l *link) publish(got *mqtt.Publish) wire.Packet {
	name := string(got.Topic)
	if got.TopicAlias != 0 {
		if name != "" {
			l.aliases[got.TopicAlias] = name
		}
		name = l.aliases[got.TopicAlias]
	}
	p := publishPacket(got, name, l.p.side.messages)
	l.put(p)
	switch {
	case got.QoS == 2:
		l.p.delivered[got.PacketID] = p.about
		if l.acks != ackNone {
			return &mqtt.Ack{Type: mqtt.PUBREC, PacketID: got.PacketID}
		}
	case got.QoS == 1 && l.acks != ackNone:
		return &mqtt.Ack{Type: mqtt.PUBACK, PacketID: got.PacketID}
	}
	return nil
}

func (l *link) ack(got *mqtt.Ack) wire.Packet {
	p := packet{kind: got.Type, code: got.Code}
	var answer wire.Packet
	switch got.Type {
	case mqtt.PUBREL:
		p.about = l.p.delivered[got.PacketID]
		p.order = l.p.side.messages[p.about].topic
		if l.acks == ackAll {
			answer = &mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: got.PacketID}
		}
	case mqtt.PUBREC:
		x := l.p.sent[got.PacketID]
		if x == nil {
			p.about = -1
			break
		}
		p.about, x.rec = x.about, true
		if !x.hold {
			answer = &mqtt.Ack{Type: mqtt.PUBREL, PacketID: got.PacketID}
		}
	default:
		p.about = l.p.over(got.PacketID)
	}
	l.put(p)
	return answer
}

// begin gives out a packet id.
func (p *peer) begin(x exchange) uint16 {
	p.next++
	p.side.mu.Lock()
	defer p.side.mu.Unlock()
	p.sent[p.next] = &x
	return p.next
}

// awaitAnswers waits until all that this client began is over.
func (l *link) awaitAnswers() error {
	return l.p.side.wait("answers", func() bool { return len(l.p.sent) == 0 || l.ended })
}
