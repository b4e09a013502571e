package view

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Head is what a session is, beside its subscriptions and its messages.
type Head struct {
	Principal string
	Expiry    uint32
	ExpiresAt int64
	Due       int64 // of its expiry key; 0: it has none
	WillDue   int64 // of its will's key; 0: it has none
	Connected bool
	Run       int64 // in which it connected
	Created   int64
}

func (h *Head) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, bit(h.Connected, 1))
	b = binary.AppendUvarint(b, uint64(h.Expiry))
	b = binary.AppendVarint(b, h.ExpiresAt)
	b = binary.AppendVarint(b, h.Due)
	b = binary.AppendVarint(b, h.WillDue)
	b = binary.AppendVarint(b, h.Run)
	b = binary.AppendVarint(b, h.Created)
	return AppendString(b, h.Principal)
}

func (h *Head) read(d *Decoder) {
	h.Connected = d.Uint()&1 != 0
	h.Expiry = d.uint32()
	h.ExpiresAt, h.Due, h.WillDue, h.Run, h.Created = d.Int(), d.Int(), d.Int(), d.Int(), d.Int()
	h.Principal = d.String()
}

// progress is the value of a session's progress key.
type progress struct {
	cursor   []store.Position
	sentUpTo []store.Position // of the last Detach
	follows  bool
	at       int64 // offset of the record: later checkpoints count
	inflight []store.Inflight
}

func (p *progress) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, bit(p.follows, 1))
	b = binary.AppendVarint(b, p.at)
	b = AppendPositions(b, p.cursor)
	b = AppendPositions(b, p.sentUpTo)
	return appendInflight(b, p.inflight)
}

func (p *progress) read(d *Decoder) {
	p.follows = d.Uint()&1 != 0
	p.at = d.Int()
	p.cursor = d.Positions()
	p.sentUpTo = d.Positions()
	p.inflight = d.inflight()
}

// resolve includes the last checkpoint of the run that the session is connected in, if it came after p.
func (p *progress) resolve(r pebble.Reader, h *Head) error {
	if !h.Connected || !p.follows {
		return nil
	}
	c, err := checkpointOf(r, h.Run)
	if err == nil && c.at > p.at {
		p.cursor = later(p.cursor, c.cursor)
	}
	return err
}

// later returns, per queue, the later position of a and b.
func later(a, b []store.Position) []store.Position {
	out := append([]store.Position(nil), a...)
next:
	for _, p := range b {
		for i := range out {
			if out[i].Queue == p.Queue {
				out[i].Offset = max(out[i].Offset, p.Offset)
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// checkpoint is the value of a run's key.
type checkpoint struct {
	at     int64 // offset of the record
	cursor []store.Position
}

func (c *checkpoint) encode(b []byte) []byte {
	return AppendPositions(binary.AppendVarint(b, c.at), c.cursor)
}

func (c *checkpoint) read(d *Decoder) { c.at, c.cursor = d.Int(), d.Positions() }

// groupHead is the value of a group's first key.
type groupHead struct {
	members     int64
	founded     []store.Position
	since       int64
	cursor      []store.Position
	outstanding []store.Position
}

func (g *groupHead) encode(b []byte) []byte {
	b = binary.AppendVarint(b, g.members)
	b = AppendPositions(b, g.founded)
	b = binary.AppendVarint(b, g.since)
	b = AppendPositions(b, g.cursor)
	return AppendPositions(b, g.outstanding)
}

func (g *groupHead) read(d *Decoder) {
	g.members, g.founded, g.since = d.Int(), d.Positions(), d.Int()
	g.cursor, g.outstanding = d.Positions(), d.Positions()
}
