package view

import (
	"cmp"
	"errors"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var (
	errNoWill   = errors.New("a will is due, and there is none")
	errTwice    = errors.New("something is there twice, or not in its place")
	errNotBegun = errors.New("a QoS 2 message is above what has been begun")
)

// fits says what tells a dump from that of any session that changes can lead to; nil: nothing. What it takes, Load gives back as it is.
func (w *whole) fits() error {
	s := &w.session
	switch {
	case tooLong(s.Client), slices.ContainsFunc(s.Subscriptions, func(s store.Subscription) bool { return tooLong(s.Filter) }):
		return errNameTooLong
	case w.head.WillDue != 0 && s.Will == nil:
		return errNoWill
	case !rises(s.Subscriptions, func(s *store.Subscription) string { return s.Filter }),
		!rises(s.Received, func(id *uint16) uint16 { return *id }),
		!rises(s.Pending, func(r *store.Receipt) uint16 { return r.PacketID }),
		!rises(s.Sent2, func(p *store.Position) store.Queue { return p.Queue }),
		!slices.IsSortedFunc(w.exactly, exactly.compare):
		return errTwice
	case slices.Contains(s.Received, 0), slices.ContainsFunc(s.Pending, func(r store.Receipt) bool { return r.PacketID == 0 }):
		return errPacketID
	}
	return w.inflightFits()
}

// inflightFits is fits for what is under way to the client.
func (w *whole) inflightFits() error {
	if !uniqueIDs(w.progress.inflight, func(in *store.Inflight) uint16 { return in.PacketID }) ||
		!uniqueIDs(w.exactly, func(e *exactly) uint16 { return e.PacketID }) {
		return errPacketID
	}
	for i := range w.progress.inflight {
		if w.progress.inflight[i].QoS != 1 {
			return errQoS
		}
	}
	for i := range w.exactly {
		e := &w.exactly[i]
		switch {
		case e.QoS != 2:
			return errQoS
		case tooLong(e.Group):
			return errNameTooLong
		case e.Group == "" && !e.Retained && !w.hasBegun(e.At):
			return errNotBegun
		}
	}
	return nil
}

// hasBegun says that p is not above the place of Sent2 in its queue.
func (w *whole) hasBegun(p store.Position) bool {
	i, ok := slices.BinarySearchFunc(w.session.Sent2, p.Queue, func(o store.Position, q store.Queue) int { return cmp.Compare(o.Queue, q) })
	return ok && p.Offset <= w.session.Sent2[i].Offset
}

// rises says that every key is greater than the one before.
func rises[T any, K cmp.Ordered](list []T, key func(*T) K) bool {
	for i := 1; i < len(list); i++ {
		if key(&list[i-1]) >= key(&list[i]) {
			return false
		}
	}
	return true
}
