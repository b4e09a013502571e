package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// setWill makes w the session's will; nil: none.
func (t *Txn) setWill(client string, w *store.Will) error {
	key := sessionKey(client, partWill)
	if w == nil {
		return t.Delete(key)
	}
	return t.Set(key, AppendWill(nil, w))
}

// Will returns the session's will; nil: none.
func (t *Txn) Will(client string) (*store.Will, error) {
	value, err := t.Get(sessionKey(client, partWill))
	if err != nil || value == nil {
		return nil, err
	}
	d := Decoder{B: value}
	return d.Will(), d.end()
}

// WillDone ends a will.
func (t *Txn) WillDone(client string) error {
	head, err := t.Head(client)
	if err != nil || head == nil {
		return err
	}
	if head.WillDue != 0 {
		if err := t.Delete(NumberKey(keyWill, head.WillDue, client)); err != nil {
			return err
		}
		head.WillDue = 0
		if err := t.putHead(client, head); err != nil {
			return err
		}
	}
	return t.setWill(client, nil)
}

// willFrom notes that the session's will is due at a time, or with 0 that it has none any more. head is to be put.
func (t *Txn) willFrom(client string, head *Head, due int64) error {
	if due == 0 {
		return t.setWill(client, nil)
	}
	if has, err := t.Has(sessionKey(client, partWill)); err != nil || !has {
		return err
	}
	head.WillDue = due
	return nil
}
