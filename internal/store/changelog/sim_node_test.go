package changelog

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

var errSimAway = errors.New("cut off")

// simNode is one process after the other on one disk.
type simNode struct {
	s    *sim
	slot int
	c    *Changelog
	fs   *vfs.MemFS

	up       bool
	until    time.Time // it is paused until then
	cut      [simQueues]bool
	net      [simQueues][]simPacket // what it has appended and the log has not
	compared [simQueues]bool        // what it has read is known to be there still
	begun    [simQueues]bool
	goal     [simQueues]int64 // where the queue ended when it began to read it
	ids      map[uint64]bool  // that it had since it started

	conns   []*simConn  // by client
	sent    []simSent   // by client: the last record that it appended about it
	landing []int64     // by client: seq of that record, once it was read
	landed  []simLanded // by client: and of the one before
	calls   int64
	seen    [simQueues]int64
	fences  int64 // Stats.Fenced
	fencing int64 // seq of the last fence of this node in what is being read
	vector  int64 // of its last store.Checkpoint
	shares  [simGroups]simShare

	stopped time.Duration // for longer than simPauseLimit, in all
	woke    time.Time     // from the last such stop
	sending map[int64]*simSending
	outbox  []*simSending
}

type simSent struct{ node, number uint64 }

// simLanded is a record that was read, and followed by another one within one call.
type simLanded struct{ seq, call int64 }

// read is the seq of the record that what the node is told now is about.
func (n *simNode) read(c *simClient) int64 {
	if l := n.landed[c.i]; n.landing[c.i] == 0 && l.call == n.calls {
		return l.seq
	}
	return n.landing[c.i]
}

func (n *simNode) awake() bool { return n.up && !n.s.now.Before(n.until) }

// start starts a process, on what its disk has.
func (s *sim) start(n *simNode, fs *vfs.MemFS, full int64) {
	n.fs, n.up, n.until = fs, true, time.Time{}
	n.ids, n.fences, n.vector = map[uint64]bool{}, 0, 0
	n.conns, n.sent, n.landing = make([]*simConn, len(s.clients)), make([]simSent, len(s.clients)), make([]int64, len(s.clients))
	n.landed = make([]simLanded, len(s.clients))
	n.shares = [simGroups]simShare{}
	n.woke, n.sending, n.outbox = time.Time{}, map[int64]*simSending{}, nil
	s.note(stepStart, n.slot, 0, "", full)
	c, err := Open(Options{
		Dir: "view", FS: fs, Queues: simQueues, Log: n, Taken: n.taken, Now: func() time.Time { return s.now },
		NewID: func() uint64 {
			s.ids++
			n.ids[s.ids] = true
			return s.ids
		},
	})
	if err != nil {
		s.failf("node %d cannot start: %v", n.slot, err)
	}
	n.c = c
	for q := range simQueues {
		n.cut[q], n.compared[q], n.begun[q], n.net[q], n.seen[q] = false, false, false, nil, 0
	}
}

// crash ends a process; some of what it has written and not synced stays, or none of it.
func (s *sim) crash(n *simNode) {
	s.note(stepCrash, n.slot, 0, "")
	fs := n.fs.CrashClone(vfs.CrashCloneCfg{})
	for q := range simQueues {
		for _, p := range n.net[q] {
			if s.rng.IntN(2) == 0 {
				s.late = append(s.late, simLate{q, p})
			}
		}
	}
	n.loseWills()
	s.end(n)
	n.fs = fs
	if s.rng.IntN(4) == 0 {
		n.fs = vfs.NewCrashableMem()
	}
}

// end closes what a process has open. What it is told by that, it does not hear.
func (s *sim) end(n *simNode) {
	n.up = false
	for _, conn := range n.conns {
		if conn != nil {
			conn.lose()
			conn.over = true
		}
	}
	if err := n.c.Close(); err != nil {
		s.failf("node %d does not close: %v", n.slot, err)
	}
}

// stop ends a process in good order: its clients have been told.
func (s *sim) stop(n *simNode) {
	s.note(stepStop, n.slot, 0, "")
	for _, conn := range n.conns {
		if conn != nil && conn.state == simLive {
			s.finish(conn, true)
		}
	}
	s.awaitEnds(n)
	n.c.Leave()
	for q := range simQueues {
		for _, p := range n.net[q] {
			s.append(q, p.data)
		}
	}
	fs := n.fs
	s.end(n)
	n.fs = fs
}

// awaitEnds has the ends of a node's connections come to stand in the log, as far as it can be reached.
func (s *sim) awaitEnds(n *simNode) {
	for range 10 {
		for q := range simQueues {
			if n.cut[q] || !n.begun[q] {
				continue
			}
			for _, p := range n.net[q] {
				s.append(q, p.data)
			}
			n.net[q] = nil
			s.read(n, q, 1<<20)
		}
	}
}

// read has a node read some of a queue, and tells whether there was anything.
func (s *sim) read(n *simNode, q, most int) bool {
	if !n.awake() || n.cut[q] {
		return false
	}
	qu := &s.log[q]
	if !n.compared[q] {
		s.compare(n, q)
	}
	next, _ := n.c.Next(q)
	if next < qu.first {
		s.rebuild(n, q, qu.first)
		next = qu.first
	}
	entries := qu.entries[next-qu.first:]
	entries = entries[:min(most, len(entries))]
	meta := qu.meta[next-qu.first:][:len(entries)]
	if len(entries) > 0 {
		s.note(stepRead, n.slot, q, "", next, next+int64(len(entries)), qu.end())
		s.look(n, q, meta)
		dead := n.fromDead(q, meta)
		next += int64(len(entries))
		note := binary.BigEndian.AppendUint64(nil, uint64(n.seen[q]))
		n.calls++
		if err := n.c.Read(q, entries, next, note); err != nil {
			s.failf("node %d cannot read queue %d: %v", n.slot, q, err)
		}
		s.deadDoNotCount(n, q, meta, next-int64(len(entries)), dead)
		s.looked(n, q)
	}
	if !n.begun[q] && next >= n.goal[q] {
		n.begun[q] = true
		s.note(stepBegin, n.slot, q, "", next)
		n.calls++
		if err := n.c.Begin(q); err != nil {
			s.failf("node %d cannot begin queue %d: %v", n.slot, q, err)
		}
	}
	return len(entries) > 0
}

// look finds the node's own records in what it is about to read.
func (s *sim) look(n *simNode, q int, meta []simMeta) {
	n.fencing = 0
	for i := range meta {
		m := &meta[i]
		s.count.reads++
		switch m.kind {
		case kindFence:
			if len(m.name) == 8 && n.ids[binary.BigEndian.Uint64([]byte(m.name))] {
				n.fencing = m.seq
			}
		case kindBeat, kindState:
		default:
			if isShare(m.name) {
				continue
			}
			c := s.client(m.name)
			if n.sent[c.i] != (simSent{m.node, m.number}) || n.landing[c.i] != 0 {
				continue
			}
			n.landing[c.i] = m.seq
			if conn := n.conns[c.i]; conn != nil && m.kind == kindConnect && conn.connectSeq == 0 {
				conn.connectSeq = m.seq
			}
		}
	}
	n.seen[q] = meta[len(meta)-1].seq
}

// looked ends what a node has that was fenced.
func (s *sim) looked(n *simNode, q int) {
	fences := n.c.stats.Fenced.Load()
	if fences == n.fences {
		return
	}
	n.fences = fences
	s.count.fenced++
	s.note(stepFenced, n.slot, q, "", n.fencing)
	for _, conn := range n.conns {
		if conn != nil && conn.client.q == q && conn.tenure != nil && conn.tenure.connectSeq < n.fencing {
			conn.tenure.fenced(s, n.fencing)
		}
	}
}

// compare looks whether what a node has read is there still, as the reader of a real log does after a new connection.
func (s *sim) compare(n *simNode, q int) {
	next, note := n.c.Next(q)
	n.compared[q] = true
	n.goal[q] = s.log[q].end()
	if len(note) == 0 {
		return
	}
	seq := int64(binary.BigEndian.Uint64(note))
	n.seen[q] = seq
	if gone, lost := s.log[q].isGone(next, seq); gone {
		s.rebuild(n, q, lost)
	}
}

func (s *sim) rebuild(n *simNode, q int, lost int64) {
	qu := &s.log[q]
	s.note(stepRebuild, n.slot, q, "", qu.first, lost)
	s.count.rebuilt++
	n.begun[q], n.goal[q], n.seen[q] = false, qu.end(), 0
	for _, c := range s.clients {
		if c.q == q {
			n.landing[c.i] = 0
		}
	}
	if err := n.c.Rebuild(q, qu.first, lost); err != nil {
		s.failf("node %d cannot build queue %d again: %v", n.slot, q, err)
	}
}

// renew has a node write again what is older than after.
func (n *simNode) renew(after time.Duration) {
	for from := ""; ; {
		next, err := n.c.Renew(from, after)
		if err != nil {
			n.s.failf("node %d cannot renew: %v", n.slot, err)
		}
		if from = next; from == "" {
			return
		}
	}
}

// expire has a node end what it is chosen to.
func (n *simNode) expire() {
	names, err := n.c.Expired(n.s.now, 3)
	if err != nil {
		n.s.failf("node %d does not know what is over: %v", n.slot, err)
	}
	for _, name := range names {
		c := n.s.client(name)
		n.s.mayExpire(n, c)
		if n.conns[c.i] == nil {
			n.s.note(stepExpired, n.slot, c.q, name)
			d := &simDone{s: n.s, n: n, c: c, kind: store.Remove, write: n.s.write(n), outside: true}
			c.reset(d.write)
			n.change(&store.Change{Kind: store.Remove, Client: name}, d)
		}
	}
}

// taken implements Options.Taken.
func (n *simNode) taken(client string) {
	c := n.s.client(client)
	n.s.note(stepTaken, n.slot, c.q, client)
	n.s.count.taken++
	if conn := n.conns[c.i]; conn != nil {
		conn.taken = true
		conn.lose()
	}
}
