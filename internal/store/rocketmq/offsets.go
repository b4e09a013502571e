package rocketmq

import (
	"slices"
	"sync"
	"sync/atomic"
)

// offsets says what the offsets of a RocketMQ queue mean. Positions must not go back, but a queue can: messages are visible before
// they are flushed, and after a crash of the broker their offsets are given to others (protocols 4). So positions are made of
// logical offsets: RocketMQ's own until the queue goes back; from there on with the number of times that it did in the bits above
// numberShift, so that every logical offset that was ever handed out, by any node, is below those of the new messages. What lies between is gone.
type offsets struct {
	bends atomic.Pointer[[]bend] // nil: logical offsets are RocketMQ's. Replaced as a whole

	mu     sync.Mutex
	loaded bool  // bends are as the changelog has them, and the queue was compared with its mark
	opened int64 // the logical offset at which the queue ended then
}

// numberShift leaves 17 million million offsets to a queue.
const numberShift = 44

// number is how often a queue went back that has these bends.
func number(bends []bend) int64 {
	if len(bends) == 0 {
		return 0
	}
	return bends[len(bends)-1].Logical >> numberShift
}

// number is how often the queue went back.
func (o *offsets) number() int64 {
	if bends := o.bends.Load(); bends != nil {
		return number(*bends)
	}
	return 0
}

// bend says that from the logical offset Logical on, up to the next bend, what is there is at RocketMQ's offset Broker and
// above. Both grow strictly within a list.
type bend struct {
	Logical, Broker int64
}

// logical is the logical offset of what is at RocketMQ's offset now.
func (o *offsets) logical(broker int64) int64 {
	bends := o.bends.Load()
	if bends == nil {
		return broker
	}
	for _, b := range slices.Backward(*bends) {
		if broker >= b.Broker {
			return b.Logical + broker - b.Broker
		}
	}
	return broker
}

// broker is RocketMQ's offset of what is at the logical one, or, if that is gone, of what came next.
func (o *offsets) broker(logical int64) int64 {
	bends := o.bends.Load()
	if bends == nil {
		return logical
	}
	at, end := logical, int64(-1)
	for _, b := range slices.Backward(*bends) {
		if logical >= b.Logical {
			at = b.Broker + logical - b.Logical
			break
		}
		end = b.Broker
	}
	if end >= 0 && at > end {
		return end
	}
	return at
}

// with is the bends when the queue's messages from RocketMQ's offset back on are new ones.
func (o *offsets) with(back int64) []bend {
	var bends []bend
	if old := o.bends.Load(); old != nil {
		for _, b := range *old {
			if b.Broker < back {
				bends = append(bends, b)
			}
		}
	}
	return append(bends, bend{Logical: (o.number()+1)<<numberShift + back, Broker: back})
}

// logicalBefore is where the logical offsets of what lies below RocketMQ's offset broker end.
func (o *offsets) logicalBefore(broker int64) int64 {
	if broker == 0 {
		return 0
	}
	return o.logical(broker-1) + 1
}

// forget drops the bends that lie below RocketMQ's offset min: nobody asks for what is gone. mu is held.
func (o *offsets) forget(min int64) {
	old := o.bends.Load()
	if old == nil {
		return
	}
	keep := slices.Clone(*old)
	for len(keep) > 1 && keep[1].Broker <= min {
		keep = keep[1:]
	}
	o.bends.Store(&keep)
}
