package changelog

import (
	"errors"
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// simGroups is how many shared subscriptions there are.
const simGroups = 4

// simShare is a node's part in one, as the session layer has it.
type simShare struct {
	group   int
	members int
	known   store.Share // as it was looked at last
	at      int64       // how far its units are
	report  *store.ShareReport
	under   bool
}

func isShare(name string) bool {
	_, is := shareFilter(name)
	return is
}

func simFilter(group int) string { return fmt.Sprint("$share/g/", group) }

// simReported is told what became of a report.
type simReported struct {
	n  *simNode
	sh *simShare
	by *Changelog
}

// Appended implements store.Completion.
func (r simReported) Appended(_ uint64, _ store.Position, err error) {
	if !r.n.up || r.n.c != r.by {
		return // nobody hears it
	}
	if !r.sh.under {
		r.n.s.failf("node %d: a report is told twice", r.n.slot)
	}
	if r.sh.under = false; err == nil {
		r.sh.report = nil
	} else if !errors.Is(err, store.ErrTaken) && !errors.Is(err, store.ErrAway) {
		r.n.s.failf("node %d: a report ended with: %v", r.n.slot, err)
	}
}

// share has a node do something for a group.
func (s *sim) share() {
	n := s.node()
	if !n.awake() {
		return
	}
	group := s.rng.IntN(simGroups)
	sh := &n.shares[group]
	sh.group = group
	switch s.rng.IntN(4) {
	case 0:
		sh.members = s.rng.IntN(3)
	case 1:
		sh.at += s.rng.Int64N(50)
	}
	s.follow(n, sh)
}

// follow has a node look at its part in a group, and tell what is due. false: there is nothing to tell.
func (s *sim) follow(n *simNode, sh *simShare) bool {
	if sh.under {
		return true
	}
	filter := simFilter(sh.group)
	known, err := n.c.Share(filter, sh.known.Version)
	if err != nil {
		return true // it is being read
	}
	if known == nil {
		known = new(store.Share)
	}
	s.soundShare(n, known)
	sh.known = *known
	if sh.report == nil {
		sh.report = &store.ShareReport{
			Filter: filter, Start: []store.Position{{Queue: 1, Offset: sh.at}}, Born: known.Born, Seen: known.Version, Members: sh.members,
			Units: known.Mine, Cursor: []store.Position{{Queue: 1, Offset: sh.at}}, Give: known.Give, Take: known.Take,
		}
		if sh.members == 0 {
			sh.report.Give, sh.report.Take = known.Mine, 0
		} else if s.rng.IntN(2) == 0 {
			sh.report.Outstanding = []store.Position{{Queue: 1, Offset: sh.at}}
		}
	}
	due := known.Born != 0 && (known.Members != sh.members || known.Give|known.Take != 0) // a group that nobody can judge (old.go) does not begin
	sh.under = true
	n.c.Report(sh.report, simReported{n, sh, n.c}, 0)
	return due
}

// soundShare: what a node is to give it has, and what it is to take it has not.
func (s *sim) soundShare(n *simNode, sh *store.Share) {
	if sh.Give&^sh.Mine != 0 || sh.Take&sh.Mine != 0 {
		s.failf("node %d has %016b of a group, is to give %016b and to take %016b", n.slot, sh.Mine, sh.Give, sh.Take)
	}
}

// sharesWhole: when nothing goes wrong, the units of every group that has members come to be held, each by one node.
func (s *sim) sharesWhole() {
	rounds := 0
	for due, quiet := true, 0; quiet < 3; {
		if quiet++; due {
			quiet = 0
		}
		due = false
		for _, n := range s.nodes {
			for g := range simGroups {
				n.shares[g].group = g
				due = s.follow(n, &n.shares[g]) || due
			}
		}
		s.calm(1100*time.Millisecond, true)
		if rounds++; rounds > 50 {
			s.failf("the units of groups do not come to rest")
		}
	}
	for g := range simGroups {
		members, held := 0, store.Units(0)
		for _, n := range s.nodes {
			sh, err := n.c.Share(simFilter(g), 0)
			if err != nil {
				s.failf("group %d: %v", g, err)
			}
			if sh == nil {
				continue
			}
			members += n.shares[g].members
			if held&sh.Mine != 0 {
				s.failf("group %d: two nodes have %016b", g, held&sh.Mine)
			}
			if sh.Mine != 0 && n.shares[g].members == 0 {
				s.failf("group %d: node %d has %016b, and no members", g, n.slot, sh.Mine)
			}
			held |= sh.Mine
		}
		if members > 0 && held != store.AllUnits {
			s.failf("group %d: of its units only %016b are held", g, held)
		}
	}
}

// sameShares: nodes that have read the same have the same of groups.
func (s *sim) sameShares(n, m *simNode, q int) {
	for g := range simGroups {
		name := shareName(simFilter(g))
		if n.c.queueOf(name) != q {
			continue
		}
		a, b := s.shareOf(n, g, q), s.shareOf(m, g, q)
		if a != b {
			s.failf("nodes %d and %d have read queue %d up to %d, and of group %d have\n%s\n%s", m.slot, n.slot, q, n.seen[q], g, b, a)
		}
	}
}

func (s *sim) shareOf(n *simNode, g, q int) string {
	sh, err := shareOf(n.c.db, q, simFilter(g))
	if err != nil {
		s.failf("%v", err)
	}
	if sh == nil {
		return "no group"
	}
	h, err := n.c.headOf(shareName(simFilter(g)))
	if err != nil {
		s.failf("%v", err)
	}
	return fmt.Sprintf("%d %+v", h.last, *sh)
}
