package rocketmq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// errNoMaster says that no route names a master of the queue's broker.
var errNoMaster = fmt.Errorf("no route names a master: %w", remoting.ErrNotSent)

// verdict is what to do about a request that failed.
type verdict int

const (
	sendAgain     verdict = iota // the broker has nothing of it
	sendUnsure                   // the broker may have it: again, saying so
	sendHalves                   // one of several messages may be the reason
	sendElsewhere                // the queue does not take messages any more
	sendNever                    // a reason that lasts
)

// judge decides what to do about err, of a request of n messages. unsure: they may have been appended.
func judge(err error, n int) (v verdict, unsure bool) {
	var refused *remoting.ResponseError
	switch {
	case errors.As(err, &refused):
		return judgeAnswer(refused, n)
	case errors.Is(err, remoting.ErrNotSent):
		return sendAgain, false
	}
	return sendUnsure, true
}

func judgeAnswer(e *remoting.ResponseError, n int) (v verdict, unsure bool) {
	switch {
	case e.Retriable():
		return sendAgain, false
	case notTaken(e):
		return sendElsewhere, false
	case e.Code == remoting.CodeMessageIllegal && n > 1:
		return sendHalves, false
	case e.Code == remoting.CodeSystemError && n > 1:
		return sendHalves, true // an exception of the broker's, which may have come after the append
	case e.Code == remoting.CodeMessageIllegal, e.Code == remoting.CodeNotSupported:
		return sendNever, false
	}
	return sendNever, true
}

// notTaken reports whether the broker refuses the queue as such: its perm or rights, or topic or queue are gone.
func notTaken(e *remoting.ResponseError) bool {
	switch e.Code {
	case remoting.CodeNoPermission, remoting.CodeTopicNotExist, remoting.CodeInvalidParameter:
		return true
	case remoting.CodeSystemError: // 4.9 says of a queue id beyond the topic's what later ones give a code (AbstractSendMessageProcessor.msgCheck)
		return strings.Contains(e.Remark, "request queueId[") && strings.Contains(e.Remark, "is illegal")
	}
	return false
}

// busy reports whether err is a broker that has too much to do: it is there, so waiting elsewhere is no better.
func busy(err error) bool {
	var refused *remoting.ResponseError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case remoting.CodeSystemBusy, remoting.CodeFlowControl, remoting.CodeSystemError:
		return refused.Retriable()
	}
	return false
}

// answered is told of every request, on a goroutine of the client's, or on that of Append when it is refused at once.
func (o *outbox) answered(b *batch, res remoting.SendResult, err error) {
	if err == nil {
		o.appended(b, &res)
		return
	}
	v, unsure := judge(err, len(b.items))
	if unsure {
		if bad := o.unsure(b); bad != nil {
			v, err = sendNever, bad
		}
	}
	switch v {
	case sendAgain, sendUnsure:
		o.again(b, err)
	case sendHalves:
		o.split(b)
	case sendElsewhere:
		o.s.tasks.Go(func() { o.reroute(b, err) })
	default:
		o.refuse(b, o.lasting(err))
	}
}

// unsure makes every message of b one that may be in the queue already.
func (o *outbox) unsure(b *batch) error {
	o.mu.Lock()
	after := resentAfter{offset: o.acked, since: b.first}
	o.mu.Unlock()
	return b.resend(after)
}

// resend marks every item unsure, and says so in the message itself: the tail drops the second copy. What says so already stays as
// it is. The bytes that this adds were counted (againRoom).
func (b *batch) resend(after resentAfter) error {
	buf := make([]byte, 0, len(b.buf)-b.from+againRoom*len(b.items))
	ends := make([]int, len(b.items))
	for i := range b.items {
		raw := b.raw(i)
		if b.items[i].unsure {
			buf = append(buf, raw...)
		} else {
			var err error
			if buf, err = appendMarked(buf, raw, after); err != nil {
				return err
			}
		}
		ends[i] = len(buf)
	}
	for i := range b.items {
		b.items[i].end, b.items[i].unsure = ends[i], true
	}
	b.buf, b.from = buf, 0
	return nil
}

// appendMarked appends an encoded message, with the property that says that it was sent before.
func appendMarked(dst, raw []byte, after resentAfter) ([]byte, error) {
	one, _, err := message.DecodeBatchEntry(raw)
	if err != nil {
		return dst, fmt.Errorf("a message that is to be sent again: %w", err) // a bug of ours
	}
	props := make([]byte, 0, len(one.Properties)+againRoom)
	dst, err = message.AppendBatchEntry(dst, one.Flag, one.Body, appendAgain(append(props, one.Properties...), after))
	if err != nil {
		return dst, fmt.Errorf("a message that is to be sent again: %w", err)
	}
	return dst, nil
}

// again sends b once more, a little later. It stays the batch under way, so that nothing overtakes it.
func (o *outbox) again(b *batch, err error) {
	const least, most = 20 * time.Millisecond, 500 * time.Millisecond
	delay := min(least<<min(b.tries, 8), most)
	b.tries++
	b.err = err
	left := b.items[0].due - o.s.sending.elapsed()
	o.mu.Lock()
	o.asked = false // from here on a move may take its messages
	if busy(err) {
		o.limit = max(o.limit/2, minBatchMessages)
	}
	o.mu.Unlock()
	o.s.sending.later(max(min(delay, left), 0), func() { o.resume(b) })
}

// resume goes on with b after the pause, on a goroutine that may wait. b is still the batch under way, perhaps without messages.
func (o *outbox) resume(b *batch) {
	g := &o.s.sending
	now := g.elapsed() // once: what is refused below is what was offered another place here
	o.mu.Lock()
	due := b.expired(now) > 0
	o.mu.Unlock()
	switch br := o.q.broker; {
	case br.failed():
		g.move(o)
	case due && !busy(b.err) && !errors.Is(b.err, errPaused):
		g.fail(br)
	}
	o.mu.Lock()
	o.expire(now, o.away(b.err))
	next := b
	if o.asked = len(b.items) > 0; !o.asked {
		g.keep(b)
		o.flight = nil
		next = o.next()
	}
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
	o.tell(true)
}

// expire refuses what is due, from the front: of the batch under way, and if nothing is left of it of those behind. mu held; the batch under way
// is not asked for.
func (o *outbox) expire(now time.Duration, err error) {
	for _, b := range append([]*batch{o.flight}, o.queue...) {
		o.end(outcome{items: b.cut(b.expired(now)), err: err})
		if len(b.items) > 0 {
			break
		}
	}
	o.hasRoom()
}

// split sends b in two halves, which are split again if that must be: so every message is answered for itself in the end, in order, and
// one bad message among n costs about 2 log n requests. A broker whose maxMessageSize is below MaxBatchBytes is served as well.
func (o *outbox) split(b *batch) {
	g := &o.s.sending
	o.mu.Lock()
	halves := []*batch{g.batch(o), g.batch(o)}
	for i := range b.items {
		half := halves[2*i/len(b.items)]
		e := b.items[i]
		half.first = b.first
		half.addRaw(&e, b.raw(i))
	}
	o.queue = append(halves, o.queue...)
	g.keep(b)
	o.flight = nil
	next := o.next()
	o.mu.Unlock()
	o.send(next)
}

// refuse ends b, and goes on with the next.
func (o *outbox) refuse(b *batch, err error) {
	o.mu.Lock()
	o.end(outcome{b: b, items: b.items, err: err})
	o.flight, o.asked = nil, false
	next := o.next()
	o.mu.Unlock()
	if next != nil {
		o.send(next)
	}
	o.tell(false)
}

// lasting is the error for a refusal that lasts.
func (o *outbox) lasting(err error) error {
	var refused *remoting.ResponseError
	if !errors.As(err, &refused) {
		return fmt.Errorf("send to topic %s on broker %s: %w", o.q.name.topic, o.q.name.broker, err)
	}
	o.s.log.Warn("RocketMQ refused messages for a reason that lasts", "topic", o.q.name.topic, "broker", o.q.name.broker, "queue", o.q.name.id,
		"code", refused.Code, "remark", refused.Remark)
	switch {
	case refused.Code == remoting.CodeMessageIllegal:
		return fmt.Errorf("topic %s on broker %s: %w (the broker's limit is maxMessageSize): %w", o.q.name.topic, o.q.name.broker, err, store.ErrTooLarge)
	case notTaken(refused):
		return fmt.Errorf("topic %s on broker %s takes no messages; check that it exists, its perm, its queues and the rights of our access key: %w",
			o.q.name.topic, o.q.name.broker, err)
	}
	return fmt.Errorf("topic %s on broker %s refused a message: %w", o.q.name.topic, o.q.name.broker, err)
}

// away is the error for a message that nobody took in its time.
func (o *outbox) away(err error) error {
	if errors.Is(err, errPaused) {
		return fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	what := "did not answer"
	advice := "check that the broker runs and can be reached from here"
	var refused *remoting.ResponseError
	switch {
	case busy(err):
		what, advice = "was too busy", "give it more capacity, or publish less"
	case errors.As(err, &refused):
		what, advice = "took no messages", "check its disk space and its own log"
	}
	return fmt.Errorf("%w: broker %s of topic %s %s for %v; %s: %w",
		store.ErrAway, o.q.name.broker, o.q.name.topic, what, o.s.opts.QueueFailover, advice, err)
}

// errNotSafe refuses what was appended, but not as safe as RequireSendOK demands.
var errNotSafe = errors.New("appended, but not as safe as requireSendOk=true demands")

// isAppended reports whether a refusal is of a message that is in the queue nevertheless.
func isAppended(err error) bool { return errors.Is(err, errNotSafe) }

// safe counts and logs a status that is not SEND_OK of n messages, and is an error if that refuses them.
func (o *outbox) safe(n int, res *remoting.SendResult) error {
	var what string
	switch res.Status {
	case remoting.SendOK:
		return nil
	case remoting.FlushDiskTimeout:
		what = "FLUSH_DISK_TIMEOUT: the broker's disk is slow"
	case remoting.SlaveNotAvailable:
		what = "SLAVE_NOT_AVAILABLE: the broker has no slave that keeps up"
	case remoting.FlushSlaveTimeout:
		what = "FLUSH_SLAVE_TIMEOUT: the broker's slave is slow"
	default:
		what = fmt.Sprintf("status %d", res.Status)
	}
	o.s.stats.NotOK.Add(int64(n))
	o.s.log.Warn("RocketMQ has messages less safe than it should", "topic", o.q.name.topic, "broker", o.q.name.broker, "status", what,
		"refused", o.s.opts.RequireSendOK)
	if !o.s.opts.RequireSendOK {
		return nil
	}
	return fmt.Errorf("topic %s on broker %s: %w: %s", o.q.name.topic, o.q.name.broker, errNotSafe, what)
}
