package changelog

import (
	"errors"
	"strconv"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// simClient is a client id: the device that has it, and what the oracle knows.
type simClient struct {
	s    *sim
	i, q int
	name string

	// The device.
	conn      *simConn // that it uses; nil: none
	principal int64
	last2     int64              // place of the last message that came at QoS 2
	open      [simIDs + 1]int64  // by packet id: place of one that is not released
	pubs      [simIDs + 1]simPub // what it publishes at QoS 2
	top2      int64              // highest place at QoS 2 that any node thought of

	// The oracle.
	regs      [simParts]register
	tenures   []*simTenure
	seq       int64 // who has read up to there knows all that was told
	willSeq   int64 // and all that was told of wills, by whoever publishes them: that says nothing of who owns the client id
	due       time.Time
	created   int64
	again     bool      // the last connect has found another session, or none
	againSeq  int64     // the last one of which that is so
	resync    bool      // it has found what is left after a part of the log was lost
	foundSeq  int64     // the last connect that has told what the session is
	overAt    time.Time // the last connection to have ended so was to be followed by another one until then
	overSeq   int64     // its Detach
	sent2     int64     // Send2 was told up to there
	cursor    int64
	cursorMax int64
	others    bool // another principal has tried
	tainted   bool
	taintSeq  int64
	wills     []*simWill // of connections that were not looked at since they ended
}

// simPub is a message that the device publishes at QoS 2.
type simPub struct {
	m        int64
	releases bool // PUBREC has come
}

const (
	simData  = store.Queue(7) // of QoS 1
	simData2 = store.Queue(8) // of QoS 2: each client has its own places there
)

var simFilters = [simSubs]string{"a", "b/#", "$share/g/a", "+"}

func (c *simClient) filter(f string) int {
	for i := range simFilters {
		if simFilters[i] == f {
			return i
		}
	}
	c.s.failf("%s has a subscription to %q", c.name, f)
	return 0
}

// expiry is how long its sessions outlive a connection; below 0: for ever.
func (c *simClient) expiry() time.Duration {
	return [...]time.Duration{-1, 5 * time.Second, 40 * time.Second, 0, 300 * time.Second, -1}[c.i%6]
}

func (c *simClient) expirySeconds() uint32 {
	if e := c.expiry(); e >= 0 {
		return uint32(e / time.Second)
	}
	return 0xFFFFFFFF
}

type simState byte

const (
	simJoining simState = iota
	simLive
	simEnding
)

// simConn is a connection, and what the node's session manager would keep of it.
type simConn struct {
	s      *sim
	client *simClient
	n      *simNode

	state     simState
	clean     bool
	announced bool
	kept      bool // something is kept of a new session
	taken     bool
	voided    bool // a change does not count: it is to be told that it is taken
	over      bool // it was abandoned, or its process is dead: nothing is told any more
	principal int64
	will      *simWill // nil: none
	write     int64
	issued    time.Time

	connectSeq int64 // of its connect
	tenure     *simTenure

	cursor   int64
	sent1    int64
	follows  bool
	holds    int // changes that no checkpoint may pass
	next2    int64
	out      [simIDs + 1]simOut
	outOrder []int // packet ids, in the order in which the session had them
	in       [simIDs + 1]simIn
	inbox    []simInput
	under    int // changes of which nothing was told
}

// simOut is an outgoing message of QoS 2; at 0: none.
type simOut struct {
	at       int64
	released bool
	sent     bool // Send2 counts
}

// simIn is an incoming message of QoS 2.
type simIn struct {
	key, m   int64
	received bool
	under    bool // Receive or Receipted was not told
}

// simInput is a packet from the device.
type simInput struct {
	kind byte // below
	id   int
	m    int64
}

const (
	inPublish byte = iota
	inPubrel
	inPubrec
	inPubcomp
)

func (s *sim) write(n *simNode) simWrite {
	s.writes++
	return simWrite{id: s.writes, by: n.c, since: s.now}
}

func (s *sim) unique() int64 {
	s.numbers++
	return s.numbers
}

// connect has a device connect at a node, or go on to do so when it has a connection there.
func (s *sim) connect(c *simClient, n *simNode) {
	if !n.awake() || !n.begun[c.q] {
		return
	}
	if conn := n.conns[c.i]; conn != nil {
		s.clear(conn)
		return
	}
	conn := &simConn{s: s, client: c, n: n, principal: c.principal, issued: s.now}
	if s.oneIn(s.odds.thief) {
		conn.principal, c.others = 3-c.principal, true
	}
	conn.announced = s.oneIn(s.odds.announce)
	conn.clean = conn.announced || s.oneIn(s.odds.clean)
	conn.kept = !conn.announced && (!conn.clean || !s.oneIn(3))
	if conn.kept {
		conn.will = s.newWill(conn)
	}
	n.conns[c.i], c.conn = conn, conn
	s.count.connects++
	w := s.write(n)
	conn.write = w.id
	c.begins(w, conn.clean, conn.kept, conn.principal, conn.willID())
	if conn.announced {
		s.note(stepAnnounce, n.slot, c.q, c.name, conn.principal)
		conn.state = simLive
		n.c.Announce(c.name, strconv.FormatInt(conn.principal, 10))
		return
	}
	s.note(stepConnect, n.slot, c.q, c.name, int64(bit(conn.clean)), conn.principal)
	n.c.Connect(conn.change(), conn.told)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// change is the CONNECT.
func (conn *simConn) change() *store.Change {
	ch := &store.Change{Kind: store.Connect, Client: conn.client.name, Principal: strconv.FormatInt(conn.principal, 10), Clean: conn.clean}
	if conn.kept {
		w := conn.will
		ch.Expiry = conn.client.expirySeconds()
		ch.Will = &store.Will{ID: uint64(w.id), Topic: strconv.FormatInt(w.id, 10), QoS: 1, Delay: uint32(w.delay / time.Second)}
	}
	return ch
}

// willID is the number of its will; 0: it has none.
func (conn *simConn) willID() int64 {
	if conn.will == nil {
		return 0
	}
	return conn.will.id
}

// clear makes room for a new connection of the same client on the same node.
func (s *sim) clear(conn *simConn) {
	switch conn.state {
	case simJoining:
		if s.rng.IntN(8) == 0 {
			s.abandon(conn)
		}
	case simLive:
		s.finish(conn, s.oneIn(2))
	}
}

func (s *sim) abandon(conn *simConn) {
	s.note(stepAbandon, conn.n.slot, conn.client.q, conn.client.name)
	conn.n.c.Abandon(conn.client.name)
	conn.lose()
	conn.end()
}

// lose: the device uses it no longer.
func (conn *simConn) lose() {
	if conn.client.conn == conn {
		conn.client.conn = nil
	}
}

// end: the node forgets it.
func (conn *simConn) end() {
	conn.lose()
	conn.over = true
	if conn.n.conns[conn.client.i] == conn {
		conn.n.conns[conn.client.i] = nil
	}
}

// told is told how connect ended.
func (conn *simConn) told(old *store.Session, err error) {
	s, c := conn.s, conn.client
	if conn.over {
		if conn.n.up && conn.n.conns[c.i] != conn {
			s.failf("%s: node %d is told of a connect that was abandoned, or twice", c.name, conn.n.slot)
		}
		return
	}
	switch {
	case err == nil && conn.state == simJoining:
		s.note(stepJoined, conn.n.slot, c.q, c.name, int64(bit(old != nil)), conn.connectSeq)
		s.count.joined++
		conn.state = simLive
		if c.joined(conn, old) {
			c.resumed(conn, old)
			c.admitted(conn)
			conn.resume(old)
		} else {
			conn.lose()
		}
		return
	case errors.Is(err, store.ErrPrincipal):
		s.note(stepRefused, conn.n.slot, c.q, c.name)
		c.refused(conn)
		if conn.will != nil {
			conn.will.refuse()
		}
		c.void(conn.write)
	case errors.Is(err, store.ErrAway):
		c.void(conn.write)
	case errors.Is(err, store.ErrTaken):
		s.note(stepVoid, conn.n.slot, c.q, c.name, int64(store.Connect))
	default:
		s.failf("%s: node %d is told of its connect, in state %d: %v", c.name, conn.n.slot, conn.state, err)
	}
	conn.end()
}

// resume takes up a session, as the session manager does, and tells the device.
func (conn *simConn) resume(old *store.Session) {
	c := conn.client
	c.principal = conn.principal
	if c.again {
		c.pubs, c.open = [simIDs + 1]simPub{}, [simIDs + 1]int64{}
	}
	if old != nil {
		conn.cursor, conn.sent1, conn.next2 = offsetIn(old.Cursor, simData), offsetIn(old.SentUpTo, simData), offsetIn(old.Sent2, simData2)+1
		c.cursorMax = max(c.cursorMax, conn.cursor)
		if old.Torn {
			conn.sent1 = conn.s.pos
		}
		conn.takeUp(old)
	}
	if c.resync {
		c.resynced(conn)
	}
	if conn.next2 <= 1 { // nothing has begun
		conn.next2 = c.top2 + 1
		c.last2 = c.top2
	}
	conn.again()
}

// takeUp takes up what is on its way.
func (conn *simConn) takeUp(old *store.Session) {
	for i := range old.Inflight {
		if in := &old.Inflight[i]; in.QoS == 2 {
			conn.out[in.PacketID] = simOut{at: in.At.Offset, released: in.Released, sent: true}
			conn.outOrder = append(conn.outOrder, int(in.PacketID))
		}
	}
	for i := range old.Pending {
		r := &old.Pending[i]
		conn.in[r.PacketID] = simIn{key: number(r.Key), m: int64(r.Sum)}
	}
	for _, id := range old.Received {
		conn.in[id] = simIn{key: conn.in[id].key, received: true}
	}
}

// resynced has the device believe what the node says, when a part of the log is lost.
func (c *simClient) resynced(conn *simConn) {
	c.pubs, c.open = [simIDs + 1]simPub{}, [simIDs + 1]int64{}
	for id := range conn.out {
		if o := &conn.out[id]; o.at != 0 && !o.released {
			c.open[id] = o.at
		}
	}
	for id := range conn.in {
		if in := &conn.in[id]; in.received {
			c.pubs[id] = simPub{m: c.s.unique(), releases: true}
		} else if in.key != 0 {
			c.pubs[id] = simPub{m: in.m}
		}
	}
	c.last2 = conn.next2 - 1
}

// again sends what is on its way again, on both sides.
func (conn *simConn) again() {
	c := conn.client
	for _, in := range conn.outOrder {
		if conn.out[in].released {
			c.pubrel(conn, in)
		}
	}
	for _, in := range conn.outOrder {
		if o := &conn.out[in]; !o.released {
			c.publish(conn, in, o.at)
		}
	}
	for id := range c.pubs {
		if p := &c.pubs[id]; p.releases {
			conn.inbox = append(conn.inbox, simInput{inPubrel, id, p.m})
		} else if p.m != 0 {
			conn.inbox = append(conn.inbox, simInput{inPublish, id, p.m})
		}
	}
}
