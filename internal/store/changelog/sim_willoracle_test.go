package changelog

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// What the oracle knows of wills: which are owed for certain, and which are not, from what nodes were told; and from the log when a client may have been back. Of
// those between, where a node died before it could tell, all that is asked is that they are not published twice.

// simWill is the will of a connection.
type simWill struct {
	id     int64
	client *simClient
	conn   *simConn
	delay  time.Duration // not above the session's expiry

	admitted  bool      // its client got CONNACK
	quiet     bool      // its node was about to say that there is none any more: DISCONNECT, or a stop in good order
	refused   simSent   // its connect, which was refused
	never     string    // why it is not to be published; "": that is not known
	loose     bool      // a part of the log is lost
	due       time.Time // at the earliest, if the session goes on
	owed      time.Time // when it is due, for certain; zero: that is not known
	disturbed bool      // there was another connect that may count before it was due

	published int
}

// willOf is the will that a node speaks of.
func (s *sim) willOf(w *store.Will) *simWill {
	will := s.wills[int64(w.ID)]
	if will == nil {
		s.failf("nobody has a will %+v", w)
	}
	return will
}

// newWill is the will of a CONNECT.
func (s *sim) newWill(conn *simConn) *simWill {
	w := &simWill{id: s.unique(), client: conn.client, conn: conn, due: simNever, loose: conn.client.tainted}
	w.delay = [...]time.Duration{0, 2 * time.Second, 0, 6 * time.Second}[w.id%4]
	if e := conn.client.expiry(); e >= 0 {
		w.delay = min(w.delay, e)
	}
	conn.client.wills = append(conn.client.wills, w)
	s.wills[w.id] = w
	return w
}

// mayBeDue: from then on it may be due, if the session goes on.
func (w *simWill) mayBeDue(at time.Time) {
	if at.Before(w.due) {
		w.due = at
	}
}

// isNever: it is not to be published.
func (w *simWill) isNever(why string) {
	if w.loose {
		return
	}
	if w.published > 0 {
		w.client.s.failf("%s: will %d is published, though %s", w.client.name, w.id, why)
	}
	w.client.s.count.canceled++
	w.never = why
}

// publishedOnce: it is in the log of messages, and readers do not take it for a second copy.
func (w *simWill) publishedOnce() {
	s := w.client.s
	s.count.wills++
	if w.published++; w.loose {
		return
	}
	if w.published > 1 {
		s.failf("%s: will %d is published twice", w.client.name, w.id)
	}
	if w.never != "" {
		s.failf("%s: will %d is published, though %s", w.client.name, w.id, w.never)
	}
	if s.connects[w.refused] == 1 {
		s.failf("%s: will %d is published, though its CONNECT was refused", w.client.name, w.id)
	}
}

// hasLeft: a node was told that it was claimed or sent, so it is no part of its session any more.
func (w *simWill) hasLeft(n *simNode, by simWrite) {
	c := w.client
	seq := n.read(c)
	switch r := &c.regs[regWill]; {
	case r.value == w.id && seq != 0:
		r.counts(by.id, seq)
		c.willSeq = max(c.willSeq, seq)
	case r.allows(w.id): // its connect counted, and nobody was told of that: whether the session has another will by now is not known
	default:
		r.void(by.id)
	}
}

// endsWith is what the end of its connection says of a will: when it is due (store.Change.WillAt).
func (w *simWill) endsWith(quiet, removed bool) (at int64) {
	if w == nil {
		return 0
	}
	now := w.client.s.now
	switch {
	case quiet:
		w.quiet = true
		return 0
	case removed || w.delay == 0:
		w.mayBeDue(now)
		return store.AtOnce
	}
	w.mayBeDue(now.Add(w.delay))
	return now.Add(w.delay).UnixMilli()
}

// ended: what the end of its connection says of it counts.
func (w *simWill) ended(at int64) {
	switch at {
	case 0:
		w.isNever("its client has disconnected, or its node has stopped in good order")
	case store.AtOnce:
		w.owed = w.client.s.now
	default:
		w.owed = time.UnixMilli(at)
	}
}

// refuse: CONNECT was refused, so there is no such will; but a second copy of the connect may count later (TestRefusedAndValidLater).
func (w *simWill) refuse() {
	c := w.client
	if i, ok := c.s.log[c.q].index(w.conn.connectSeq); ok {
		m := &c.s.log[c.q].meta[i]
		w.refused = simSent{m.node, m.number}
	}
}

// willsAtRecord: a record came to stand in the log after which wills may be due, or a client be back.
func (s *sim) willsAtRecord(q int, r *record) {
	switch r.kind {
	case kindConnect:
		s.connects[simSent{r.node, r.seq}]++
		for _, w := range s.client(r.name).wills {
			if t := w.conn.tenure; t != nil && t.connectSeq < s.seq && (w.owed.IsZero() || s.now.Before(w.owed)) {
				w.disturbed = true
			}
		}
	case kindFence:
		for _, c := range s.clients {
			if c.q == q {
				c.willsMayBeDue(binary.BigEndian.Uint64([]byte(r.name)))
			}
		}
	case kindLeft:
		if !isShare(r.name) {
			s.client(r.name).willsMayBeDue(r.node)
		}
	}
}

// admitted: a client gets CONNACK.
func (c *simClient) admitted(conn *simConn) {
	if conn.will == nil {
		return
	}
	conn.will.admitted = true
	for _, m := range c.s.log[c.q].about(c.name, conn.connectSeq, c.s.seq+1) {
		if m.kind == kindConnect {
			conn.will.disturbed = true
		}
	}
}

// willsMayBeDue: a node may have lost the client from now on.
func (c *simClient) willsMayBeDue(node uint64) {
	for _, w := range c.wills {
		if t := w.conn.tenure; t == nil || t.id == node {
			w.mayBeDue(c.s.now.Add(w.delay))
		}
	}
}

// resumed: conn's node was told that it goes on with the session of the connection before. The will of that one is not to be published, if it has a delay that was not over.
func (c *simClient) resumed(conn *simConn, old *store.Session) {
	before, qu := c.before(conn.tenure), &c.s.log[c.q]
	if before == nil || old == nil || conn.clean {
		return
	}
	i, ok := qu.index(conn.connectSeq)
	if _, known := qu.index(before.connectSeq); !ok || !known {
		return
	}
	for _, m := range qu.about(c.name, before.connectSeq, conn.connectSeq) {
		if m.kind == kindConnect {
			return // another connection may have been between them
		}
	}
	for _, w := range c.wills {
		if w.conn.tenure == before && w.admitted && w.delay > 0 && qu.entries[i].Time < w.due.UnixMilli() {
			w.isNever("its client was back before its delay was over")
		}
	}
}

// endedWills is the wills whose connections have ended.
func (s *sim) endedWills() (list []*simWill) {
	for _, c := range s.clients {
		for _, w := range c.wills {
			if w.conn.over {
				list = append(list, w)
			}
		}
	}
	return list
}

// allPublished: of these wills, whose connections have ended long ago, those that are owed for certain were published. They are looked at no more.
func (s *sim) allPublished(list []*simWill) {
	dropped := int64(0)
	for _, n := range s.nodes {
		dropped += n.c.stats.WillsDropped.Load()
	}
	for _, w := range list {
		certain := w.admitted && !w.quiet && !w.loose && w.never == "" && (w.delay == 0 || !w.disturbed)
		if certain && w.published == 0 && dropped == 0 {
			s.failf("%s: will %d is owed, and was not published", w.client.name, w.id)
		}
		if certain {
			s.count.owed++
		}
		w.client.wills = slices.DeleteFunc(w.client.wills, func(o *simWill) bool { return o == w })
	}
}
