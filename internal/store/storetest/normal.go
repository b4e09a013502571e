package storetest

import (
	"cmp"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Normal returns a copy of s in which what has no order is sorted and what is empty is nil, so that two can be compared.
// Inflight keeps its order: messages that were released first, in the order of their PUBREC, then QoS 1 as in the last
// Progress, then QoS 2 in the order of sending.
func Normal(s *store.Session) *store.Session {
	if s == nil {
		return nil
	}
	n := *s
	n.Subscriptions = sorted(s.Subscriptions, func(a, b store.Subscription) int { return cmp.Compare(a.Filter, b.Filter) })
	for i := range n.Subscriptions {
		n.Subscriptions[i].Start = sorted(n.Subscriptions[i].Start, comparePositions)
	}
	n.Cursor, n.Sent2 = sorted(s.Cursor, comparePositions), sorted(s.Sent2, comparePositions)
	n.Received = sorted(s.Received, cmp.Compare[uint16])
	n.Pending = sorted(s.Pending, func(a, b store.Receipt) int { return cmp.Compare(a.PacketID, b.PacketID) })
	n.SentUpTo = sorted(s.SentUpTo, comparePositions)
	n.Inflight = sorted(s.Inflight, nil)
	return &n
}

// NormalGroups is Normal for groups.
func NormalGroups(list []store.Group) []store.Group {
	out := sorted(list, func(a, b store.Group) int { return cmp.Compare(a.Filter, b.Filter) })
	for i := range out {
		g := &out[i]
		g.Members = sorted(g.Members, cmp.Compare[string])
		g.Founded = sorted(g.Founded, comparePositions)
		g.Cursor, g.Outstanding = sorted(g.Cursor, comparePositions), sorted(g.Outstanding, comparePositions)
		g.Exact = sorted(g.Exact, comparePositions)
	}
	return out
}

func sorted[T any](list []T, order func(a, b T) int) []T {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	if order != nil {
		slices.SortStableFunc(out, order)
	}
	return out
}

func comparePositions(a, b store.Position) int {
	return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Offset, b.Offset))
}
