package view

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// isShared says that a filter names a group.
func isShared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

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

// group returns the head of a group, nil when there is none.
func (t *Txn) group(filter string) (*groupHead, error) {
	t.lockGroups()
	value, err := t.Get(groupKey(filter, partHead))
	if err != nil || value == nil {
		return nil, err
	}
	g, d := new(groupHead), Decoder{B: value}
	g.read(&d)
	return g, d.end()
}

func (t *Txn) putGroup(filter string, g *groupHead) error {
	return t.Set(groupKey(filter, partHead), g.encode(nil))
}

// join makes client a member of the group, founding it when it is the first.
func (t *Txn) join(client string, sub *store.Subscription) error {
	g, err := t.group(sub.Filter)
	if err != nil {
		return err
	}
	if g == nil {
		g = &groupHead{founded: sub.Start, since: sub.Since, cursor: sub.Start}
	}
	key := memberKey(sub.Filter, client)
	if was, err := t.Has(key); err != nil || was {
		return err
	}
	g.members++
	if err := t.Set(key, nil); err != nil {
		return err
	}
	return t.putGroup(sub.Filter, g)
}

// leave ends a membership, and the group with its last one.
func (t *Txn) leave(client, filter string) error {
	g, err := t.group(filter)
	if err != nil || g == nil {
		return err
	}
	key := memberKey(filter, client)
	if was, err := t.Has(key); err != nil || !was {
		return err
	}
	if g.members--; g.members <= 0 {
		return t.DeleteAll(namePrefix(nil, keyGroup, filter))
	}
	if err := t.Delete(key); err != nil {
		return err
	}
	return t.putGroup(filter, g)
}

// isBelow says that p is below the position of its queue in cursor.
func isBelow(p store.Position, cursor []store.Position) bool {
	i := slices.IndexFunc(cursor, func(q store.Position) bool { return q.Queue == p.Queue })
	return i >= 0 && p.Offset < cursor[i].Offset
}

// passed says that the group has done with the message at p, if it had to do with it.
func (g *groupHead) passed(p store.Position) bool {
	return isBelow(p, g.cursor) && !slices.Contains(g.outstanding, p)
}

func (t *Txn) groupProgress(c *store.Change) error {
	filter := c.Subscription.Filter
	g, err := t.group(filter)
	if err != nil || g == nil || !slices.Equal(g.founded, c.Subscription.Start) {
		return err
	}
	g.cursor, g.outstanding = c.Cursor, c.Outstanding
	if err := t.PassExact(filter, g.passed); err != nil {
		return err
	}
	return t.putGroup(filter, g)
}

// PassExact forgets QoS 2 deliveries of a group that began at places of which passed says that nobody will hand them out any more.
func (t *Txn) PassExact(filter string, passed func(p store.Position) bool) error {
	t.lockGroups()
	prefix := groupKey(filter, partExact)
	var done [][]byte
	err := t.Each(prefix, func(key, _ []byte) error {
		if p, ok := splitExact(key[len(prefix):]); ok && passed(p) {
			done = append(done, bytes.Clone(key))
		}
		return nil
	})
	for _, key := range done {
		if err == nil {
			err = t.Delete(key)
		}
	}
	return err
}

// Exact lists the QoS 2 deliveries of a group that have begun.
func Exact(r pebble.Reader, filter string) (list []store.Position, err error) {
	prefix := groupKey(filter, partExact)
	err = Each(r, prefix, func(key, _ []byte) error {
		if p, ok := splitExact(key[len(prefix):]); ok {
			list = append(list, p)
		}
		return nil
	})
	return list, err
}

// HasMembers says whether a session is a member of the group.
func HasMembers(r pebble.Reader, filter string) (bool, error) {
	value, err := get(r, nil, groupKey(filter, partHead))
	return value != nil, err
}
