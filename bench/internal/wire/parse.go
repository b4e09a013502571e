package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Packet is one packet. Payload is part of the buffer that was parsed.
type Packet struct {
	Kind    byte
	Code    byte   // CONNACK: return code; SUBACK: the highest return code
	QoS     byte   // PUBLISH
	Dup     bool   // PUBLISH
	Retain  bool   // PUBLISH
	Session bool   // CONNACK: session present
	ID      uint16 // 0: none
	Payload []byte // PUBLISH
}

var (
	errLength = errors.New("a remaining length of more than 4 bytes")
	errShort  = errors.New("a packet shorter than what it must hold")
)

// Parse reads the first packet in b into p and returns its size; 0: b holds only the beginning of one.
func (p *Packet) Parse(b []byte) (int, error) {
	n, length, err := header(b)
	if n == 0 || err != nil || len(b) < n+length {
		return 0, err
	}
	*p = Packet{Kind: b[0] >> 4}
	body := b[n : n+length]
	switch p.Kind {
	case PUBLISH:
		err = p.publish(b[0], body)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		err = p.ack(body)
	case CONNACK:
		if len(body) < 2 {
			return 0, errShort
		}
		p.Session, p.Code = body[0]&1 == 1, body[1]
	case SUBACK:
		if err = p.ack(body); err == nil {
			for _, c := range body[2:] {
				p.Code = max(p.Code, c)
			}
		}
	case PINGRESP:
	default:
		err = fmt.Errorf("packet of type %d, which no server sends", p.Kind)
	}
	return n + length, err
}

// header is the size of the fixed header and the remaining length; 0 bytes: not all of it is there.
func header(b []byte) (n, length int, err error) {
	for i := 1; i < len(b); i++ {
		if i > 4 {
			return 0, 0, errLength
		}
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return i + 1, length, nil
		}
	}
	return 0, 0, nil
}

func (p *Packet) publish(first byte, body []byte) error {
	p.QoS, p.Dup, p.Retain = first>>1&3, first&8 != 0, first&1 != 0
	if len(body) < 2 {
		return errShort
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if p.QoS > 0 {
		if len(body) < at+2 {
			return errShort
		}
		p.ID = binary.BigEndian.Uint16(body[at:])
		at += 2
	}
	if len(body) < at {
		return errShort
	}
	p.Payload = body[at:]
	return nil
}

func (p *Packet) ack(body []byte) error {
	if len(body) < 2 {
		return errShort
	}
	p.ID = binary.BigEndian.Uint16(body)
	return nil
}
