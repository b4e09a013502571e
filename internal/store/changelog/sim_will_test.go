package changelog

import (
	"errors"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// How nodes publish the wills that Owed tells them of: as store/rocketmq/will.go does, to a model of the log of messages. What comes of it is for
// sim_willoracle_test.go to judge.

const (
	simTopics   = 2               // queues of the log of messages
	simMessages = store.Queue(20) // the first one of these

	simDeadline   = 10 * time.Second // that a message has from before its claim, without the time in which its process was stopped (Options.QueueFailover)
	simSendLate   = 5 * time.Second  // how late a message comes at most that nobody waits for any more
	simLateKeys   = 20 * time.Second // for so long readers know the key of a copy that says it was sent before
	simClockSkew  = time.Minute
	simPauseLimit = 3 * time.Second // a longer stop shuts the gate of the outboxes
	simPatience   = 5 * time.Second // with a queue that is out of reach, while the gate is shut
)

// simMessage is one message in the log of messages.
type simMessage struct {
	will  *simWill
	again bool  // it says that it was sent before, to after or above
	after int64 // offset
	at    time.Time
}

// simLateSend is a message that may still come to stand in the log, though nobody waits for it.
type simLateSend struct {
	m     simMessage
	queue store.Queue
	since time.Time
}

// simSending is a will on its way from a node (willSend).
type simSending struct {
	n      *simNode
	by     *Changelog
	will   *simWill
	write  simWrite
	claim  Claim
	again  bool          // a copy may be there already
	due    time.Duration // by simNode.elapsed
	unsure bool          // this node, or who claimed it before, has sent it, and what became of that is not known

	stopped time.Duration // simNode.stopped before the claim
}

// pause stops a process for a while.
func (n *simNode) pause(d time.Duration) {
	from, to := n.s.now, n.s.now.Add(d)
	if d > simPauseLimit || n.woke.After(from) {
		if n.woke.After(from) {
			from = n.woke
		}
		n.stopped += to.Sub(from)
		n.woke = to
	}
	n.until = to
}

// elapsed is the time of this process, without that in which it was stopped for longer.
func (n *simNode) elapsed() time.Duration { return n.s.now.Sub(simEpoch) - n.stopped }

// alive says whether the gate of the outboxes is open: since the last stop the node has read what others did meanwhile.
func (n *simNode) alive() bool {
	if !n.awake() {
		return false
	}
	for q := range simQueues {
		patient := n.s.now.Sub(n.woke) < simPatience
		if n.c.Heard(q).Before(n.woke) && (patient || !n.cut[q]) {
			return false
		}
	}
	return true
}

// sweep has a node begin to publish what it is to.
func (n *simNode) sweep() {
	for from := ""; ; {
		list, next, err := n.c.Owed(n.s.now, from, 3)
		if err != nil {
			n.s.failf("node %d does not know what it owes: %v", n.slot, err)
		}
		for _, o := range list {
			n.publishWill(n.s.willOf(o.Will))
		}
		if from = next; from == "" {
			return
		}
	}
}

func (n *simNode) publishWill(w *simWill) {
	if n.sending[w.id] != nil {
		return
	}
	before, _, ok, err := n.c.Owing(w.client.name, uint64(w.id))
	if err != nil {
		n.s.failf("node %d: %v", n.slot, err)
	}
	if !ok {
		return
	}
	x := &simSending{n: n, by: n.c, will: w, again: before.Since != 0}
	n.sending[w.id] = x
	if x.again {
		if n.s.findWill(w, before) {
			x.leaves()
			x.isSent()
			return
		}
		x.claim, x.unsure = before, true
	} else {
		x.claim = n.s.placeOfWill()
	}
	x.due, x.stopped = n.elapsed()+simDeadline, n.stopped
	x.leaves()
	n.s.note(stepClaim, n.slot, w.client.q, w.client.name, w.id, int64(bit(x.again)))
	n.c.ClaimWill(w.client.name, uint64(w.id), before, x.claim, x)
}

// leaves: the will is about to be no part of its session any more, if it is still.
func (x *simSending) leaves() {
	x.write = x.n.s.write(x.n)
	x.write.leave = x.will.id
	if r := &x.will.client.regs[regWill]; r.allows(x.will.id) {
		r.issue(x.write, 0)
	}
}

// placeOfWill is a queue, and an offset in it that is not above its end: what a node knows of it may be old.
func (s *sim) placeOfWill() Claim {
	q := s.rng.IntN(simTopics)
	end := int64(len(s.messages[q]))
	return Claim{At: store.Position{Queue: simMessages + store.Queue(q), Offset: end - s.rng.Int64N(min(end, 3)+1)}, Since: s.now.UnixMilli()}
}

// findWill looks for the message of a will where it was claimed to go.
func (s *sim) findWill(w *simWill, c Claim) bool {
	latest := time.UnixMilli(c.Since).Add(simDeadline + 2*simClockSkew)
	for _, m := range s.messages[c.At.Queue-simMessages][c.At.Offset:] {
		if m.at.After(latest) {
			return false
		}
		if m.will == w {
			return true
		}
	}
	return false
}

// Appended implements store.Completion: for the claim.
func (x *simSending) Appended(_ uint64, _ store.Position, err error) {
	n, w := x.n, x.will
	if !n.up || n.c != x.by {
		return // nobody hears it
	}
	if n.sending[w.id] != x {
		n.s.failf("node %d: what became of its claim of will %d of %s is told twice", n.slot, w.id, w.client.name)
	}
	if err != nil && !errors.Is(err, store.ErrAway) {
		n.s.failf("node %d: a claim ended with: %v", n.slot, err)
	}
	got, mine, ok, failed := n.c.Owing(w.client.name, uint64(w.id))
	if failed != nil {
		n.s.failf("node %d: %v", n.slot, failed)
	}
	if err != nil || !ok || !mine || got != x.claim || n.elapsed() >= x.due {
		delete(n.sending, w.id)
		return
	}
	w.hasLeft(n, x.write)
	n.outbox = append(n.outbox, x)
}

// sendWill has a node's outbox send a will. It fares in one of the ways that there are, with calm in the best one.
func (n *simNode) sendWill(calm bool) {
	if len(n.outbox) == 0 || !n.alive() {
		return
	}
	s, x := n.s, n.outbox[0]
	if n.elapsed() >= x.due {
		x.refuse()
		return
	}
	if !calm && s.oneIn(s.odds.stopped) {
		d := time.Duration(s.rng.IntN(60000)) * time.Millisecond
		s.note(stepPause, n.slot, 0, "", d.Milliseconds())
		n.pause(d)
		return
	}
	m := x.copy()
	switch {
	case calm:
	case s.oneIn(s.odds.lost):
		x.again, x.unsure = true, true
		return
	case s.oneIn(s.odds.unsure):
		x.again, x.unsure = true, true
		s.storeMessage(&m)
		return
	case s.oneIn(s.odds.late):
		x.again, x.unsure = true, true
		s.lateSends = append(s.lateSends, m)
		return
	}
	n.outbox = n.outbox[1:]
	s.storeMessage(&m)
	x.isSent()
}

// copy is the message, as it is sent now.
func (x *simSending) copy() simLateSend {
	if x.stopped != x.n.stopped { // another node may have sent it meanwhile
		x.again, x.unsure = true, true
	}
	return simLateSend{simMessage{will: x.will, again: x.again, after: x.claim.At.Offset}, x.claim.At.Queue, x.n.s.now}
}

// refuse ends a will that could not be sent in time.
func (x *simSending) refuse() {
	n, w := x.n, x.will
	n.outbox = n.outbox[1:]
	delete(n.sending, w.id)
	if !x.unsure {
		n.s.count.released++
		n.c.ReleaseWill(w.client.name, uint64(w.id), x.claim, nil)
	}
}

// isSent says in the changelog that the message is in the log.
func (x *simSending) isSent() {
	x.n.c.WillSent(x.will.client.name, uint64(x.will.id), simSentWill{x})
}

// simSentWill is told when the changelog knows that a will is published.
type simSentWill struct{ x *simSending }

// Appended implements store.Completion.
func (o simSentWill) Appended(_ uint64, _ store.Position, err error) {
	x := o.x
	if !x.n.up || x.n.c != x.by {
		return // nobody hears it
	}
	if x.n.sending[x.will.id] != x || err != nil && !errors.Is(err, store.ErrAway) {
		x.n.s.failf("node %d: that will %d was sent is told twice, or ended with: %v", x.n.slot, x.will.id, err)
	}
	delete(x.n.sending, x.will.id)
	if err == nil {
		x.will.hasLeft(x.n, x.write)
	}
}

// storeMessage has a message stand in the log of messages, and readers take it for a second copy, or not (again.go).
func (s *sim) storeMessage(l *simLateSend) {
	list := &s.messages[l.queue-simMessages]
	m := l.m
	m.at = s.now
	again := slices.ContainsFunc((*list)[min(m.after, int64(len(*list))):], func(o simMessage) bool { return o.will == m.will && m.again }) ||
		slices.ContainsFunc(*list, func(o simMessage) bool { return o.will == m.will && o.again && s.now.Sub(o.at) < simLateKeys })
	*list = append(*list, m)
	s.note(stepMessage, -1, m.will.client.q, m.will.client.name, m.will.id, int64(bit(m.again)), int64(bit(again)))
	if again {
		s.count.copies++
		return
	}
	m.will.publishedOnce()
}

// deliverLateSend has a message come late, or never.
func (s *sim) deliverLateSend() {
	if len(s.lateSends) == 0 {
		return
	}
	i := s.rng.IntN(len(s.lateSends))
	l := s.lateSends[i]
	s.lateSends = slices.Delete(s.lateSends, i, i+1)
	if s.now.Sub(l.since) < simSendLate && s.rng.IntN(3) > 0 {
		s.storeMessage(&l)
	}
}

// loseWills ends what a process that dies was sending; some of it is on its way.
func (n *simNode) loseWills() {
	for _, x := range n.outbox {
		if n.alive() && n.elapsed() < x.due && n.s.rng.IntN(3) == 0 {
			n.s.lateSends = append(n.s.lateSends, x.copy())
		}
	}
}

// sendAllWills is what nodes do about wills where nothing goes wrong.
func (s *sim) sendAllWills() {
	for _, n := range s.nodes {
		n.sweep()
	}
	s.drain()
	for _, n := range s.nodes {
		for len(n.outbox) > 0 && n.alive() {
			n.sendWill(true)
		}
	}
	s.drain()
}

var (
	_ store.Completion = (*simSending)(nil)
	_ store.Completion = simSentWill{}
)
