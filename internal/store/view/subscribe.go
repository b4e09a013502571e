package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func (t *Txn) subscribe(c *store.Change) error {
	sub := &c.Subscription
	if isShared(sub.Filter) {
		if err := t.join(c.Client, sub); err != nil {
			return err
		}
	}
	return t.Set(filterKey(c.Client, sub.Filter), appendSubscription(nil, sub))
}

func (t *Txn) unsubscribe(client, filter string) error {
	if isShared(filter) {
		if err := t.leave(client, filter); err != nil {
			return err
		}
	}
	return t.Delete(filterKey(client, filter))
}
