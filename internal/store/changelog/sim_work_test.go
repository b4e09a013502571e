package changelog

import (
	"strconv"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// simDone is told how a change ended.
type simDone struct {
	s       *sim
	n       *simNode
	c       *simClient
	conn    *simConn // nil: no owner made it
	kind    store.ChangeKind
	write   simWrite
	due     time.Time // of Detach: when the session ends
	value   int64     // of Send2 the place, of Progress and Detach the cursor
	willAt  int64     // of Detach and Remove, see store.Change
	holds   bool
	outside bool
	then    func()
	told    bool
}

// Appended implements store.Completion.
func (d *simDone) Appended(_ uint64, _ store.Position, err error) {
	if !d.n.up {
		return // nobody hears it
	}
	if d.told {
		d.s.failf("%s: a change of kind %d is told twice", d.c.name, d.kind)
	}
	d.told = true
	counts, known := isTold(err)
	if !known {
		d.s.failf("%s: a change of kind %d ended with: %v", d.c.name, d.kind, err)
	}
	if conn := d.conn; conn != nil {
		conn.under--
		if d.holds {
			conn.holds--
		}
	}
	if counts {
		d.counts()
	} else {
		d.s.note(stepVoid, d.n.slot, d.c.q, d.c.name, int64(d.kind))
		if !d.c.tainted {
			d.c.void(d.write.id)
		}
		if d.conn != nil && !d.conn.taken {
			d.conn.voided = true
		}
	}
	if d.kind == store.Detach || d.kind == store.Remove {
		if d.conn != nil {
			d.conn.end()
		}
	} else if counts && d.then != nil && !d.conn.over {
		d.then()
	}
}

// counts: it is in the log.
func (d *simDone) counts() {
	c, seq := d.c, d.n.read(d.c)
	d.s.note(stepTold, d.n.slot, c.q, c.name, int64(d.kind), seq)
	if d.conn != nil && d.conn.taken && (d.kind == store.Detach || d.kind == store.Remove) {
		return // whether it was handed over is not said
	}
	if d.conn != nil && d.conn.announced && !d.conn.kept && seq == 0 {
		return
	}
	if seq == 0 {
		c.s.failf("%s: node %d is told that a change of kind %d counts, but its record was not read", c.name, d.n.slot, d.kind)
	}
	if d.conn != nil && d.conn.over {
		return // it may be about a session that is not any more, and does nothing then
	}
	c.counts(d.write.id, seq)
	c.seq = max(c.seq, seq)
	if d.conn == nil || d.conn.tenure == nil {
		return
	}
	c.step(d.conn.tenure, seq)
	if c.tainted || d.conn.tenure.loose || seq < c.foundSeq {
		return
	}
	if e := c.expiry(); e >= 0 && !d.conn.over && d.conn.state == simLive {
		if at := d.write.since.Add(e); at.After(c.due) {
			c.due = at
		}
	}
	if d.kind == store.Detach {
		c.detached(seq, d.due)
	}
	if w := d.conn.will; w != nil && (d.kind == store.Detach || d.kind == store.Remove) {
		w.ended(d.willAt)
	}
	switch d.kind {
	case store.Send2:
		c.sent2 = max(c.sent2, d.value)
	case store.Progress, store.Detach:
		c.cursor = max(c.cursor, d.value)
	}
}

// change hands a change to the node.
func (n *simNode) change(ch *store.Change, d *simDone) {
	n.s.note(stepChange, n.slot, d.c.q, d.c.name, int64(ch.Kind), d.value, d.write.id)
	n.s.count.changes++
	n.c.Change(ch, d, 0)
}

// makes hands a change of the session to the node; it makes a part of the session value.
func (conn *simConn) makes(part int, value int64, ch *store.Change, then func()) {
	d := &simDone{s: conn.s, n: conn.n, c: conn.client, conn: conn, kind: ch.Kind, write: conn.s.write(conn.n), then: then}
	if ch.Kind == store.Send2 {
		d.value = value / 2
	}
	if part >= 0 {
		conn.client.regs[part].issue(d.write, value)
	}
	conn.under++
	conn.n.change(ch, d)
}

func (conn *simConn) ch(k store.ChangeKind) *store.Change {
	return &store.Change{Kind: k, Client: conn.client.name}
}

// work has a connection do something.
func (conn *simConn) work() {
	s := conn.s
	if conn.state != simLive || conn.taken || conn.voided || !conn.kept {
		return
	}
	switch s.rng.IntN(10) {
	case 0:
		conn.subscribe()
	case 1, 2:
		conn.send2()
	case 3, 4, 5:
		conn.hear()
	case 6, 7:
		conn.client.publishes(conn)
	case 8:
		conn.send1()
	case 9:
		conn.progress()
	}
}

func (conn *simConn) subscribe() {
	f := conn.s.rng.IntN(simSubs)
	if conn.s.rng.IntN(3) == 0 {
		ch := conn.ch(store.Unsubscribe)
		ch.Subscription.Filter = simFilters[f]
		conn.makes(regSubs+f, 0, ch, nil)
		return
	}
	ch := conn.ch(store.Subscribe)
	id := conn.s.unique()
	ch.Subscription = store.Subscription{Filter: simFilters[f], QoS: 1, ID: uint32(id)}
	conn.makes(regSubs+f, id, ch, nil)
}

// send2 begins to send a message at QoS 2, once that it has begun is in the log.
func (conn *simConn) send2() {
	id := 1 + conn.s.rng.IntN(simIDs)
	if conn.out[id].at != 0 {
		return
	}
	at := conn.next2
	conn.next2++
	conn.client.top2 = max(conn.client.top2, at)
	conn.out[id] = simOut{at: at}
	ch := conn.ch(store.Send2)
	ch.Inflight = []store.Inflight{{PacketID: uint16(id), QoS: 2, At: store.Position{Queue: simData2, Offset: at}}}
	conn.makes(regOut+id-1, at*2, ch, func() {
		conn.out[id].sent = true
		conn.s.count.steps2++
		conn.client.publish(conn, id, at)
	})
}

// publish is a PUBLISH of QoS 2 that comes to the device.
func (c *simClient) publish(conn *simConn, id int, at int64) {
	if c.conn != conn || conn.tenure.connectSeq < c.againSeq { // of a session that is over, though its node does not know that yet
		return
	}
	switch {
	case c.tainted:
		c.open[id], c.last2 = at, max(c.last2, at)
	case c.open[id] == at:
	case c.open[id] != 0:
		c.s.failf("%s: message %d came under packet id %d, which message %d still has", c.name, at, id, c.open[id])
	case at <= c.last2:
		c.s.failf("%s: message %d came again, or out of order; the last one was %d", c.name, at, c.last2)
	case at != c.last2+1:
		c.s.failf("%s: message %d came after %d: what is between is lost", c.name, at, c.last2)
	default:
		c.open[id], c.last2 = at, at
		c.s.count.delivered++
	}
	conn.inbox = append(conn.inbox, simInput{inPubrec, id, at})
}

func (c *simClient) pubrel(conn *simConn, id int) {
	if c.conn == conn {
		c.open[id] = 0
		conn.inbox = append(conn.inbox, simInput{inPubcomp, id, 0})
	}
}

// publishes has the device publish at QoS 2.
func (c *simClient) publishes(conn *simConn) {
	id := 1 + c.s.rng.IntN(simIDs)
	if c.conn != conn || c.pubs[id].m != 0 {
		return
	}
	c.pubs[id] = simPub{m: c.s.unique()}
	conn.inbox = append(conn.inbox, simInput{inPublish, id, c.pubs[id].m})
}

// hear takes a packet from the device.
func (conn *simConn) hear() {
	if len(conn.inbox) == 0 {
		return
	}
	p := conn.inbox[0]
	conn.inbox = conn.inbox[1:]
	switch p.kind {
	case inPublish:
		conn.receive(p.id, p.m)
	case inPubrel:
		conn.release(p.id)
	case inPubrec:
		conn.pubrec(p.id, p.m)
	case inPubcomp:
		conn.pubcomp(p.id)
	}
}

func (conn *simConn) receive(id int, m int64) {
	in := &conn.in[id]
	switch {
	case in.received:
		conn.client.pubrec(conn, id)
	case in.under:
	case in.key != 0:
		if in.m != m {
			conn.s.failf("%s: message %d comes under packet id %d, which %d still has", conn.client.name, m, id, in.m)
		}
		conn.stored(id)
	default:
		*in = simIn{key: conn.s.unique(), m: m, under: true}
		ch := conn.ch(store.Receive)
		ch.Receipt = store.Receipt{PacketID: uint16(id), Key: strconv.FormatInt(in.key, 10), Sum: uint64(m)}
		conn.makes(regIn+id-1, in.key, ch, func() { conn.stored(id) })
	}
}

// stored has the message stored under its key, if it is not, and says so.
func (conn *simConn) stored(id int) {
	in := &conn.in[id]
	s := conn.s
	if key := s.stored[in.m]; key != 0 && key != in.key && !conn.client.tainted && !conn.tenure.loose {
		s.failf("%s: message %d is stored twice", conn.client.name, in.m)
	}
	s.stored[in.m] = in.key
	in.under = true
	ch := conn.ch(store.Receipted)
	ch.PacketID = uint16(id)
	conn.makes(regIn+id-1, -1, ch, func() {
		in.received, in.under = true, false
		conn.s.count.steps2++
		conn.client.pubrec(conn, id)
	})
}

// pubrec is a PUBREC that comes to the device.
func (c *simClient) pubrec(conn *simConn, id int) {
	p := &c.pubs[id]
	if c.conn != conn || p.m == 0 {
		return
	}
	if c.s.stored[p.m] == 0 {
		c.s.failf("%s: message %d is acknowledged and was not stored", c.name, p.m)
	}
	p.releases = true
	conn.inbox = append(conn.inbox, simInput{inPubrel, id, p.m})
}

func (conn *simConn) release(id int) {
	if conn.in[id].under {
		return
	}
	conn.in[id] = simIn{under: true}
	ch := conn.ch(store.Release)
	ch.PacketID = uint16(id)
	conn.makes(regIn+id-1, 0, ch, func() {
		conn.in[id] = simIn{}
		if c := conn.client; c.conn == conn && c.pubs[id].releases {
			c.pubs[id] = simPub{}
		}
	})
}

func (conn *simConn) pubrec(id int, at int64) {
	o := &conn.out[id]
	if o.at != at || o.released || !o.sent {
		return
	}
	o.released = true
	ch := conn.ch(store.Pubrec)
	ch.Inflight = []store.Inflight{{PacketID: uint16(id), QoS: 2}}
	conn.makes(regOut+id-1, o.at*2+1, ch, func() {
		conn.s.count.steps2++
		conn.client.pubrel(conn, id)
	})
}

func (conn *simConn) pubcomp(id int) {
	if !conn.out[id].released {
		return
	}
	conn.out[id] = simOut{}
	ch := conn.ch(store.Done2)
	ch.Inflight = []store.Inflight{{PacketID: uint16(id), QoS: 2}}
	conn.makes(regOut+id-1, 0, ch, nil)
}

// send1 sends a message at QoS 1: nothing is written before.
func (conn *simConn) send1() {
	conn.s.pos++
	if conn.client.conn == conn {
		conn.sent1 = conn.s.pos
		conn.tenure.sent1 = conn.s.pos
	}
}

// progress writes where the session is.
func (conn *simConn) progress() {
	if conn.client.conn == conn {
		conn.moveTo(conn.s.pos)
	}
	ch := conn.ch(store.Progress)
	ch.Cursor = []store.Position{{Queue: simData, Offset: conn.cursor}}
	ch.Follows = conn.s.rng.IntN(2) == 0 && conn.cursor >= conn.n.vector
	d := &simDone{s: conn.s, n: conn.n, c: conn.client, conn: conn, kind: ch.Kind, write: conn.s.write(conn.n), value: conn.cursor}
	if conn.follows && !ch.Follows { // no checkpoint may pass it until this counts
		d.holds = true
		conn.holds++
	}
	conn.follows = ch.Follows
	conn.under++
	conn.n.change(ch, d)
}

// moveTo: the session has dealt with everything up to there.
func (conn *simConn) moveTo(at int64) {
	conn.cursor = max(conn.cursor, at)
	conn.client.cursorMax = max(conn.client.cursorMax, conn.cursor)
}

// checkpoint has a node say how far its sessions are that keep up.
func (n *simNode) checkpoint() {
	at := n.s.pos
	for _, conn := range n.conns {
		if conn == nil || !conn.follows && conn.holds == 0 {
			continue
		}
		if conn.client.conn != conn || conn.holds > 0 || conn.state != simLive {
			at = min(at, conn.cursor)
		}
	}
	if at <= n.vector {
		return
	}
	n.vector = at
	for _, conn := range n.conns {
		if conn != nil && conn.follows && conn.holds == 0 {
			conn.moveTo(at)
		}
	}
	n.c.Change(&store.Change{Kind: store.Checkpoint, Cursor: []store.Position{{Queue: simData, Offset: at}}}, nil, 0)
}

// finish ends a connection. quiet: its will is none any more.
func (s *sim) finish(conn *simConn, quiet bool) {
	conn.state = simEnding
	conn.lose()
	c := conn.client
	ch := conn.ch(store.Detach)
	d := &simDone{s: s, n: conn.n, c: c, conn: conn, write: s.write(conn.n), value: conn.cursor}
	e := c.expiry()
	if conn.announced || !conn.kept || e == 0 || s.rng.IntN(10) == 0 {
		ch = conn.ch(store.Remove)
		if conn.will.endsWith(quiet, true) != 0 {
			ch.WillAt = store.AtOnce
		}
		if conn.owned() || c.taintSeq != 0 {
			c.reset(d.write)
		}
	} else {
		ch.Cursor = []store.Position{{Queue: simData, Offset: conn.cursor}}
		ch.SentUpTo = []store.Position{{Queue: simData, Offset: conn.sent1}}
		ch.Expiry = c.expirySeconds()
		if e > 0 {
			at := s.now.Add(e)
			ch.ExpiresAt = at.UnixMilli()
			d.due = at
			if conn.owned() && at.Before(c.due) {
				c.due = at
			}
		}
		if ch.WillAt = conn.will.endsWith(quiet, false); ch.WillAt == 0 || ch.WillAt == store.AtOnce {
			c.regs[regWill].issue(d.write, 0)
		}
	}
	d.kind, d.willAt = ch.Kind, ch.WillAt
	d.holds = conn.follows
	if conn.follows {
		conn.holds++
	}
	conn.under++
	conn.n.change(ch, d)
}

// owned says that it may still be the owner, and may have been at all.
func (conn *simConn) owned() bool {
	c := conn.client
	if conn.taken {
		return false
	}
	for _, t := range c.tenures {
		if conn.tenure != nil && t.connectSeq > conn.tenure.connectSeq {
			return false
		}
	}
	return c.mayBelong(conn.principal)
}

var _ store.Completion = (*simDone)(nil)
