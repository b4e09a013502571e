package changelog

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// owedGrace is how long a will may be due before a node claims it that is not chosen to: the one that is may have no wills (enableMetaModule=false), or have too many.
const owedGrace = time.Second

// Owed lists wills that this node is to publish; see store.Store.
func (c *Changelog) Owed(now time.Time, from string, max int) (list []store.Owed, next string, err error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, "", err
	}
	defer done()
	if from == "" {
		if list, err = c.owedBySessions(now, max); err != nil {
			return nil, "", err
		}
		from = string(keyOwes)
	}
	err = view.Range(c.db, []byte(from), []byte{keyOwes + 1}, func(key, _ []byte) error {
		if len(list) >= max {
			next = string(key)
			return view.Stop
		}
		list, err = c.owedByName(string(key[3:]), now, list)
		return err
	})
	return list, next, err
}

// owedBySessions lists the wills that are still a part of their sessions.
func (c *Changelog) owedBySessions(now time.Time, max int) (list []store.Owed, err error) {
	names, err := view.WillsDue(c.db, now, max)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		s, _, err := view.Load(c.db, name)
		if err != nil {
			return nil, err
		}
		if s == nil || s.Will == nil {
			continue // it was claimed meanwhile
		}
		mine, err := c.mayClaim(name, s.WillAt, now)
		if err != nil {
			return nil, err
		}
		if mine {
			list = append(list, store.Owed{Client: name, Will: s.Will})
		}
	}
	return list, nil
}

// owedByName adds to list what a name owes.
func (c *Changelog) owedByName(name string, now time.Time, list []store.Owed) ([]store.Owed, error) {
	h, err := c.headOf(name)
	if err != nil {
		return nil, err
	}
	for i := range h.owed {
		w := &h.owed[i]
		if w.asks {
			continue
		}
		mine, other := c.claimed(name, w.by)
		if !mine && !other {
			if mine, err = c.mayClaim(name, w.due, now); err != nil {
				return nil, err
			}
		}
		if mine {
			list = append(list, store.Owed{Client: name, Will: &w.will})
		}
	}
	return list, nil
}

// claimed says whether this node has claimed a will of a name, or another one that lives has.
func (c *Changelog) claimed(name string, by uint64) (mine, other bool) {
	q := c.queueOf(name)
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	if by == 0 || by == c.nodeOf(q) {
		return by != 0, false
	}
	return false, mayPublish(qu.peers, by)
}

// mayClaim says whether this node is to claim what is due since a time, Unix milliseconds.
func (c *Changelog) mayClaim(name string, since int64, now time.Time) (bool, error) {
	qu := &c.queues[c.queueOf(name)]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	if !qu.begun {
		return false, nil
	}
	h, err := c.headOf(name)
	return c.isMyName(name, &h) || now.UnixMilli()-since >= owedGrace.Milliseconds(), err
}

// nodeOf is this node's id in a queue.
func (c *Changelog) nodeOf(q int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[q]
}

// Owing tells of a will that is owed, or may be claimed from its session: where it was claimed to go, if it was, and whether by this node. ok is false when there is none.
func (c *Changelog) Owing(client string, id uint64) (claim Claim, mine, ok bool, err error) {
	done, err := c.keeper.Use()
	if err != nil {
		return Claim{}, false, false, err
	}
	defer done()
	h, err := c.headOf(client)
	if err != nil {
		return Claim{}, false, false, err
	}
	if i := h.owing(id); i >= 0 {
		w := &h.owed[i]
		mine, _ := c.claimed(client, w.by)
		return w.Claim, mine, true, nil
	}
	s, _, err := view.Load(c.db, client)
	if err != nil {
		return Claim{}, false, false, err
	}
	return Claim{}, false, s != nil && s.Will != nil && s.Will.ID == id, nil
}

// ClaimWill has this node be the one that sends a will, if before is as Owing says still, and no other has claimed it that lives. done is told when that was decided: Owing tells how. An
// error means that it was not.
func (c *Changelog) ClaimWill(client string, id uint64, before, claim Claim, done store.Completion) {
	c.will(client, &willStep{op: willClaim, id: id, before: before.Since, claim: claim}, done)
}

// WillSent says that the message of a will is in the log.
func (c *Changelog) WillSent(client string, id uint64, done store.Completion) {
	c.will(client, &willStep{op: willSent, id: id}, done)
}

// ReleaseWill says that this node has not sent a will that it claimed, and that it is nowhere.
func (c *Changelog) ReleaseWill(client string, id uint64, claim Claim, done store.Completion) {
	c.will(client, &willStep{op: willRelease, id: id, before: claim.Since}, done)
}

func (c *Changelog) will(client string, s *willStep, done store.Completion) {
	it := item{body: s.append(nil), done: done}
	ch, err := c.lockChain(client)
	if err != nil {
		it.tell(err)
		return
	}
	if c.pending+int64(len(it.body)) > c.opts.MaxPending {
		err = fmt.Errorf("%d bytes of changes of sessions have not come back: %w", c.pending, store.ErrAway)
		c.stats.Refused.Add(1)
	} else {
		c.count(ch, &it)
		ch.wills = append(ch.wills, it)
	}
	var e effects
	c.settle(ch, &e)
	c.mu.Unlock()
	e.run(c)
	if err != nil {
		it.tell(err)
	}
}

// sendWills sends what is to be said of wills.
func (c *Changelog) sendWills(ch *chain, e *effects) {
	items := ch.wills
	ch.wills = nil
	var body []byte
	for i := range items {
		body = append(body, items[i].body...)
	}
	c.send(ch, kindWill, body, items, e)
}

// willsLanded is told when that was read back.
func (c *Changelog) willsLanded(ch *chain, f *flight, valid bool, e *effects) {
	var err error
	switch {
	case valid:
	case f.base != ch.head.last: // another record was first
		ch.wills = append(f.items, ch.wills...)
		return
	default: // there is nothing of this name, or nobody can judge it now (old.go)
		err = fmt.Errorf("client %.200q: what was written of it before is not known: %w", ch.name, store.ErrAway)
	}
	for i := range f.items {
		it := &f.items[i]
		c.unqueue(ch.q, it)
		e.call(func() { it.tell(err) })
	}
}

// tellDropped counts the wills that are published no more, since their client had too many.
func (c *Changelog) tellDropped(x *txn) {
	if x.dropped > 0 {
		c.stats.WillsDropped.Add(x.dropped)
		c.log.Warn("wills are dropped: too many of one client wait; look for a client id that several devices use, while its wills cannot be published", "queue", x.q, "wills", x.dropped)
	}
}
