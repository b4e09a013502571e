package changelog

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Groups lists the shared subscription groups, with their members on all nodes; where they stand is as of this node alone.
func (c *Changelog) Groups() ([]store.Group, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	return view.Groups(c.db)
}

// Expired lists up to max client ids whose sessions were due to end at or before now, and which this node is to end: of all nodes one is chosen.
func (c *Changelog) Expired(now time.Time, max int) ([]string, error) {
	return c.mine(view.Expired, now, max)
}

// WillsDue is Expired for wills.
func (c *Changelog) WillsDue(now time.Time, max int) ([]string, error) {
	return c.mine(view.WillsDue, now, max)
}

// mine is what due says, without what another node is to do.
func (c *Changelog) mine(due func(r pebble.Reader, now time.Time, max int) ([]string, error), now time.Time, max int) ([]string, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	names, err := due(c.db, now, max)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, name := range names {
		h, err := c.headOf(name)
		if err != nil {
			return nil, err
		}
		if c.isMine(name, &h) {
			names[n] = name
			n++
		}
	}
	return names[:n], nil
}

// Note returns what the last store.Note of q keeps; nil: nothing. It is the caller's copy. Notes are this node's own: they are kept beside the view, not in the
// changelog, and a crash may set them back.
func (c *Changelog) Note(q store.Queue) ([]byte, error) {
	done, err := c.keeper.Use()
	if err != nil {
		return nil, err
	}
	defer done()
	return view.Note(c.db, q)
}

// local applies a change that is this node's own: a note, or where a group stands.
func (c *Changelog) local(ch *store.Change) error {
	done, err := c.keeper.Use()
	if err != nil {
		return err
	}
	defer done()
	t := view.Begin(c.db)
	t.Groups = &c.groups
	defer t.Close()
	if err := t.Change(&view.Record{}, ch); err != nil {
		return fmt.Errorf("keep a note: %w", err)
	}
	return t.Apply()
}

// Flush makes what was read so far durable here, so that a start reads less again.
func (c *Changelog) Flush() error {
	done, err := c.keeper.Use()
	if err != nil {
		return nil // it was flushed
	}
	defer done()
	flushed, err := c.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush the view of sessions: %w", err)
	}
	<-flushed
	return nil
}
