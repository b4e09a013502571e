package changelog

import (
	"errors"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

func shareKey(q uint16, filter string) []byte { return append(queueKey(keyShare, q), filter...) }

// shareOf is the state of a group; nil: there is none.
func shareOf(r pebble.Reader, q int, filter string) (*share, error) {
	value, err := view.Get(r, shareKey(uint16(q), filter))
	if err != nil || value == nil {
		return nil, err
	}
	return parseShare(value)
}

// share is shareOf for what the transaction has written too.
func (x *txn) share(filter string) (*share, error) {
	value, err := x.Get(shareKey(x.q, filter))
	if err != nil || value == nil {
		return nil, err
	}
	return parseShare(value)
}

// putShare keeps the state of a group; nil: it has ended.
func (x *txn) putShare(filter string, s *share) error {
	x.shares = append(x.shares, shareNote{filter, s != nil && s.torn(), s != nil && len(s.nodes) == 0})
	if s == nil {
		return x.Delete(shareKey(x.q, filter))
	}
	return x.Set(shareKey(x.q, filter), s.encode(nil))
}

// shareNote is that a group has changed.
type shareNote struct {
	filter string
	torn   bool // see shareUnit
	idle   bool // no node has members
}

// torn says whether a unit is.
func (s *share) torn() bool {
	for u := range s.units {
		if s.units[u].torn {
			return true
		}
	}
	return false
}

// shareChanges applies what a record says of a group.
func (x *txn) shareChanges(r *record, filter string) error {
	s, err := x.share(filter)
	if err != nil {
		return err
	}
	d := newDecoder(r.body)
	for len(d.B) > 0 {
		b := d.Bytes()
		if d.Err != nil || len(b) == 0 {
			break
		}
		if s, err = x.shareChange(s, r.node, filter, b); err != nil {
			return err
		}
	}
	return x.putShare(filter, s)
}

// shareChange returns what becomes of a group.
func (x *txn) shareChange(s *share, node uint64, filter string, b []byte) (*share, error) {
	switch {
	case b[0] == shareEnds && s != nil && len(s.nodes) == 0:
		return nil, nil
	case b[0] != shareReports:
		return s, nil
	}
	rep, err := parseReport(b[1:])
	if err != nil {
		return s, nil // a later version's
	}
	if s == nil {
		if s = found(&rep, x.rec.Offset); s == nil {
			return nil, nil
		}
	}
	s.report(node, &rep, x.rec.Offset)
	if err := x.know(node); err != nil { // so that it can be fenced
		return s, err
	}
	return s, x.PassExact(filter, s.passed)
}

// fenceShares ends the part of a dead node in all groups of the queue.
func (x *txn) fenceShares(node uint64) error {
	prefix := queueKey(keyShare, x.q)
	var filters []string
	err := x.Each(prefix, func(key, _ []byte) error {
		filters = append(filters, string(key[len(prefix):]))
		return nil
	})
	for _, filter := range filters {
		var s *share
		if err == nil {
			s, err = x.share(filter)
		}
		if err == nil && s != nil && s.fence(node, x.rec.Offset) {
			err = x.putShare(filter, s)
		}
	}
	return err
}

// replaceShare puts a group as stateOf gave it in the place of what there is. Of nodes that are dead by now it has no part.
func (x *txn) replaceShare(filter string, dump []byte) error {
	if len(dump) == 0 {
		return x.putShare(filter, nil)
	}
	s, err := parseShare(dump)
	if err != nil {
		return errors.Join(err, store.ErrCorrupt)
	}
	dead := map[uint64]bool{}
	for i := range s.nodes {
		dead[s.nodes[i].id] = !x.lives(s.nodes[i].id)
	}
	for u := range s.units {
		if h := s.units[u].holder; h != 0 {
			dead[h] = !x.lives(h)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(dead)) {
		if dead[node] {
			s.fence(node, x.rec.Offset)
		} else if err := x.know(node); err != nil { // it may be dead, and nobody has heard of it here
			return err
		}
	}
	s.version = x.rec.Offset
	return x.putShare(filter, s)
}

// dump is all there is of a name, for kindState.
func dump(r pebble.Reader, q int, name string) ([]byte, error) {
	filter, ok := shareFilter(name)
	if !ok {
		return view.Dump(r, name)
	}
	return view.Get(r, shareKey(uint16(q), filter))
}
