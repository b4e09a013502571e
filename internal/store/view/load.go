package view

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Load returns the session as its changelog has it, and its head; nil when there is none. r is to be a snapshot, or what nobody writes to. SentUpTo is as of the last
// Detach; of a session that is Connected, Cursor includes the last checkpoint of its run.
func Load(r pebble.Reader, client string) (*store.Session, *Head, error) {
	w, err := read(r, client)
	if err != nil || w == nil {
		return nil, nil, err
	}
	return w.load(), &w.head, nil
}

// whole is all that the view has of a session, but for what groups have of it.
type whole struct {
	head     Head
	progress progress
	exactly  []exactly     // PUBRELs in the order of the PUBRECs, then PUBLISHes in the order of sending [MQTT-4.6.0-1], [MQTT-4.6.0-4]
	session  store.Session // Client, Subscriptions, Received, Pending and Sent2, in the order of their keys, and Will; load adds the rest
}

// read collects the keys of a session, and what the last checkpoint of its run says of it; nil when there is none.
func read(r pebble.Reader, client string) (*whole, error) {
	w, found := &whole{session: store.Session{Client: client}}, false
	prefix := namePrefix(nil, keySession, client)
	err := Each(r, prefix, func(key, value []byte) error {
		found = true
		return w.part(key[len(prefix):], value)
	})
	if err == nil {
		err = w.progress.resolve(r, &w.head)
	}
	if err != nil {
		return nil, fmt.Errorf("read session %.200q: %w", client, err)
	}
	if !found {
		return nil, nil
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
		s.Will = d.Will()
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
	out.Principal, out.Expiry = h.Principal, h.Expiry
	if !h.Connected {
		out.ExpiresAt = h.Due
	}
	out.Connected, out.Created, out.WillAt = h.Connected, h.Created, h.WillDue
	out.Cursor, out.Follows, out.SentUpTo = p.cursor, p.follows, p.sentUpTo
	out.Inflight = w.inflight()
	return out
}

// inflight lists what is under way to the client, in the order in which it is to be sent again.
func (w *whole) inflight() (list []store.Inflight) {
	n, taken := 0, map[uint16]bool{}
	for i := range w.exactly {
		taken[w.exactly[i].PacketID] = true
	}
	for ; n < len(w.exactly) && w.exactly[n].Released; n++ {
		list = append(list, w.exactly[n].Inflight)
	}
	for _, in := range w.progress.inflight {
		if !taken[in.PacketID] { // else it was acknowledged since the last Progress, and its packet id is a QoS 2 message's now
			list = append(list, in)
		}
	}
	for ; n < len(w.exactly); n++ {
		list = append(list, w.exactly[n].Inflight)
	}
	return list
}
