package view

// makeWay deletes a session and everything about it, but for its memberships of the groups in stays.
func (t *Txn) makeWay(client string, stays map[string]bool) error {
	head, err := t.Head(client)
	if err != nil || head == nil {
		return err
	}
	var left []string
	filters := sessionKey(client, partFilter)
	err = t.Each(filters, func(key, _ []byte) error {
		if filter := string(key[len(filters):]); isShared(filter) && !stays[filter] {
			left = append(left, filter)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, filter := range left {
		if err := t.leave(client, filter); err != nil {
			return err
		}
	}
	if err := t.unindex(client, head); err != nil {
		return err
	}
	t.sessions--
	t.Absent(client)
	return t.DeleteAll(namePrefix(nil, keySession, client))
}
