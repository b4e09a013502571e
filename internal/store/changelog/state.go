package changelog

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// stateOf is the body of a kindState record: the head, and the session if there is one.
func stateOf(r pebble.Reader, name string, h *head) ([]byte, error) {
	dump, err := view.Dump(r, name)
	if err != nil {
		return nil, err
	}
	return appendBytes(appendBytes(nil, h.encode(nil)), dump), nil
}

// Renew appends what is known of names again whose last record is older than after, before brokers drop it: of those that this node owns, and of
// those without owner that it is chosen for. It considers names above from, a bounded number, and returns where to go on; "" when it is through.
func (c *Changelog) Renew(from string, after time.Duration) (next string, err error) {
	const most = 500 // records
	before := c.opts.Now().Add(-after).UnixMilli()
	snap := c.db.NewSnapshot()
	defer snap.Close() //nolint:errcheck // it only reads
	var e effects
	c.reading.Lock()
	defer func() {
		c.reading.Unlock()
		e.run(c)
	}()
	looked := 0
	err = view.Range(snap, headKey(from), []byte{keyHead + 1}, func(key, value []byte) error {
		name := string(key[1:])
		if looked++; looked > 100*most || len(e.appends) == most {
			next = name
			return view.Stop
		}
		var h head
		if err := h.decode(value); err != nil {
			return err
		}
		if h.gone || h.former != 0 || h.time >= before || !c.isMine(name, &h) {
			return nil
		}
		return c.again(snap, name, &h, &e)
	})
	return next, err
}

// isMine says whether this node is to renew a name. reading is held.
func (c *Changelog) isMine(name string, h *head) bool {
	q := c.queueOf(name)
	c.mu.Lock()
	me := c.nodes[q]
	c.mu.Unlock()
	if !c.queues[q].begun {
		return false
	}
	if p := c.queues[q].peers[h.owner]; h.owner != 0 && (p == nil || !p.fenced) {
		return h.owner == me
	}
	best, most := me, weigh(name, me)
	for node, p := range c.queues[q].peers {
		if w := weigh(name, node); !p.fenced && (w > most || w == most && node > best) {
			best, most = node, w
		}
	}
	return best == me
}

// weigh is a rendezvous hash.
func weigh(name string, node uint64) uint64 {
	return xxhash.Sum64String(name + nodeName(node))
}

// again appends the state of a name.
func (c *Changelog) again(r pebble.Reader, name string, h *head, e *effects) error {
	q := c.queueOf(name)
	body, err := stateOf(r, name, h)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	rec := record{kind: kindState, node: c.nodes[q], seq: c.seq, base: h.last, name: name, body: body}
	e.appends = append(e.appends, appended{q, rec.append(nil)})
	return nil
}

// repair is what the log has lost of a name.
type repair struct {
	name string
	body []byte
}

// Rebuild has the view of queue q built again from the log, which begins at from now: it went back, and what stood at lost and above is gone, though it was
// read. Reading goes on at from, and Begin follows.
func (c *Changelog) Rebuild(q int, from, lost int64) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	qu := &c.queues[q]
	names, err := c.namesOf(q)
	if err != nil {
		return err
	}
	if err := c.keep(q, names, lost); err != nil {
		return err
	}
	x := c.begin(q)
	defer x.Close()
	x.rec = &view.Record{}
	for _, name := range names {
		if err := x.wipe(name); err != nil {
			return err
		}
	}
	for _, letter := range []byte{keyOwned, keyGrave, keyPeer} {
		if err := x.DeleteAll(queueKey(letter, uint16(q))); err != nil {
			return err
		}
	}
	qu.next, qu.origin, qu.note, qu.begun = from, from, nil, false
	qu.peers, qu.beats = map[uint64]*peer{}, beats{}
	return c.commit(x, qu)
}

// namesOf lists the names that stand in queue q.
func (c *Changelog) namesOf(q int) (names []string, err error) {
	err = view.Range(c.db, []byte{keyHead}, []byte{keyHead + 1}, func(key, _ []byte) error {
		if name := string(key[1:]); c.queueOf(name) == q {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// keep remembers the names about which records were lost. Those of an earlier time that were not written yet stay.
func (c *Changelog) keep(q int, names []string, lost int64) error {
	for _, name := range names {
		h, err := c.headOf(name)
		if err != nil {
			return err
		}
		if h.last < lost || h.gone {
			continue
		}
		body, err := stateOf(c.db, name, &h)
		if err != nil {
			return err
		}
		c.queues[q].repairs = append(c.queues[q].repairs, repair{name, body})
	}
	return nil
}

// wipe removes all that is known of a name.
func (x *txn) wipe(name string) error {
	session, err := x.Head(name)
	if err == nil {
		err = x.remove(name, session)
	}
	if err != nil {
		return err
	}
	return x.Delete(headKey(name))
}

// repair appends again what the log has lost, and has the chains of the queue go on from what it has now. All nodes that had read it do so, and the first one
// counts. reading and mu are held.
func (c *Changelog) repair(q int, e *effects) error {
	for name, ch := range c.chains {
		if ch.q != q {
			continue
		}
		h, err := c.headOf(name)
		if err != nil {
			return err
		}
		ch.head = h
		if f := ch.under; f != nil { // it may be what was lost
			ch.under = nil
			ch.queued = append(f.items, ch.queued...)
		}
	}
	for _, r := range c.queues[q].repairs {
		if err := c.repairOne(q, &r, e); err != nil {
			return err
		}
	}
	c.queues[q].repairs = nil
	for _, ch := range c.chains {
		if ch.q == q {
			c.settle(ch, e)
		}
	}
	return nil
}

func (c *Changelog) repairOne(q int, r *repair, e *effects) error {
	if ch := c.chains[r.name]; ch != nil {
		c.send(ch, kindState, r.body, nil, e)
		return nil
	}
	h, err := c.headOf(r.name)
	if err != nil {
		return err
	}
	c.seq++
	rec := record{kind: kindState, node: c.nodes[q], seq: c.seq, base: h.last, name: r.name, body: r.body}
	e.appends = append(e.appends, appended{q, rec.append(nil)})
	return nil
}
