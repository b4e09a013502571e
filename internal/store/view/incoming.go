package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// An incoming QoS 2 message is either in the log with its packet id (received), or in another place: then Receive comes
// before it is sent there, and Receipted or Refused when that has been answered. The two lists of a session are
// independent of each other: a Receive under an id that is still in Received leaves it there, since the client has not
// released the former message, and only Release takes the id out of both.

// Received notes an incoming QoS 2 message that is in the log.
func (t *Txn) Received(client string, id uint16) error {
	head, err := t.Head(client)
	if err != nil || head == nil {
		return err
	}
	return t.Set(idKey(client, partReceived, id), nil)
}

// incoming applies the steps of an incoming QoS 2 message.
func (t *Txn) incoming(c *store.Change) error {
	switch c.Kind {
	case store.Receive:
		return t.Set(idKey(c.Client, partPending, c.Receipt.PacketID), appendReceipt(nil, &c.Receipt))
	case store.Receipted:
		return t.receipted(c.Client, c.PacketID)
	case store.Refused:
		return t.Delete(idKey(c.Client, partPending, c.PacketID))
	default: // Release
		if err := t.Delete(idKey(c.Client, partReceived, c.PacketID)); err != nil {
			return err
		}
		return t.deleteIf(idKey(c.Client, partPending, c.PacketID))
	}
}

// receipted moves an id from Pending to Received. One that is not pending was released, or was another session's that
// this one has replaced.
func (t *Txn) receipted(client string, id uint16) error {
	key := idKey(client, partPending, id)
	if pending, err := t.Has(key); err != nil || !pending {
		return err
	}
	if err := t.Delete(key); err != nil {
		return err
	}
	return t.Set(idKey(client, partReceived, id), nil)
}

// deleteIf is delete for a key that is seldom there: most releases leave no tombstone of it.
func (t *Txn) deleteIf(key []byte) error {
	if there, err := t.Has(key); err != nil || !there {
		return err
	}
	return t.Delete(key)
}
