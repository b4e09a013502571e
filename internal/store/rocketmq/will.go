package rocketmq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// willSend is a will on its way into the log (protocols 9):
//
//	claimed in the changelog, with its place -> appended -> sent, in the changelog -> told
//	                                         \-> refused for certain -> released -> told: any node may try again, at another place
//	                                         \-> not known what became of it: it stays claimed
//
// Who tries again, this node or, when it has died, another one, looks for it in that place first. Its key is the same whoever sends it; so when a first copy comes late, the
// second one, which says so, is dropped by whoever reads it (again.go).
type willSend struct {
	g      *sending
	client string
	id     uint64
	topic  string
	retain *retaining // it is to be retained; nil: not, or its record was handed over
	done   store.Completion
	token  uint64

	q     *queue          // where it goes
	claim changelog.Claim // as the changelog was told
	again bool            // it may be there from an earlier time
	raw   []byte          // encoded, until it is in the outbox
	lmq   bool            // it names light queues
	size  int64           // taken of sending.room
	due   time.Duration   // when it is refused, see sending.elapsed: counted from before the claim

	stopped time.Duration // for how long this process had been stopped before the claim (pulse)
}

// willKey is the UNIQ_KEY of a will: whoever sends it gives it the same.
func willKey(client string, id uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], xxhash.Sum64String(client))
	binary.BigEndian.PutUint64(b[8:], id)
	return strings.ToUpper(fmt.Sprintf("%x", b))
}

// appendWill is Append for a will. It may wait for the network, when the will was claimed before and for a place.
func (g *sending) appendWill(m *store.Message, retain *retaining, done store.Completion, token uint64) {
	w := &willSend{g: g, client: m.Client, id: m.WillID, topic: m.Topic, retain: retain, done: done, token: token}
	if err := w.begin(m); err != nil {
		w.fail(err)
	}
}

func (w *willSend) begin(m *store.Message) error {
	log := w.g.s.changelog
	before, _, ok, err := log.Owing(w.client, w.id)
	if err != nil {
		return err
	}
	if !ok {
		w.tell(store.Position{}, nil) // it was published, or is not owed any more
		return nil
	}
	w.claim = changelog.Claim{Since: w.g.s.now()}
	if w.again = before.Since != 0; w.again {
		at, found, err := w.look(before)
		if err != nil {
			return fmt.Errorf("whether the will of %.200q was published before: %w", w.client, err)
		}
		if found {
			w.sent(at, false)
			return nil
		}
		w.claim = before
	}
	if err := w.encode(m); err != nil {
		return err
	}
	w.due, w.stopped = w.g.due(), w.g.s.pulse.Stopped()
	log.ClaimWill(w.client, w.id, before, w.claim, w)
	return nil
}

// look looks for the message in the place that was claimed for it.
func (w *willSend) look(before changelog.Claim) (at store.Position, found bool, err error) {
	s := w.g.s
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.QueueFailover)
	defer cancel()
	if s.queueOf(before.At.Queue) == nil { // since the start nobody has asked for the topic
		_, _ = s.place(w.topic) // when that fails, findKey does
	}
	at, found, err = s.findKey(ctx, before.At, before.Since, willKey(w.client, w.id))
	w.q = s.queueOf(before.At.Queue)
	return at, found, err
}

// encode chooses the place of the message, and encodes it.
func (w *willSend) encode(m *store.Message) error {
	g := w.g
	if len(m.Payload) > g.s.opts.MaxMessageBytes {
		return fmt.Errorf("will of %.200q: payload of %d bytes, the limit is %d: %w", w.client, len(m.Payload), g.s.opts.MaxMessageBytes, store.ErrTooLarge)
	}
	if !w.again {
		q, err := g.s.place(w.topic)
		if err != nil {
			return err
		}
		q.out.mu.Lock()
		w.claim.At = store.Position{Queue: q.key, Offset: q.log.logical(q.out.acked)}
		q.out.mu.Unlock()
		w.q = q
	}
	sc := g.scratches.Get().(*scratch)
	defer g.scratches.Put(sc)
	out, err := sc.enc.encode(m, g.s.node, []byte(willKey(w.client, w.id)))
	if err != nil {
		return err
	}
	out = g.s.lmq.dispatch(&sc.enc, m.Topic, out)
	w.lmq = out.lmq
	props := out.props
	if w.again {
		props = appendAgain(props, resentAfter{offset: w.q.log.broker(w.claim.At.Offset), since: w.claim.Since})
	}
	size := int64(entryBytes(out))
	if w.raw, err = message.AppendBatchEntry(make([]byte, 0, size), 0, out.body, props); err != nil {
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	}
	if err := g.room.take(size); err != nil {
		return err
	}
	w.size = size
	return nil
}

// Appended implements store.Completion: for the claim.
func (w *willSend) Appended(_ uint64, _ store.Position, err error) {
	got, mine, ok, failed := w.g.s.changelog.Owing(w.client, w.id)
	switch err = errors.Join(err, failed); {
	case err != nil:
		w.fail(err)
	case !ok || !mine || got != w.claim: // another node does it, or has
		w.giveRoom()
		w.tell(store.Position{}, nil)
	case w.g.elapsed() >= w.due:
		w.fail(fmt.Errorf("%w: the sessions' changelog took too long to say that the will of %.200q is this node's to publish", store.ErrAway, w.client))
	default:
		w.put()
	}
}

// put adds the message to its outbox. There it stays: that it moved would have to be in the changelog first.
func (w *willSend) put() {
	o := &w.q.out
	e := item{topic: w.topic, w: w, size: w.size, lmq: w.lmq, due: w.due, slow: true, moved: true, unsure: w.again}
	o.mu.Lock()
	o.open(e.size, e.lmq, true).addRaw(&e, w.raw)
	w.raw = nil
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
}

// doubtWills has b say that it may be a second copy, when a will is in it that was claimed before this process was stopped the last time: it may have been taken for
// dead, and another one have sent that will. b is the caller's, to send.
func (b *batch) doubtWills() error {
	var after resentAfter
	doubt, stopped := false, b.o.s.pulse.Stopped()
	for i := range b.items {
		w := b.items[i].w
		if w == nil || b.items[i].unsure || w.stopped == stopped {
			continue
		}
		at := resentAfter{offset: w.q.log.broker(w.claim.At.Offset), since: w.claim.Since}
		if !doubt {
			after, doubt = at, true
		}
		after.offset, after.since = min(after.offset, at.offset), min(after.since, at.since)
	}
	if !doubt {
		return nil
	}
	return b.resend(after)
}

// ended is told what became of the message; its room is the caller's to give back. unsure: it may be in the log though err is not nil, or there twice.
func (w *willSend) ended(at store.Position, err error, unsure bool) {
	w.size = 0
	switch {
	case err == nil:
		w.sent(at, unsure)
		return
	case !unsure:
		w.g.s.changelog.ReleaseWill(w.client, w.id, w.claim, nil)
	}
	w.fail(err)
}

// sent says in the changelog that the message is in the log, before anybody is told; when it is to be retained, after that was written down. Until then it is
// claimed, and whoever tries again finds it.
func (w *willSend) sent(at store.Position, unsure bool) {
	if r := w.retain; r != nil {
		w.retain = nil
		r.write(at, nil, unsure, func(err error) {
			w.g.s.tasks.Go(func() {
				if err != nil {
					w.fail(err)
				} else {
					w.sent(at, unsure)
				}
			})
		})
		return
	}
	w.g.s.changelog.WillSent(w.client, w.id, willOver{w, at})
}

// fail ends w without a message. One that no node will ever be able to send is owed no more.
func (w *willSend) fail(err error) {
	w.g.s.stats.Refused.Add(1)
	w.giveRoom()
	if errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrTopic) {
		w.g.s.changelog.WillSent(w.client, w.id, nil)
	}
	w.tell(store.Position{}, err)
}

func (w *willSend) giveRoom() {
	if w.size > 0 {
		w.g.room.give(w.size)
		w.size = 0
	}
}

func (w *willSend) tell(at store.Position, err error) {
	w.retain.forget()
	w.retain = nil
	if w.done != nil {
		w.done.Appended(w.token, at, err)
	}
}

// willOver is told when the changelog knows that a will is published.
type willOver struct {
	w  *willSend
	at store.Position
}

// Appended implements store.Completion.
func (o willOver) Appended(_ uint64, _ store.Position, err error) { o.w.tell(o.at, err) }
