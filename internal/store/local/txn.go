package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// txn applies records to the view: all of a batch, or none. It reads what it wrote.
type txn struct {
	v     *view
	b     *pebble.Batch // nil until there is something to write
	state viewState
	rec   *header // of the record being applied
	buf   []byte  // scratch for values
}

func (v *view) txn() *txn { return &txn{v: v, state: v.state, buf: make([]byte, 0, 64)} }

// close releases the transaction, committed or not.
func (t *txn) close() {
	if t.b != nil {
		t.b.Close() //nolint:errcheck // an indexed batch holds memory only
	}
}

// commit makes what was applied visible and notes that everything below next is; below durable it was synced.
func (t *txn) commit(next, durable int64) error {
	t.state.next, t.state.durable = next, durable
	if t.b == nil {
		t.v.state = t.state
		return nil
	}
	if err := t.set([]byte{keyState}, t.state.encode()); err != nil {
		return err
	}
	if err := t.apply(); err != nil {
		return err
	}
	t.v.state = t.state
	t.v.publish()
	return nil
}

func (t *txn) apply() error {
	if err := t.b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit to the view: %w", err)
	}
	t.b.Close() //nolint:errcheck // committed
	t.b = nil
	return nil
}

func (t *txn) batch() *pebble.Batch {
	if t.b == nil {
		t.b = t.v.db.NewIndexedBatch()
	}
	return t.b
}

func (t *txn) set(key, value []byte) error { return t.batch().Set(key, value, nil) }
func (t *txn) delete(key []byte) error     { return t.batch().Delete(key, nil) }

// get returns the value of key, valid until the next get; nil when there is none, not nil when it is empty.
func (t *txn) get(key []byte) ([]byte, error) {
	value, done, err := t.batch().Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the view: %w", err)
	}
	t.buf = append(t.buf[:0], value...)
	done.Close() //nolint:errcheck // cannot fail
	return t.buf, nil
}

// each calls f for every key with prefix. The slices are valid during the call; f must not write.
func (t *txn) each(prefix []byte, f func(key, value []byte) error) error {
	it, err := t.batch().NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("read the view: %w", err)
	}
	return scan(it, f)
}

// scan calls f for every key of it and closes it.
func scan(it *pebble.Iterator, f func(key, value []byte) error) error {
	var err error
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = f(it.Key(), value)
		}
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return errors.Join(err, it.Close())
}

// errStop ends a scan early, without error.
var errStop = errors.New("stop")

// after is the first key behind all that have this prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// record applies one record that stands at pos of its segment.
func (t *txn) record(h *header, body []byte, pos int64) error {
	t.rec = h
	if err := t.v.index.record(t, h, body, pos); err != nil {
		return err
	}
	switch h.kind {
	case kindMessage:
		return t.message(h, body)
	case kindRetained:
		return t.retain(h, body)
	case kindRetainedOver:
		return t.retainedOver(h, body)
	case kindChange:
		c, err := parseChange(body)
		if err != nil {
			return fmt.Errorf("offset %d: %w", h.offset, err)
		}
		if err := t.change(&c); err != nil {
			return fmt.Errorf("apply the change at offset %d: %w", h.offset, err)
		}
		return nil
	case kindStart:
		return t.start()
	}
	return fmt.Errorf("record at offset %d is of unknown kind %d; use the version that wrote it: %w", h.offset, h.kind, store.ErrCorrupt)
}

// message applies what a message says beside itself.
func (t *txn) message(h *header, body []byte) error {
	if h.flags&flagRetain != 0 {
		if err := t.retain(h, body); err != nil {
			return err
		}
	}
	if h.flags&flagClient == 0 {
		return nil
	}
	p, err := parseMessage(h, body)
	if err != nil {
		return err
	}
	if h.flags&flagWill != 0 {
		return t.willDone(p.client)
	}
	return t.received(p.client, p.packetID)
}

// sessionHead is the value of a session's first key.
type sessionHead struct {
	principal string
	expiry    uint32
	expiresAt int64
	due       int64 // of its expiry key; 0: it has none
	willDue   int64 // of its will's key; 0: it has none
	connected bool
	run       int64 // in which it connected
	created   int64
}

func (h *sessionHead) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, bit(h.connected, 1))
	b = binary.AppendUvarint(b, uint64(h.expiry))
	b = binary.AppendVarint(b, h.expiresAt)
	b = binary.AppendVarint(b, h.due)
	b = binary.AppendVarint(b, h.willDue)
	b = binary.AppendVarint(b, h.run)
	b = binary.AppendVarint(b, h.created)
	return appendString(b, h.principal)
}

func (h *sessionHead) decode(b []byte) error {
	d := decoder{b: b}
	h.connected = d.uint()&1 != 0
	h.expiry = uint32(d.uint())
	h.expiresAt, h.due, h.willDue, h.run, h.created = d.int(), d.int(), d.int(), d.int(), d.int()
	h.principal = d.string()
	return d.err
}

// progress is the value of a session's progress key.
type progress struct {
	cursor   []store.Position
	sentUpTo []store.Position // of the last Detach
	follows  bool
	at       int64 // offset of the record: later checkpoints count
	inflight []store.Inflight
}

func (p *progress) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, bit(p.follows, 1))
	b = binary.AppendVarint(b, p.at)
	b = appendPositions(b, p.cursor)
	b = appendPositions(b, p.sentUpTo)
	return appendInflight(b, p.inflight)
}

func (p *progress) decode(b []byte) error {
	d := decoder{b: b}
	p.follows = d.uint()&1 != 0
	p.at = d.int()
	p.cursor = d.positions()
	p.sentUpTo = d.positions()
	p.inflight = d.inflight()
	return d.err
}

// fold moves the cursor to a checkpoint that came after it.
func (p *progress) fold(c *checkpoint) {
	if p.follows && c.at > p.at {
		p.cursor = later(p.cursor, c.cursor)
	}
}

// later returns, per queue, the later position of a and b.
func later(a, b []store.Position) []store.Position {
	out := append([]store.Position(nil), a...)
next:
	for _, p := range b {
		for i := range out {
			if out[i].Queue == p.Queue {
				out[i].Offset = max(out[i].Offset, p.Offset)
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// checkpoint is the value of a run's key.
type checkpoint struct {
	at     int64 // offset of the record
	cursor []store.Position
}

func (c *checkpoint) encode(b []byte) []byte {
	return appendPositions(binary.AppendVarint(b, c.at), c.cursor)
}

func (c *checkpoint) decode(b []byte) error {
	d := decoder{b: b}
	c.at, c.cursor = d.int(), d.positions()
	return d.err
}

// exactly is the value of an outgoing QoS 2 message's key.
type exactly struct {
	seq      int64 // offset of its last record: the order of sending, or of releasing
	inflight store.Inflight
}

func (e *exactly) encode(b []byte) []byte {
	return appendInflight(binary.AppendVarint(b, e.seq), []store.Inflight{e.inflight})
}

func (e *exactly) decode(b []byte) error {
	d := decoder{b: b}
	e.seq = d.int()
	if list := d.inflight(); len(list) == 1 {
		e.inflight = list[0]
	} else if d.err == nil {
		d.err = errShort
	}
	return d.err
}

// groupHead is the value of a group's first key.
type groupHead struct {
	members     int64
	founded     []store.Position
	since       int64
	cursor      []store.Position
	outstanding []store.Position
}

func (g *groupHead) encode(b []byte) []byte {
	b = binary.AppendVarint(b, g.members)
	b = appendPositions(b, g.founded)
	b = binary.AppendVarint(b, g.since)
	b = appendPositions(b, g.cursor)
	return appendPositions(b, g.outstanding)
}

func (g *groupHead) decode(b []byte) error {
	d := decoder{b: b}
	g.members, g.founded, g.since = d.int(), d.positions(), d.int()
	g.cursor, g.outstanding = d.positions(), d.positions()
	return d.err
}
