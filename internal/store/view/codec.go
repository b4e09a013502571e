package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Values of the changelog and of the view are sequences of varints, strings (length, bytes) and lists (count, elements).

var (
	errShort = errors.New("value ends early")
	errLong  = errors.New("value does not end where it should")
	errRange = errors.New("number out of range")
)

// Decoder reads such a sequence from B. After the first error everything reads as zero.
type Decoder struct {
	B   []byte
	Err error
}

// Uint reads a number.
func (d *Decoder) Uint() uint64 {
	v, n := binary.Uvarint(d.B)
	if n <= 0 {
		d.B, d.Err = nil, errShort
		return 0
	}
	d.B = d.B[n:]
	return v
}

// uint16 reads a number that has to be one.
func (d *Decoder) uint16() uint16 { return uint16(d.atMost(math.MaxUint16)) }

// uint32 reads a number that has to be one.
func (d *Decoder) uint32() uint32 { return uint32(d.atMost(math.MaxUint32)) }

func (d *Decoder) atMost(most uint64) uint64 {
	v := d.Uint()
	if v > most {
		d.B, d.Err = nil, errRange
		return 0
	}
	return v
}

// end says what was wrong with B; that there is more of it, too.
func (d *Decoder) end() error {
	if d.Err == nil && len(d.B) > 0 {
		return errLong
	}
	return d.Err
}

// Int reads a number.
func (d *Decoder) Int() int64 {
	v, n := binary.Varint(d.B)
	if n <= 0 {
		d.B, d.Err = nil, errShort
		return 0
	}
	d.B = d.B[n:]
	return v
}

// count reads the length of a list whose elements take at least min bytes each, so that no length that is only
// claimed is allocated.
func (d *Decoder) count(min int) int {
	n := d.Uint()
	if n > uint64(len(d.B)/min) {
		d.B, d.Err = nil, errShort
		return 0
	}
	return int(n)
}

// String reads a string. It is a copy.
func (d *Decoder) String() string {
	n := d.count(1)
	s := string(d.B[:n])
	d.B = d.B[n:]
	return s
}

// Bytes is String for a slice; nil when it is empty.
func (d *Decoder) Bytes() []byte {
	n := d.count(1)
	b := append([]byte(nil), d.B[:n]...)
	d.B = d.B[n:]
	return b
}

// list reads a list whose elements take at least min bytes each; nil when it is empty.
func list[T any](d *Decoder, min int, read func(*Decoder) T) []T {
	n := d.count(min)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = read(d)
	}
	return out
}

// Positions reads a list; nil when it is empty.
func (d *Decoder) Positions() []store.Position { return list(d, 2, (*Decoder).position) }

func (d *Decoder) position() store.Position {
	return store.Position{Queue: store.Queue(d.Uint()), Offset: d.Int()}
}

func (d *Decoder) inflight() []store.Inflight { return list(d, 5, (*Decoder).message) }

func (d *Decoder) message() store.Inflight {
	f := d.Uint()
	return store.Inflight{
		PacketID: d.uint16(), QoS: byte(f & 3), Released: f&4 != 0, Retained: f&8 != 0, At: d.position(), Group: d.String(),
	}
}

func (d *Decoder) subscription() store.Subscription {
	f := d.Uint()
	return store.Subscription{
		QoS: byte(f & 3), NoLocal: f&4 != 0, RetainAsPublished: f&8 != 0, RetainHandling: byte(f >> 4 & 3),
		Replay: f&64 != 0, ID: d.uint32(), Start: d.Positions(), Since: d.Int(), Filter: d.String(),
	}
}

// AppendString appends a string as Decoder.String reads it.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPosition(b []byte, p *store.Position) []byte {
	return binary.AppendVarint(binary.AppendUvarint(b, uint64(p.Queue)), p.Offset)
}

// appendList appends a list as Decoder.list reads it.
func appendList[T any](b []byte, list []T, one func(b []byte, v *T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = one(b, &list[i])
	}
	return b
}

// AppendPositions appends a list as Decoder.Positions reads it.
func AppendPositions(b []byte, ps []store.Position) []byte { return appendList(b, ps, appendPosition) }

func appendID(b []byte, id *uint16) []byte { return binary.AppendUvarint(b, uint64(*id)) }

func appendInflight(b []byte, list []store.Inflight) []byte {
	return appendList(b, list, appendMessage)
}

func appendMessage(b []byte, f *store.Inflight) []byte {
	b = binary.AppendUvarint(b, uint64(f.QoS&3)|bit(f.Released, 4)|bit(f.Retained, 8))
	b = binary.AppendUvarint(b, uint64(f.PacketID))
	b = appendPosition(b, &f.At)
	return AppendString(b, f.Group)
}

func appendSubscription(b []byte, s *store.Subscription) []byte {
	b = binary.AppendUvarint(b, uint64(s.QoS&3)|bit(s.NoLocal, 4)|bit(s.RetainAsPublished, 8)|uint64(s.RetainHandling&3)<<4|bit(s.Replay, 64))
	b = binary.AppendUvarint(b, uint64(s.ID))
	b = AppendPositions(b, s.Start)
	b = binary.AppendVarint(b, s.Since)
	return AppendString(b, s.Filter)
}

// AppendBytes appends a slice as Decoder.Bytes reads it.
func AppendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendWill appends w; nil takes one byte.
func AppendWill(b []byte, w *store.Will) []byte {
	if w == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, 1|uint64(w.QoS&3)<<1|bit(w.Retain, 8)|bit(w.HasExpiry, 16))
	b = binary.AppendUvarint(b, w.ID)
	b = binary.AppendUvarint(b, uint64(w.Delay))
	b = binary.AppendUvarint(b, uint64(w.Expiry))
	b = AppendString(b, w.Topic)
	b = AppendBytes(b, w.Payload)
	return AppendBytes(b, w.Forward)
}

// Will reads a will; nil: there is none.
func (d *Decoder) Will() *store.Will {
	f := d.Uint()
	if f&1 == 0 {
		return nil
	}
	return &store.Will{
		QoS: byte(f >> 1 & 3), Retain: f&8 != 0, HasExpiry: f&16 != 0,
		ID: d.Uint(), Delay: d.uint32(), Expiry: d.uint32(), Topic: d.String(), Payload: d.Bytes(), Forward: d.Bytes(),
	}
}

// appendReceipt appends r; none, with packet id 0, takes one byte.
func appendReceipt(b []byte, r *store.Receipt) []byte {
	b = binary.AppendUvarint(b, uint64(r.PacketID))
	if r.PacketID == 0 {
		return b
	}
	b = AppendString(b, r.Key)
	b = binary.AppendUvarint(b, r.Sum)
	b = appendPosition(b, &r.At)
	return binary.AppendVarint(b, r.Since)
}

func (d *Decoder) receipt() store.Receipt {
	id := d.uint16()
	if id == 0 {
		return store.Receipt{}
	}
	return store.Receipt{PacketID: id, Key: d.String(), Sum: d.Uint(), At: d.position(), Since: d.Int()}
}

func bit(set bool, v uint64) uint64 {
	if set {
		return v
	}
	return 0
}

// AppendChange encodes c: the body of a kindChange record. Every field is written; an absent one takes a byte.
func AppendChange(b []byte, c *store.Change) []byte {
	b = append(b, byte(c.Kind))
	b = binary.AppendUvarint(b, bit(c.Clean, 1)|bit(c.Follows, 2))
	b = AppendString(b, c.Client)
	b = AppendString(b, c.Principal)
	b = binary.AppendUvarint(b, uint64(c.Expiry))
	b = binary.AppendVarint(b, c.ExpiresAt)
	b = binary.AppendUvarint(b, uint64(c.PacketID))
	b = appendSubscription(b, &c.Subscription)
	b = AppendPositions(b, c.Cursor)
	b = appendInflight(b, c.Inflight)
	b = AppendPositions(b, c.Outstanding)
	b = AppendWill(b, c.Will)
	b = binary.AppendVarint(b, c.WillAt)
	b = AppendPositions(b, c.SentUpTo)
	b = appendReceipt(b, &c.Receipt)
	return AppendBytes(b, c.Value)
}

// ParseChange decodes the body of a kindChange record. The result does not alias it.
func ParseChange(body []byte) (c store.Change, err error) {
	if len(body) == 0 {
		return c, fmt.Errorf("empty change: %w", store.ErrCorrupt)
	}
	d := Decoder{B: body[1:]}
	c.Kind = store.ChangeKind(body[0])
	f := d.Uint()
	c.Clean, c.Follows = f&1 != 0, f&2 != 0
	c.Client, c.Principal = d.String(), d.String()
	c.Expiry, c.ExpiresAt, c.PacketID = d.uint32(), d.Int(), d.uint16()
	c.Subscription = d.subscription()
	c.Cursor = d.Positions()
	c.Inflight = d.inflight()
	c.Outstanding = d.Positions()
	c.Will, c.WillAt, c.SentUpTo = d.Will(), d.Int(), d.Positions()
	c.Receipt, c.Value = d.receipt(), d.Bytes()
	if err := d.end(); err != nil {
		return c, fmt.Errorf("change of kind %d: %w: %w", c.Kind, err, store.ErrCorrupt)
	}
	return c, nil
}
