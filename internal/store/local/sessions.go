package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Load returns the session as its changelog has it; see store.Store. Of a session that a dead process left
// connected, Cursor includes that process's last checkpoint and ExpiresAt counts from the next start.
func (s *Store) Load(client string) (*store.Session, error) {
	if !s.gate.enter() {
		return nil, store.ErrClosed
	}
	defer s.gate.leave()
	snap := s.view.db.NewSnapshot()
	defer snap.Close() //nolint:errcheck // it only reads
	l := loader{snap: snap, session: &store.Session{Client: client}}
	prefix := namePrefix(nil, keySession, client)
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err == nil {
		err = scan(it, func(key, value []byte) error { return l.part(key[len(prefix):], value) })
	}
	if err == nil && l.found {
		err = l.finish(s)
	}
	if err != nil {
		return nil, fmt.Errorf("load session %q: %w", client, err)
	}
	if !l.found {
		return nil, nil
	}
	return l.session, nil
}

// loader puts a session together from its keys.
type loader struct {
	snap     *pebble.Snapshot
	session  *store.Session
	found    bool
	head     sessionHead
	progress progress
	exactly  []exactly
}

// part takes one key of the session.
func (l *loader) part(key, value []byte) error {
	if len(key) == 0 {
		return store.ErrCorrupt
	}
	part, key := key[0], key[1:]
	switch part {
	case partHead:
		l.found = true
		return l.head.decode(value)
	case partProgress:
		return l.progress.decode(value)
	case partFilter:
		d := decoder{b: value}
		l.session.Subscriptions = append(l.session.Subscriptions, d.subscription())
		return d.err
	case partReceived:
		l.session.Received = append(l.session.Received, binary.BigEndian.Uint16(key))
		return nil
	case partPending:
		d := decoder{b: value}
		l.session.Pending = append(l.session.Pending, d.receipt())
		return d.err
	case partExactly:
		var e exactly
		if err := e.decode(value); err != nil {
			return err
		}
		l.exactly = append(l.exactly, e)
		return nil
	case partWill:
		d := decoder{b: value}
		l.session.Will = d.will()
		return d.err
	case partSent2:
		d := decoder{b: value}
		l.session.Sent2 = append(l.session.Sent2, store.Position{Queue: store.Queue(binary.BigEndian.Uint64(key)), Offset: d.int()})
		return d.err
	}
	return store.ErrCorrupt
}

// finish fills in what depends on more than one key.
func (l *loader) finish(s *Store) error {
	out, h := l.session, &l.head
	out.Principal, out.Expiry, out.ExpiresAt = h.principal, h.expiry, h.expiresAt
	out.Connected, out.Created, out.WillAt = h.connected, h.created, h.willDue
	out.SentUpTo = l.progress.sentUpTo
	if h.connected {
		out.SentUpTo = []store.Position{{Offset: s.opened}}
		out.ExpiresAt = h.due // 0 but when its process died
	}
	if h.connected && l.progress.follows {
		c, err := l.checkpoint(h.run)
		if err != nil {
			return err
		}
		l.progress.fold(&c)
	}
	out.Cursor, out.Follows = l.progress.cursor, l.progress.follows
	// PUBRELs in the order of the PUBRECs, then PUBLISHes in the order of sending [MQTT-4.6.0-1], [MQTT-4.6.0-4].
	slices.SortStableFunc(l.exactly, func(a, b exactly) int {
		if a.inflight.Released != b.inflight.Released {
			return int(bit(b.inflight.Released, 1)) - int(bit(a.inflight.Released, 1))
		}
		return cmp.Compare(a.seq, b.seq)
	})
	n := 0
	for ; n < len(l.exactly) && l.exactly[n].inflight.Released; n++ {
		out.Inflight = append(out.Inflight, l.exactly[n].inflight)
	}
	out.Inflight = append(out.Inflight, l.progress.inflight...)
	for ; n < len(l.exactly); n++ {
		out.Inflight = append(out.Inflight, l.exactly[n].inflight)
	}
	return nil
}

// checkpoint returns the last one of a run; zero when there is none.
func (l *loader) checkpoint(run int64) (c checkpoint, err error) {
	value, done, err := l.snap.Get(numberKey(keyCheckpoint, run, ""))
	if errors.Is(err, pebble.ErrNotFound) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer done.Close() //nolint:errcheck // cannot fail
	return c, c.decode(value)
}

// Groups lists the shared subscription groups; see store.Store.
func (s *Store) Groups() ([]store.Group, error) {
	if !s.gate.enter() {
		return nil, store.ErrClosed
	}
	defer s.gate.leave()
	var groups []store.Group
	it, err := s.view.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyGroup}, UpperBound: []byte{keyGroup + 1}})
	if err == nil {
		err = scan(it, func(key, value []byte) error { return groupPart(&groups, key, value) })
	}
	if err != nil {
		return nil, fmt.Errorf("list shared subscriptions: %w", err)
	}
	return groups, nil
}

// groupPart takes one key of a group; those of one group follow each other, the head first.
func groupPart(groups *[]store.Group, key, value []byte) error {
	name, rest := splitName(key)
	if len(rest) == 0 {
		return store.ErrCorrupt
	}
	if rest[0] == partHead {
		var h groupHead
		if err := h.decode(value); err != nil {
			return err
		}
		*groups = append(*groups, store.Group{
			Filter: string(name), Founded: h.founded, Since: h.since, Cursor: h.cursor, Outstanding: h.outstanding,
		})
		return nil
	}
	if len(*groups) == 0 {
		return store.ErrCorrupt
	}
	g := &(*groups)[len(*groups)-1]
	switch rest[0] {
	case partMember:
		g.Members = append(g.Members, string(rest[1:]))
	case partExact:
		p, ok := splitExact(rest[1:])
		if !ok {
			return store.ErrCorrupt
		}
		g.Exact = append(g.Exact, p)
	}
	return nil
}

// Expired lists sessions that were due to end; see store.Store. The one that is due longest comes first.
func (s *Store) Expired(now time.Time, max int) ([]string, error) {
	return s.due(keyExpiry, now, max)
}

// WillsDue lists sessions whose will is due; see store.Store. The one that is due longest comes first.
func (s *Store) WillsDue(now time.Time, max int) ([]string, error) {
	return s.due(keyWill, now, max)
}

// due lists the clients of an index by time.
func (s *Store) due(kind byte, now time.Time, max int) ([]string, error) {
	if !s.gate.enter() {
		return nil, store.ErrClosed
	}
	defer s.gate.leave()
	var clients []string
	it, err := s.view.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{kind}, UpperBound: numberKey(kind, now.UnixMilli()+1, ""),
	})
	if err == nil {
		err = scan(it, func(key, _ []byte) error {
			if len(clients) >= max {
				return errStop
			}
			_, client := splitNumber(key)
			clients = append(clients, string(client))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list what is due: %w", err)
	}
	return clients, nil
}

// Sessions counts the persistent sessions.
func (s *Store) Sessions() int64 { return s.view.sessions.Load() }
