package rocketmq

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

const (
	maxBatchMessages = 1024
	minBatchMessages = 8 // busy brokers are sent no smaller ones

	againRoom = 64 // bytes kept free for each message, for the property that a second sending adds (appendAgain)

	keepBatchBytes = 2 << 20 // a larger buffer is not used again
)

// batch is messages that go to one queue in one request. Whoever has it is its owner: the outbox while it collects and waits, its
// callback while it is asked for.
type batch struct {
	o     *outbox
	buf   []byte // what was encoded (message.AppendBatchEntry)
	from  int    // where the first item begins in buf
	items []item // in the order of the calls of Append
	bytes int    // of the items, againRoom included
	lmq   bool   // some are for light queues: it is sent message by message, see wave

	req      remoting.SendRequest
	answered func(remoting.SendResult, error) // calls o.answered with this batch: made once, since it is an allocation

	tries int   // requests without success, for the backoff
	first int64 // when the first request was made, Unix milliseconds; 0: not yet
	err   error // why the last request failed
}

// item is one message of a batch.
type item struct {
	topic  string // MQTT's
	done   store.Completion
	token  uint64
	r      *receipt      // of QoS 2 of a persistent session; nil: none
	w      *willSend     // of a will; nil: none
	retain *retaining    // it is to be retained; nil: not, or r or w has that
	size   int64         // bytes taken of sending.room
	end    int           // of its bytes in buf; they begin where those of the one before end
	due    time.Duration // when it is refused, see sending.elapsed

	qos0   bool // nobody waits for it
	slow   bool // the changelog is told when it has ended, which may wait
	lmq    bool // it names light queues
	moved  bool // to another queue than where it was first
	unsure bool // may be in the queue already; it carries mqttAfter, or is about to
}

func newBatch() *batch {
	b := new(batch)
	b.answered = func(res remoting.SendResult, err error) { b.o.answered(b, res, err) }
	return b
}

// entryBytes is what a message takes of a batch's size and of sending.room.
func entryBytes(out outgoing) int {
	return message.BatchEntrySize(len(out.body), len(out.props)) + againRoom
}

// takes reports whether an item of so many bytes fits in; lmq: one for light queues.
func (b *batch) takes(size int64, most, limit int, lmq bool) bool {
	if lmq || b.lmq {
		limit = min(limit, waveMessages)
	}
	return len(b.items) == 0 || len(b.items) < limit && int64(b.bytes)+size <= int64(most)
}

// add encodes a message into the batch.
func (b *batch) add(e *item, out outgoing) error {
	buf, err := message.AppendBatchEntry(b.buf, 0, out.body, out.props)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	}
	b.took(e, buf)
	return nil
}

// addRaw adds a message that was encoded before.
func (b *batch) addRaw(e *item, raw []byte) { b.took(e, append(b.buf, raw...)) }

func (b *batch) took(e *item, buf []byte) {
	b.buf = buf
	e.end = len(buf)
	b.items = append(b.items, *e)
	b.bytes += int(e.size)
	b.lmq = b.lmq || e.lmq
}

// raw is the bytes of item i. They are the batch's.
func (b *batch) raw(i int) []byte {
	start := b.from
	if i > 0 {
		start = b.items[i-1].end
	}
	end := b.items[i].end
	return b.buf[start:end:end]
}

// cut takes the first n items out and returns them, without their bytes.
func (b *batch) cut(n int) []item {
	if n == 0 {
		return nil
	}
	cut := append([]item(nil), b.items[:n]...)
	for _, e := range cut {
		b.bytes -= int(e.size)
	}
	b.from = cut[n-1].end
	b.items = append(b.items[:0], b.items[n:]...)
	return cut
}

// expired is how many items at the front are due.
func (b *batch) expired(now time.Duration) int {
	n := 0
	for n < len(b.items) && b.items[n].due <= now {
		n++
	}
	return n
}

// slow reports whether to tell its end may wait.
func slow(items []item) bool {
	for i := range items {
		if items[i].slow {
			return true
		}
	}
	return false
}
