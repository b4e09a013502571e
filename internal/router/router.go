package router

import (
	"sync"
	"sync/atomic"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// Router maps topics to subscriptions. Its methods may be called concurrently, but for what Deliver says.
type Router struct {
	trie *topic.Trie[*list]
	p2p  sync.Map // client id -> *Subscription: what is addressed to that client
	done sync.Map // store.Queue -> *atomic.Int64: records below it were handed to every subscription
}

// New returns an empty router.
func New() *Router { return &Router{trie: topic.NewTrie[*list]()} }

// Add routes s. Messages that are handed to Deliver after Add returned reach it.
func (r *Router) Add(s *Subscription) {
	r.trie.Update(s.Filter, func(l *list, found bool) (*list, bool) {
		if !found {
			l = newList()
		}
		l.add(s)
		return l, true
	})
}

// Remove takes s out. A message may reach it while Remove runs and shortly after.
func (r *Router) Remove(s *Subscription) {
	r.trie.Update(s.Filter, func(l *list, found bool) (*list, bool) {
		if !found {
			return nil, false
		}
		return l, l.remove(s) > 0
	})
}

// Filters is the number of different filters.
func (r *Router) Filters() int { return r.trie.Len() }

// Deliver hands each record to every target with a subscription that matches it. It is the sink of store.Follow:
// called by one goroutine at a time per queue, and by any for QoS 0 that is not written.
func (r *Router) Deliver(batch []store.Record) {
	sc := scratches.Get().(*scratch)
	for i := range batch {
		r.deliver(&batch[i], sc)
	}
	sc.release()
	if last := batch[len(batch)-1].Position; last.Offset >= 0 {
		r.progress(last.Queue).Store(last.Offset + 1)
	}
}

// Match calls f for every subscription that matches topic.
func (r *Router) Match(topic string, f func(s *Subscription)) {
	sc := scratches.Get().(*scratch)
	sc.lists = r.trie.MatchAppend(sc.lists[:0], topic)
	for _, l := range sc.lists {
		l.each(f)
	}
	sc.release()
}

// Done is the offset in q below which every record was handed to all subscriptions that were there.
func (r *Router) Done(q store.Queue) int64 { return r.progress(q).Load() }

func (r *Router) progress(q store.Queue) *atomic.Int64 {
	if p, ok := r.done.Load(q); ok {
		return p.(*atomic.Int64)
	}
	p, _ := r.done.LoadOrStore(q, new(atomic.Int64))
	return p.(*atomic.Int64)
}

func (r *Router) deliver(rec *store.Record, sc *scratch) {
	addressed := r.addressed(rec.Topic)
	if addressed != nil {
		sc.many = append(sc.many, addressed)
	}
	sc.lists = r.trie.MatchAppend(sc.lists[:0], rec.Topic)
	for _, l := range sc.lists {
		l.each(func(s *Subscription) {
			if !s.many.Load() && addressed == nil {
				sc.one[0] = s
				s.Target.Deliver(rec, sc.one[:])
				return
			}
			sc.many = append(sc.many, s)
		})
	}
	if len(sc.many) > 0 {
		sc.deliverMany(rec)
	}
}
