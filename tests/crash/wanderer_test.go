package crash

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// wanderer begins and ends sessions and subscriptions, and checks with every connection that the broker kept what it acknowledged: a session is present
// exactly when there must be one, a subscription is there after SUBACK and is not after UNSUBACK, whatever happened since.
type wanderer struct {
	peer
	subs   [places]belief
	lastID uint16
	round  int // of messages that show which subscriptions there are

	arrived map[int]bool      // places from which the message of this round came
	answers map[uint16][]byte // packet ids answered, with the codes
}

const (
	places   = 4 // the last one is home: it is subscribed to in every connection
	home     = places - 1
	linger   = 200 * time.Millisecond // how long a connection may last with nothing to do
	visits   = 3                      // subscriptions or unsubscriptions in one connection, at most
	kindsOf5 = 4
)

func (w *wanderer) topic(place int) string { return fmt.Sprintf("%s-w/%s/%d", w.tr.level, w.id, place) }

func (w *wanderer) filter(place int) string {
	switch place {
	case 1:
		return w.topic(place) + "/#"
	case 2:
		return fmt.Sprintf("$share/of-%s/%s", w.id, w.topic(place))
	}
	return w.topic(place)
}

// wander goes on until the publishers have finished.
func (w *wanderer) wander(finished <-chan struct{}) error {
	for {
		select {
		case <-finished:
			return nil
		default:
		}
		h := w.how()
		switch {
		case w.session == no: // it ended with its connection
			w.believe(no)
		case h.clean:
			w.believe(maybe) // until CONNACK
		}
		l, present, err := w.connect(h)
		if err != nil {
			return err
		}
		w.believe(present)
		l, err = w.visit(l)
		if err != nil {
			return err
		}
		if l != nil {
			w.part(l)
		}
	}
}

// how draws what to connect with.
func (w *wanderer) how() how {
	if w.version != mqtt.V5 {
		if w.rand.IntN(kindsOf5) == 0 {
			return how{clean: true}
		}
		return keep()
	}
	return [kindsOf5]how{keep(), {expiry: 3600}, {clean: true, expiry: 3600}, {clean: w.rand.IntN(2) == 0}}[w.rand.IntN(kindsOf5)]
}

// believe takes in whether the session that the subscriptions belonged to goes on.
func (w *wanderer) believe(present belief) {
	for i := range w.subs {
		if present == no || present == maybe && w.subs[i] == yes {
			w.subs[i] = present
		}
	}
}

// part ends the connection in one of several ways.
func (w *wanderer) part(l *link) {
	switch w.rand.IntN(3) {
	case 0:
		w.leave(l)
		return
	case 1:
		select {
		case <-l.done:
		case <-time.After(linger):
		case <-w.tr.ctx.Done():
		}
	}
	w.note("drops the connection", 0, message{}, false)
	l.close()
}

// visit looks what is there and changes it. The link is nil when the connection has ended.
func (w *wanderer) visit(l *link) (*link, error) {
	steps := []func(*link) (bool, error){w.comeHome, w.look}
	for range 1 + w.rand.IntN(visits) {
		steps = append(steps, w.change)
	}
	w.answers = map[uint16][]byte{}
	for _, step := range steps {
		if up, err := step(l); !up || err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// comeHome subscribes to the one topic that shows the end of a round.
func (w *wanderer) comeHome(l *link) (up bool, err error) { return w.subscribe(l, home) }

// look publishes to every place and sees from where it comes back.
func (w *wanderer) look(l *link) (up bool, err error) {
	w.round++
	w.arrived = map[int]bool{}
	var ids []uint16
	for place := range places {
		ids = append(ids, w.id16())
		w.note("-> PUBLISH "+w.topic(place), w.lastID, message{}, false)
		_ = l.conn.Send(&mqtt.Publish{QoS: 1, Topic: []byte(w.topic(place)), PacketID: w.lastID, Payload: fmt.Append(nil, w.round)})
	}
	up, err = w.await(l, func() bool {
		for _, id := range ids {
			if w.answers[id] == nil {
				return false
			}
		}
		for place, is := range w.subs {
			if is == yes && !w.arrived[place] {
				return false
			}
		}
		return true
	})
	for place, is := range w.subs {
		if is == no && w.arrived[place] && err == nil {
			err = w.failure("a message came for %s, to which there is no subscription", w.filter(place))
		}
	}
	return up, err
}

func (w *wanderer) change(l *link) (up bool, err error) {
	place := w.rand.IntN(home)
	if w.subs[place] != yes || w.rand.IntN(4) == 0 {
		return w.subscribe(l, place)
	}
	return w.unsubscribe(l, place)
}

func (w *wanderer) subscribe(l *link, place int) (up bool, err error) {
	id := w.id16()
	w.note("-> SUBSCRIBE "+w.filter(place), id, message{}, false)
	w.subs[place] = w.subs[place].asked(yes)
	_ = l.conn.Send(&mqtt.Subscribe{PacketID: id, Filters: []mqtt.SubscribeFilter{{Filter: []byte(w.filter(place)), QoS: 1}}})
	up, err = w.await(l, func() bool { return w.answers[id] != nil })
	if !up || err != nil {
		return up, err
	}
	if string(w.answers[id]) != "\x01" {
		return up, w.failure("SUBACK of %s says %v", w.filter(place), w.answers[id])
	}
	w.subs[place] = yes
	w.tr.moments.saw(added)
	return true, nil
}

func (w *wanderer) unsubscribe(l *link, place int) (up bool, err error) {
	id := w.id16()
	w.note("-> UNSUBSCRIBE "+w.filter(place), id, message{}, false)
	w.subs[place] = w.subs[place].asked(no)
	_ = l.conn.Send(&mqtt.Unsubscribe{PacketID: id, Filters: [][]byte{[]byte(w.filter(place))}})
	up, err = w.await(l, func() bool { return w.answers[id] != nil })
	if !up || err != nil {
		return up, err
	}
	if w.version == mqtt.V5 && string(w.answers[id]) != "\x00" {
		return up, w.failure("UNSUBACK of %s says %v", w.filter(place), w.answers[id])
	}
	w.subs[place] = no
	w.tr.moments.saw(removed)
	return true, nil
}

func (w *wanderer) id16() uint16 {
	w.lastID = max(w.lastID+1, 1)
	return w.lastID
}

// await takes packets until all that is waited for is there; up is false when the connection ended.
func (w *wanderer) await(l *link, all func() bool) (up bool, err error) {
	deadline := time.After(answerTimeout)
	for !all() {
		select {
		case packet, ok := <-l.in:
			if !ok {
				return false, w.ended(l)
			}
			if err := w.packet(l, packet); err != nil {
				return true, err
			}
		case <-deadline:
			return true, w.failure("no answer, or no message, within %s; believed subscriptions %v, arrived %v", answerTimeout, w.subs, w.arrived)
		case <-w.tr.ctx.Done():
			return true, w.tr.failed()
		}
	}
	return true, nil
}

func (w *wanderer) packet(l *link, packet any) error {
	switch p := packet.(type) {
	case *mqtt.Publish:
		return w.publish(l, p)
	case *mqtt.Ack:
		w.note("<- "+p.Type.String(), p.PacketID, message{}, false)
		if p.Type == mqtt.PUBACK && p.Code < mqtt.UnspecifiedError {
			w.answers[p.PacketID] = []byte{byte(p.Code)}
			return nil
		}
	case *mqtt.Suback:
		w.note("<- "+p.Type.String(), p.PacketID, message{}, false)
		codes := []byte{}
		for _, c := range p.Codes {
			codes = append(codes, byte(c))
		}
		w.answers[p.PacketID] = codes
		return nil
	}
	return w.other(l, packet)
}

func (w *wanderer) publish(l *link, p *mqtt.Publish) error {
	w.note(fmt.Sprintf("<- PUBLISH %s %s", p.Topic, p.Payload), p.PacketID, message{}, p.Dup)
	if p.QoS != 1 {
		return w.failure("a message with QoS %d", p.QoS)
	}
	_ = l.conn.Send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID})
	if string(p.Payload) != fmt.Sprint(w.round) { // of a round that an outage ended
		return nil
	}
	for place := range places {
		if string(p.Topic) == w.topic(place) {
			w.arrived[place] = true
		}
	}
	return nil
}
