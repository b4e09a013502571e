package view

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Load returns the session as its changelog has it, and its head; nil when there is none. r is to be a snapshot, or what nobody writes to. SentUpTo is as of the last
// Detach; of a session that is Connected, Cursor includes the last checkpoint of its run.
func Load(r pebble.Reader, client string) (*store.Session, *Head, error) {
	w, err := read(r, client)
	if err != nil || !w.found {
		return nil, nil, err
	}
	return w.load(), &w.head, nil
}

// whole is all that the view has of a session, but for what groups have of it.
type whole struct {
	found    bool
	head     Head
	progress progress
	exactly  []exactly     // PUBRELs in the order of the PUBRECs, then PUBLISHes in the order of sending [MQTT-4.6.0-1], [MQTT-4.6.0-4]
	session  store.Session // Client, Subscriptions, Received, Pending and Sent2, in the order of their keys, and Will; load adds the rest
}

// read collects the keys of a session, and what the last checkpoint of its run says of it.
func read(r pebble.Reader, client string) (*whole, error) {
	w := &whole{session: store.Session{Client: client}}
	prefix := namePrefix(nil, keySession, client)
	err := Each(r, prefix, func(key, value []byte) error { return w.part(key[len(prefix):], value) })
	if err == nil {
		err = w.progress.resolve(r, &w.head)
	}
	if err != nil {
		return nil, fmt.Errorf("read session %.200q: %w", client, err)
	}
	slices.SortFunc(w.exactly, exactly.compare)
	return w, nil
}

// part takes one key of the session, without what all of them begin with.
func (w *whole) part(key, value []byte) error {
	if len(key) == 0 {
		return store.ErrCorrupt
	}
	s, d := &w.session, Decoder{B: value}
	switch part, key := key[0], key[1:]; part {
	case partHead:
		w.found = true
		w.head.read(&d)
	case partProgress:
		w.progress.read(&d)
	case partFilter:
		s.Subscriptions = append(s.Subscriptions, d.subscription())
	case partReceived:
		if len(key) != 2 {
			return store.ErrCorrupt
		}
		s.Received = append(s.Received, binary.BigEndian.Uint16(key))
	case partPending:
		s.Pending = append(s.Pending, d.receipt())
	case partExactly:
		w.exactly = append(w.exactly, d.exactly())
	case partWill:
		s.Will = d.will()
	case partSent2:
		if len(key) != 8 {
			return store.ErrCorrupt
		}
		s.Sent2 = append(s.Sent2, store.Position{Queue: store.Queue(binary.BigEndian.Uint64(key)), Offset: d.Int()})
	default:
		return store.ErrCorrupt
	}
	return d.end()
}

// load returns the session, filled in.
func (w *whole) load() *store.Session {
	out, h, p := &w.session, &w.head, &w.progress
	out.Principal, out.Expiry, out.ExpiresAt = h.Principal, h.Expiry, h.ExpiresAt
	out.Connected, out.Created, out.WillAt = h.Connected, h.Created, h.WillDue
	out.Cursor, out.Follows, out.SentUpTo = p.cursor, p.follows, p.sentUpTo
	n := 0
	for ; n < len(w.exactly) && w.exactly[n].Released; n++ {
		out.Inflight = append(out.Inflight, w.exactly[n].Inflight)
	}
	for _, in := range p.inflight {
		if !w.takenAgain(in.PacketID) {
			out.Inflight = append(out.Inflight, in)
		}
	}
	for ; n < len(w.exactly); n++ {
		out.Inflight = append(out.Inflight, w.exactly[n].Inflight)
	}
	return out
}

// takenAgain says that the packet id of a QoS 1 message is a QoS 2 message's now: the first one was acknowledged since its session's last Progress.
func (w *whole) takenAgain(id uint16) bool {
	return slices.ContainsFunc(w.exactly, func(e exactly) bool { return e.PacketID == id })
}

// checkpointOf returns the last one of a run; zero when there is none.
func checkpointOf(r pebble.Reader, run int64) (c checkpoint, err error) {
	value, err := get(r, nil, NumberKey(keyCheckpoint, run, ""))
	if err != nil || value == nil {
		return c, err
	}
	d := Decoder{B: value}
	c.read(&d)
	return c, d.end()
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
		h, d := groupHead{}, Decoder{B: value}
		h.read(&d)
		*groups = append(*groups, store.Group{
			Filter: string(name), Founded: h.founded, Since: h.since, Cursor: h.cursor, Outstanding: h.outstanding,
		})
		return d.end()
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
	default:
		return store.ErrCorrupt
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
