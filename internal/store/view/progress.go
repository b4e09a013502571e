package view

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

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
		p.cursor = merge(p.cursor, c.cursor, func(a, b int64) int64 { return max(a, b) })
	}
	return err
}

// putProgress writes what Progress and Detach tell. Of p.inflight QoS 1 counts; what is known of QoS 2 comes from its own changes alone.
func (t *Txn) putProgress(client string, p *progress) error {
	p.at = t.rec.Offset
	var list []store.Inflight // of its own: the one in p is the change's
	for i := range p.inflight {
		if p.inflight[i].QoS == 1 {
			list = append(list, p.inflight[i])
		}
	}
	p.inflight = list
	return t.Set(sessionKey(client, partProgress), p.encode(nil))
}
