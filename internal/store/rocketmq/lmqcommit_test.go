package rocketmq

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// leavingBroker is a lightBroker whose n-th entry of a light queue was stored at 1000+n, and which takes offsets.
type leavingBroker struct {
	lightBroker
	old bool // answers questions for a time as 4.9 does
}

func (l *leavingBroker) handle(r *remotingtest.Request) bool {
	name := r.Fields["topic"]
	l.mu.Lock()
	entries, isLight := l.entries[name]
	switch {
	case r.Code == 15: // UPDATE_CONSUMER_OFFSET
		n, _ := strconv.ParseInt(r.Fields["commitOffset"], 10, 64)
		l.offsets[r.Fields["consumerGroup"]+" "+name] = n
		l.mu.Unlock()
		r.Reply(0, "", nil, nil)
		return true
	case r.Code == 30 && isLight:
		l.mu.Unlock()
		r.Reply(0, "", map[string]string{"offset": strconv.Itoa(len(entries))}, nil)
		return true
	case r.Code == 29 && isLight:
		at, _ := strconv.Atoi(r.Fields["timestamp"])
		at = min(max(at-1000, 0), len(entries))
		if l.old {
			at = min(at, len(entries)-1)
		}
		l.mu.Unlock()
		r.Reply(0, "", map[string]string{"offset": strconv.Itoa(at)}, nil)
		return true
	case r.Code == 11 && name == "t1" && r.Fields["maxMsgNums"] == "1": // what has been left over
		l.leftOver(r)
		l.mu.Unlock()
		return true
	}
	l.mu.Unlock()
	return l.lightBroker.handle(r)
}

// leftOver answers with the message at an offset of a queue of t1. What is in queue 3 is in no light queue, and was stored last.
func (l *leavingBroker) leftOver(r *remotingtest.Request) {
	for i, e := range append(slices.Clone(l.entries["%LMQ%t1%a%"]), lightEntry{"t1", 3, 7}) {
		if strconv.Itoa(int(e.queue)) == r.Fields["queueId"] && strconv.Itoa(e.offset) == r.Fields["queueOffset"] {
			body := appendKept(nil, e.topic, e.offset, message.BatchEntry{Body: []byte("x")})
			binary.BigEndian.PutUint64(body[56:], uint64(1000+i))
			r.Reply(0, "", map[string]string{"nextBeginOffset": strconv.Itoa(e.offset + 1), "minOffset": "0", "maxOffset": "1000", "suggestWhichBrokerId": "0"}, body)
			return
		}
	}
	r.Reply(19, "", map[string]string{"nextBeginOffset": r.Fields["queueOffset"], "minOffset": "0", "maxOffset": "0", "suggestWhichBrokerId": "0"}, nil)
}

// The offset that a client's group has is moved to the first entry that its session has not dealt with, and never back.
func TestLeft(t *testing.T) {
	var entries []lightEntry
	for i := range 200 {
		entries = append(entries, lightEntry{"t1", uint32(i % 2), 100 + i/2})
	}
	at := func(queue int32, offset int64) store.Position {
		return store.Position{Queue: queueName{"t1", "broker-a", queue}.queue(), Offset: offset}
	}
	all := []store.Position{at(0, 200), at(1, 200)}
	const none = -1
	cases := []struct {
		name         string
		old, want    int64
		cursor, open []store.Position
	}{
		{name: "all is dealt with", old: 5, cursor: all, want: 200},
		{name: "there was no offset", old: none, cursor: all, want: 200},
		{name: "there was none yet", old: math.MaxInt64, cursor: all, want: 200},
		{name: "the light queue has begun anew", old: 777, cursor: all, want: 200},
		{name: "the last ones are left", old: 5, cursor: []store.Position{at(0, 199), at(1, 197)}, want: 195},
		{name: "pages are left", old: 5, cursor: []store.Position{at(0, 140), at(1, 150)}, want: 80},
		{name: "one that was not acknowledged is far back", old: 5, cursor: all, open: []store.Position{at(1, 110)}, want: 21},
		{name: "what is left is newer, and of another topic", old: 5, cursor: all, open: []store.Position{at(3, 7)}, want: 200},
		{name: "it is not moved back", old: 198, cursor: []store.Position{at(0, 199), at(1, 197)}, want: 198},
		{name: "another queue is not known", old: 5, cursor: []store.Position{at(0, 200)}, want: 5},
	}
	for _, old := range []bool{false, true} {
		l := &leavingBroker{lightBroker: lightBroker{entries: map[string][]lightEntry{"%LMQ%t1%a%": entries}, offsets: map[string]int64{}}, old: old}
		f := newFarm(t, 1, "t1")
		f.version, f.kv, f.brokers[0].hook = "V5_4_0", map[string]string{"t1": "t1/+"}, l.handle
		s := f.start(t, Options{LMQDispatch: LMQAlways, StaticFirstTopics: []string{"t1"}})
		for _, c := range cases {
			l.mu.Lock()
			clear(l.offsets)
			if c.old != none {
				l.offsets["%LMQ%c %LMQ%t1%a%"] = c.old
			}
			l.mu.Unlock()
			s.Left("c", []string{"t1/a", "t1/#", "a,b", "t1/none"}, c.cursor, c.open)
			s.lmq.leaving.finish()
			l.mu.Lock()
			if got := l.offsets["%LMQ%c %LMQ%t1%a%"]; got != c.want || len(l.offsets) != 1 {
				t.Errorf("%s: %v, want %d", c.name, l.offsets, c.want)
			}
			l.mu.Unlock()
		}
	}
}

// Without Java proxies nothing is moved. With them, many sessions that end at once are a limited number, and so are new offsets.
func TestLeftHasLimits(t *testing.T) {
	l := &leavingBroker{lightBroker: lightBroker{entries: map[string][]lightEntry{"%LMQ%t1%a%": {{"t1", 0, 0}}}, offsets: map[string]int64{}}}
	f := newFarm(t, 1, "t1")
	f.version, f.kv, f.brokers[0].hook = "V5_4_0", map[string]string{}, l.handle
	s := f.start(t, Options{LMQDispatch: LMQNever, StaticFirstTopics: []string{"t1"}, MaxLMQs: 10})
	cursor := []store.Position{{Queue: queueName{"t1", "broker-a", 0}.queue(), Offset: 1}}
	s.Left("c", []string{"t1/a"}, cursor, nil)
	s.lmq.leaving.finish()
	l.mu.Lock()
	if len(l.asked) > 0 {
		t.Errorf("asked for %q", l.asked)
	}
	l.mu.Unlock()
	s.lmq.table.Store(&map[string][]wildcard{})
	for i := range 30 {
		s.Left(fmt.Sprint("c", i), []string{"t1/a"}, cursor, nil)
	}
	s.lmq.leaving.finish()
	l.mu.Lock()
	if len(l.offsets) != 10 || s.stats.LMQNotMoved.Load() != 20 {
		t.Errorf("%d offsets, %d left behind; want 10, 20", len(l.offsets), s.stats.LMQNotMoved.Load())
	}
	l.mu.Unlock()
	s.lmq.leaving.mu.Lock()
	s.lmq.leaving.waiting, s.lmq.leaving.running = make([]left, leavingMost), leavingAtOnce
	s.lmq.leaving.mu.Unlock()
	s.Left("c", []string{"t1/a"}, cursor, nil)
	s.lmq.leaving.mu.Lock()
	if n := len(s.lmq.leaving.waiting); n != leavingMost || s.stats.LMQNotMoved.Load() != 21 {
		t.Errorf("%d wait, %d left behind", n, s.stats.LMQNotMoved.Load())
	}
	s.lmq.leaving.waiting, s.lmq.leaving.running = nil, 0
	s.lmq.leaving.mu.Unlock()
}
