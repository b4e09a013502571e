package changelog

import (
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// heal lets nothing more go wrong for a while, and looks whether all comes to a good end.
func (s *sim) heal() {
	s.note(stepHeal, -1, 0, "")
	ended := s.endedWills()
	for _, n := range s.nodes {
		n.pause(0)
		n.cut = [simQueues]bool{}
		if !n.up {
			s.start(n, n.fs, 1)
		}
	}
	s.calm(20*time.Second, true)
	s.allPublished(ended)
	s.calmed = true
	defer func() { s.calmed = false }()
	s.allEnded()
	for _, c := range s.clients {
		s.clearAll(c)
	}
	s.calm(2*time.Second, true)
	s.allConnect()
	s.sharesWhole()
	s.agree()
	s.fromNothing()
	switch s.rng.IntN(4) {
	case 0, 1:
		s.expireAll()
	case 2:
		s.long()
	}
	s.count.healed++
}

// calm is some time in which all nodes do what they have to at once. ends: connections that are taken, or that no device uses, end.
func (s *sim) calm(d time.Duration, ends bool) {
	for i, end := 0, s.now.Add(d); s.now.Before(end); i++ {
		s.now = s.now.Add(100 * time.Millisecond)
		for _, n := range s.nodes {
			n.c.Tick()
		}
		s.drain()
		for _, n := range s.nodes {
			for _, conn := range n.conns {
				if conn != nil && conn.state == simLive && (conn.taken || ends && conn.client.conn != conn) {
					s.finish(conn, s.oneIn(2))
				}
			}
		}
		s.drain()
		if i%5 == 0 {
			s.sendAllWills()
		}
	}
}

// clearAll ends the connections of a client.
func (s *sim) clearAll(c *simClient) {
	for _, n := range s.nodes {
		if conn := n.conns[c.i]; conn != nil && conn.state == simLive {
			s.finish(conn, s.oneIn(2))
		}
	}
}

// allEnded: everybody was told of everything, and who believes to own a client id does.
func (s *sim) allEnded() {
	for _, c := range s.clients {
		var live *simConn
		for _, n := range s.nodes {
			conn := n.conns[c.i]
			if conn == nil {
				continue
			}
			if conn.state != simLive || conn.under > 0 || conn.voided {
				s.failf("%s: node %d was not told in time: state %d, %d changes, void %v; %s", c.name, n.slot, conn.state, conn.under, conn.voided, n.chainOf(c))
			}
			if live != nil {
				s.failf("%s: nodes %d and %d both serve it", c.name, live.n.slot, n.slot)
			}
			live = conn
		}
		h, err := s.nodes[0].c.headOf(c.name)
		if err != nil {
			s.failf("%v", err)
		}
		switch {
		case live == nil && h.owner != 0:
			s.failf("%s: node id %d owns it and serves nobody; %s", c.name, h.owner, s.whoIs(h.owner, c))
		case live != nil && h.owner != live.n.c.nodes[c.q]:
			s.failf("%s: node %d, id %d, serves it, but %d owns it; %s", c.name, live.n.slot, live.n.c.nodes[c.q], h.owner, live.n.chainOf(c))
		}
	}
}

// chainOf tells what a node has to do with a client.
func (n *simNode) chainOf(c *simClient) string {
	ch := n.c.chains[c.name]
	if ch == nil {
		return "nothing is under way"
	}
	return fmt.Sprintf("role %d, %d changes queued, under way %+v, final %v, head %+v, ready %v", ch.role, len(ch.queued), ch.under, ch.final != nil, ch.head, n.c.ready)
}

// whoIs tells what the node with this id has to do with a client.
func (s *sim) whoIs(id uint64, c *simClient) string {
	for _, n := range s.nodes {
		if n.c.nodes[c.q] == id {
			return fmt.Sprintf("that is node %d: %s", n.slot, n.chainOf(c))
		}
	}
	p := s.nodes[0].c.queues[c.q].peers[id]
	return fmt.Sprintf("that is nobody: %+v", p)
}

// allConnect: every client gets a connection, within twice the time to hand over.
func (s *sim) allConnect() {
	thief, clean, announce := s.odds.thief, s.odds.clean, s.odds.announce
	s.odds.thief, s.odds.clean, s.odds.announce = 0, 0, 0
	for range 2 { // once on a free client id, once on one that another node owns
		for _, c := range s.clients {
			n := s.node()
			if c.conn != nil && c.conn.n == n {
				continue
			}
			if n.conns[c.i] != nil {
				s.failf("%s: node %d has a connection that does not end", c.name, n.slot)
			}
			s.connect(c, n)
		}
		s.drain()
		for _, c := range s.clients { // what was taken for the principal may not have been it
			if c.conn == nil {
				s.connect(c, s.node())
			}
		}
		s.calm(2500*time.Millisecond, true)
		for _, c := range s.clients {
			if c.conn == nil || c.conn.state != simLive {
				var all string
				for _, n := range s.nodes {
					all += fmt.Sprintf("\nnode %d: %s", n.slot, n.chainOf(c))
				}
				s.failf("%s: it does not get a connection (%+v)%s", c.name, c.conn, all)
			}
		}
		s.allEnded()
	}
	s.odds.thief, s.odds.clean, s.odds.announce = thief, clean, announce
}

// expireAll: sessions end when their time is over.
func (s *sim) expireAll() {
	for _, c := range s.clients {
		s.clearAll(c)
	}
	s.calm(time.Second, true)
	for range 4 {
		s.calm(5*time.Second, true)
		s.now = s.now.Add(100 * time.Second)
		s.calm(5*time.Second, true) // who was not heard of for so long is fenced, perhaps
		for range simClients {
			for _, n := range s.nodes {
				n.expire()
			}
			s.drain()
		}
	}
	for _, c := range s.clients {
		sess, err := s.nodes[0].c.Load(c.name)
		if err != nil {
			s.failf("%v", err)
		}
		if sess != nil && c.expiry() >= 0 {
			s.failf("%s: its time is over, and nobody ends it: %+v", c.name, sess)
		}
	}
	s.agree()
}

// long is a long time in which nothing goes wrong: what is old is written again, and dropped.
func (s *sim) long() {
	for range 6 {
		for end := s.now.Add(simRetention / 5); s.now.Before(end); s.now = s.now.Add(4 * time.Second) {
			for _, n := range s.nodes {
				n.c.Tick()
			}
			s.drain()
		}
		s.trim()
	}
	s.agree()
	s.fromNothing()
}

// fromNothing: a node that begins with nothing has what the others have.
func (s *sim) fromNothing() {
	n := &simNode{s: s, slot: len(s.nodes)}
	s.start(n, vfs.NewCrashableMem(), 0)
	for q := range simQueues {
		s.read(n, q, 1<<20)
	}
	s.agreeAmong(append(slices.Clone(s.nodes), n))
	s.end(n)
}

// agree: nodes that have read the same have the same.
func (s *sim) agree() { s.agreeAmong(s.nodes) }

func (s *sim) agreeAmong(nodes []*simNode) {
	for q := range simQueues {
		for i, n := range nodes {
			for _, m := range nodes[:i] {
				if s.comparable(n, q) && s.comparable(m, q) && n.seen[q] == m.seen[q] {
					s.same(n, m, q)
					break
				}
			}
		}
	}
}

func (s *sim) comparable(n *simNode, q int) bool {
	return n.up && n.compared[q] && n.begun[q]
}

func (s *sim) same(n, m *simNode, q int) {
	s.sameShares(n, m, q)
	for _, c := range s.clients {
		if c.q != q {
			continue
		}
		if a, b := s.all(n, c), s.all(m, c); a != b {
			s.failf("nodes %d and %d have read queue %d up to %d, and of %s have\n%s\n%s", m.slot, n.slot, q, n.seen[q], c.name, b, a)
		}
	}
}

// all is all that a node has of a client.
func (s *sim) all(n *simNode, c *simClient) string {
	h, err := n.c.headOf(c.name)
	if err != nil {
		s.failf("%v", err)
	}
	if h.gone { // who has read less of what is old does not know that there was something
		h = head{last: none}
	}
	h.old, h.seen, h.below = false, nil, none // by how much is known of what is old
	sess, err := n.c.Load(c.name)
	if err != nil {
		s.failf("%v", err)
	}
	if sess == nil {
		return fmt.Sprintf("%+v, no session", h)
	}
	var will store.Will
	if sess.Will != nil {
		will = *sess.Will
	}
	sess.Will = nil
	return fmt.Sprintf("%+v %+v %+v", h, sess, will)
}
