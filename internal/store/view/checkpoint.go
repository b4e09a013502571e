package view

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// checkpoint is the value of a run's key.
type checkpoint struct {
	at     int64 // offset of the record
	cursor []store.Position
}

func (c *checkpoint) encode(b []byte) []byte {
	return AppendPositions(binary.AppendVarint(b, c.at), c.cursor)
}

func (c *checkpoint) read(d *Decoder) { c.at, c.cursor = d.Int(), d.Positions() }

// checkpointOf returns the last one of a run; zero when there is none.
func checkpointOf(r pebble.Reader, run int64) (c checkpoint, err error) {
	value, err := get(r, nil, NumberKey(keyCheckpoint, run, ""))
	if err != nil || value == nil {
		return c, err
	}
	d := Decoder{B: value}
	c.read(&d)
	return c, d.end()
}

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
	return t.putCheckpoint(merge(c.cursor, v, func(_, now int64) int64 { return now }))
}

// merge returns the positions of a and b, and of queues that both name the offset that which chooses. It may write to a.
func merge(a, b []store.Position, which func(a, b int64) int64) []store.Position {
	at := make(map[store.Queue]int, len(a))
	for i, p := range a {
		at[p.Queue] = i
	}
	for _, p := range b {
		if i, ok := at[p.Queue]; ok {
			a[i].Offset = which(a[i].Offset, p.Offset)
		} else {
			at[p.Queue] = len(a)
			a = append(a, p)
		}
	}
	return a
}

// EndCheckpoint forgets the checkpoint of a run that is over, once it was folded into the sessions that it is about.
func (t *Txn) EndCheckpoint(run int64) error { return t.Delete(NumberKey(keyCheckpoint, run, "")) }
