package view

import (
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// putCheckpoint puts v in place of the last checkpoint of the run that is being applied.
func (t *Txn) putCheckpoint(v []store.Position) error {
	c := checkpoint{at: t.rec.Offset, cursor: v}
	return t.Set(NumberKey(keyCheckpoint, t.rec.Run, ""), c.encode(nil))
}

// MergeCheckpoint is a store.Checkpoint that names only what has changed since the last one of its run.
func (t *Txn) MergeCheckpoint(r *Record, v []store.Position) error {
	t.rec = r
	c, err := checkpointOf(t.reader(), r.Run)
	if err != nil {
		return err
	}
	at := make(map[store.Queue]int, len(c.cursor))
	for i, p := range c.cursor {
		at[p.Queue] = i
	}
	for _, p := range v {
		if i, ok := at[p.Queue]; ok {
			c.cursor[i].Offset = p.Offset
		} else {
			c.cursor = append(c.cursor, p)
		}
	}
	return t.putCheckpoint(c.cursor)
}

// EndCheckpoint forgets the checkpoint of a run that is over, once it was folded into the sessions that it is about.
func (t *Txn) EndCheckpoint(run int64) error { return t.Delete(NumberKey(keyCheckpoint, run, "")) }
