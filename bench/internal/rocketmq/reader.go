package rocketmq

import (
	"fmt"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

const (
	hold   = 15 * time.Second // of a long poll, as consumers of RocketMQ have it
	atOnce = 32               // messages of a poll, the most that brokers give
)

// reader is one queue's long poll, and then the next, on the goroutine that reads the connection.
type reader struct {
	t     *tail
	queue int32
	at    int64  // offset
	seq   uint64 // of the message that is due; what was refused leaves a gap
}

func (r *reader) pull() {
	req := remoting.PullRequest{Topic: tailed, QueueID: r.queue, Offset: r.at, MaxMsgs: atOnce, Suspend: hold}
	r.t.puller.Pull(r.t.addr, &req, time.Now().Add(hold+answerTime), r.pulled)
}

func (r *reader) pulled(res remoting.PullResult, err error) {
	if err == nil && res.Status == remoting.OffsetIllegal {
		err = fmt.Errorf("queue %d has no offset %d, it has %d to %d", r.queue, r.at, res.MinOffset, res.MaxOffset)
	}
	if err == nil && res.Status == remoting.Found {
		err = r.take(res.Body)
		r.at = res.NextOffset
	}
	if err != nil {
		r.t.broken(err)
		return
	}
	r.pull()
}

// take takes the messages of one answer.
func (r *reader) take(body []byte) error {
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(body) > 0 {
		var m message.Message
		var err error
		if m, body, err = message.Decode(body); err != nil {
			return err
		}
		p, ok := wire.ReadPayload(m.Body)
		if ok && p.Mark != t.mark {
			continue // of an earlier run, which did not wait for it
		}
		if !ok || p.Stream != uint32(r.queue) {
			t.result.Damaged++
			continue
		}
		if p.Seq < r.seq {
			t.result.Reordered++ // two were under way, and the broker's threads took the second first
		}
		r.seq = max(r.seq, p.Seq+1)
		t.arrived(p)
	}
	t.check()
	return nil
}
