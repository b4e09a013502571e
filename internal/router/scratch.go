package router

import (
	"sync"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// scratch is the memory of one call of Deliver.
type scratch struct {
	lists []*list
	one   [1]*Subscription
	many  []*Subscription   // matches of targets with more than one subscription
	seen  map[Target]int    // into group
	group [][]*Subscription // the matches of each target in seen
	order []Target          // targets in the order of their first match
}

var scratches = sync.Pool{New: func() any { return &scratch{seen: map[Target]int{}} }}

// deliverMany hands rec to each target among many once, with all its subscriptions that match.
func (sc *scratch) deliverMany(rec *store.Record) {
	if len(sc.many) == 1 {
		sc.many[0].Target.Deliver(rec, sc.many)
	} else {
		sc.gather()
		for i, t := range sc.order {
			t.Deliver(rec, sc.group[i])
			clear(sc.group[i])
			sc.group[i] = sc.group[i][:0]
		}
		clear(sc.seen)
		clear(sc.order)
		sc.order = sc.order[:0]
	}
	clear(sc.many)
	sc.many = sc.many[:0]
}

func (sc *scratch) gather() {
	for _, s := range sc.many {
		i, ok := sc.seen[s.Target]
		if !ok {
			i = len(sc.order)
			sc.seen[s.Target] = i
			sc.order = append(sc.order, s.Target)
			if i == len(sc.group) {
				sc.group = append(sc.group, nil)
			}
		}
		sc.group[i] = append(sc.group[i], s)
	}
}

// release gives the scratch back, holding on to no subscription and to no unusual amount of memory.
func (sc *scratch) release() {
	const usual = 4096
	clear(sc.lists)
	sc.one[0] = nil
	if cap(sc.many) > usual || cap(sc.lists) > usual {
		return
	}
	scratches.Put(sc)
}
