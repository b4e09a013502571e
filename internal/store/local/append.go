package local

import (
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// Append stores m; see store.Store. The bytes of m are copied once: into the batch that is written, that the sink is
// handed and that readers near the end read. A QoS 0 message is handed to the sink on this goroutine and not written.
func (s *Store) Append(m *store.Message, done store.Completion, token uint64) {
	size := int64(recordHeader+maxFixed) + int64(len(m.Topic)) + int64(len(m.Forward)) + int64(len(m.Client)) + int64(len(m.Payload))
	switch {
	case size > s.opts.MaxRecord:
		answer(done, token, fmt.Errorf("message of %d bytes, the limit is %d: %w", size, s.opts.MaxRecord, store.ErrTooLarge))
	case len(m.Topic) > math.MaxUint16 || len(m.Client) > math.MaxUint16:
		answer(done, token, fmt.Errorf("topic of %d and client id of %d bytes, the limit is 65535: %w", len(m.Topic), len(m.Client), store.ErrTooLarge))
	case m.QoS == 0 && !m.Retain:
		s.direct(m, done, token)
	case s.disk.refusesMessages():
		answer(done, token, s.disk.fullError())
	default:
		if err := s.write(m, size, done, token); err != nil {
			answer(done, token, err)
		}
	}
}

// write puts m into the log. When it is of QoS 0, only the view sees it there: then it is retained, and anybody who
// subscribes after the sink was handed it finds it.
func (s *Store) write(m *store.Message, size int64, done store.Completion, token uint64) error {
	if m.Retain {
		if err := s.mayRetain(m, size); err != nil {
			return err
		}
		s.retains.Store(true)
	}
	f := formMessage(m, s.salt)
	if m.QoS > 0 {
		return s.put(&f, m, done, token)
	}
	if err := s.put(&f, m, nil, 0); err != nil {
		return err
	}
	s.direct(m, done, token)
	return nil
}

// put adds a message to the pending batch, waiting for room.
func (s *Store) put(f *messageForm, m *store.Message, done store.Completion, token uint64) error {
	n := int(f.h.size())
	now := s.now()
	s.mu.Lock()
	b, err := s.roomFor(n)
	if err == nil && s.disk.lacks(s.writing+b.size+n) { // it may have filled while this one waited
		err = s.disk.fullError()
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	f.h.offset, f.h.time = s.assign(b), now
	rec := s.slab.take(b, n)
	if r := f.write(rec, m, s.salt); f.h.kind == kindMessage {
		b.recs = append(b.recs, r)
	}
	b.add(rec, done, token)
	s.work.Signal()
	s.mu.Unlock()
	return nil
}

// Change stores c; see store.Store.
func (s *Store) Change(c *store.Change, done store.Completion, token uint64) {
	if s.disk.refusesChange(c.Kind) {
		answer(done, token, s.disk.fullError())
		return
	}
	if err := view.Sound(c); err != nil {
		answer(done, token, fmt.Errorf("change of kind %d: %w", c.Kind, err)) // in the log it would stop every start
		return
	}
	bufp := s.changeBufs.Get().(*[]byte)
	body := view.AppendChange((*bufp)[:0], c)
	if int64(len(body)) > s.opts.MaxRecord {
		answer(done, token, fmt.Errorf("change of %d bytes, the limit is %d: %w", len(body), s.opts.MaxRecord, store.ErrTooLarge))
	} else if err := s.putBody(kindChange, body, done, token); err != nil {
		answer(done, token, err)
	}
	if cap(body) <= slabSize {
		*bufp = body
		s.changeBufs.Put(bufp)
	}
}

// putBody adds a record that is not a message.
func (s *Store) putBody(kind byte, body []byte, done store.Completion, token uint64) error {
	h := header{bodyCRC: crc32.Update(s.salt, castagnoli, body), length: uint32(len(body)), lag: noPromise, kind: kind, time: s.now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.roomFor(recordHeader + len(body))
	if err != nil {
		return err
	}
	h.offset = s.assign(b)
	rec := s.slab.take(b, recordHeader+len(body))
	h.put(rec, s.salt)
	copy(rec[recordHeader:], body)
	b.add(rec, done, token)
	s.work.Signal()
	return nil
}

// roomFor waits until the pending batch can take n bytes and returns it. mu held; released while waiting.
func (s *Store) roomFor(n int) (*batch, error) {
	for {
		if s.refuse != nil {
			return nil, s.refuse
		}
		b := s.pending
		if len(b.items) == 0 || (b.size+n <= maxPendingBytes && len(b.items) < maxPendingItems) {
			return b, nil
		}
		s.waits.Add(1)
		s.room.Wait()
	}
}

// assign gives out the next offset, for a record of b. mu held.
func (s *Store) assign(b *batch) int64 {
	offset := s.tail.Load()
	s.tail.Store(offset + 1)
	if len(b.items) == 0 {
		b.first, b.since = offset, time.Now() // once a batch: asking for the time costs more than encoding a record
	}
	return offset
}

// directBuf is what one QoS 0 message needs on its way to the sink.
type directBuf struct {
	rec  [1]store.Record
	slab []byte
}

// directSlab is smaller than slabSize: every processor may hold one.
const directSlab = 16 << 10

func newDirectBuf() any { return new(directBuf) }

// direct hands a QoS 0 message to the sink.
func (s *Store) direct(m *store.Message, done store.Completion, token uint64) {
	if !s.gate.enter() {
		answer(done, token, store.ErrClosed)
		return
	}
	defer s.gate.leave()
	if err := s.failure.get(); err != nil {
		answer(done, token, err)
		return
	}
	at := store.Position{Offset: -1}
	if sink := s.sink.Load(); sink != nil {
		d := s.directBufs.Get().(*directBuf)
		topic, payload, forward := d.copy(m)
		d.rec[0] = store.Record{
			Position: at, Topic: topic, Payload: payload, Retain: m.Retain,
			Origin: m.Origin, Expires: m.Expires, Forward: forward,
		}
		(*sink)(d.rec[:])
		d.rec[0] = store.Record{}
		s.directBufs.Put(d)
	}
	if done != nil {
		done.Appended(token, at, nil)
	}
}

// copy copies what m refers to behind what the slab holds.
func (d *directBuf) copy(m *store.Message) (topic string, payload, forward []byte) {
	n := len(m.Topic) + len(m.Payload) + len(m.Forward)
	var b []byte
	switch {
	case n > directSlab/4:
		b = make([]byte, 0, n)
	case cap(d.slab)-len(d.slab) < n:
		d.slab = make([]byte, 0, directSlab)
		fallthrough
	default:
		from := len(d.slab)
		d.slab = d.slab[:from+n]
		b = d.slab[from : from : from+n]
	}
	b = append(b, m.Topic...)
	t := len(b)
	b = append(b, m.Payload...)
	p := len(b)
	b = append(b, m.Forward...)
	return text(b[:t:t]), b[t:p:p], b[p:n:n]
}

func answer(done store.Completion, token uint64, err error) {
	if done != nil {
		done.Appended(token, store.Position{Offset: -1}, err)
	}
}
