package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// connect begins or resumes a session.
func (t *Txn) connect(c *store.Change) error {
	if c.Clean {
		if err := t.makeWay(c.Client, nil); err != nil {
			return err
		}
	}
	head, err := t.Head(c.Client)
	if err != nil {
		return err
	}
	if head == nil {
		head = &Head{Created: t.rec.Time}
		t.sessions++
	} else if err := t.endConnection(c.Client, head); err != nil {
		return err
	}
	if c.Will != nil {
		if err := t.setWill(c.Client, c.Will); err != nil {
			return err
		}
	}
	head.Principal, head.Expiry = c.Principal, c.Expiry
	head.Connected, head.Run = true, t.rec.Run
	return t.putHead(c.Client, head)
}

// endConnection takes away what is left of the connection before.
func (t *Txn) endConnection(client string, head *Head) error {
	if err := t.endFollowing(client, head); err != nil {
		return err
	}
	if err := t.unindex(client, head); err != nil {
		return err
	}
	return t.setWill(client, nil)
}

// endFollowing settles where a session stands whose former connection ended without Detach: at the last checkpoint
// of the run that it belonged to. Checkpoints of this run are not about what it did there.
func (t *Txn) endFollowing(client string, head *Head) error {
	key := sessionKey(client, partProgress)
	value, err := t.Get(key)
	if err != nil || value == nil {
		return err
	}
	p, d := progress{}, Decoder{B: value}
	p.read(&d)
	if err := d.end(); err != nil || !p.follows {
		return err
	}
	if err := p.resolve(t.reader(), head); err != nil {
		return err
	}
	p.follows = false
	return t.Set(key, p.encode(nil))
}
