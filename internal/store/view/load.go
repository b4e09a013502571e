package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Load returns the session as its changelog has it, and its head; nil when there is none. r is to be a snapshot, or what nobody writes to. SentUpTo is as of the last
// Detach; of a session that is Connected, Cursor includes the last checkpoint of its run.
func Load(r pebble.Reader, client string) (*store.Session, *Head, error) {
	l := loader{r: r, session: &store.Session{Client: client}}
	prefix := namePrefix(nil, keySession, client)
	err := Each(r, prefix, func(key, value []byte) error { return l.part(key[len(prefix):], value) })
	if err == nil && l.found {
		err = l.finish()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("load session %q: %w", client, err)
	}
	if !l.found {
		return nil, nil, nil
	}
	return l.session, &l.head, nil
}

// loader puts a session together from its keys.
type loader struct {
	r        pebble.Reader
	session  *store.Session
	found    bool
	head     Head
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
		d := Decoder{B: value}
		l.session.Subscriptions = append(l.session.Subscriptions, d.subscription())
		return d.Err
	case partReceived:
		l.session.Received = append(l.session.Received, binary.BigEndian.Uint16(key))
		return nil
	case partPending:
		d := Decoder{B: value}
		l.session.Pending = append(l.session.Pending, d.receipt())
		return d.Err
	case partExactly:
		var e exactly
		if err := e.decode(value); err != nil {
			return err
		}
		l.exactly = append(l.exactly, e)
		return nil
	case partWill:
		d := Decoder{B: value}
		l.session.Will = d.will()
		return d.Err
	case partSent2:
		d := Decoder{B: value}
		l.session.Sent2 = append(l.session.Sent2, store.Position{Queue: store.Queue(binary.BigEndian.Uint64(key)), Offset: d.Int()})
		return d.Err
	}
	return store.ErrCorrupt
}

// finish fills in what depends on more than one key.
func (l *loader) finish() error {
	out, h := l.session, &l.head
	out.Principal, out.Expiry, out.ExpiresAt = h.Principal, h.Expiry, h.ExpiresAt
	out.Connected, out.Created, out.WillAt = h.Connected, h.Created, h.WillDue
	out.SentUpTo = l.progress.sentUpTo
	if err := l.foldCheckpoint(); err != nil {
		return err
	}
	out.Cursor, out.Follows = l.progress.cursor, l.progress.follows
	// PUBRELs in the order of the PUBRECs, then PUBLISHes in the order of sending [MQTT-4.6.0-1], [MQTT-4.6.0-4].
	slices.SortFunc(l.exactly, func(a, b exactly) int {
		if a.inflight.Released != b.inflight.Released {
			return int(bit(b.inflight.Released, 1)) - int(bit(a.inflight.Released, 1))
		}
		return a.at.compare(b.at)
	})
	n := 0
	for ; n < len(l.exactly) && l.exactly[n].inflight.Released; n++ {
		out.Inflight = append(out.Inflight, l.exactly[n].inflight)
	}
	for _, in := range l.progress.inflight {
		if !l.takenAgain(in.PacketID) {
			out.Inflight = append(out.Inflight, in)
		}
	}
	for ; n < len(l.exactly); n++ {
		out.Inflight = append(out.Inflight, l.exactly[n].inflight)
	}
	return nil
}

// takenAgain says that the packet id of a QoS 1 message is a QoS 2 message's now: the first one was acknowledged since its session's last Progress.
func (l *loader) takenAgain(id uint16) bool {
	return slices.ContainsFunc(l.exactly, func(e exactly) bool { return e.inflight.PacketID == id })
}

// foldCheckpoint has the session's progress include the last checkpoint of the run that it is connected in.
func (l *loader) foldCheckpoint() error {
	if !l.head.Connected || !l.progress.follows {
		return nil
	}
	c, err := checkpointOf(l.r, l.head.Run)
	if err != nil {
		return err
	}
	l.progress.fold(&c)
	return nil
}

// checkpointOf returns the last one of a run; zero when there is none.
func checkpointOf(r pebble.Reader, run int64) (c checkpoint, err error) {
	value, done, err := r.Get(NumberKey(keyCheckpoint, run, ""))
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
func Groups(r pebble.Reader) ([]store.Group, error) {
	var groups []store.Group
	err := Each(r, []byte{keyGroup}, func(key, value []byte) error { return groupPart(&groups, key, value) })
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
func Expired(r pebble.Reader, now time.Time, max int) ([]string, error) {
	return due(r, keyExpiry, now, max)
}

// WillsDue lists sessions whose will is due; see store.Store. The one that is due longest comes first.
func WillsDue(r pebble.Reader, now time.Time, max int) ([]string, error) {
	return due(r, keyWill, now, max)
}

// due lists the clients of an index by time.
func due(r pebble.Reader, kind byte, now time.Time, max int) ([]string, error) {
	var clients []string
	err := Range(r, []byte{kind}, NumberKey(kind, now.UnixMilli()+1, ""), func(key, _ []byte) error {
		if len(clients) >= max {
			return Stop
		}
		_, client := SplitNumber(key)
		clients = append(clients, string(client))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what is due: %w", err)
	}
	return clients, nil
}
