package rocketmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Nothing that was acknowledged is lost when RocketMQ's servers fail, and nothing has to be started again when they are back.
func TestOutages(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, SyncFlush: true})
	t.Run("short", func(t *testing.T) { shortOutages(t, c) })
	t.Run("long", func(t *testing.T) { longOutage(t, c) })
	t.Run("log went back", func(t *testing.T) { wentBack(t, c) })
}

// shortOutages end before queueFailover: publishers wait, and see no error.
func shortOutages(t *testing.T, c *rocketmqtest.Cluster) {
	a, b := node(t, c, "queueFailover=2m"), node(t, c, "queueFailover=2m")
	var boxes [2]inbox
	var l load
	defer l.end()
	for i, n := range []*broker.Broker{a, b} {
		must(t, connect(t, n.TCP, fmt.Sprint("short-", i), &boxes[i]).subscribe(2, "short/#"))
	}
	for i, n := range []*broker.Broker{a, b} {
		for qos := byte(1); qos <= 2; qos++ {
			name := fmt.Sprintf("short-%d-%d", i, qos)
			var change []func(*mqtt.Connect)
			if qos == 1 {
				change = append(change, v3)
			}
			l.start(connect(t, n.TCP, "p"+name, &inbox{}, change...), &stream{topic: "short/" + name, name: name, qos: qos})
		}
	}
	l.progress(t, "at first", 50)

	must(t, c.Broker(0).Kill())
	l.stalls(t, "the broker is gone", 100*time.Millisecond)
	must(t, c.Broker(0).Start())
	l.progress(t, "the broker is back", 50)

	must(t, c.Broker(0).Pause())
	l.stalls(t, "the broker is halted", 3*time.Second)
	must(t, c.Broker(0).Resume())
	l.progress(t, "the broker goes on", 50)

	namesrv(t, c, &l, a)
	l.end()
	l.unrefused(t)
	for i := range boxes {
		l.arrives(t, fmt.Sprint("the subscriber on node ", i), &boxes[i], 2, true)
	}
	for _, s := range l.streams {
		t.Logf("%s: %d messages, longest wait %v", s.name, s.taken(), s.longest.Round(time.Millisecond))
	}
}

// namesrv ends the name server and starts it again: nobody who publishes to a topic that is known notices. It has no route until the broker
// registers again.
func namesrv(t *testing.T, c *rocketmqtest.Cluster, l *load, n *broker.Broker) {
	t.Helper()
	before := metric(t, n, "rocketmq_route_errors_total")
	resent := metric(t, n, "rocketmq_resends_total")
	must(t, c.NameServer().Kill())
	eventually(t, "the node asks for routes", func() bool { return metric(t, n, "rocketmq_route_errors_total") > before })
	l.progress(t, "without a name server", 50)
	must(t, c.NameServer().Start())
	rmq := admin(t, c)
	eventually(t, "the route is there again", func() bool {
		_, err := rmq.Route(t.Context(), "short")
		return err == nil
	})
	l.progress(t, "with the name server again", 50)
	if again := metric(t, n, "rocketmq_resends_total"); again != resent {
		t.Errorf("%v requests were sent again for want of a name server", again-resent)
	}
}

// longOutage lasts longer than queueFailover: publishes are refused, with what MQTT has to say so, and memory stays bounded.
func longOutage(t *testing.T, c *rocketmqtest.Cluster) {
	o := nodeOptions(c, "queueFailover=2s", "maxPendingBytes=8MB", "maxRecentBytes=8MB")
	o.Errors, o.NoRace = true, true // refusals are logged as errors; memory is measured
	n := broker.Start(t, o)
	other := node(t, c)
	var boxes [2]inbox
	var l load
	defer l.end()
	must(t, connect(t, n.TCP, "long-0", &boxes[0]).subscribe(2, "long/#"))
	must(t, connect(t, other.TCP, "long-1", &boxes[1]).subscribe(2, "long/#"))
	for i := range 8 {
		name := fmt.Sprint("long-", i)
		l.start(connect(t, n.TCP, "p"+name, &inbox{}), &stream{topic: "long/" + name, name: name, qos: byte(1 + i%2), size: 32 << 10, pace: 10 * time.Millisecond})
	}
	l.progress(t, "at first", 10)
	old := connect(t, n.TCP, "long-v3", &inbox{}, v3)
	must(t, old.publish("long/v3", "before", 1))

	must(t, c.Broker(0).Kill())
	l.stalls(t, "the broker is gone", 100*time.Millisecond)
	wait := old.send(&mqtt.Publish{QoS: 1, Topic: []byte("long/v3"), Payload: []byte("refused")})
	eventually(t, "all publishers are refused", func() bool {
		for _, s := range l.streams {
			if len(s.refusals()) < 2*unanswered {
				return false
			}
		}
		return true
	}, l.state)
	for _, s := range l.streams {
		for _, r := range s.refusals() {
			if r.err != nil || r.code < mqtt.UnspecifiedError || r.reason == "" {
				t.Errorf("%s was refused with %v %q: %v; want a reason code and what it is about", s.name, r.code, r.reason, r.err)
				break
			}
		}
	}
	if a := <-wait; a.err == nil {
		t.Errorf("MQTT 3.1.1 was answered with %+v, which says that it was stored", a)
	}
	rss, err := n.RSS()
	must(t, err)
	const most = 200 << 20
	if t.Logf("%d MiB resident after %d refusals", rss>>20, len(l.streams[0].refusals())*len(l.streams)); rss > most {
		t.Errorf("%d MiB resident", rss>>20)
	}

	must(t, c.Broker(0).Start())
	l.progress(t, "the broker is back", 20)
	l.end()
	for i := range boxes {
		l.arrives(t, fmt.Sprint("the subscriber on node ", i), &boxes[i], 2, true)
	}
}

// wentBack takes from the broker what it had stored and delivered lately, as a disk does that lost it: what comes after that is delivered.
func wentBack(t *testing.T, c *rocketmqtest.Cluster) {
	nodes := []*broker.Broker{node(t, c, "queueFailover=2m"), node(t, c, "queueFailover=2m")}
	var live, kept, away [2]inbox
	for i, n := range nodes {
		must(t, connect(t, n.TCP, fmt.Sprint("back-live-", i), &live[i]).subscribe(2, "back/#"))
		must(t, connect(t, n.TCP, fmt.Sprint("back-kept-", i), &kept[i], keep).subscribe(2, "back/#"))
		c := connect(t, n.TCP, fmt.Sprint("back-away-", i), &away[i], keep)
		must(t, c.subscribe(2, "back/#"))
		c.leave()
	}
	publisher := connect(t, nodes[0].TCP, "back-publisher", &inbox{})
	publish := func(what string, boxes ...*inbox) {
		t.Helper()
		const each = 40
		for i := range each {
			must(t, publisher.publish(fmt.Sprintf("back/%d", i%10), fmt.Sprint(what, " ", i), byte(1+i%2)))
		}
		for _, b := range boxes {
			for i := range each {
				_, err := b.await(fmt.Sprint(what, " ", i))
				must(t, err)
			}
		}
	}
	all := []*inbox{&live[0], &live[1], &kept[0], &kept[1]}
	server := c.Broker(0)

	publish("first", all...)
	must(t, server.Kill())
	snapshot, err := server.SnapshotStore()
	must(t, err)
	must(t, server.Start())
	publish("lost", all...)
	for i, n := range nodes { // these have their place beyond the end of what is restored
		c := connectSoon(t, n.TCP, fmt.Sprint("back-away-", i), &away[i])
		for j := range 40 {
			_, err := away[i].await(fmt.Sprint("lost ", j))
			must(t, err)
		}
		c.leave()
	}
	must(t, server.Kill())
	must(t, server.RestoreStore(snapshot))
	must(t, server.Start())
	publish("after", all...)
	for i, n := range nodes {
		connectSoon(t, n.TCP, fmt.Sprint("back-away-", i), &away[i])
	}
	publish("last", append(all, &away[0], &away[1])...)
	for i, n := range nodes {
		for j := range 40 {
			_, err := away[i].await(fmt.Sprint("after ", j))
			must(t, err)
		}
		if metric(t, n, "rocketmq_log_went_back_total") == 0 {
			t.Errorf("node %d: rocketmqtt_rocketmq_log_went_back_total is 0", i)
		}
		if !strings.Contains(n.Log(), "went back") {
			t.Errorf("node %d does not log that the log went back:\n%s", i, n.Log())
		}
		for _, b := range all {
			must(t, once(b))
		}
	}
}
