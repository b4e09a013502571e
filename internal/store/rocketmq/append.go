package rocketmq

import (
	"fmt"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Append sends m to the queue of its topic; see store.Store. It is encoded straight into the batch that collects there, which is
// its one copy, and waits while that or MaxPendingBytes is full, at most QueueFailover for a place. A message of QoS 0 is told to be appended as
// soon as it was taken; when RocketMQ does not take it, it is dropped and counted.
func (s *Store) Append(m *store.Message, done store.Completion, token uint64) {
	g := &s.sending
	var r *retaining
	if m.Retain && s.retained != nil {
		var err error
		if r, err = s.retained.admit(m); err != nil {
			g.refuse(m, done, token, err)
			return
		}
	}
	switch {
	case m.Will && m.Client != "":
		g.appendWill(m, r, done, token)
	case len(m.Payload) > s.opts.MaxMessageBytes:
		r.forget()
		g.refuse(m, done, token, fmt.Errorf("publish to %.200q: payload of %d bytes, the limit is %d: %w",
			m.Topic, len(m.Payload), s.opts.MaxMessageBytes, store.ErrTooLarge))
	case m.Client != "":
		g.append2(m, r, done, token)
	default:
		g.append1(m, r, done, token)
	}
}

// append1 is Append for a message that the changelog need not have first. r is for one that is to be retained.
func (g *sending) append1(m *store.Message, r *retaining, done store.Completion, token uint64) {
	e := item{topic: m.Topic, done: done, token: token, retain: r}
	if m.QoS == 0 {
		e.done, e.qos0 = nil, true
	}
	sc := g.scratches.Get().(*scratch)
	sc.key = g.s.ids.AppendNext(sc.key[:0])
	out, err := sc.enc.encode(m, g.s.node, sc.key)
	if err == nil {
		err = g.put(&e, g.s.lmq.dispatch(&sc.enc, m.Topic, out))
	}
	g.scratches.Put(sc)
	switch {
	case err != nil:
		r.forget()
		g.refuse(m, done, token, err)
	case e.qos0 && done != nil:
		done.Appended(token, store.Position{Offset: -1}, nil)
	}
}

// put finds the place of a message and adds it there.
func (g *sending) put(e *item, out outgoing) error {
	e.size, e.lmq = int64(entryBytes(out)), out.lmq
	if err := g.room.take(e.size); err != nil {
		return err
	}
	for {
		epoch := g.gate.epoch()
		q, err := g.s.place(e.topic)
		ok := false
		if err == nil {
			ok, err = q.out.put(e, out, epoch)
		}
		if err != nil {
			g.room.give(e.size)
			return err
		}
		if ok {
			return nil
		}
	}
}

// refuse tells of a message that was not taken.
func (g *sending) refuse(m *store.Message, done store.Completion, token uint64, err error) {
	if m.QoS == 0 {
		g.s.stats.DroppedQoS0.Add(1)
	} else {
		g.s.stats.Refused.Add(1)
	}
	if done != nil {
		done.Appended(token, store.Position{}, err)
	}
}
