package changelog

import (
	"encoding/binary"
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// openView opens the database.
func (c *Changelog) openView() error {
	c.keeper.Told = c.opts.Failed
	db, err := view.Open(&view.OpenOptions{
		Dir: c.opts.Dir, FS: c.opts.FS, CacheBytes: 96 << 20, MemTableBytes: 16 << 20, Files: 500,
		Failed: c.keeper.Failed,
		Fail:   c.keeper.Fail,
		Warn:   func(text string) { c.log.Warn("the view of sessions", "text", text) },
	})
	if err != nil {
		return fmt.Errorf("%w; the directory can be removed, the view is built again from the log", err)
	}
	c.db = db
	return nil
}

func (qu *queue) encode(b []byte) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, qu.next), qu.origin)
	b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, qu.sessions), qu.since), qu.newest)
	return append(b, qu.note...)
}

// load reads how far every queue was read, and what is known of nodes.
func (c *Changelog) load() error {
	for q := range c.queues {
		qu := &c.queues[q]
		qu.peers = map[uint64]*peer{}
		value, err := view.Get(c.db, queueKey(keyQueue, uint16(q)))
		if err != nil {
			return err
		}
		if value != nil {
			d := newDecoder(value)
			qu.next, qu.origin, qu.sessions, qu.since, qu.newest = d.Int(), d.Int(), d.Int(), d.Int(), d.Int()
			if d.Err != nil {
				return d.Err
			}
			qu.note = d.B
		}
		c.sessions.Add(qu.sessions)
		if err := c.loadPeers(q); err != nil {
			return err
		}
	}
	return nil
}

func (c *Changelog) loadPeers(q int) error {
	prefix := queueKey(keyPeer, uint16(q))
	now := c.opts.Now()
	return view.Each(c.db, prefix, func(key, value []byte) error {
		node, _ := splitNumber(key)
		p := &peer{seen: now}
		if err := p.decode(value); err != nil {
			return err
		}
		if !p.fenced || now.UnixMilli()-p.time < forgetPeer {
			c.queues[q].peers[node] = p
		}
		return nil
	})
}

// headOf is what is known of a client id now; last is none when that is nothing.
func (c *Changelog) headOf(client string) (head, error) {
	h := head{last: none}
	value, err := view.Get(c.db, headKey(client))
	if err == nil && value != nil {
		err = h.decode(value)
	}
	if err != nil {
		return head{}, fmt.Errorf("read what is known of client %.200q: %w", client, err)
	}
	return h, nil
}

// lookUp is headOf for who does not use db already.
func (c *Changelog) lookUp(client string) (head, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return head{}, err
	}
	defer done()
	return c.headOf(client)
}

// Load returns the session as it was last read; nil when there is none.
func (c *Changelog) Load(client string) (*store.Session, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	snap := c.db.NewSnapshot()
	defer snap.Close() //nolint:errcheck // it only reads
	s, _, err := view.Load(snap, client)
	if err != nil || s == nil || !s.Connected {
		return s, err
	}
	value, err := view.Get(snap, headKey(client))
	if err != nil || value == nil {
		return s, err
	}
	var h head
	if err := h.decode(value); err != nil {
		return nil, fmt.Errorf("read what is known of client %.200q: %w", client, err)
	}
	s.SentUpTo, s.Torn = h.sentUpTo, h.torn
	return s, nil
}
