package differential

import (
	"fmt"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// side is one of the two brokers and the clients of a script at it.
type side struct {
	broker   *broker.Broker
	patience time.Duration // for what must come
	readers  sync.WaitGroup

	mu       sync.Mutex // guards all below, and what peer says
	more     chan struct{}
	messages map[int]message // of the script
	peers    [clients]*peer
}

func newSide(b *broker.Broker) *side { return &side{broker: b, more: make(chan struct{})} }

// reset begins a script: with clients that were never here.
func (s *side) reset(run int, sc *script, patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patience = patience
	s.messages = map[int]message{}
	for _, st := range sc.steps {
		for _, m := range st.messages {
			s.messages[m.number] = m
		}
	}
	for c, v := range sc.clients {
		s.peers[c] = &peer{
			side: s, id: fmt.Sprintf("run%d-c%d", run, c), version: v,
			delivered: map[uint16]int{}, sent: map[uint16]*exchange{},
		}
	}
}

// leave ends all sessions of the script, and all its connections.
func (s *side) leave() error {
	for _, p := range s.peers {
		if err := p.dial(connectStep{clean: true}); err != nil {
			return fmt.Errorf("the end of %s: %w", p.id, err)
		}
		if err := p.disconnect(nil); err != nil {
			return fmt.Errorf("the end of %s: %w", p.id, err)
		}
	}
	s.readers.Wait()
	return nil
}

// changed wakes who waits. mu is held.
func (s *side) changed() {
	close(s.more)
	s.more = make(chan struct{})
}

// wait waits until ok, which is called with mu held.
func (s *side) wait(what string, ok func() bool) error {
	if s.waitFor(func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ok()
	}) {
		return nil
	}
	return fmt.Errorf("%s: no %s within %s", s.broker.Kind(), what, s.patience)
}

// waitFor asks ok after every packet, and reports whether it said yes in time.
func (s *side) waitFor(ok func() bool) bool {
	deadline := time.After(s.patience)
	for {
		s.mu.Lock()
		more := s.more
		s.mu.Unlock()
		if ok() {
			return true
		}
		select {
		case <-more:
		case <-deadline:
			return false
		}
	}
}

// counts are the numbers of packets that the clients have got.
func (s *side) counts() (n [clients]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, p := range s.peers {
		n[c] = len(p.got)
	}
	return n
}

// since returns what came after counts.
func (s *side) since(n [clients]int) (got [clients][]packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, p := range s.peers {
		got[c] = append(got[c], p.got[n[c]:]...)
	}
	return got
}

// ping goes once to the broker and back on every connection: what the broker had queued for it is here then.
func (s *side) ping() error {
	var open []*link
	var want []int
	s.mu.Lock()
	for _, p := range s.peers {
		if p.link != nil && !p.link.ended {
			open = append(open, p.link)
			want = append(want, p.link.pongs+1)
		}
	}
	s.mu.Unlock()
	for _, l := range open {
		_ = l.wire.Send(wire.Ping{}) // if it fails the connection is ended, which is looked at next
	}
	for i, l := range open {
		if err := s.wait("PINGRESP", func() bool { return l.ended || l.pongs >= want[i] }); err != nil {
			return err
		}
	}
	return nil
}

// do does one step and waits for what answers it.
func (s *side) do(st step) error {
	p := s.peers[st.client]
	switch st.op {
	case connect:
		return p.dial(st.connect)
	case disconnect:
		return p.disconnect(st.expiry)
	case drop:
		return p.link.half()
	case subscribe:
		return p.subscribe(&st)
	case unsubscribe:
		return p.unsubscribe(&st)
	case publish:
		return p.publish(st.messages)
	case interrupt:
		return p.interrupt(&st)
	case restart:
		return s.restart()
	}
	panic("no such operation")
}

func (p *peer) disconnect(expiry *uint32) error {
	d := &mqtt.Disconnect{}
	if expiry != nil {
		d.HasSessionExpiry, d.SessionExpiry = true, *expiry
	}
	if err := p.link.wire.Send(d); err != nil {
		return err
	}
	return p.link.awaitEnd()
}

func (p *peer) subscribe(st *step) error {
	s := &mqtt.Subscribe{PacketID: p.begin(exchange{}), SubscriptionID: st.subID, Filters: st.filters}
	if err := p.link.wire.Send(s); err != nil {
		return err
	}
	return p.link.awaitAnswers()
}

func (p *peer) unsubscribe(st *step) error {
	u := &mqtt.Unsubscribe{PacketID: p.begin(exchange{})}
	for _, name := range st.names {
		u.Filters = append(u.Filters, []byte(name))
	}
	if err := p.link.wire.Send(u); err != nil {
		return err
	}
	return p.link.awaitAnswers()
}

// publish sends all messages at once.
func (p *peer) publish(all []message) error {
	var packets []wire.Packet
	for i := range all {
		packets = append(packets, p.link.outgoing(&all[i], false))
	}
	if err := p.link.wire.Send(packets...); err != nil {
		return err
	}
	return p.link.awaitAnswers()
}

// outgoing makes a PUBLISH of m; hold leaves its PUBREL to the script.
func (l *link) outgoing(m *message, hold bool) *mqtt.Publish {
	out := m.props
	out.QoS, out.Payload, out.Topic = m.qos, m.payload(), []byte(m.topic)
	if m.qos > 0 {
		out.PacketID = l.p.begin(exchange{about: m.number, hold: hold})
	}
	if m.alias != 0 {
		out.TopicAlias = m.alias
		if l.mine[m.alias] == m.topic {
			out.Topic = nil
		}
		l.mine[m.alias] = m.topic
	}
	return &out
}

// interrupt publishes one message of QoS 2 over two connections.
func (p *peer) interrupt(st *step) error {
	out := p.link.outgoing(&st.messages[0], true)
	rel := &mqtt.Ack{Type: mqtt.PUBREL, PacketID: out.PacketID}
	if err := p.toPubrec(out); err != nil {
		return err
	}
	if st.lost == lostPubcomp {
		if err := p.link.wire.Send(rel); err != nil {
			return err
		}
		if err := p.link.awaitAnswers(); err != nil {
			return err
		}
	}
	if err := p.link.half(); err != nil {
		return err
	}
	if err := p.dial(st.connect); err != nil {
		return err
	}
	p.side.mu.Lock()
	p.sent[out.PacketID] = &exchange{about: st.messages[0].number, hold: true}
	p.side.mu.Unlock()
	if st.lost == lostPubrec {
		out.Dup = true // [MQTT-3.3.1-1]
		if err := p.toPubrec(out); err != nil {
			return err
		}
	}
	if err := p.link.wire.Send(rel); err != nil {
		return err
	}
	return p.link.awaitAnswers()
}

// toPubrec sends a PUBLISH and waits for its PUBREC.
func (p *peer) toPubrec(out *mqtt.Publish) error {
	if err := p.link.wire.Send(out); err != nil {
		return err
	}
	return p.side.wait("PUBREC", func() bool {
		x := p.sent[out.PacketID]
		return x == nil || x.rec || p.link.ended
	})
}

// restart stops the broker in order and starts it again. What clients began is over by then.
func (s *side) restart() error {
	s.broker.Stop()
	for _, p := range s.peers {
		if p.link == nil {
			continue
		}
		if err := p.link.awaitEnd(); err != nil {
			return err
		}
	}
	s.broker.Start()
	return nil
}
