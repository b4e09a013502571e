package changelog

import (
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// What the oracle in sim_oracle_test.go cannot see, since it costs duplicates of QoS 1 only, or nothing that a device would notice: whether a session was handed over, whether
// it was over, and whether what a dead node writes counts. Here the log is looked at.

// inspect is what the oracle takes down of a record that is appended.
func (m *simMeta) inspect(r *record) {
	if r.kind == kindFinal {
		c, err := view.ParseChange(r.body)
		m.whole, m.cursor = err == nil && c.Kind == store.Detach, offsetIn(c.Cursor, simData)
	}
	m.ends = r.kind == kindLeft || r.kind == kindState
	if r.kind != kindChanges || isShare(r.name) {
		return
	}
	for d := newDecoder(r.body); len(d.B) > 0 && d.Err == nil; {
		if c, err := view.ParseChange(d.Bytes()); err != nil || c.Kind == store.Detach || c.Kind == store.Remove {
			m.ends = true
		}
	}
}

// index is where the record with this seq stands; false: it does not any more.
func (qu *simQueue) index(seq int64) (int, bool) {
	return slices.BinarySearchFunc(qu.meta, seq, func(m simMeta, seq int64) int { return int(m.seq - seq) })
}

// writer is the id of the node that has written a record; 0: it does not stand there any more.
func (s *sim) writer(q int, seq int64) uint64 {
	if i, ok := s.log[q].index(seq); ok {
		return s.log[q].meta[i].node
	}
	return 0
}

// about is what stands about a client above one record and below another one.
func (qu *simQueue) about(name string, above, below int64) (list []simMeta) {
	from, _ := qu.index(above + 1)
	to, _ := qu.index(below)
	for _, m := range qu.meta[from:max(from, to)] {
		if m.name == name {
			list = append(list, m)
		}
	}
	return list
}

// mayBeFenced says whether a fence of a node stands above one record and below another one.
func (qu *simQueue) mayBeFenced(node uint64, above, below int64) bool {
	return slices.ContainsFunc(qu.about(nodeName(node), above, below), func(m simMeta) bool { return m.kind == kindFence })
}

// handedOver: a node was told that it owns what another one owned, with what that one left.
func (c *simClient) handedOver(conn *simConn, old *store.Session) {
	qu, t := &c.s.log[c.q], conn.tenure
	before := c.before(t)
	if before == nil || before.id == t.id || old == nil || conn.clean || c.tainted || len(qu.cuts) > 0 {
		return
	}
	at, ok := qu.index(t.connectSeq)
	if _, known := qu.index(before.connectSeq); !ok || !known || qu.mayBeFenced(before.id, before.connectSeq, t.connectSeq) {
		return
	}
	for _, m := range qu.about(c.name, before.connectSeq, t.connectSeq) {
		if m.kind == kindConnect || m.ends {
			return // it may have no owner, or another one
		}
	}
	since := qu.about(c.name, t.connectSeq, conn.n.seen[c.q]+1)
	if slices.ContainsFunc(since, func(m simMeta) bool { return m.kind == kindConnect }) {
		return // another one owns it already, and old is what that has found
	}
	last, doubt := []int64{qu.first + int64(at)}, false // where the last record that counts may stand
	for _, m := range since {
		switch {
		case !slices.Contains(last, m.base):
		case m.kind == kindWill: // anybody that lives may write that between the two
			i, _ := qu.index(m.seq)
			if len(last) == 1 && !qu.mayBeFenced(m.node, 0, m.seq) { // it counts for certain: what it follows is the last that does
				last = last[:0]
			}
			last = append(last, qu.first+int64(i))
		case m.kind == kindTake && m.node == t.id:
			return
		case m.kind == kindFinal && m.node == before.id && (len(last) > 1 || qu.mayBeFenced(m.node, before.connectSeq, m.seq)):
			doubt = true // it may not count
		case m.kind == kindFinal && m.node == before.id:
			if m.whole && (old.Torn || offsetIn(old.Cursor, simData) < m.cursor) {
				c.s.failf("%s: node %d has handed over at %d, and node %d does not know where the session stands", c.name, before.node, m.seq, t.node)
			}
			return
		}
	}
	if !doubt {
		c.s.failf("%s: node %d goes on since %d, and node %d, which owned it, has neither handed over nor was it waited for", c.name, t.node, t.connectSeq, before.node)
	}
}

// detached: a session without connection ends at that time, unless it has one again.
func (c *simClient) detached(seq int64, at time.Time) {
	c.overSeq, c.overAt = seq, at
}

// notOver: the session that a connect has found was not over.
func (c *simClient) notOver(conn *simConn, old *store.Session) {
	qu := &c.s.log[c.q]
	i, ok := qu.index(conn.connectSeq)
	if _, known := qu.index(c.overSeq); !ok || !known || old == nil || c.tainted || len(qu.cuts) > 0 || c.overAt.IsZero() {
		return
	}
	for _, m := range qu.about(c.name, c.overSeq, conn.connectSeq) {
		if m.kind == kindConnect || m.ends {
			return
		}
	}
	if stored := time.UnixMilli(qu.entries[i].Time); c.overSeq < conn.connectSeq && stored.After(c.overAt) {
		c.s.failf("%s: a connect that stands there since %v has found a session that was over at %v", c.name, stored.Sub(simEpoch), c.overAt.Sub(simEpoch))
	}
}

// fromDead lists the records about clients in what a node is about to read whose writers it knows to be fenced, by their index.
func (n *simNode) fromDead(q int, meta []simMeta) (list []int) {
	for i := range meta {
		m := &meta[i]
		if p := n.c.queues[q].peers[m.node]; p != nil && p.fenced && m.kind != kindBeat && m.kind != kindFence {
			list = append(list, i)
		}
	}
	return list
}

// deadDoNotCount: none of these, of which the first read stands at offset, is what a name is now.
func (s *sim) deadDoNotCount(n *simNode, q int, meta []simMeta, offset int64, list []int) {
	for _, i := range list {
		h, err := n.c.headOf(meta[i].name)
		if err != nil {
			s.failf("%v", err)
		}
		if h.last == offset+int64(i) && !h.old {
			s.failf("node %d, queue %d: the record at %d counts, though its writer was fenced before", n.slot, q, h.last)
		}
	}
}
