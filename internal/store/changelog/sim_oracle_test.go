package changelog

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// The oracle knows nothing of records, bases and heads. It knows what nodes were told, and the order in which records came to stand in the log; from that it
// says what a session may be (register), who may make steps (simTenure), and what a device may see (device.go).

// register is one part of a session: what it was at last for certain, and what it may be since then.
type register struct {
	value int64
	seq   int64 // of the record that made it so
	maybe []simWrite
}

// simWrite is a change of which it is not known whether it counts.
type simWrite struct {
	id    int64
	value int64
	by    *Changelog
	stays bool  // a connect: it may count whoever else is told something meanwhile
	leave int64 // of a claim: the will that leaves the session by it; as long as that may be there, it may count, the same
	since time.Time
}

func (r *register) issue(w simWrite, value int64) {
	w.value = value
	r.maybe = append(r.maybe, w)
}

// counts: w is in the log at seq, and what was issued before it is not going to come.
func (r *register) counts(id, seq int64) {
	for i := range r.maybe {
		if r.maybe[i].id != id {
			continue
		}
		if seq >= r.seq {
			r.value, r.seq = r.maybe[i].value, seq
			rest := r.maybe[i+1:]
			r.maybe = append(r.keep(r.maybe[:i], nil), rest...)
		} else {
			r.maybe = append(r.maybe[:i], r.maybe[i+1:]...)
		}
		return
	}
}

// void: w does not count.
func (r *register) void(id int64) {
	for i := range r.maybe {
		if r.maybe[i].id == id {
			r.maybe = append(r.maybe[:i], r.maybe[i+1:]...)
			return
		}
	}
}

// is: a new owner has found value. What it has changed itself before may still come.
func (r *register) is(value, seq int64, by *Changelog) {
	r.value, r.seq = value, seq
	r.maybe = r.keep(r.maybe, by)
}

// keep is those of list that may still count, now that value does.
func (r *register) keep(list []simWrite, by *Changelog) []simWrite {
	var out []simWrite
	for _, w := range list {
		if w.stays || by != nil && w.by == by || w.leave != 0 && r.allows(w.leave) {
			out = append(out, w)
		}
	}
	return out
}

func (r *register) allows(value int64) bool {
	if r.value == value {
		return true
	}
	for i := range r.maybe {
		if r.maybe[i].value == value {
			return true
		}
	}
	return false
}

// forget drops writes that have not come for so long that they will not.
func (r *register) forget(before time.Time) {
	for len(r.maybe) > 0 && r.maybe[0].since.Before(before) {
		r.maybe = r.maybe[1:]
	}
}

// Parts of a session.
const (
	simSubs  = 4 // filters
	simIDs   = 4 // packet ids, from 1 on
	regWho   = 0 // principal; 0: there is no session
	regSubs  = 1 // Subscription.ID; 0: none
	regOut   = regSubs + simSubs
	regIn    = regOut + simIDs // key of what is pending; -1: received
	regWill  = regIn + simIDs  // its number
	simParts = regWill + 1
)

type simParted [simParts]int64

func (p *simParted) String() string {
	return fmt.Sprintf("who %d, subscriptions %v, out %v, in %v, will %d",
		p[regWho], p[regSubs:regOut], p[regOut:regIn], p[regIn:regWill], p[regWill])
}

// parted takes a session apart.
func parted(c *simClient, s *store.Session) (p simParted) {
	if s == nil {
		return p
	}
	p[regWho] = number(s.Principal)
	for i := range s.Subscriptions {
		p[regSubs+int64(c.filter(s.Subscriptions[i].Filter))] = int64(s.Subscriptions[i].ID)
	}
	for i := range s.Inflight {
		if in := &s.Inflight[i]; in.QoS == 2 {
			v := in.At.Offset * 2
			if in.Released {
				v++
			}
			p[regOut+int(in.PacketID)-1] = v
		}
	}
	for i := range s.Pending {
		p[regIn+int(s.Pending[i].PacketID)-1] = number(s.Pending[i].Key)
	}
	for _, id := range s.Received {
		p[regIn+int(id)-1] = -1
	}
	if s.Will != nil {
		p[regWill] = number(s.Will.Topic)
	}
	return p
}

func number(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -999
	}
	return v
}

// reset has a write end the whole session.
func (c *simClient) reset(w simWrite) {
	for i := range c.regs {
		c.regs[i].issue(w, 0)
	}
}

// begins has a connect that is clean, or not, maybe begin a session.
func (c *simClient) begins(w simWrite, clean, kept bool, principal, will int64) {
	w.stays = true
	if clean && c.mayBelong(principal) {
		c.reset(w)
	}
	if kept {
		c.regs[regWho].issue(w, principal)
		c.regs[regWill].issue(w, will)
	}
}

// mayBelong says whether there may be no session now that is not this principal's.
func (c *simClient) mayBelong(principal int64) bool {
	return c.mayBeGone() || c.regs[regWho].allows(principal)
}

func (c *simClient) void(id int64) {
	for i := range c.regs {
		c.regs[i].void(id)
	}
}

func (c *simClient) counts(id, seq int64) {
	for i := range c.regs {
		c.regs[i].counts(id, seq)
	}
}

// mayBeGone says whether there may be no session now.
func (c *simClient) mayBeGone() bool {
	return c.tainted || c.regs[regWho].allows(0) || !c.s.now.Before(c.due)
}

// check: somebody has found p, and knew all that anybody was told.
func (c *simClient) check(p *simParted, will bool, where string) {
	if c.tainted {
		return
	}
	if *p == (simParted{}) && c.mayBeGone() {
		return
	}
	empty := simParted{regWho: p[regWho], regWill: p[regWill]}
	if *p == empty && !c.s.now.Before(c.due) { // its time was over, and another one began
		return
	}
	for i := range c.regs {
		if i == regWill && !will {
			continue
		}
		c.regs[i].forget(c.s.now.Add(-2 * lateAtMost))
		if !c.regs[i].allows(p[i]) {
			c.s.failf("%s: the session of %s is {%v}: part %d should be %d (as of %d), or one of %v", where, c.name, p, i, c.regs[i].value, c.regs[i].seq, c.regs[i].maybe)
		}
	}
}

// adopt: what a session is for certain.
func (c *simClient) adopt(p *simParted, seq int64, by *Changelog) {
	for i := range c.regs {
		c.regs[i].is(p[i], seq, by)
	}
}

// taint: records about the client are lost, of which nodes were told. What of them comes again is up to who is first.
func (c *simClient) taint(seq int64) {
	c.tainted, c.taintSeq = true, seq
	for _, t := range c.tenures {
		t.loose = true
	}
	c.tenures = nil
	for _, w := range c.wills {
		w.loose = true
	}
}

// simTenure is the time in which a node owns a client id.
type simTenure struct {
	node       int
	id         uint64 // that the node has there
	connectSeq int64
	lastStep   int64
	sent1      int64 // the highest place that the device saw at QoS 1
	deadSeq    int64 // the fence of its node
	loose      bool  // a part of the log is lost
}

// before is who owned the client id before; nil: that is not known.
func (c *simClient) before(t *simTenure) (before *simTenure) {
	for _, o := range c.tenures {
		if o.connectSeq < t.connectSeq && (before == nil || o.connectSeq > before.connectSeq) {
			before = o
		}
	}
	return before
}

// step: a change of the owner counts, at seq.
func (c *simClient) step(t *simTenure, seq int64) {
	t.lastStep = max(t.lastStep, seq)
	if t.loose {
		return
	}
	if t.deadSeq != 0 && seq > t.deadSeq {
		c.s.failf("%s: node %d makes a step at %d, though it was fenced at %d", c.name, t.node, seq, t.deadSeq)
	}
	for _, o := range c.tenures {
		c.exclusive(t, o)
		c.exclusive(o, t)
	}
}

// exclusive: b has not begun between the begin of a and a step of it.
func (c *simClient) exclusive(a, b *simTenure) {
	if a != b && a.connectSeq < b.connectSeq && b.connectSeq < a.lastStep {
		c.s.failf("%s: node %d owns it since %d and makes a step at %d, but node %d owns it since %d", c.name, a.node, a.connectSeq, a.lastStep, b.node, b.connectSeq)
	}
}

func (t *simTenure) fenced(s *sim, seq int64) {
	t.deadSeq = seq
	if t.lastStep > seq && !t.loose {
		s.failf("node %d has made a step at %d, though it was fenced at %d", t.node, t.lastStep, seq)
	}
}

// joined: a node was told that it owns the client id. It returns false when that is known to be over already.
func (c *simClient) joined(conn *simConn, old *store.Session) bool {
	s, n := c.s, conn.n
	if conn.connectSeq == 0 {
		s.failf("%s: node %d owns it without having read that", c.name, n.slot)
	}
	t := &simTenure{node: n.slot, id: s.writer(c.q, conn.connectSeq), connectSeq: conn.connectSeq, lastStep: conn.connectSeq}
	conn.tenure = t
	stale := false
	for _, o := range c.tenures {
		c.exclusive(t, o)
		c.exclusive(o, t)
		stale = stale || o.connectSeq > t.connectSeq
	}
	if c.tenures = append(c.tenures, t); len(c.tenures) > 16 {
		c.tenures = c.tenures[1:]
	}
	stale = stale || n.seen[c.q] < c.seq // somebody was told of what this node has not read
	if conn.connectSeq <= c.taintSeq {   // that it stands there may be lost
		t.loose, stale = true, true
	}
	if stale {
		c.sent2, c.cursor = 0, 0 // it may have begun another session
		return false             // somebody was told more, and this one does not count any more
	}
	c.seq, c.foundSeq = max(c.seq, n.seen[c.q]), conn.connectSeq
	c.found(conn, old)
	c.tainted = c.tainted && !c.s.calmed // who repairs what, and when, is not foreseen
	c.due = simNever
	if e := c.expiry(); e >= 0 {
		c.due = conn.issued.Add(e)
	}
	return true
}

// found: conn's node has found old, and knew all that was told.
func (c *simClient) found(conn *simConn, old *store.Session) {
	if conn.clean && old != nil {
		c.s.failf("%s: a clean connect found %+v", c.name, old)
	}
	p := parted(c, old)
	where := fmt.Sprintf("node %d, told by connect", conn.n.slot)
	if !conn.clean {
		if old != nil && p[regWho] != conn.principal {
			c.s.failf("%s: %d was given the session of %d", c.name, conn.principal, p[regWho])
		}
		if old != nil && old.Created != c.created && !c.mayBeGone() && !c.tainted {
			c.s.failf("%s: %s: the session began at %d, but there was one since %d", where, c.name, old.Created, c.created)
		}
		c.check(&p, false, where)
		c.checkNumbers(conn, old)
		c.notOver(conn, old)
		c.handedOver(conn, old)
	}
	c.resync = c.tainted && old != nil
	c.again = !c.resync && (old == nil || old.Created != c.created)
	if c.again || c.resync {
		c.sent2, c.cursor = 0, 0
	}
	if c.again {
		c.againSeq = conn.connectSeq
	}
	if old != nil {
		c.created = old.Created
	} else {
		c.created = c.s.createdAt(c, conn.n)
	}
	p[regWill] = 0
	if old != nil || conn.kept {
		p[regWho], p[regWill] = conn.principal, conn.willID()
	}
	c.void(conn.write)
	c.adopt(&p, c.seq, conn.n.c)
}

// createdAt is when the session that a node has began.
func (s *sim) createdAt(c *simClient, n *simNode) int64 {
	sess, err := n.c.Load(c.name)
	if err != nil {
		s.failf("node %d cannot load %s: %v", n.slot, c.name, err)
	}
	if sess == nil {
		return 0
	}
	return sess.Created
}

// checkNumbers: what only grows.
func (c *simClient) checkNumbers(conn *simConn, old *store.Session) {
	if old == nil || old.Created != c.created || c.tainted {
		return
	}
	if at := offsetIn(old.Sent2, simData2); at < c.sent2 {
		c.s.failf("%s: Sent2 is %d, but %d was begun", c.name, at, c.sent2)
	}
	if at := offsetIn(old.Cursor, simData); at < c.cursor || at > c.cursorMax && c.taintSeq == 0 {
		c.s.failf("%s: the cursor is %d, it should be from %d to %d", c.name, at, c.cursor, c.cursorMax)
	}
	if before := c.before(conn.tenure); before != nil && !old.Torn && offsetIn(old.SentUpTo, simData) < before.sent1 {
		c.s.failf("%s: the device has seen %d at QoS 1, but up to %d is said to have been sent, for certain", c.name, before.sent1, offsetIn(old.SentUpTo, simData))
	}
}

func offsetIn(ps []store.Position, q store.Queue) int64 {
	for _, p := range ps {
		if p.Queue == q {
			return p.Offset
		}
	}
	return 0
}

// lookAt checks a session that a node has, where it knows all that was told.
func (s *sim) lookAt(n *simNode, c *simClient) {
	if n.seen[c.q] < c.seq || !n.compared[c.q] || !n.begun[c.q] || c.tainted {
		return
	}
	sess, err := n.c.Load(c.name)
	if err != nil {
		s.failf("node %d cannot load %s: %v", n.slot, c.name, err)
	}
	p := parted(c, sess)
	c.check(&p, n.seen[c.q] >= c.willSeq, fmt.Sprintf("node %d, loaded", n.slot))
}

// mayExpire: a node that knows all is about to end the session, since its time is over.
func (s *sim) mayExpire(n *simNode, c *simClient) {
	if n.seen[c.q] >= c.seq && n.compared[c.q] && !c.tainted && s.now.Before(c.due) {
		s.failf("node %d ends the session of %s, whose time is over at %v, not %v", n.slot, c.name, c.due.Sub(simEpoch), s.now.Sub(simEpoch))
	}
}

// refused: a connect was told that the session is somebody else's.
func (c *simClient) refused(conn *simConn) {
	if !c.tainted && !c.others {
		c.s.failf("%s: %d is told that its session is somebody else's", c.name, conn.principal)
	}
	c.principal = 3 - conn.principal
}

var simNever = time.UnixMilli(math.MaxInt32 * 10000)

// isTold says what a completion's error means: known is false when it says nothing.
func isTold(err error) (counts, known bool) {
	if err == nil {
		return true, true
	}
	return false, errors.Is(err, store.ErrTaken) || errors.Is(err, store.ErrAway)
}
