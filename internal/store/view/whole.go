package view

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Dump is all that the view has of a session, for Replace; nil when there is none. Where it stands includes the last checkpoint of the run that it is connected in. r
// is to be a snapshot, or what nobody writes to.
func Dump(r pebble.Reader, client string) ([]byte, error) {
	w, err := read(r, client)
	if err != nil || w == nil {
		return nil, err
	}
	return w.encode(nil), nil
}

// Replace puts a session as Dump gave it in the place of what there is; an empty dump removes it. Groups that both are in go on from where they are. A dump that
// does not decode, or that is of no session which could be, is store.ErrCorrupt, and nothing is changed by it.
func (t *Txn) Replace(r *Record, client string, dump []byte) error {
	t.rec = r
	if len(dump) == 0 {
		return t.makeWay(client, nil)
	}
	w, err := parseDump(client, dump)
	if err != nil {
		return fmt.Errorf("dump of session %.200q: %w: %w", client, err, store.ErrCorrupt)
	}
	groups := map[string]bool{}
	for i := range w.session.Subscriptions {
		if filter := w.session.Subscriptions[i].Filter; isShared(filter) {
			groups[filter] = true
		}
	}
	if err := t.makeWay(client, groups); err != nil {
		return err
	}
	return t.restore(w)
}

// encode appends the session. Where its records stand is left out: Replace is a record of its own.
func (w *whole) encode(b []byte) []byte {
	s, p := &w.session, w.progress
	p.at = 0
	b = p.encode(w.head.encode(b))
	b = appendList(b, s.Subscriptions, appendSubscription)
	b = appendList(b, s.Received, appendID)
	b = appendList(b, s.Pending, appendReceipt)
	b = AppendPositions(b, s.Sent2)
	b = appendList(b, w.exactly, func(b []byte, e *exactly) []byte { return appendMessage(b, &e.Inflight) })
	return AppendWill(b, s.Will)
}

// parseDump is the inverse of encode.
func parseDump(client string, dump []byte) (*whole, error) {
	d, w := Decoder{B: dump}, &whole{session: store.Session{Client: client}}
	s := &w.session
	w.head.read(&d)
	w.progress.read(&d)
	s.Subscriptions = list(&d, 5, (*Decoder).subscription)
	s.Received = list(&d, 1, (*Decoder).uint16)
	s.Pending = list(&d, 5, (*Decoder).receipt)
	s.Sent2 = d.Positions()
	w.exactly = list(&d, 5, func(d *Decoder) exactly { return exactly{Inflight: d.message()} })
	s.Will = d.Will()
	if err := d.end(); err != nil {
		return nil, err
	}
	return w, w.fits()
}

// restore writes a session for which way was made, and what refers to it.
func (t *Txn) restore(w *whole) error {
	w.progress.at = t.rec.Offset // later checkpoints count
	for i := range w.exactly {
		w.exactly[i].step = t.step() // in their order, behind all that came before
	}
	var err error
	w.keys(func(key, value []byte) {
		if err == nil {
			err = t.Set(key, value)
		}
	})
	if err == nil {
		err = t.putHead(w.session.Client, &w.head)
	}
	if err == nil {
		err = t.joinAll(w)
	}
	t.sessions++
	return err
}

// keys calls set with every key that part takes, but for the head's.
func (w *whole) keys(set func(key, value []byte)) {
	client, s := w.session.Client, &w.session
	set(sessionKey(client, partProgress), w.progress.encode(nil))
	for i := range s.Subscriptions {
		set(filterKey(client, s.Subscriptions[i].Filter), appendSubscription(nil, &s.Subscriptions[i]))
	}
	for _, id := range s.Received {
		set(idKey(client, partReceived, id), nil)
	}
	for i := range s.Pending {
		set(idKey(client, partPending, s.Pending[i].PacketID), appendReceipt(nil, &s.Pending[i]))
	}
	for _, p := range s.Sent2 {
		set(sent2Key(client, p.Queue), binary.AppendVarint(nil, p.Offset))
	}
	for i := range w.exactly {
		set(idKey(client, partExactly, w.exactly[i].PacketID), w.exactly[i].encode(nil))
	}
	if s.Will != nil {
		set(sessionKey(client, partWill), AppendWill(nil, s.Will))
	}
}

// joinAll makes a session a member of its groups, and has groups know which of their QoS 2 messages are the session's.
func (t *Txn) joinAll(w *whole) error {
	for i := range w.session.Subscriptions {
		if sub := &w.session.Subscriptions[i]; isShared(sub.Filter) {
			if err := t.join(w.session.Client, sub); err != nil {
				return err
			}
		}
	}
	for i := range w.exactly {
		in := &w.exactly[i].Inflight
		if in.Group == "" {
			continue
		}
		g, err := t.group(in.Group)
		if err == nil && g != nil && !g.passed(in.At) {
			err = t.Set(exactKey(in.Group, in.At), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
