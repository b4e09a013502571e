package local

import "bytes"

// startChunk bounds the memory of a start after a crash with many connected sessions.
const startChunk = 10000

// start begins a run: sessions that the former one left connected have lost their connection, and their expiry
// counts from now, the first moment that is known not to be earlier than the end of the connection.
func (t *txn) start() error {
	t.state.run = t.rec.offset
	for {
		type left struct {
			client string
			key    []byte
		}
		var list []left
		err := t.each([]byte{keyConnected}, func(key, _ []byte) error {
			run, client := splitNumber(key)
			if run >= t.state.run || len(list) == startChunk {
				return errStop
			}
			list = append(list, left{string(client), bytes.Clone(key)})
			return nil
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, l := range list {
			if err := t.abandon(l.client); err != nil {
				return err
			}
			if err := t.delete(l.key); err != nil {
				return err
			}
		}
		if len(list) < startChunk {
			return nil
		}
		// Without the state: a crash in between begins again from the state before, where these steps find
		// nothing left to do.
		if err := t.apply(); err != nil {
			return err
		}
	}
}

// abandon notes when a session whose process died ends, and when its will is due.
func (t *txn) abandon(client string) error {
	head, err := t.head(client)
	if err != nil || head == nil || !head.connected || head.due != 0 || head.willDue != 0 {
		return err
	}
	w, err := t.will(client)
	if err != nil {
		return err
	}
	if w != nil {
		if err := t.willFrom(client, head, t.rec.time+1000*int64(min(w.Delay, head.expiry))); err != nil {
			return err
		}
	}
	if head.expiry != neverExpires {
		head.due = t.rec.time + int64(head.expiry)*1000
		if err := t.set(numberKey(keyExpiry, head.due, client), nil); err != nil {
			return err
		}
	}
	return t.putHead(client, head)
}
