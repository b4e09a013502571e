package session

import (
	"github.com/rocketmqtt/rocketmqtt/internal/router"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// subIndex finds, among the subscriptions of one session that are not shared, those that match a topic. It is
// never changed, only replaced.
type subIndex struct {
	few    []*router.Subscription
	many   *topic.Trie[*router.Subscription] // nil while a walk through few is cheaper
	p2p    *router.Subscription              // nil: the client is not addressed
	client string                            // its id
}

func newSubIndex(client string, subs map[string]*subscription) *subIndex {
	const few = 8
	x := &subIndex{client: client}
	for _, s := range subs {
		switch {
		case s.p2p():
			x.p2p = &s.Subscription
		case s.share == "":
			x.few = append(x.few, &s.Subscription)
		}
	}
	if len(x.few) <= few {
		return x
	}
	x.many = topic.NewTrie[*router.Subscription]()
	for _, s := range x.few {
		x.many.Update(s.Filter, func(*router.Subscription, bool) (*router.Subscription, bool) { return s, true })
	}
	return x
}

// match appends the subscriptions whose filter matches name to dst.
func (x *subIndex) match(dst []*router.Subscription, name string) []*router.Subscription {
	if x.p2p != nil && topic.Addressee(name) == x.client {
		dst = append(dst, x.p2p)
	}
	if x.many != nil {
		return x.many.MatchAppend(dst, name)
	}
	for _, s := range x.few {
		if topic.Match(s.Filter, name) {
			dst = append(dst, s)
		}
	}
	return dst
}

// matches reports whether match would find any.
func (x *subIndex) matches(name string) bool {
	var room [4]*router.Subscription
	return len(x.match(room[:0], name)) > 0
}

// filters lists the filters of subscriptions that get messages of QoS 1 and 2.
func (x *subIndex) filters() []string {
	all := make([]string, 0, len(x.few)+1)
	if x.p2p != nil {
		all = append(all, "+/p2p/"+x.client+"/#")
	}
	for _, s := range x.few {
		if s.QoS > 0 {
			all = append(all, s.Filter)
		}
	}
	return all
}
