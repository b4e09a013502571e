package retained

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Keys of the view:
//
//	"r" topic          the retained message of a topic (view.TopicKey): an entry
//	"t" topic          the tombstone of a topic: an entry
//	"g" time topic     a tombstone by when it was stored
//	"p" queue offset   the topic whose retained message stands there
//	"c" first level    how many retained messages are below it
//	"q" queue          how far a queue of the log was read
const (
	keyRetained  = 'r'
	keyTombstone = 't'
	keyGrave     = 'g'
	keyPlace     = 'p'
	keyCount     = 'c'
	keyQueue     = 'q'
)

// head is what is known of an entry's record.
type head struct {
	offset int64            // where the record stands in the log; lost: nowhere, as far as is known
	stored int64            // when it was stored there, Unix milliseconds
	before []store.Position // the highest places of other queues that the topic's messages were in, the latest queue first
}

const lost = -1

// maxBefore bounds head.before. A topic moves when a broker is away for longer than publishes wait, and back.
const maxBefore = 8

// append appends the head; the record follows it.
func (h *head) append(b []byte) []byte {
	b = binary.AppendVarint(binary.AppendVarint(b, h.offset), h.stored)
	return view.AppendPositions(b, h.before)
}

// entry is what the view has of a topic.
type entry struct {
	head
	rec record
	raw []byte // the record; with rec.Payload it aliases what was decoded
}

func (e *entry) decode(b []byte) error {
	d := view.Decoder{B: b}
	e.offset, e.stored, e.before = d.Int(), d.Int(), d.Positions()
	if d.Err != nil {
		return fmt.Errorf("an entry of the view: %w: %w", d.Err, store.ErrCorrupt)
	}
	e.raw = d.B
	return e.rec.decode(e.raw)
}

func (e *entry) kind() byte {
	if len(e.rec.Payload) == 0 {
		return keyTombstone
	}
	return keyRetained
}

func (e *entry) value() []byte { return append(e.append(nil), e.raw...) }

// order is what a record is to the entry of its topic.
type order int

const (
	older order = iota
	same
	newer
)

// compare says which of r and what the view has of its topic counts.
func (e *entry) compare(r *record) order {
	if r.Queue == e.rec.Queue {
		switch {
		case r.Offset > e.rec.Offset:
			return newer
		case r.Offset == e.rec.Offset:
			return same
		}
		return older
	}
	for _, p := range e.before {
		if p.Queue == r.Queue && r.Offset <= p.Offset {
			return older
		}
	}
	if r.again && !e.rec.again { // it was written first when the message was new, and that was before
		return older
	}
	return newer
}

// follow is head.before of what comes after e.
func (e *entry) follow(r *record) []store.Position {
	if r.Queue == e.rec.Queue {
		return e.before
	}
	before := append([]store.Position{e.rec.Position}, e.before...)
	before = slices.DeleteFunc(before, func(p store.Position) bool { return p.Queue == r.Queue })
	return before[:min(len(before), maxBefore)]
}

func graveKey(stored int64, topic string) []byte { return view.NumberKey(keyGrave, stored, topic) }

func placeKey(p store.Position) []byte {
	b := binary.BigEndian.AppendUint64([]byte{keyPlace}, uint64(p.Queue))
	return binary.BigEndian.AppendUint64(b, uint64(p.Offset))
}

func countKey(first string) []byte { return append([]byte{keyCount}, first...) }

func queueKey(q int) []byte { return binary.BigEndian.AppendUint16([]byte{keyQueue}, uint16(q)) }
