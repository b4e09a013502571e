package view

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Dump is all that the view has of a session, for Replace; nil when there is none. Where it stands includes the last checkpoint of the run that it is connected in. r
// is to be a snapshot, or what nobody writes to.
func Dump(r pebble.Reader, client string) ([]byte, error) {
	prefix := namePrefix(nil, keySession, client)
	var dump []byte
	l := loader{r: r, session: &store.Session{Client: client}}
	err := Each(r, prefix, func(key, value []byte) error {
		key = key[len(prefix):]
		if err := l.part(key, value); err != nil {
			return err
		}
		if key[0] != partProgress {
			dump = appendPair(dump, key, value)
		}
		return nil
	})
	if err == nil && l.found {
		err = l.foldCheckpoint()
	}
	if err != nil {
		return nil, fmt.Errorf("dump session %q: %w", client, err)
	}
	if !l.found {
		return nil, nil
	}
	return appendPair(dump, []byte{partProgress}, l.progress.encode(nil)), nil
}

func appendPair(b, key, value []byte) []byte {
	return AppendBytes(AppendBytes(b, key), value)
}

// Replace puts a session as Dump gave it in the place of what there is; an empty dump removes it. A dump that does not decode is store.ErrCorrupt, and nothing is changed by it.
func (t *Txn) Replace(r *Record, client string, dump []byte) error {
	t.rec = r
	var pairs [][2][]byte
	l := loader{session: &store.Session{Client: client}}
	for d := (Decoder{B: dump}); len(d.B) > 0; {
		key, value := d.Bytes(), d.Bytes()
		if d.Err != nil || len(key) == 0 || l.part(key, value) != nil {
			return fmt.Errorf("a dump of session %q does not decode: %w", client, store.ErrCorrupt)
		}
		pairs = append(pairs, [2][]byte{key, value})
	}
	if len(pairs) > 0 && !l.found {
		return fmt.Errorf("a dump of session %q has no head: %w", client, store.ErrCorrupt)
	}
	if err := t.removeSession(client); err != nil || len(pairs) == 0 {
		return err
	}
	return t.restore(&l, pairs)
}

// restore writes a session that was dumped, and what refers to it.
func (t *Txn) restore(l *loader, pairs [][2][]byte) error {
	client := l.session.Client
	prefix := namePrefix(nil, keySession, client)
	for _, p := range pairs {
		if p[0][0] == partProgress {
			l.progress.at = t.rec.Offset // later checkpoints count
			p[1] = l.progress.encode(nil)
		}
		if err := t.Set(append(bytes.Clone(prefix), p[0]...), p[1]); err != nil {
			return err
		}
	}
	t.sessions++
	for i := range l.session.Subscriptions {
		if sub := &l.session.Subscriptions[i]; isShared(sub.Filter) {
			if err := t.join(client, sub); err != nil {
				return err
			}
		}
	}
	return t.index(client, &l.head)
}

// index enters a session into the indexes of connections, of expiry and of wills: unindex undoes it.
func (t *Txn) index(client string, h *Head) error {
	for _, e := range []struct {
		is bool
		n  int64
		by byte
	}{{h.Connected, h.Run, keyConnected}, {h.Due != 0, h.Due, keyExpiry}, {h.WillDue != 0, h.WillDue, keyWill}} {
		if e.is {
			if err := t.Set(NumberKey(e.by, e.n, client), nil); err != nil {
				return err
			}
		}
	}
	return nil
}
