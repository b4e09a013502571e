package changelog

import (
	"encoding/binary"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// peer is what is known of a node in one queue.
type peer struct {
	last    int64  // offset of its last beat; none: it was not read
	below   int64  // the base that was believed (followsBeat); none: there was none
	time    int64  // when its last record was stored, Unix milliseconds
	from    int64  // it has read nothing that stood below (old.go)
	process uint64 // that it is an id of; 0: no beat of it was read
	fenced  bool

	seen time.Time // when this process read its last beat; by its own clock, and not stored
	try  time.Time // when this process last tried to fence it
}

// forgetPeer is how long after its fence a node is remembered when the view is opened, in milliseconds. What it writes later still is judged by its base alone.
const forgetPeer = 24 * 3600 * 1000

func (p *peer) encode(b []byte) []byte {
	var flags byte
	if p.fenced {
		flags = 1
	}
	b = binary.AppendVarint(binary.AppendVarint(append(b, flags), p.last), p.below)
	return binary.BigEndian.AppendUint64(binary.AppendVarint(binary.AppendVarint(b, p.time), p.from), p.process)
}

func (p *peer) decode(b []byte) error {
	if len(b) == 0 {
		return errShort
	}
	p.fenced = b[0]&1 != 0
	d := newDecoder(b[1:])
	p.last, p.below, p.time, p.from = d.Int(), d.Int(), d.Int(), d.Int()
	p.process = d.uint64()
	return d.Err
}

// peerOf is the node with this id in the queue of x; a new one when it was not known.
func (x *txn) peerOf(node uint64) *peer {
	p := x.peers[node]
	if p == nil {
		p = &peer{last: none, below: none, seen: x.now}
		x.peers[node] = p
	}
	return p
}

// know has a node that owns something, or has claimed a will, be known, also when no beat of it was read: it may die before its first one, and is fenced then.
func (x *txn) know(node uint64) error {
	if x.peers[node] != nil {
		return nil
	}
	p := x.peerOf(node)
	p.time = x.rec.Time
	return x.putPeer(node, p)
}

func (x *txn) putPeer(node uint64, p *peer) error {
	return x.Set(numberKey(keyPeer, x.q, node, ""), p.encode(nil))
}

// lives says whether a node may own something.
func (x *txn) lives(node uint64) bool {
	if node == 0 {
		return false
	}
	p := x.peers[node]
	return p == nil || !p.fenced // of one that is not known its beat is still to come
}

// mayPublish says whether a node that has claimed a will may publish it: it lives. One that is not known was fenced long ago (forgetPeer), since with its claim it was known (put).
func mayPublish(peers map[uint64]*peer, node uint64) bool {
	p := peers[node]
	return p != nil && !p.fenced
}

// followsBeat is the base rule for beats. A base that was dropped is believed: the writer has read it. But once: what comes on the same one again, or on an older one,
// is void for those that have read more.
func (x *txn) followsBeat(base int64, p *peer) bool {
	if base == p.last {
		return true
	}
	if base >= x.origin || base <= p.below {
		return false
	}
	p.below = base
	return true
}

// beat applies a node's beat.
func (x *txn) beat(r *record) (bool, error) {
	p := x.peerOf(r.node)
	if p.fenced || !x.followsBeat(r.base, p) {
		return false, nil
	}
	p.last, p.time, p.from, p.seen = x.rec.Offset, x.rec.Time, r.at, x.now
	if p.process == 0 {
		p.process = processIn(r)
	}
	if err := x.putPeer(r.node, p); err != nil {
		return false, err
	}
	d := newDecoder(r.body)
	if v := d.Positions(); d.Err == nil && len(v) > 0 {
		return true, x.MergeCheckpoint(x.rec, v)
	}
	return true, nil
}

// fence applies the fence of a node: valid when its last beat is the one that the writer knew. One that leaves knows best, and whether the fence that it wrote counted
// once or twice is the same.
func (x *txn) fence(r *record) (bool, error) {
	if len(r.name) != 8 {
		return false, nil
	}
	node := binary.BigEndian.Uint64([]byte(r.name))
	p := x.peerOf(node)
	leaves := r.node == node
	if p.fenced || !leaves && (r.base != p.last && x.begins() || !x.followsBeat(r.base, p)) {
		return false, nil
	}
	p.fenced, p.time = true, x.rec.Time
	if err := x.orphan(node); err != nil {
		return false, err
	}
	if err := x.fenceShares(node); err != nil {
		return false, err
	}
	if err := x.EndCheckpoint(int64(node)); err != nil {
		return false, err
	}
	return true, x.putPeer(node, p)
}

// orphanChunk bounds the memory that the end of a node with many clients takes.
const orphanChunk = 1000

// orphan takes everything from a node that is fenced: its sessions have lost their connection.
func (x *txn) orphan(node uint64) error {
	prefix := numberKey(keyOwned, x.q, node, "")
	for {
		var names []string
		err := x.Each(prefix, func(key, _ []byte) error {
			if len(names) == orphanChunk {
				return view.Stop
			}
			_, name := splitNumber(key)
			names = append(names, name)
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := x.orphanOne(name); err != nil {
				return err
			}
		}
		if len(names) < orphanChunk {
			return nil
		}
		if err := x.Apply(); err != nil { // if the process dies before the rest, the same fence goes on with what is left
			return err
		}
	}
}

func (x *txn) orphanOne(name string) error {
	was, err := x.head(name, x.rec.Time)
	if err != nil || was == nil {
		return err
	}
	h := *was
	if err := x.orphaned(name, &h); err != nil {
		return err
	}
	return x.put(name, was, &h)
}

// orphaned ends the ownership of a name whose owner does not say where its session stands. The caller puts h.
func (x *txn) orphaned(name string, h *head) error {
	session, err := x.Head(name)
	if err != nil {
		return err
	}
	x.answer(h, true)
	h.owner, h.former, h.gone = 0, 0, session == nil && len(h.owed) == 0
	if session == nil || !session.Connected {
		return nil
	}
	h.torn = true
	if err := x.Settle(name); err != nil {
		return err
	}
	return x.Abandon(x.rec, name)
}
