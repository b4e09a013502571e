package crash

import (
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const (
	pace  = 10 * time.Millisecond
	burst = 3 // messages a pace
)

// publisher sends the messages of its streams by turns, several at a time. After an outage it sends again what was not acknowledged, as the
// specification has it: in order, under the same packet ids, PUBLISH with DUP, or PUBREL where PUBREC had come [MQTT-4.4.0-1].
type publisher struct {
	peer
	streams  []*stream
	lowestID bool // takes the lowest packet id that is free, so that ids are used again at once; else one after the other
	lazy     int  // one PUBREL in so many waits for the next pace; 0: none
	restless int  // it drops the connection at one pace in so many; 0: never

	flight []*sending // in the order of sending
	lastID uint16
	turn   int
	owed   []*sending // PUBREL that waits
}

// sending is one message under way to the broker.
type sending struct {
	message
	id       uint16
	received bool // PUBREC came
	resumed  bool // first sent over an earlier connection
}

// publish sends until stop is closed, most messages of each stream at most, and returns when all are acknowledged.
func (p *publisher) publish(stop <-chan struct{}, most int64) error {
	until := map[*stream]int64{}
	for _, s := range p.streams {
		until[s] = s.total() + most
	}
	for {
		l, present, err := p.connect(keep())
		if err != nil {
			return err
		}
		if len(p.flight) > 0 && present == no {
			l.close()
			return p.failure("its session is gone with %d messages under way", len(p.flight))
		}
		p.resend(l)
		done, err := p.serve(l, stop, until)
		if done || err != nil {
			return err
		}
	}
}

func (p *publisher) resend(l *link) {
	p.owed = nil
	var packets []wire.Packet
	for _, s := range p.flight {
		s.resumed = true
		if s.received {
			packets = append(packets, p.pubrel(s))
			continue
		}
		s.sentAgain()
		packets = append(packets, p.packet(s, true))
	}
	p.send(l, packets)
}

// send writes; when that fails, the end of the connection is seen by who reads.
func (p *publisher) send(l *link, packets []wire.Packet) {
	if len(packets) > 0 {
		_ = l.conn.Send(packets...)
	}
}

func (p *publisher) packet(s *sending, dup bool) wire.Packet {
	p.note("-> PUBLISH", s.id, s.message, dup)
	return &mqtt.Publish{Dup: dup, QoS: s.qos, Topic: []byte(s.topic), PacketID: s.id, Payload: s.payload()}
}

func (p *publisher) pubrel(s *sending) wire.Packet {
	p.note("-> PUBREL", s.id, s.message, false)
	return &mqtt.Ack{Type: mqtt.PUBREL, PacketID: s.id}
}

// serve works with one connection until it ends, or until all is done.
func (p *publisher) serve(l *link, stop <-chan struct{}, until map[*stream]int64) (done bool, err error) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case packet, ok := <-l.in:
			if !ok {
				l.close()
				return false, p.ended(l)
			}
			if err := p.answer(l, packet); err != nil {
				l.close()
				return false, err
			}
		case <-stop:
			clear(until)
			stop = nil
		case <-tick.C:
			if p.restless > 0 && p.rand.IntN(p.restless) == 0 {
				p.note("drops the connection", 0, message{}, false)
				l.close()
				return false, nil
			}
			p.release(l)
			p.produce(l, until)
		case <-p.tr.ctx.Done():
			l.close()
			return false, p.tr.failed()
		}
		if len(p.flight) == 0 && !p.more(until) {
			p.leave(l)
			return true, nil
		}
	}
}

func (p *publisher) more(until map[*stream]int64) bool {
	return slices.ContainsFunc(p.streams, func(s *stream) bool { return s.total() < until[s] })
}

func (p *publisher) produce(l *link, until map[*stream]int64) {
	var packets []wire.Packet
	for range p.streams {
		for len(packets) < burst && len(p.flight) < int(p.window) {
			p.turn++
			st := p.streams[p.turn%len(p.streams)]
			if st.total() >= until[st] {
				break
			}
			s := &sending{message: st.next(), id: p.freeID()}
			p.flight = append(p.flight, s)
			packets = append(packets, p.packet(s, false))
		}
	}
	p.send(l, packets)
	for range packets {
		p.tr.moments.saw(published)
	}
}

// freeID is a packet id that is not under way [MQTT-2.2.1-3].
func (p *publisher) freeID() uint16 {
	if p.lowestID {
		p.lastID = 0
	}
	for {
		p.lastID++
		if p.lastID != 0 && p.under(p.lastID) < 0 {
			return p.lastID
		}
	}
}

func (p *publisher) under(id uint16) int {
	return slices.IndexFunc(p.flight, func(s *sending) bool { return s.id == id })
}

// release sends the PUBRELs that had to wait.
func (p *publisher) release(l *link) {
	var packets []wire.Packet
	for _, s := range p.owed {
		packets = append(packets, p.pubrel(s))
	}
	p.owed = nil
	p.send(l, packets)
	for range packets {
		p.tr.moments.saw(releasing)
	}
}

func (p *publisher) answer(l *link, packet any) error {
	a, ok := packet.(*mqtt.Ack)
	if !ok {
		return p.other(l, packet)
	}
	i := p.under(a.PacketID)
	if i < 0 {
		return p.failure("%s for packet id %d, which is not under way", a.Type, a.PacketID)
	}
	s := p.flight[i]
	p.note("<- "+a.Type.String(), a.PacketID, s.message, false)
	if a.Code >= mqtt.UnspecifiedError && (a.Type != mqtt.PUBCOMP || a.Code != mqtt.PacketIDNotFound || !s.resumed) {
		return p.failure("%s of %s says %s", a.Type, s, a.Code)
	}
	switch {
	case a.Type == mqtt.PUBACK && s.qos == 1:
		if p.first(1) != s {
			return p.failure("PUBACK of %s before that of %s", s, p.first(1)) // [MQTT-4.6.0-2]
		}
		p.settle(i)
		p.tr.moments.saw(stored1)
	case a.Type == mqtt.PUBREC && s.qos == 2 && !s.received:
		if p.first(2) != s {
			return p.failure("PUBREC of %s before that of %s", s, p.first(2)) // [MQTT-4.6.0-3]
		}
		s.received = true
		p.tr.moments.saw(stored2)
		p.owed = append(p.owed, s)
		if p.lazy == 0 || len(p.owed) == 1 && p.rand.IntN(p.lazy) != 0 {
			p.release(l)
		}
	case a.Type == mqtt.PUBCOMP && s.qos == 2 && s.received:
		p.settle(i)
		p.tr.moments.saw(released)
	default:
		return p.failure("%s for %s", a.Type, s)
	}
	return nil
}

// first is the oldest message of that QoS which is not acknowledged.
func (p *publisher) first(qos byte) *sending {
	for _, s := range p.flight {
		if s.qos == qos && !s.received {
			return s
		}
	}
	return nil
}

func (p *publisher) settle(i int) {
	p.flight[i].acknowledged()
	p.flight = slices.Delete(p.flight, i, i+1)
}
