package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// reader subscribes to one filter and looks at all that comes. session.mu guards its state.
type reader struct {
	*session
	qos     byte
	filter  string
	streams map[string]*stream // that it gets, by name
	ordered bool

	got    map[*stream]*account
	open   map[uint16]*receipt // QoS 2 packet ids that are not released
	again  int                 // deliveries that were not the first
	suback chan *mqtt.Suback
}

// account is what came of one stream.
type account struct {
	times map[int]int // by number
	plain map[int]int // deliveries again without DUP
	last  int
}

// receipt is a QoS 2 message whose packet id is not released.
type receipt struct {
	payload string
	conn    int // number of the connection that it came by last
}

func newReader(id string, v mqtt.Version, qos byte, filter string, streams []*stream) *reader {
	r := &reader{
		qos: qos, filter: filter, streams: map[string]*stream{}, ordered: true,
		got: map[*stream]*account{}, open: map[uint16]*receipt{}, suback: make(chan *mqtt.Suback, 1),
	}
	for _, s := range streams {
		r.streams[s.name] = s
		r.got[s] = &account{times: map[int]int{}, plain: map[int]int{}, last: -1}
	}
	r.session = newSession(id, v, r)
	return r
}

// subscribe subscribes over the connection that there is.
func (r *reader) subscribe() error {
	r.current().send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.SubscribeFilter{{Filter: []byte(r.filter), QoS: r.qos}}})
	timeout := time.NewTimer(answer)
	defer timeout.Stop()
	select {
	case a := <-r.suback:
		if len(a.Codes) != 1 || byte(a.Codes[0]) != r.qos {
			return fmt.Errorf("SUBACK of %s says %v %s", r.filter, a.Codes, a.Reason)
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("no SUBACK of %s within %v", r.filter, answer)
	}
}

func (r *reader) resume(*link) {}

func (r *reader) packet(l *link, p any) {
	switch p := p.(type) {
	case *mqtt.Publish:
		r.publication(l, p)
		return
	case *mqtt.Suback:
		r.suback <- p
		return
	case *mqtt.Ack:
		if p.Type == mqtt.PUBREL && p.Code == mqtt.Success {
			r.released(l, p.PacketID)
			return
		}
	}
	r.fault("a packet that has no place here: %T %+v", p, p)
}

func (r *reader) publication(l *link, p *mqtt.Publish) {
	name, n, err := parse(p.Payload)
	s := r.streams[name]
	switch {
	case err != nil || s == nil || s.topic != string(p.Topic):
		r.fault("%q came on %s", p.Payload, p.Topic)
	case p.QoS != min(s.qos, r.qos):
		r.fault("%s came with QoS %d", p.Payload, p.QoS)
	case p.QoS == 1:
		r.take(s, n, p)
		l.send(&mqtt.Ack{Type: mqtt.PUBACK, PacketID: p.PacketID})
	case p.QoS == 2:
		r.publication2(l, s, n, p)
	}
}

// publication2: under a packet id that is not released it is the same message again [MQTT-4.3.3-10], else a delivery.
func (r *reader) publication2(l *link, s *stream, n int, p *mqtt.Publish) {
	is := r.open[p.PacketID]
	switch {
	case is == nil:
		r.take(s, n, p)
		is = &receipt{payload: string(p.Payload)}
		r.open[p.PacketID] = is
	case is.payload != string(p.Payload):
		r.fault("%s came under packet id %d of %s, which is not released", p.Payload, p.PacketID, is.payload)
	case is.conn == l.number:
		r.fault("%s came twice over one connection", p.Payload) // [MQTT-4.4.0-1]
	case !p.Dup:
		r.fault("%s came again without DUP", p.Payload) // [MQTT-3.3.1-1]
	}
	is.conn = l.number
	l.send(&mqtt.Ack{Type: mqtt.PUBREC, PacketID: p.PacketID})
}

func (r *reader) released(l *link, id uint16) {
	delete(r.open, id)
	l.send(&mqtt.Ack{Type: mqtt.PUBCOMP, PacketID: id})
}

// take enters a delivery. What the publisher sent again is a message of its own for the server at QoS 1; else what comes again has to say so.
func (r *reader) take(s *stream, n int, p *mqtt.Publish) {
	a := r.got[s]
	a.times[n]++
	switch {
	case a.times[n] == 1 && n < a.last && r.ordered:
		r.fault("%s came after number %d", p.Payload, a.last)
	case a.times[n] == 1:
		a.last = max(a.last, n)
	case p.QoS == 2:
		r.fault("%s came %d times at QoS 2, DUP %t", p.Payload, a.times[n], p.Dup)
	default:
		r.again++
		if p.Dup {
			return
		}
		if a.plain[n]++; a.plain[n] >= s.attempts(n) {
			r.fault("%s came %d times without DUP, and was sent %d times", p.Payload, a.plain[n]+1, s.attempts(n)) // [MQTT-3.3.1-1]
		}
	}
}

// missing says what was acknowledged and did not come; "": nothing.
func (r *reader) missing() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, s := range r.streams {
		if n := s.lacks(r.got[s].times); n >= 0 {
			begun, taken, _ := s.count()
			fmt.Fprintf(&b, "%s: %s %d did not come; %d of %d did, last %d, %d begun; %d open\n", r.id, s.name, n, len(r.got[s].times), taken, r.got[s].last, begun, len(r.open))
		}
	}
	return b.String()
}

// arrived is how many messages came.
func (r *reader) arrived() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, a := range r.got {
		n += len(a.times)
	}
	return n
}
