package changelog

import "time"

// simQueue is one queue of the modelled log. Offsets that were lost are given to other records, as RocketMQ does.
type simQueue struct {
	first   int64   // offset of entries[0]
	entries []Entry // as nodes read them
	meta    []simMeta
	synced  int64 // what stands below is not lost when the log goes back
	cuts    []simCut
}

// simCut is that a queue went back.
type simCut struct {
	seq int64 // of the last entry ever appended before that
	to  int64
}

// isGone says whether an entry that stood below next is not there any more, and where the queue went back to then.
func (qu *simQueue) isGone(next, seq int64) (gone bool, lost int64) {
	if next <= qu.first {
		return false, 0
	}
	if next <= qu.end() && qu.meta[next-1-qu.first].seq == seq {
		return false, 0
	}
	lost = next
	for _, c := range qu.cuts {
		if c.seq >= seq {
			lost = min(lost, c.to)
		}
	}
	return true, lost
}

// simMeta is what the oracle knows of an entry.
type simMeta struct {
	seq    int64 // of all entries that were ever appended, in all queues
	kind   kind
	node   uint64
	number uint64 // record.seq
	base   int64
	name   string
	whole  bool  // it is a final, and says where the session stands
	cursor int64 // as it says
	ends   bool  // nobody may own the name after it, or somebody else
}

func (qu *simQueue) end() int64 { return qu.first + int64(len(qu.entries)) }

// simPacket is a record on its way to the log.
type simPacket struct {
	data  []byte
	since time.Time
}

// lateAtMost is how late a record or a second copy of it comes, at most: well below graveTime.
const lateAtMost = 4 * time.Minute

// simRetention is how old records become before the log drops them. Half of it is more than graveTime and lateAtMost together.
const simRetention = 40 * time.Minute

// Append implements Log.
func (n *simNode) Append(q int, data []byte) {
	if !n.up {
		return
	}
	n.net[q] = append(n.net[q], simPacket{data, n.s.now})
	var r record
	if err := r.parse(data); err != nil {
		n.s.failf("node %d appends what does not parse: %v", n.slot, err)
	}
	switch r.kind {
	case kindBeat, kindFence, kindState:
		return
	}
	if isShare(r.name) {
		return
	}
	c := n.s.client(r.name)
	again := n.sent[c.i] == simSent{node: r.node, number: r.seq}
	n.sent[c.i] = simSent{node: r.node, number: r.seq}
	if again {
		return
	}
	n.landed[c.i] = simLanded{n.landing[c.i], n.calls}
	n.landing[c.i] = 0
	if conn := n.conns[c.i]; conn != nil && r.kind == kindConnect {
		conn.connectSeq = 0
	}
}

// Away implements Log.
func (n *simNode) Away(q int) error {
	if n.cut[q] {
		return errSimAway
	}
	return nil
}

// append has a record stand in the log.
func (s *sim) append(q int, data []byte) {
	var r record
	_ = r.parse(data) // looked at by simNode.Append
	qu := &s.log[q]
	s.seq++
	s.note(stepStored, -1, q, r.name, int64(r.kind), qu.end(), r.base, int64(r.node), int64(r.seq))
	qu.entries = append(qu.entries, Entry{Offset: qu.end(), Time: s.now.UnixMilli(), Data: data})
	m := simMeta{seq: s.seq, kind: r.kind, node: r.node, number: r.seq, base: r.base, name: r.name}
	m.inspect(&r)
	qu.meta = append(qu.meta, m)
	s.willsAtRecord(q, &r)
}

// deliver has one record on its way from a node fare in one of the ways that there are.
func (s *sim) deliver() {
	n, q := s.nodes[s.rng.IntN(len(s.nodes))], s.rng.IntN(simQueues)
	for range len(s.nodes) * simQueues { // a list with something in it, if there is one
		if len(n.net[q]) > 0 {
			break
		}
		if q = (q + 1) % simQueues; q == 0 {
			n = s.nodes[(n.slot+1)%len(s.nodes)]
		}
	}
	if len(n.net[q]) == 0 || n.cut[q] {
		return
	}
	i := 0
	if s.oneIn(s.odds.reorder) {
		i = s.rng.IntN(len(n.net[q]))
	}
	p := n.net[q][i]
	switch {
	case s.oneIn(s.odds.lost): // answered with an error and not stored: it stays
		return
	case s.oneIn(s.odds.unsure): // stored, and answered with an error: it stays
		s.append(q, p.data)
		return
	case s.oneIn(s.odds.twice):
		s.append(q, p.data)
	case s.oneIn(s.odds.late):
		s.late = append(s.late, simLate{q, p})
	}
	n.net[q] = append(n.net[q][:i], n.net[q][i+1:]...)
	s.append(q, p.data)
}

// simLate is a record that may still come to stand in the log, though nobody waits for it: of a node that is dead, or a second copy.
type simLate struct {
	q int
	simPacket
}

// deliverLate has one of those stand in the log, or never.
func (s *sim) deliverLate() {
	if len(s.late) == 0 {
		return
	}
	i := s.rng.IntN(len(s.late))
	l := s.late[i]
	s.late = append(s.late[:i], s.late[i+1:]...)
	if s.now.Sub(l.since) < lateAtMost && s.rng.IntN(3) > 0 {
		s.append(l.q, l.data)
	}
}

// simUnsynced is how old what a log loses is at most.
const simUnsynced = 10 * time.Second

// goBack has the log lose some of what it has not synced.
func (s *sim) goBack() {
	q := s.rng.IntN(simQueues)
	qu := &s.log[q]
	qu.synced = max(qu.synced, qu.first)
	for qu.synced < qu.end() && qu.entries[qu.synced-qu.first].Time < s.now.Add(-simUnsynced).UnixMilli() {
		qu.synced++
	}
	if qu.synced == qu.end() {
		return
	}
	cut := qu.synced + s.rng.Int64N(qu.end()-qu.synced)
	s.now = s.now.Add(2 * time.Millisecond) // a broker starts anew
	s.note(stepWentBack, -1, q, "", cut, qu.end())
	at := cut - qu.first
	for _, m := range qu.meta[at:] {
		switch m.kind {
		case kindBeat:
		case kindFence: // what it said of all clients in the queue is lost
			for _, c := range s.clients {
				if c.q == q {
					c.taint(s.seq)
				}
			}
		default:
			if !isShare(m.name) {
				s.client(m.name).taint(s.seq)
			}
		}
	}
	qu.entries, qu.meta = qu.entries[:at:at], qu.meta[:at:at]
	qu.cuts = append(qu.cuts, simCut{s.seq, cut})
	for _, n := range s.nodes {
		n.compared[q] = false
	}
}

// trim drops what is older than simRetention, once that was written again.
func (s *sim) trim() {
	for _, n := range s.nodes {
		if !n.awake() {
			return
		}
		for q := range simQueues {
			if n.cut[q] || !n.begun[q] {
				return
			}
		}
	}
	s.note(stepTrim, -1, 0, "")
	s.count.trimmed++
	for range 3 {
		s.drain()
		for _, n := range s.nodes {
			n.renew(simRetention / 2)
		}
	}
	s.drain()
	for q := range s.log {
		s.trimQueue(q)
	}
}

func (s *sim) trimQueue(q int) {
	qu := &s.log[q]
	at := 0
	for at < len(qu.entries) && qu.entries[at].Time < s.now.Add(-simRetention).UnixMilli() {
		at++
	}
	qu.entries, qu.meta = qu.entries[at:], qu.meta[at:]
	qu.first += int64(at)
	qu.synced = qu.end() // what was written instead is as old as that, where nobody hurries
}

// drain has all that is on its way stand in the log, and read.
func (s *sim) drain() {
	const most = 1000 // rounds; what is answered at once is answered in a few
	rounds := 0
	for more := true; more; {
		if rounds++; rounds > most {
			s.failf("it does not come to rest")
		}
		more = false
		for _, n := range s.nodes {
			for q := range simQueues {
				for _, p := range n.net[q] {
					s.append(q, p.data)
				}
				n.net[q] = nil
			}
		}
		for _, n := range s.nodes {
			for q := range simQueues {
				more = s.read(n, q, 1<<20) || more
			}
		}
	}
}
