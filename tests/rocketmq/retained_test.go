package rocketmq

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/cutter"
)

// retain publishes with RETAIN.
func (c *client) retain(topic, payload string, qos byte) <-chan answer {
	return c.send(&mqtt.Publish{QoS: qos, Retain: true, Topic: []byte(topic), Payload: []byte(payload)})
}

func (c *client) retained(t *testing.T, topic, payload string, qos byte) {
	t.Helper()
	must(t, within(c.retain(topic, payload, qos), "retain "+topic))
}

// latest is the last payload that came of each topic; an empty one leaves none.
func (b *inbox) latest() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := map[string]string{}
	for _, d := range b.all {
		last[d.topic] = d.payload
	}
	maps.DeleteFunc(last, func(_, payload string) bool { return payload == "" })
	return last
}

var metaOn = []string{"enableMetaModule=true"}

var subscribers int // of retains: each has a client id of its own

// retains demands that a new subscription at each node begins with want.
func retains(t *testing.T, what, filter string, want map[string]string, nodes ...*broker.Broker) {
	t.Helper()
	for i, n := range nodes {
		box := &inbox{}
		subscribers++
		c := connect(t, n.TCP, fmt.Sprint("retained-", subscribers), box)
		must(t, c.subscribe(1, filter))
		eventually(t, fmt.Sprintf("%s: node %d has what is retained", what, i), func() bool { return maps.Equal(box.latest(), want) },
			func() string { return fmt.Sprintf("%v, want %v; %s", box.latest(), want, box.state()) })
		c.leave()
	}
}

// race is writers at several nodes that retain the same topics, and a subscriber that sees the order in which they came.
type race struct {
	t       *testing.T
	name    string
	box     *inbox // of a subscriber that was there from the start
	writers []*client
}

const raceTopics = 8

// write has all writers retain all topics, at QoS 1 and 2 in turn, n times each and without waiting for one another. What a writer is refused since its node is
// gone ends it.
func (r *race) write(n int) {
	var wg sync.WaitGroup
	for w, c := range r.writers {
		wg.Go(func() {
			for i := range n {
				topic := fmt.Sprint(r.name, "/", i%raceTopics)
				if within(c.retain(topic, fmt.Sprint(w, " ", i, " ", time.Now().UnixNano()), byte(1+i/raceTopics%2)), topic) != nil {
					return
				}
			}
		})
	}
	wg.Wait()
}

// settled waits until what the subscriber was sent stays as it is, as a last message of each topic shows that all before it came.
func (r *race) settled(by *client) map[string]string {
	r.t.Helper()
	end := fmt.Sprint("end ", time.Now().UnixNano())
	for i := range raceTopics {
		must(r.t, by.publish(fmt.Sprint(r.name, "/", i), end, 1))
	}
	eventually(r.t, "all came", func() bool {
		for _, payload := range r.box.latest() {
			if payload != end {
				return false
			}
		}
		return r.box.times(end) == raceTopics
	}, r.box.state)
	r.box.mu.Lock()
	defer r.box.mu.Unlock()
	last := map[string]string{}
	for _, d := range r.box.all {
		if len(d.payload) < 4 || d.payload[:4] != "end " {
			last[d.topic] = d.payload
		}
	}
	return last
}

// agree waits until all nodes have the same: what was on its way in the node that was harmed may come late, and then counts for all.
func (r *race) agree(what string, nodes []*broker.Broker) {
	r.t.Helper()
	var all []map[string]string
	eventually(r.t, what+": all nodes have the same", func() bool {
		all = nil
		for _, n := range nodes {
			all = append(all, r.first(n))
		}
		return !slices.ContainsFunc(all, func(is map[string]string) bool { return !maps.Equal(is, all[0]) })
	}, func() string { return fmt.Sprint(all) })
}

// first is what a new subscription at a node begins with.
func (r *race) first(n *broker.Broker) map[string]string {
	r.t.Helper()
	box := &inbox{}
	subscribers++
	c := connect(r.t, n.TCP, fmt.Sprint("retained-", subscribers), box)
	defer c.leave()
	must(r.t, c.subscribe(1, r.name+"/#"))
	eventually(r.t, "all topics have a retained message", func() bool { return len(box.latest()) == raceTopics }, box.state)
	return box.latest()
}

// Writers at all nodes retain the same topics at once: all nodes, one that starts later too, end with the last message in the log. When one is
// halted, cut off from the log, or killed in the middle of it they end with the same: what was in the log and never acknowledged may be not retained. What is retained
// after that is so everywhere, and ends everywhere.
func TestRetainedIsTheSameEverywhere(t *testing.T) {
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{})
	cut := cutter.New(t, c.Namesrv(), c.Broker(0).Addr)
	cutOff := broker.Options{Kind: broker.Rocketmqtt, Set: []string{"NAMESRV_ADDR=" + cut.Namesrv, "localAddress=127.0.0.1"}, Exporter: true, Errors: true}
	nodes := []*broker.Broker{node(t, c, metaOn...), broker.Start(t, cutOff), node(t, c, metaOn...)}
	r := &race{t: t, name: "race", box: &inbox{}}
	must(t, connect(t, nodes[2].TCP, "race-all", r.box).subscribe(1, r.name+"/#"))
	steady := connect(t, nodes[0].TCP, "race-0", &inbox{}, keep)
	r.writers = []*client{steady, connect(t, nodes[1].TCP, "race-1", &inbox{}, keep), connect(t, nodes[2].TCP, "race-2", &inbox{})}

	r.write(40 * raceTopics)
	retains(t, "at once", "race/#", r.settled(steady), nodes...)
	retains(t, "a fresh node", "race/#", r.settled(steady), node(t, c, metaOn...))

	for _, is := range []struct {
		what       string
		harm, mend func()
	}{
		{"halted", nodes[1].Pause, nodes[1].Resume},
		{"cut", cut.Cut, cut.Mend},
		{"killed", nodes[1].Kill, nodes[1].Start},
	} {
		r.writers[1] = connectSoon(t, nodes[1].TCP, "race-1", &inbox{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.write(10 * raceTopics)
		}()
		is.harm()
		began := time.Now()
		steady.retained(t, "race/0", "while one is "+is.what, 1)
		eventually(t, "others go on", func() bool { return time.Since(began) > tooLong })
		is.mend()
		<-done
		r.agree(is.what, nodes)
		want := map[string]string{}
		for i := range raceTopics {
			topic, payload := fmt.Sprint("race/", i), fmt.Sprint(i, " after it was ", is.what)
			steady.retained(t, topic, payload, 1)
			want[topic] = payload
		}
		retains(t, "after it was "+is.what, "race/#", want, nodes...)
	}

	for i := range raceTopics {
		steady.retained(t, fmt.Sprint("race/", i), "", 1)
	}
	retains(t, "ended", "race/#", map[string]string{}, nodes...)
	eventually(t, "none is counted in the end", func() bool { return metric(t, nodes[0], "rocketmq_retained_messages") == 0 })
}

// A message whose first copy reached RocketMQ, but not the answer, is sent again. It counts where its first copy stands, as it does to who is subscribed: what was retained between
// the two is what stays, and who has subscribed between the two gets it.
func TestRetainedSentTwice(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	cut := cutter.New(t, c.Namesrv(), c.Broker(0).Addr)
	behind := broker.Start(t, broker.Options{
		Kind: broker.Rocketmqtt, Set: []string{"NAMESRV_ADDR=" + cut.Namesrv, "localAddress=127.0.0.1", "enableMetaModule=true"}, Exporter: true, Errors: true,
	})
	other := node(t, c, metaOn...)
	pub, steady := connect(t, behind.TCP, "twice-pub", &inbox{}, keep), connect(t, other.TCP, "twice-steady", &inbox{})
	seen := &inbox{}
	must(t, connect(t, other.TCP, "twice-seen", seen).subscribe(1, "twice/#"))
	for _, by := range []*client{steady, pub} { // both nodes know where the topics stand
		by.retained(t, "twice/begin", "x", 1)
	}

	for i, between := range []bool{true, false} {
		topic, first := fmt.Sprint("twice/", i), fmt.Sprint("first ", i)
		resent := metric(t, behind, "rocketmq_resends_total")
		cut.Mute()
		acked := pub.retain(topic, first, 1)
		eventually(t, "its first copy is there", func() bool { return seen.times(first) == 1 }, seen.state)
		want := first
		if between {
			want = fmt.Sprint("between ", i)
			steady.retained(t, topic, want, 1)
		}
		box := &inbox{}
		must(t, connect(t, other.TCP, fmt.Sprint("twice-", i), box).subscribe(1, topic))
		cut.Cut()
		cut.Mend()
		must(t, within(acked, topic))
		if metric(t, behind, "rocketmq_resends_total") == resent {
			t.Error("it was not sent again")
		}
		eventually(t, want+" is what the subscription begins with", func() bool { return box.latest()[topic] == want }, box.state)
		retains(t, want, topic, map[string]string{topic: want}, behind, other)
		if between && box.times(first) != 0 || seen.times(first) != 1 {
			t.Errorf("what was replaced came again: %s; %s", box.state(), seen.state())
		}
	}
}

// tooLong is after how long others take a node for dead that they hear nothing of.
const tooLong = 7 * time.Second

// What is retained and acknowledged at one node is what a subscription at another begins with, or comes right after it: one of both, whenever SUBSCRIBE comes.
func TestRetainedReachesWhoeverSubscribesMeanwhile(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	here, there := node(t, c, metaOn...), node(t, c, metaOn...)
	pub := connect(t, here.TCP, "meanwhile-pub", &inbox{})
	tries := check.Number(t, "ROCKETMQTT_TRIES", 300)
	for i := range tries {
		topic, want := fmt.Sprint("meanwhile/", i%7), fmt.Sprint(i)
		box := &inbox{}
		sub := connect(t, there.TCP, fmt.Sprint("meanwhile-", i), box)
		acked := pub.retain(topic, want, 1)
		must(t, sub.subscribe(1, topic))
		must(t, within(acked, topic))
		eventually(t, "number "+want+" comes", func() bool { return box.latest()[topic] == want }, box.state)
		if n := box.times(want); n != 1 {
			t.Errorf("number %d came %d times", i, n)
		}
		sub.leave()
	}
	t.Logf("%v of %d were late", metric(t, there, "rocketmq_retained_late_total"), tries)
}

// The first message that is ever published below a first level, retained, right after SUBACK, comes once: it is new to the subscription, at whichever node.
func TestRetainedIsTheFirstOfItsTopic(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	nodes := []*broker.Broker{node(t, c, metaOn...), node(t, c, metaOn...)}
	pub, box := connect(t, nodes[0].TCP, "first-pub", &inbox{}), &inbox{packets: map[string]*mqtt.Publish{}}
	tries := check.Number(t, "ROCKETMQTT_TRIES", 20)
	for i := range tries {
		first := fmt.Sprint("first-", i)
		sub := connect(t, nodes[i%2].TCP, "first-sub", box)
		must(t, sub.subscribe(1, first+"/#"))
		pub.retained(t, first+"/x", first, 1)
		must(t, pub.publish(first+"/x", "end "+first, 1))
		eventually(t, "both come", func() bool { return box.times(first) > 0 && box.times("end "+first) == 1 }, box.state)
		pub.retained(t, first+"/x", "", 1)
		sub.leave()
	}
	twice, retained := 0, 0
	for i := range tries {
		first := fmt.Sprint("first-", i)
		if box.times(first) != 1 {
			twice++
		}
		if box.packets[first].Retain {
			retained++
		}
	}
	if twice > 0 || retained > 0 {
		t.Errorf("of %d messages %d came twice, %d with RETAIN", tries, twice, retained)
	}
}

// With meta on a quota refuses what is too much, before it is published.
func TestRetainedQuota(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	n := node(t, c, "enableMetaModule=true", "maxRetainedTopicNum=3")
	box := &inbox{}
	pub := connect(t, n.TCP, "quota", box)
	must(t, pub.subscribe(1, "quota-retained/#"))
	for i := range 3 {
		pub.retained(t, fmt.Sprint("quota-retained/", i), "x", 1)
	}
	eventually(t, "they are known", func() bool { return box.times("x") == 3 && metric(t, n, "rocketmq_retained_messages") >= 3 })
	if a := <-pub.retain("quota-retained/more", "y", 1); a.code != mqtt.QuotaExceeded {
		t.Errorf("one more is answered with %+v", a)
	}
	pub.retained(t, "quota-retained/0", "", 1)
	eventually(t, "there is room", func() bool { return (<-pub.retain("quota-retained/more", "z", 1)).ok() == nil })
	eventually(t, "it is delivered", func() bool { return box.times("z") > 0 })
	if box.times("y") != 0 {
		t.Error("what was refused is delivered")
	}
}
