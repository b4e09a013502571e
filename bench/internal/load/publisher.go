package load

import "github.com/rocketmqtt/rocketmqtt/bench/internal/wire"

// publisher is the state of a connection that publishes.
type publisher struct {
	conn    *Conn
	which   int // in loop.conns
	streams []stream
	next    int       // the stream whose turn it is
	free    []uint16  // packet ids that may be used: a ring, the one that was freed first is used first
	head    int       // in free
	n       int       // how many are free
	times   []int64   // of the message under way with id i+1: when it was to be sent
	phases  []idPhase // of id i+1
}

type stream struct {
	template wire.Template
	sent     uint64
}

type idPhase uint8

const (
	idFree idPhase = iota
	idSent         // PUBLISH was sent
	idReleased
)

func newPublisher(c *Conn, which, window int) *publisher {
	p := &publisher{conn: c, which: which, free: make([]uint16, window), n: window, times: make([]int64, window), phases: make([]idPhase, window)}
	for i := range p.free {
		p.free[i] = uint16(i + 1)
	}
	c.out = make([]byte, 0, 2*maxOut)
	return p
}

// publish appends one message to the connection's buffer; QoS 1 and 2 need a free id. It returns the stream.
func (p *publisher) publish(qos byte, at int64) {
	id := uint16(0)
	if qos > 0 {
		id = p.take(at)
	}
	s := &p.streams[p.next]
	if p.next++; p.next == len(p.streams) {
		p.next = 0
	}
	p.conn.out = s.template.Append(p.conn.out, id, s.sent, at)
	s.sent++
}

func (p *publisher) take(at int64) uint16 {
	id := p.free[p.head]
	if p.head++; p.head == len(p.free) {
		p.head = 0
	}
	p.n--
	p.times[id-1], p.phases[id-1] = at, idSent
	return id
}

// acked takes PUBACK, PUBREC or PUBCOMP. done: the message has arrived; ok: it was under way and this was the answer that is due.
func (p *publisher) acked(kind byte, qos byte, id uint16) (at int64, done, ok bool) {
	if id == 0 || int(id) > len(p.phases) {
		return 0, false, false
	}
	phase := &p.phases[id-1]
	switch {
	case kind == wire.PUBREC && qos == 2 && *phase == idSent:
		*phase = idReleased
		p.conn.out = wire.AppendAck(p.conn.out, wire.PUBREL, id)
		return 0, false, true
	case kind == wire.PUBACK && qos == 1 && *phase == idSent, kind == wire.PUBCOMP && *phase == idReleased:
		*phase = idFree
		p.free[(p.head+p.n)%len(p.free)] = id
		p.n++
		return p.times[id-1], true, true
	}
	return 0, false, false
}

// underway is how many messages are not acknowledged.
func (p *publisher) underway() int { return len(p.free) - p.n }
