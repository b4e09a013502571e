package cluster

import (
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/wire"
)

const unanswered = 20 // messages that a writer has under way at most

// writer publishes one stream. Over a new connection it sends again what was not acknowledged, in order, under the same packet ids: PUBLISH with DUP, or
// PUBREL where PUBREC had come [MQTT-4.4.0-1]. session.mu guards its state.
type writer struct {
	*session
	*stream

	flight []*sending // in the order of sending
	lastID uint16
}

// sending is a message under way to the server.
type sending struct {
	n        int
	id       uint16
	received bool      // PUBREC came
	at       time.Time // when it was sent first
}

func newWriter(id string, v mqtt.Version, s *stream) *writer {
	w := &writer{stream: s}
	w.session = newSession(id, v, w)
	return w
}

// publish sends a message every pace, most altogether, until stop is closed.
func (w *writer) publish(stop <-chan struct{}, pace time.Duration, most int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if begun, _, _ := w.count(); begun >= most {
				return
			}
			w.publishOne()
		}
	}
}

// publishOne sends a message if there is room.
func (w *writer) publishOne() {
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	if w.link == nil || len(w.flight) >= unanswered {
		return
	}
	s := &sending{n: w.next(), id: w.freeID(), at: time.Now()}
	w.flight = append(w.flight, s)
	w.link.send(w.publication(s, false))
}

// freeID is a packet id that is not under way [MQTT-2.2.1-3].
func (w *writer) freeID() uint16 {
	for {
		if w.lastID++; w.lastID != 0 && w.under(w.lastID) < 0 {
			return w.lastID
		}
	}
}

func (w *writer) under(id uint16) int {
	return slices.IndexFunc(w.flight, func(s *sending) bool { return s.id == id })
}

func (w *writer) publication(s *sending, dup bool) *mqtt.Publish {
	return &mqtt.Publish{Dup: dup, QoS: w.qos, Topic: []byte(w.topic), PacketID: s.id, Payload: w.payload(s.n)}
}

func (w *writer) resume(l *link) {
	var packets []wire.Packet
	for _, s := range w.flight {
		if s.received {
			packets = append(packets, pubrel(s.id))
			continue
		}
		w.sentAgain(s.n)
		packets = append(packets, w.publication(s, true))
	}
	l.send(packets...)
}

func pubrel(id uint16) *mqtt.Ack { return &mqtt.Ack{Type: mqtt.PUBREL, PacketID: id} }

func (w *writer) packet(l *link, p any) {
	a, ok := p.(*mqtt.Ack)
	if !ok {
		w.fault("a packet that has no place here: %T %+v", p, p)
		return
	}
	i := w.under(a.PacketID)
	if i < 0 {
		w.fault("%s of packet id %d, which is not under way", a.Type, a.PacketID)
		return
	}
	s := w.flight[i]
	refused := a.Code >= mqtt.UnspecifiedError
	switch {
	case a.Type == mqtt.PUBREC && w.qos == 2 && !refused:
		s.received = true
		w.answered(s.n, false)
		l.send(pubrel(a.PacketID))
		return
	case a.Type == mqtt.PUBCOMP && s.received && (!refused || a.Code == mqtt.PacketIDNotFound): // it was over before
	case a.Type == mqtt.PUBACK && w.qos == 1, a.Type == mqtt.PUBREC && w.qos == 2:
		w.answered(s.n, refused)
	default:
		w.fault("%s with %s of packet id %d", a.Type, a.Code, a.PacketID)
		return
	}
	w.flight = slices.Delete(w.flight, i, i+1)
}

// since are the packet ids under way that were first sent after t.
func (w *writer) since(t time.Time) map[uint16]bool {
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	ids := map[uint16]bool{}
	for _, s := range w.flight {
		ids[s.id] = s.at.After(t)
	}
	return ids
}

// full reports that it waits for acknowledgements.
func (w *writer) full() bool {
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	return len(w.flight) == unanswered
}

// idle reports that nothing is under way.
func (w *writer) idle() bool {
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	return len(w.flight) == 0
}
