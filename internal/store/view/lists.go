package view

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Groups lists the shared subscription groups; see store.Store.
func Groups(r pebble.Reader) ([]store.Group, error) {
	var groups []store.Group
	err := Each(r, []byte{keyGroup}, func(key, value []byte) error { return groupPart(&groups, key, value) })
	if err != nil {
		return nil, fmt.Errorf("list shared subscriptions: %w", err)
	}
	return groups, nil
}

// groupPart takes one key of a group; those of one group follow each other, the head first.
func groupPart(groups *[]store.Group, key, value []byte) error {
	name, rest := splitName(key)
	if len(rest) == 0 {
		return store.ErrCorrupt
	}
	if rest[0] == partHead {
		h, d := groupHead{}, Decoder{B: value}
		h.read(&d)
		*groups = append(*groups, store.Group{
			Filter: string(name), Founded: h.founded, Since: h.since, Cursor: h.cursor, Outstanding: h.outstanding,
		})
		return d.end()
	}
	if len(*groups) == 0 {
		return store.ErrCorrupt
	}
	g := &(*groups)[len(*groups)-1]
	switch rest[0] {
	case partMember:
		g.Members = append(g.Members, string(rest[1:]))
	case partExact:
		p, ok := splitExact(rest[1:])
		if !ok {
			return store.ErrCorrupt
		}
		g.Exact = append(g.Exact, p)
	default:
		return store.ErrCorrupt
	}
	return nil
}

// Expired lists sessions that were due to end; see store.Store. The one that is due longest comes first.
func Expired(r pebble.Reader, now time.Time, max int) ([]string, error) {
	return due(r, keyExpiry, now, max)
}

// WillsDue lists sessions whose will is due; see store.Store. The one that is due longest comes first.
func WillsDue(r pebble.Reader, now time.Time, max int) ([]string, error) {
	return due(r, keyWill, now, max)
}

// due lists the clients of an index by time.
func due(r pebble.Reader, kind byte, now time.Time, max int) ([]string, error) {
	var clients []string
	err := Range(r, []byte{kind}, NumberKey(kind, now.UnixMilli()+1, ""), func(key, _ []byte) error {
		if len(clients) >= max {
			return Stop
		}
		_, client := SplitNumber(key)
		clients = append(clients, string(client))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is due: %w", err)
	}
	return clients, nil
}
