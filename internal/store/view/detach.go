package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// detach ends the connection of a session.
func (t *Txn) detach(c *store.Change, head *Head) error {
	if err := t.unindex(c.Client, head); err != nil {
		return err
	}
	head.Expiry, head.Due = c.Expiry, c.ExpiresAt
	if err := t.willFrom(c.Client, head, c.WillAt); err != nil {
		return err
	}
	p := progress{cursor: c.Cursor, sentUpTo: c.SentUpTo, inflight: c.Inflight}
	if err := t.putProgress(c.Client, &p); err != nil {
		return err
	}
	return t.putHead(c.Client, head)
}
