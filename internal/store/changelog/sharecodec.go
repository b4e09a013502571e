package changelog

import (
	"encoding/binary"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// What a record says of a group begins with what it is.
const (
	shareReports byte = 1 // a node reports (store.ShareReport)
	shareEnds    byte = 2 // the group ends, unless a node has members
)

func appendReport(b []byte, r *store.ShareReport) []byte {
	b = append(b, shareReports)
	b = view.AppendPositions(b, r.Start)
	b = binary.AppendVarint(b, r.Since)
	b = binary.AppendVarint(binary.AppendVarint(b, r.Born), r.Seen)
	b = binary.AppendUvarint(b, uint64(r.Members))
	for _, us := range []store.Units{r.Units, r.Give, r.Take} {
		b = binary.AppendUvarint(b, uint64(us))
	}
	b = view.AppendPositions(b, r.Cursor)
	b = view.AppendPositions(b, r.Outstanding)
	b = view.AppendPositions(b, r.Back)
	b = binary.AppendUvarint(b, uint64(len(r.Ahead)))
	for _, a := range r.Ahead {
		b = view.AppendPositions(binary.AppendUvarint(b, uint64(a.Unit)), a.At)
	}
	return b
}

// parseReport is the inverse of appendReport, without the first byte.
func parseReport(b []byte) (r store.ShareReport, err error) {
	d := newDecoder(b)
	r.Start, r.Since = d.Positions(), d.Int()
	r.Born, r.Seen = d.Int(), d.Int()
	r.Members = int(min(d.Uint(), 1<<31))
	r.Units, r.Give, r.Take = store.Units(d.Uint()), store.Units(d.Uint()), store.Units(d.Uint())
	r.Cursor, r.Outstanding, r.Back = d.Positions(), d.Positions(), d.Positions()
	for n := min(d.Uint(), store.ShareUnits); n > 0 && d.Err == nil; n-- {
		r.Ahead = append(r.Ahead, store.ShareAhead{Unit: int(min(d.Uint(), store.ShareUnits)), At: d.Positions()})
	}
	return r, d.Err
}

func (s *share) encode(b []byte) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, s.born), s.version)
	b = binary.AppendVarint(view.AppendPositions(b, s.founded), s.since)
	b = binary.AppendUvarint(b, uint64(len(s.nodes)))
	for _, n := range s.nodes {
		b = binary.AppendVarint(binary.BigEndian.AppendUint64(b, n.id), n.members)
		b = view.AppendPositions(b, n.outstanding)
	}
	for u := range s.units {
		b = s.units[u].encode(b)
	}
	return b
}

func (un *shareUnit) encode(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, un.holder)
	var torn byte
	if un.torn {
		torn = 1
	}
	b = view.AppendPositions(append(b, torn), un.at)
	b = binary.AppendUvarint(b, uint64(len(un.redo)))
	for _, o := range un.redo {
		b = binary.AppendUvarint(b, uint64(o.at.Queue))
		b = binary.AppendVarint(binary.AppendVarint(b, o.at.Offset), o.since)
	}
	return b
}

func parseShare(b []byte) (*share, error) {
	d, s := newDecoder(b), new(share)
	s.born, s.version = d.Int(), d.Int()
	s.founded, s.since = d.Positions(), d.Int()
	for n := d.Uint(); n > 0 && d.Err == nil; n-- {
		s.nodes = append(s.nodes, shareNode{id: d.uint64(), members: d.Int(), outstanding: d.Positions()})
	}
	for u := range s.units {
		un := &s.units[u]
		un.holder = d.uint64()
		un.torn = d.Uint() != 0
		un.at = d.Positions()
		for n := d.Uint(); n > 0 && d.Err == nil; n-- {
			un.redo = append(un.redo, owed{store.Position{Queue: store.Queue(d.Uint()), Offset: d.Int()}, d.Int()})
		}
	}
	return s, d.Err
}
