package changelog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// A shared subscription group has a chain of its own, which nobody owns: any node that lives may write to it. What it says is a store.ShareReport. Whether that
// counts, and for which units, follows from the state before it, so two nodes that write at once need no agreement: of two that take a unit the first one has it.
//
// A unit moves in two records: its holder gives it, with where it stands; then whoever is to have it takes it. What the giver's members have under way stays
// with them: each message goes to one member. A fence takes the units from a node, and what its members had under way is handed out again.

// shareName is the name that a group has among those of clients. No client id of MQTT has U+0000 [MQTT-1.5.4-2].
func shareName(filter string) string { return "\x00" + filter }

// shareFilter is the inverse of shareName; false: it is a client id.
func shareFilter(name string) (string, bool) {
	if !strings.HasPrefix(name, "\x00$share/") {
		return "", false
	}
	return name[1:], true
}

// share is the state of a group: the same on all nodes that have read the same records.
type share struct {
	born    int64 // offset of the record that founded it
	version int64 // and of the last one that changed it
	founded []store.Position
	since   int64
	nodes   []shareNode // that have members or something under way, by id
	units   [store.ShareUnits]shareUnit
}

// shareNode is one node's part.
type shareNode struct {
	id          uint64
	members     int64            // connected
	outstanding []store.Position // handed out and not acknowledged, as it said last
}

// shareUnit is one unit.
type shareUnit struct {
	holder uint64           // node; 0: nobody
	torn   bool             // nobody holds it, and its last holder has not said itself how far it was
	at     []store.Position // what is below was dealt with, but for what is outstanding or in redo; sorted by queue
	redo   []owed           // to be handed out again by the holder
}

// owed is a message to be handed out again.
type owed struct {
	at    store.Position
	since int64 // offset of the record by which its holder, or the next one, came to owe it
}

// found is the group that a report founds; nil: it does not.
func found(r *store.ShareReport, offset int64) *share {
	if r.Members == 0 {
		return nil
	}
	s := &share{born: offset, version: offset, founded: r.Start, since: r.Since}
	for u := range s.units {
		s.units[u].at = ahead(nil, r.Start)
	}
	return s
}

// node is the part of a node; nil: it has none.
func (s *share) node(id uint64) *shareNode {
	i, ok := s.find(id)
	if !ok {
		return nil
	}
	return &s.nodes[i]
}

func (s *share) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.nodes, id, func(n shareNode, id uint64) int { return cmp.Compare(n.id, id) })
}

// report applies what a node says in the record at offset.
func (s *share) report(id uint64, r *store.ShareReport, offset int64) {
	s.version = offset
	i, ok := s.find(id)
	if !ok {
		s.nodes = slices.Insert(s.nodes, i, shareNode{id: id})
	}
	s.nodes[i].members = int64(r.Members)
	if r.Born == s.born {
		s.nodes[i].outstanding = r.Outstanding
		s.progress(id, r)
		for _, p := range r.Back {
			s.owe(p, offset)
		}
	}
	for u := range s.units {
		if un := &s.units[u]; un.holder == 0 && r.Take.Has(u) {
			un.holder, un.torn = id, false
			for k := range un.redo {
				un.redo[k].since = offset
			}
		}
	}
	if r.Members == 0 && len(s.nodes[i].outstanding) == 0 {
		s.nodes = slices.Delete(s.nodes, i, i+1)
	}
}

// progress applies how far the units are that a node holds, and that it gives some of them up.
func (s *share) progress(id uint64, r *store.ShareReport) {
	for u := range s.units {
		un := &s.units[u]
		if un.holder != id || !r.Units.Has(u) {
			continue
		}
		un.at = ahead(un.at, r.Cursor)
		for _, a := range r.Ahead {
			if a.Unit == u {
				un.at = ahead(un.at, a.At)
			}
		}
		un.redo = slices.DeleteFunc(un.redo, func(o owed) bool { return o.since <= r.Seen })
		if r.Give.Has(u) {
			un.holder = 0
		}
	}
}

// owe has a message handed out again.
func (s *share) owe(p store.Position, offset int64) {
	un := &s.units[store.UnitOf(p)]
	if !slices.ContainsFunc(un.redo, func(o owed) bool { return o.at == p }) {
		un.redo = append(un.redo, owed{p, offset})
	}
}

// fence ends the part of a node that is dead; false: it had none.
func (s *share) fence(id uint64, offset int64) bool {
	had := false
	if i, ok := s.find(id); ok {
		had = true
		for _, p := range s.nodes[i].outstanding {
			s.owe(p, offset)
		}
		s.nodes = slices.Delete(s.nodes, i, i+1)
	}
	for u := range s.units {
		if un := &s.units[u]; un.holder == id {
			un.holder, un.torn, had = 0, true, true
		}
	}
	if had {
		s.version = offset
	}
	return had
}

// ahead is v with every entry that is behind raised to that of w, which may name queues that v does not.
func ahead(v, w []store.Position) []store.Position {
	v = slices.Clone(v)
	for _, p := range w {
		i, ok := slices.BinarySearchFunc(v, p.Queue, func(at store.Position, q store.Queue) int { return cmp.Compare(at.Queue, q) })
		if !ok {
			v = slices.Insert(v, i, p)
		}
		v[i].Offset = max(v[i].Offset, p.Offset)
	}
	return v
}

// passed says that nobody will hand out the message at p any more: it was, and is acknowledged, or its session has it.
func (s *share) passed(p store.Position) bool {
	un := &s.units[store.UnitOf(p)]
	for i := range s.nodes {
		if slices.Contains(s.nodes[i].outstanding, p) {
			return false
		}
	}
	i, ok := slices.BinarySearchFunc(un.at, p.Queue, func(at store.Position, q store.Queue) int { return cmp.Compare(at.Queue, q) })
	return ok && p.Offset < un.at[i].Offset && !slices.ContainsFunc(un.redo, func(o owed) bool { return o.at == p })
}
