package local

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Values of the changelog and of the view are sequences of varints, strings (length, bytes) and lists (count, elements).

var errShort = errors.New("value ends early")

// decoder reads such a sequence. After the first error everything reads as zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.err = nil, errShort
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.err = nil, errShort
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the length of a list whose elements take at least min bytes each, so that no length that is only
// claimed is allocated.
func (d *decoder) count(min int) int {
	n := d.uint()
	if n > uint64(len(d.b)/min) {
		d.b, d.err = nil, errShort
		return 0
	}
	return int(n)
}

// string reads a string. It is a copy.
func (d *decoder) string() string {
	n := d.count(1)
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// bytes is string for a slice; nil when it is empty.
func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := append([]byte(nil), d.b[:n]...)
	d.b = d.b[n:]
	return b
}

func (d *decoder) positions() []store.Position {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	ps := make([]store.Position, n)
	for i := range ps {
		ps[i] = d.position()
	}
	return ps
}

func (d *decoder) position() store.Position {
	return store.Position{Queue: store.Queue(d.uint()), Offset: d.int()}
}

func (d *decoder) inflight() []store.Inflight {
	n := d.count(5)
	if n == 0 {
		return nil
	}
	list := make([]store.Inflight, n)
	for i := range list {
		f := d.uint()
		list[i] = store.Inflight{
			PacketID: uint16(d.uint()), QoS: byte(f & 3), Released: f&4 != 0, Retained: f&8 != 0, At: d.position(), Group: d.string(),
		}
	}
	return list
}

func (d *decoder) subscription() store.Subscription {
	f := d.uint()
	return store.Subscription{
		QoS: byte(f & 3), NoLocal: f&4 != 0, RetainAsPublished: f&8 != 0, RetainHandling: byte(f >> 4 & 3),
		Replay: f&64 != 0, ID: uint32(d.uint()), Start: d.positions(), Since: d.int(), Filter: d.string(),
	}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPosition(b []byte, p store.Position) []byte {
	return binary.AppendVarint(binary.AppendUvarint(b, uint64(p.Queue)), p.Offset)
}

func appendPositions(b []byte, ps []store.Position) []byte {
	b = binary.AppendUvarint(b, uint64(len(ps)))
	for _, p := range ps {
		b = appendPosition(b, p)
	}
	return b
}

func appendInflight(b []byte, list []store.Inflight) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		f := &list[i]
		b = binary.AppendUvarint(b, uint64(f.QoS&3)|bit(f.Released, 4)|bit(f.Retained, 8))
		b = binary.AppendUvarint(b, uint64(f.PacketID))
		b = appendPosition(b, f.At)
		b = appendString(b, f.Group)
	}
	return b
}

func appendSubscription(b []byte, s *store.Subscription) []byte {
	b = binary.AppendUvarint(b, uint64(s.QoS&3)|bit(s.NoLocal, 4)|bit(s.RetainAsPublished, 8)|uint64(s.RetainHandling&3)<<4|bit(s.Replay, 64))
	b = binary.AppendUvarint(b, uint64(s.ID))
	b = appendPositions(b, s.Start)
	b = binary.AppendVarint(b, s.Since)
	return appendString(b, s.Filter)
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendWill appends w; nil takes one byte.
func appendWill(b []byte, w *store.Will) []byte {
	if w == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, 1|uint64(w.QoS&3)<<1|bit(w.Retain, 8)|bit(w.HasExpiry, 16))
	b = binary.AppendUvarint(b, uint64(w.Delay))
	b = binary.AppendUvarint(b, uint64(w.Expiry))
	b = appendString(b, w.Topic)
	b = appendBytes(b, w.Payload)
	return appendBytes(b, w.Forward)
}

func (d *decoder) will() *store.Will {
	f := d.uint()
	if f&1 == 0 {
		return nil
	}
	return &store.Will{
		QoS: byte(f >> 1 & 3), Retain: f&8 != 0, HasExpiry: f&16 != 0,
		Delay: uint32(d.uint()), Expiry: uint32(d.uint()), Topic: d.string(), Payload: d.bytes(), Forward: d.bytes(),
	}
}

// appendReceipt appends r; none, with packet id 0, takes one byte.
func appendReceipt(b []byte, r *store.Receipt) []byte {
	b = binary.AppendUvarint(b, uint64(r.PacketID))
	if r.PacketID == 0 {
		return b
	}
	b = appendString(b, r.Key)
	b = binary.AppendUvarint(b, r.Sum)
	b = appendPosition(b, r.At)
	return binary.AppendVarint(b, r.Since)
}

func (d *decoder) receipt() store.Receipt {
	id := uint16(d.uint())
	if id == 0 {
		return store.Receipt{}
	}
	return store.Receipt{PacketID: id, Key: d.string(), Sum: d.uint(), At: d.position(), Since: d.int()}
}

func bit(set bool, v uint64) uint64 {
	if set {
		return v
	}
	return 0
}

// appendChange encodes c: the body of a kindChange record. Every field is written; an absent one takes a byte.
func appendChange(b []byte, c *store.Change) []byte {
	b = append(b, byte(c.Kind))
	b = binary.AppendUvarint(b, bit(c.Clean, 1)|bit(c.Follows, 2))
	b = appendString(b, c.Client)
	b = appendString(b, c.Principal)
	b = binary.AppendUvarint(b, uint64(c.Expiry))
	b = binary.AppendVarint(b, c.ExpiresAt)
	b = binary.AppendUvarint(b, uint64(c.PacketID))
	b = appendSubscription(b, &c.Subscription)
	b = appendPositions(b, c.Cursor)
	b = appendInflight(b, c.Inflight)
	b = appendPositions(b, c.Outstanding)
	b = appendWill(b, c.Will)
	b = binary.AppendVarint(b, c.WillAt)
	b = appendPositions(b, c.SentUpTo)
	b = appendReceipt(b, &c.Receipt)
	return appendBytes(b, c.Value)
}

// parseChange decodes the body of a kindChange record. The result does not alias it.
func parseChange(body []byte) (c store.Change, err error) {
	if len(body) == 0 {
		return c, fmt.Errorf("empty change: %w", store.ErrCorrupt)
	}
	d := decoder{b: body[1:]}
	c.Kind = store.ChangeKind(body[0])
	f := d.uint()
	c.Clean, c.Follows = f&1 != 0, f&2 != 0
	c.Client, c.Principal = d.string(), d.string()
	c.Expiry, c.ExpiresAt, c.PacketID = uint32(d.uint()), d.int(), uint16(d.uint())
	c.Subscription = d.subscription()
	c.Cursor = d.positions()
	c.Inflight = d.inflight()
	c.Outstanding = d.positions()
	c.Will, c.WillAt, c.SentUpTo = d.will(), d.int(), d.positions()
	c.Receipt, c.Value = d.receipt(), d.bytes()
	if d.err != nil || len(d.b) != 0 {
		return c, fmt.Errorf("change of kind %d does not decode: %w", c.Kind, store.ErrCorrupt)
	}
	return c, nil
}
