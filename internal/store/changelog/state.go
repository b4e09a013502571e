package changelog

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// stateOf is the body of a kindState record: the head, and the session or group if there is one. q is the queue of the name.
func stateOf(r pebble.Reader, q int, name string, h *head) ([]byte, error) {
	dump, err := dump(r, q, name)
	if err != nil {
		return nil, err
	}
	return view.AppendBytes(view.AppendBytes(nil, h.encode(nil)), dump), nil
}

// Renew appends what is known of names again for which a record that is older than after is needed, before brokers drop it: of those that this node owns, and of
// those without owner that it is chosen for. It considers names above from, a bounded number, and returns where to go on; "" when it is through.
func (c *Changelog) Renew(from string, after time.Duration) (next string, err error) {
	const most, heads = 500, 5000 // records, and names that are looked at: whoever calls this has to Tick in between
	done, err := c.keeper.Use()
	if err != nil {
		return "", err
	}
	before := c.opts.Now().Add(-after).UnixMilli()
	snap := c.db.NewSnapshot()
	var e effects
	defer func() {
		_ = snap.Close() // it only reads
		done()
		e.run(c)
	}()
	looked := 0
	err = view.Range(snap, headKey(from), []byte{keyHead + 1}, func(key, value []byte) error {
		name := string(key[1:])
		if looked++; looked > heads || len(e.appends) == most {
			next = name
			return view.Stop
		}
		var h head
		if err := h.decode(value); err != nil {
			return err
		}
		if h.gone || h.former != 0 || h.since >= before || !c.isMine(name, &h) {
			return nil
		}
		return c.again(snap, name, &h, &e)
	})
	return next, err
}

// isMine says whether this node is to renew a name.
func (c *Changelog) isMine(name string, h *head) bool {
	qu := &c.queues[c.queueOf(name)]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	return c.isMyName(name, h)
}

// isMyName is isMine for who holds the reading of the name's queue.
func (c *Changelog) isMyName(name string, h *head) bool {
	q := c.queueOf(name)
	qu := &c.queues[q]
	c.mu.Lock()
	me := c.nodes[q]
	c.mu.Unlock()
	if !qu.begun {
		return false
	}
	if p := qu.peers[h.owner]; h.owner != 0 && (p == nil || !p.fenced) {
		return h.owner == me
	}
	return qu.isChosen(name, me)
}

// Chosen says whether this node is the one that a name falls to, among those that live as far as it knows. While it knows of none, none is.
func (c *Changelog) Chosen(name string) bool {
	q := c.queueOf(name)
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
	c.mu.Lock()
	me := c.nodes[q]
	c.mu.Unlock()
	return qu.begun && qu.isChosen(name, me)
}

// isChosen is Chosen for a name of the queue, in which this node is me. qu.reading is held.
func (qu *queue) isChosen(name string, me uint64) bool {
	best, most := me, weigh(name, me)
	for node, p := range qu.peers {
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
	body, err := stateOf(r, q, name, h)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	rec := record{kind: kindState, node: c.nodes[q], seq: c.seq, base: h.last, at: h.time, name: name, body: body}
	e.appends = append(e.appends, appended{q, rec.append(nil)})
	return nil
}

// repair is what the log has lost of a name.
type repair struct {
	name string
	body []byte
	// Records that stand at lost or above, or were stored after known, Unix milliseconds, are none of those from which body was made. It takes both: what was
	// lost once more, before it was read again, is not seen by its offset.
	lost, known int64
}

// Rebuild has the view of queue q built again from the log, which begins at from now: it went back, and what stood at lost and above is gone, though it was
// read. Reading goes on at from, and Begin follows.
func (c *Changelog) Rebuild(q int, from, lost int64) error {
	done, err := c.keeper.Use()
	if err != nil {
		return err
	}
	defer done()
	qu := &c.queues[q]
	qu.reading.Lock()
	defer qu.reading.Unlock()
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
	for node := range qu.peers { // ids are of one queue
		if err := x.EndCheckpoint(int64(node)); err != nil {
			return err
		}
	}
	for _, letter := range []byte{keyOwned, keyGrave, keyPeer, keyShare, keyOwes} {
		if err := x.DeleteAll(queueKey(letter, uint16(q))); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.ready[q] = false
	for _, ch := range c.chains {
		if ch.q == q && ch.under != nil {
			ch.under.read = nil
		}
	}
	c.mu.Unlock()
	qu.next, qu.origin, qu.since, qu.buried, qu.note, qu.begun = from, from, 0, 0, nil, false
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

// keep remembers the names about which records were lost. Those of an earlier time that were not written yet stay, unless more is known of them now.
func (c *Changelog) keep(q int, names []string, lost int64) error {
	qu := &c.queues[q]
	for i := range qu.repairs {
		qu.repairs[i].lost = min(qu.repairs[i].lost, lost)
	}
	for _, name := range names {
		h, err := c.headOf(name)
		if err != nil {
			return err
		}
		if h.last < lost {
			continue
		}
		body := c.repairing(name, &h)
		if body == nil {
			if body, err = stateOf(c.db, q, name, &h); err != nil {
				return err
			}
		}
		qu.repairs = slices.DeleteFunc(qu.repairs, func(r repair) bool { return r.name == name })
		qu.repairs = append(qu.repairs, repair{name, body, lost, qu.newest})
	}
	return nil
}

// repairing is the state of a name that is on its way, since the log had lost it before, and would count now; nil: none is. It knows more than h does.
func (c *Changelog) repairing(name string, h *head) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.chains[name]
	if ch == nil || ch.under == nil || ch.under.kind != kindState || !h.isBase(&ch.under.record) {
		return nil
	}
	return ch.under.body
}

// wipe removes all that is known of a name.
func (x *txn) wipe(name string) error {
	if err := x.removeAll(name); err != nil {
		return err
	}
	return x.Delete(headKey(name))
}

// repair appends again what the log has lost, and has the chains of the queue go on from what it has now. All nodes that had read it do so, and the first one
// counts. reading and mu are held.
func (c *Changelog) repair(q int, e *effects) error {
	chains := c.chainsOf(q)
	for _, ch := range chains {
		h, err := c.headOf(ch.name)
		if err != nil {
			return err
		}
		ch.head = h
		c.resume(ch, e)
	}
	for i := range c.queues[q].repairs {
		if err := c.repairOne(q, &c.queues[q].repairs[i], e); err != nil {
			return err
		}
	}
	c.queues[q].repairs = nil
	if err := c.strays(q, e); err != nil {
		return err
	}
	for _, ch := range chains {
		if ch.under == nil {
			c.reconcile(ch, e)
		}
		c.settle(ch, e)
	}
	return nil
}

// resume says what became of a record that was under way while its queue was read again.
func (c *Changelog) resume(ch *chain, e *effects) {
	switch f := ch.under; {
	case f == nil:
	case f.read != nil && f.read.valid:
		c.landed(ch, f.read, e)
	case f.read == nil && ch.head.isBase(&f.record) && f.node == c.nodes[ch.q]: // it is on its way, or lost
		f.appendTo(ch.q, e)
	default: // it does not count
		c.unsend(ch, e)
	}
}

// strays gives up what this node owns and has no use for. reading and mu are held.
func (c *Changelog) strays(q int, e *effects) error {
	return view.Each(c.db, numberKey(keyOwned, uint16(q), c.nodes[q], ""), func(key, _ []byte) error {
		_, name := splitNumber(key)
		if c.chains[name] != nil {
			return nil
		}
		h, err := c.headOf(name)
		if err == nil {
			c.stray(name, &h, e)
		}
		return err
	})
}

// repairOne appends again what the log has lost of a name, unless somebody has written about it since, and was first. The name has a chain then, so that what is lost once more before
// it was read is appended once more; and a client id that this node owns, and has no use for, is given up when it was.
func (c *Changelog) repairOne(q int, r *repair, e *effects) error {
	h, err := c.headOf(r.name)
	if err != nil || h.last >= r.lost || h.last != none && h.time > r.known {
		return err
	}
	ch := c.chains[r.name]
	if ch == nil {
		ch = &chain{name: r.name, q: q, head: h}
		c.chains[r.name] = ch
	}
	if ch.under == nil { // else what is under way was built on the same record, and counts as well
		c.send(ch, kindState, r.body, nil, e)
	}
	return nil
}
