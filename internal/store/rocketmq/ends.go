package rocketmq

import (
	"context"
	"sync"
)

// ends asks where a queue ends. Whoever asks while an answer is on its way waits, with all who do so, for the one after it: that was asked for when they had come. So
// many sessions that move at once ask little.
type ends struct {
	mu      sync.Mutex
	running *endAsked // asked last; nil: none was
	next    *endAsked // to be asked when that is answered; nil: nobody waits
}

// endAsked is one question to the broker.
type endAsked struct {
	done chan struct{} // closed when end or err is set
	end  int64         // logical; of a log of ours RocketMQ's
	err  error
}

// join returns the question whose answer is to be waited for; mine says that the caller has to ask it, after before.
func (e *ends) join() (a, before *endAsked, mine bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next != nil {
		return e.next, nil, false
	}
	e.next = &endAsked{done: make(chan struct{})}
	return e.next, e.running, true
}

// begin has those who come from now on ask again.
func (e *ends) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running, e.next = e.next, nil
}

// ask is the answer to question, which was asked during the call; the caller's or another one's.
func (e *ends) ask(question func() (int64, error)) (int64, error) {
	a, before, mine := e.join()
	if mine {
		if before != nil {
			<-before.done // its asker's context ends soon
		}
		e.begin()
		a.end, a.err = question()
		close(a.done)
	}
	<-a.done
	return a.end, a.err
}

// endOf is the logical offset at which q ended at some time during the call.
func (s *Store) endOf(ctx context.Context, q *queue) (int64, error) {
	return q.ends.ask(func() (int64, error) { return s.askEnd(ctx, q) })
}

func (s *Store) askEnd(ctx context.Context, q *queue) (int64, error) {
	if err := s.settle(ctx, q); err != nil {
		return 0, err
	}
	addr, err := q.reachable()
	if err != nil {
		return 0, err
	}
	end, err := s.client.MaxOffset(ctx, addr, q.name.topic, q.name.id)
	if err != nil {
		return 0, s.readError(q, err)
	}
	return q.log.logicalBefore(end), nil
}
