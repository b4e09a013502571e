// Package router finds, for every message, the subscriptions that match its topic, and hands it to their owners.
//
// Deliver is called by the store's tail; Add and Remove by sessions. Readers never wait for writers.
package router

import (
	"sync/atomic"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Target takes messages: a connected session, or the group of a shared subscription.
type Target interface {
	// Deliver hands over rec, which subs (one or more, all of this target) match. It must not block. rec and subs are
	// valid during the call only; the record's bytes stay as store.Record says.
	Deliver(rec *store.Record, subs []*Subscription)
}

// Subscription is one topic filter of one target. Target and Filter are constant while it is routed.
type Subscription struct {
	Target Target
	// Filter is the topic filter without "$share/name/".
	Filter string

	// The options are the target's, under its own lock: the router does not look at them.
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	ID                uint32           // subscription identifier; 0 none
	Start             []store.Position // records below it are not for this subscription

	// Ended is the target's, under its own lock: a message that is on its way when the subscription is
	// removed must not be delivered [MQTT-3.10.4-3].
	Ended bool

	many atomic.Bool // the target may have another subscription that matches the same topic
	slot int         // in its list; guarded by the trie's writer lock
}

// Wants reports whether the record at p is new enough for s.
func (s *Subscription) Wants(p store.Position) bool {
	if p.Offset < 0 {
		return true // QoS 0, not written: it is happening now
	}
	for _, from := range s.Start {
		if from.Queue == p.Queue {
			return p.Offset >= from.Offset
		}
	}
	return true
}

// SetMany says whether the target has more than one subscription. To be set, before the second one is added, on all of
// them: the messages of a target that has many are gathered, so that it gets each once [MQTT-3.3.4-2].
func (s *Subscription) SetMany(many bool) { s.many.Store(many) }
