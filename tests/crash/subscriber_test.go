package crash

import (
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

// subscriber has a persistent session and acknowledges what comes, in order, at once or late. What it has received of QoS 2 it remembers over
// every outage, as the specification demands.
type subscriber struct {
	peer
	filters  []filter
	ledger   ledger
	late     int // acknowledgements that it lets wait, at most until the next pace
	restless int // it drops the connection at one packet in so many; 0: never
	away     int // after the first few messages it stays away until the broker came back so often

	open2 map[uint16]*receipt // QoS 2 messages received and not released, by packet id
	open1 map[uint16]message  // QoS 1 messages of this connection, not acknowledged
	over  map[uint16]int      // QoS 2 packet ids released, and in which connection
	unack int                 // messages of this connection without their last acknowledgement
	owed  []owed
	asks  bool // a SUBSCRIBE was sent over this connection
	got   int  // deliveries
}

// filter is one subscription. With MQTT 5 its identifier is its place in the list, from 1 on.
type filter struct {
	name string
	qos  byte
}

func (f filter) matches(s *stream) bool {
	_, inner, _, err := topic.ParseShare(f.name)
	return err == nil && topic.Match(inner, s.topic)
}

// receipt is a QoS 2 message that was received and not released.
type receipt struct {
	message
	conn     int  // the connection over which it came last
	answered bool // PUBREC was sent
}

// owed is an acknowledgement that waits.
type owed struct {
	packet *mqtt.Ack
	message
	last bool // of its message, which came over this connection
}

// granted is the QoS with which the session gets a stream, and the identifiers of the subscriptions that match.
func (s *subscriber) granted(st *stream) (qos byte, ids []uint32) {
	for i, f := range s.filters {
		if f.matches(st) {
			qos = max(qos, min(f.qos, st.qos))
			ids = append(ids, uint32(i+1))
		}
	}
	return qos, ids
}

// subscribe begins the session, and returns when every filter is acknowledged.
func (s *subscriber) subscribe() error {
	s.open2, s.over = map[uint16]*receipt{}, map[uint16]int{}
	l, _, err := s.connect(keep())
	if err != nil {
		return err
	}
	for i := range s.filters {
		if err := s.subscribeOne(l, i); err != nil {
			l.close()
			return err
		}
	}
	s.leave(l)
	return nil
}

func (s *subscriber) subscribeOne(l *link, i int) error {
	_ = l.conn.Send(s.subscription(i))
	packet, ok := <-l.in
	if !ok {
		return s.failure("the connection ended while it subscribed: %v", l.err)
	}
	return s.suback(l, packet)
}

func (s *subscriber) subscription(i int) wire.Packet {
	f := s.filters[i]
	s.note("-> SUBSCRIBE "+f.name, uint16(i+1), message{}, false)
	p := &mqtt.Subscribe{PacketID: uint16(i + 1), Filters: []mqtt.SubscribeFilter{{Filter: []byte(f.name), QoS: f.qos}}}
	if s.version == mqtt.V5 {
		p.SubscriptionID = uint32(i + 1)
	}
	return p
}

func (s *subscriber) suback(l *link, packet any) error {
	a, ok := packet.(*mqtt.Suback)
	if !ok {
		return s.other(l, packet)
	}
	s.note("<- SUBACK", a.PacketID, message{}, false)
	if a.PacketID == 0 || int(a.PacketID) > len(s.filters) || !slices.Equal(a.Codes, []mqtt.ReasonCode{mqtt.ReasonCode(s.filters[a.PacketID-1].qos)}) {
		return s.failure("SUBACK %d says %v", a.PacketID, a.Codes)
	}
	s.tr.moments.saw(added)
	return nil
}

// receive takes what comes. It returns when the publishers have finished and everything was received and acknowledged.
func (s *subscriber) receive(finished <-chan struct{}) error {
	for {
		l, present, err := s.connect(keep())
		if err != nil {
			return err
		}
		if present == no {
			l.close()
			return s.failure("its session is gone")
		}
		s.open1, s.owed, s.unack, s.asks = map[uint16]message{}, nil, 0, false
		done, err := s.serve(l, finished)
		if done || err != nil {
			return err
		}
		if err := s.stayAway(finished); err != nil {
			return err
		}
	}
}

func (s *subscriber) stayAway(finished <-chan struct{}) error {
	if s.got < awayAfter {
		return nil
	}
	for ; s.away > 0; s.away-- {
		select {
		case <-s.tr.nextUp():
		case <-finished:
		case <-s.tr.ctx.Done():
			return s.tr.failed()
		}
	}
	return nil
}

const (
	awayAfter   = 50               // messages
	patience    = 60 * time.Second // for the next message to arrive once all are acknowledged to their publishers
	resubscribe = 200              // one packet in so many, once in a connection, makes it subscribe again to what it has
)

// serve works with one connection until it ends, or until all is done.
func (s *subscriber) serve(l *link, finished <-chan struct{}) (done bool, err error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	var last bool
	for {
		select {
		case packet, ok := <-l.in:
			if !ok {
				l.close()
				return false, s.ended(l)
			}
			deadline.Reset(patience)
			if err := s.packet(l, packet); err != nil {
				l.close()
				return false, err
			}
			if s.drops() {
				l.close()
				return false, nil
			}
			if len(s.owed) > s.late {
				s.flush(l)
			}
		case <-tick.C:
			s.flush(l)
		case <-finished:
			last, finished = true, nil
			deadline.Reset(patience)
		case <-deadline.C:
			if !last {
				continue
			}
			l.close()
			return false, s.failure("nothing came for %s, still missing: %s; %d to be released", patience, s.ledger.missing(), len(s.open2))
		case <-s.tr.ctx.Done():
			l.close()
			return false, s.tr.failed()
		}
		if last && len(s.owed) == 0 && len(s.open2) == 0 && s.ledger.missing() == "" {
			s.leave(l)
			return true, nil
		}
	}
}

// drops reports whether it ends the connection now, without a word; what it owes is lost with it.
func (s *subscriber) drops() bool {
	if s.away > 0 && s.got >= awayAfter || s.restless > 0 && s.rand.IntN(s.restless) == 0 {
		s.note("drops the connection", 0, message{}, false)
		return true
	}
	return false
}

// flush sends the acknowledgements that wait.
func (s *subscriber) flush(l *link) {
	if len(s.owed) == 0 {
		return
	}
	packets := make([]wire.Packet, len(s.owed))
	for i, o := range s.owed {
		packets[i] = o.packet
		s.note("-> "+o.packet.Type.String(), o.packet.PacketID, o.message, false)
		switch o.packet.Type {
		case mqtt.PUBACK:
			delete(s.open1, o.packet.PacketID)
		case mqtt.PUBREC:
			if r := s.open2[o.packet.PacketID]; r != nil {
				r.answered = true
			}
		}
		if o.last {
			s.unack--
		}
	}
	_ = l.conn.Send(packets...) // when it fails, the end of the connection is seen by who reads
	for _, o := range s.owed {
		s.tr.moments.saw(sentBy[o.packet.Type])
	}
	s.owed = s.owed[:0]
}

var sentBy = map[mqtt.Type]moment{mqtt.PUBACK: acked1, mqtt.PUBREC: received2, mqtt.PUBCOMP: done2}

func (s *subscriber) packet(l *link, packet any) error {
	switch p := packet.(type) {
	case *mqtt.Publish:
		if !s.asks && s.rand.IntN(resubscribe) == 0 {
			s.asks = true
			_ = l.conn.Send(s.subscription(s.rand.IntN(len(s.filters))))
		}
		return s.publish(p)
	case *mqtt.Ack:
		return s.pubrel(p)
	case *mqtt.Suback:
		return s.suback(l, p)
	}
	return s.other(l, packet)
}

func (s *subscriber) publish(p *mqtt.Publish) error {
	m, err := s.tr.parse(p.Topic, p.Payload)
	if err != nil {
		return s.failure("%v", err)
	}
	s.note("<- PUBLISH", p.PacketID, m, p.Dup)
	qos, ids := s.granted(m.stream)
	if p.QoS != qos {
		return s.failure("%s came with QoS %d, not %d", m, p.QoS, qos)
	}
	slices.Sort(p.SubscriptionIDs)
	if s.version == mqtt.V5 && !slices.Equal(p.SubscriptionIDs, ids) { // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
		return s.failure("%s came with the subscription identifiers %v, not %v", m, p.SubscriptionIDs, ids)
	}
	if _, used := s.open1[p.PacketID]; used {
		return s.failure("%s came under packet id %d, which is under way", m, p.PacketID) // [MQTT-2.2.1-4]
	}
	s.got++
	s.unack++
	if s.window > 0 && s.unack > int(s.window) {
		return s.failure("%s is more than the Receive Maximum of %d allows", m, s.window) // [MQTT-3.3.4-9]
	}
	if qos == 1 {
		return s.publish1(p, m)
	}
	return s.publish2(p, m)
}

func (s *subscriber) publish1(p *mqtt.Publish, m message) error {
	if r := s.open2[p.PacketID]; r != nil {
		return s.failure("%s came under packet id %d of %s, which is not released", m, p.PacketID, r)
	}
	s.tr.moments.saw(sent1)
	s.open1[p.PacketID] = m
	s.owed = append(s.owed, owed{&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID}, m, true})
	return s.taken(m, false, p.Dup)
}

// publish2: under a packet id that is not released it is the same message again [MQTT-4.3.3-10], else a delivery.
func (s *subscriber) publish2(p *mqtt.Publish, m message) error {
	s.tr.moments.saw(sent2)
	s.owed = append(s.owed, owed{packet: &mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID}, message: m})
	r := s.open2[p.PacketID]
	switch {
	case r == nil:
		s.open2[p.PacketID] = &receipt{message: m, conn: s.conns}
		return s.taken(m, true, p.Dup)
	case r.message != m:
		return s.failure("%s came under packet id %d of %s, which is not released", m, p.PacketID, r)
	case r.conn == s.conns:
		return s.failure("%s came twice over one connection", m) // [MQTT-4.4.0-1]
	case !p.Dup:
		return s.failure("%s came again without DUP", m) // [MQTT-3.3.1-1]
	}
	r.conn = s.conns
	return nil
}

// taken notes a message that has come; what comes again must have DUP [MQTT-3.3.1-1].
func (s *subscriber) taken(m message, once, dup bool) error {
	if err := s.ledger.take(m, once, dup); err != nil {
		return s.failure("%v", err)
	}
	return nil
}

func (s *subscriber) pubrel(a *mqtt.Ack) error {
	r := s.open2[a.PacketID]
	var m message
	if r != nil {
		m = r.message
	}
	s.note("<- "+a.Type.String(), a.PacketID, m, false)
	switch {
	case a.Type != mqtt.PUBREL || a.Code != mqtt.Success:
		return s.failure("%s with %s", a.Type, a.Code)
	case r == nil && s.over[a.PacketID] == s.conns:
		return s.failure("PUBREL %d twice over one connection", a.PacketID)
	case r == nil && s.over[a.PacketID] == 0:
		return s.failure("PUBREL %d without a PUBLISH", a.PacketID)
	case r != nil && !r.answered:
		return s.failure("PUBREL of %s before PUBREC", m)
	}
	s.tr.moments.saw(released2)
	last := r != nil && r.conn == s.conns
	delete(s.open2, a.PacketID)
	s.over[a.PacketID] = s.conns
	s.owed = append(s.owed, owed{&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: a.PacketID}, m, last})
	return nil
}
