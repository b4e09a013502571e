package load

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

// handle takes one packet from the broker.
func (f *flow) handle(c *Conn, p *wire.Packet) error {
	switch p.Kind {
	case wire.PUBLISH:
		if c.sub == nil {
			f.result.Damaged++
			return nil
		}
		f.message(c, p)
	case wire.PUBACK, wire.PUBREC, wire.PUBCOMP:
		if c.pub == nil {
			f.result.Unanswered++
			return nil
		}
		f.ack(c.pub, p)
	case wire.PUBREL:
		c.out = wire.AppendAck(c.out, wire.PUBCOMP, p.ID)
	case wire.SUBACK:
		if p.Code >= 0x80 {
			return fmt.Errorf("SUBSCRIBE refused with %#x", p.Code)
		}
	}
	return nil
}

func (f *flow) message(c *Conn, p *wire.Packet) {
	switch p.QoS {
	case 1:
		c.out = wire.AppendAck(c.out, wire.PUBACK, p.ID)
	case 2:
		c.out = wire.AppendAck(c.out, wire.PUBREC, p.ID)
	}
	pay, ok := wire.ReadPayload(p.Payload)
	seq := c.sub.of(pay.Stream)
	if !ok || seq == nil || f.spec.Expect == 0 && pay.Mark != f.mark {
		f.result.Damaged++
		return
	}
	f.progress = f.at
	v, missed := seq.see(pay.Seq)
	switch v {
	case duplicate:
		f.result.Duplicates++
		return
	case late:
		f.result.Reordered++
		f.result.Lost--
	case fresh:
		f.result.Lost += missed
	}
	f.got++
	if f.begin == 0 || f.measured && f.spec.Rate == 0 {
		return
	}
	if !f.measured {
		f.result.Delivered++
	}
	if f.counts(pay.Time) {
		f.result.Latency.Add(time.Duration(f.at - pay.Time))
	}
}

func (f *flow) ack(p *publisher, a *wire.Packet) {
	at, done, ok := p.acked(a.Kind, f.spec.QoS, a.ID)
	if !ok {
		f.result.Unanswered++
		return
	}
	f.progress = f.at
	if !done || f.begin == 0 {
		return
	}
	if !f.measured {
		f.result.Acked++
	}
	if f.counts(at) {
		f.result.Ack.Add(time.Duration(f.at - at))
	}
}

// counts reports whether a message that was to be sent at this time is one of those measured, whenever it arrives.
func (f *flow) counts(at int64) bool { return at >= f.begin && (!f.measured || at < f.end) }
