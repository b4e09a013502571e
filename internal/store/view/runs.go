package view

import "bytes"

// startChunk bounds the memory of a start after a crash with many connected sessions.
const startChunk = 10000

// EndRunsBelow is for a changelog with one process at a time, whose runs grow: sessions that a run below r.Run left connected have lost their
// connection, and their expiry counts from r.Time, the first moment that is known not to be earlier than the end of the connection.
func (t *Txn) EndRunsBelow(r *Record) error {
	for {
		type left struct {
			client string
			key    []byte
		}
		var list []left
		err := t.Each([]byte{keyConnected}, func(key, _ []byte) error {
			run, client := SplitNumber(key)
			if run >= r.Run || len(list) == startChunk {
				return Stop
			}
			list = append(list, left{string(client), bytes.Clone(key)})
			return nil
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, l := range list {
			if err := t.Abandon(r, l.client); err != nil {
				return err
			}
			if err := t.Delete(l.key); err != nil {
				return err
			}
		}
		if len(list) < startChunk {
			return nil
		}
		// Without the state: a crash in between begins again from the state before, where these steps find
		// nothing left to do.
		if err := t.Apply(); err != nil {
			return err
		}
	}
}

// neverExpires is the Expiry of a session that ends when it is told to.
const neverExpires = 0xFFFFFFFF

// Abandon notes when a session whose process died ends, and when its will is due: its connection was lost at r.Time.
func (t *Txn) Abandon(r *Record, client string) error {
	t.rec = r
	head, err := t.Head(client)
	if err != nil || head == nil || !head.Connected || head.Due != 0 || head.WillDue != 0 {
		return err
	}
	w, err := t.Will(client)
	if err != nil {
		return err
	}
	if w != nil {
		head.WillDue = t.rec.Time + 1000*int64(min(w.Delay, head.Expiry))
	}
	if head.Expiry != neverExpires {
		head.Due = t.rec.Time + 1000*int64(head.Expiry)
	}
	return t.putHead(client, head)
}

// Settle ends that checkpoints move a session, of which the last one of its run counts: its run is over.
func (t *Txn) Settle(client string) error {
	head, err := t.Head(client)
	if err != nil || head == nil {
		return err
	}
	return t.endFollowing(client, head)
}
