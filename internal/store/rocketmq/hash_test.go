package rocketmq

import (
	"fmt"
	"slices"
	"testing"
)

// queuesOf makes the queues of a topic.
func queuesOf(topic string, brokers []string, each int32) []*queue {
	var qs []*queue
	for _, b := range brokers {
		for id := range each {
			n := queueName{topic: topic, broker: b, id: id}
			qs = append(qs, &queue{name: n, key: n.queue()})
		}
	}
	return qs
}

// The choice is the same on every node and in every version. If this test fails, the function is at fault, not the test: topics of running
// installations would move to other queues, and messages overtake each other.
func TestChoiceIsForEver(t *testing.T) {
	if got := (queueName{topic: "t1", broker: "broker-a", id: 7}).queue(); got != 0xdfac4ca2b43ae33d {
		t.Errorf("key of t1/broker-a/7 is %#x", uint64(got))
	}
	qs := queuesOf("t1", []string{"broker-a", "broker-b"}, 4)
	for topic, want := range map[string]string{
		"t1":            "t1/broker-b/3",
		"t1/a":          "t1/broker-b/3",
		"t1/b":          "t1/broker-b/2",
		"/t1/a":         "t1/broker-a/1",
		"t1/\u2605":     "t1/broker-a/2",
		"t1/sensors/42": "t1/broker-a/0",
	} {
		if got := choose(topic, qs).name.String(); got != want {
			t.Errorf("%q: %s, want %s", topic, got, want)
		}
	}
}

func TestChoiceOfNone(t *testing.T) {
	if q := choose("t1/a", nil); q != nil {
		t.Errorf("of no queues %v", q.name)
	}
}

func TestChoiceIgnoresOrder(t *testing.T) {
	qs := queuesOf("t1", []string{"a", "b", "c"}, 8)
	back := slices.Clone(qs)
	slices.Reverse(back)
	for i := range 1000 {
		topic := fmt.Sprint("t1/", i)
		if a, b := choose(topic, qs), choose(topic, back); a != b {
			t.Fatalf("%s: %v and %v", topic, a.name, b.name)
		}
	}
	twins := queuesOf("t1", []string{"b", "a"}, 2) // of one score
	for _, q := range twins {
		q.key = 1
	}
	if got := choose("t1", twins).name.String(); got != "t1/a/0" {
		t.Errorf("of equals %s", got)
	}
}

// Without a broker only its topics move, and they go to all others.
func TestChoiceMovesTheLeast(t *testing.T) {
	const topics = 24_000
	qs := queuesOf("t1", []string{"a", "b", "c"}, 8)
	left := slices.DeleteFunc(slices.Clone(qs), func(q *queue) bool { return q.name.broker == "b" })
	got := map[*queue]int{}
	moved := map[*queue]int{}
	for i := range topics {
		topic := fmt.Sprint("t1/device/", i)
		before, after := choose(topic, qs), choose(topic, left)
		got[before]++
		switch {
		case before.name.broker == "b":
			moved[after]++
		case before != after:
			t.Fatalf("%s moved from %v to %v", topic, before.name, after.name)
		}
	}
	for _, q := range qs {
		if n := got[q]; n < 850 || n > 1150 { // of 1,000: 5 standard deviations are 155
			t.Errorf("%v has %d topics", q.name, n)
		}
	}
	for _, q := range left {
		if n := moved[q]; n < 390 || n > 610 { // of 500
			t.Errorf("%v took %d topics", q.name, n)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int32{8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			qs := queuesOf("sensors", []string{"broker-a"}, n)
			b.ReportAllocs()
			for b.Loop() {
				choose("sensors/building-7/floor-3/room-12/temperature", qs)
			}
		})
	}
}
