package rocketmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Topics are spread over the brokers. When one is killed its topics move, after queueFailover; what is in its queues arrives when it is back, and so do the
// sessions that stand there.
func TestBrokers(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V540, Brokers: 2, SyncFlush: true})
	o := nodeOptions(c, "queueFailover=3s")
	o.Errors = true // what was under way to the killed broker is refused, since it may be there
	nodes := []*broker.Broker{broker.Start(t, o), broker.Start(t, o)}
	var live, away [2]inbox
	ids := []string{standsOn(0), standsOn(1)} // brokers
	for i, n := range nodes {
		must(t, connect(t, n.TCP, fmt.Sprint("brokers-", i), &live[i]).subscribe(2, "spread/#"))
		c := connect(t, n.TCP, ids[i], &away[i], keep)
		must(t, c.subscribe(2, "spread/#"))
		c.leave()
	}
	var l load
	defer l.end()
	for i := range 12 {
		name := fmt.Sprint("spread-", i)
		l.start(connect(t, nodes[i%2].TCP, "p"+name, &inbox{}),
			&stream{topic: "spread/" + name, name: name, qos: byte(1 + i%2), pace: 20 * time.Millisecond})
	}
	l.progress(t, "at first", 20)
	for i := range 2 {
		if n := messages(t, c, i, "spread"); n == 0 {
			t.Errorf("%s has no message", c.Broker(i).Name)
		}
	}

	must(t, c.Broker(1).Kill())
	l.stalls(t, "a broker is gone", time.Second)
	l.progress(t, "its topics have moved", 20)
	connect(t, nodes[0].TCP, ids[0], &away[0], keep) // what the killed broker has stays owed to it
	if _, err := dial(nodes[1].TCP, ids[1], &away[1], keep); err == nil || !strings.Contains(err.Error(), "Server unavailable") {
		t.Errorf("a session that stands on the killed broker begins with %v", err)
	}
	l.progress(t, "with one broker", 20)
	must(t, c.Broker(1).Start())
	before := messages(t, c, 1, "spread")
	eventually(t, "the broker is used again", func() bool { return messages(t, c, 1, "spread") > before })
	connectSoon(t, nodes[1].TCP, ids[1], &away[1])
	l.progress(t, "with both", 20)
	l.end()
	for i := range nodes {
		l.arrives(t, fmt.Sprint("the subscriber on node ", i), &live[i], 2, false)
		l.arrives(t, fmt.Sprint("the persistent session on node ", i), &away[i], 2, false)
	}
	refused := 0
	for _, s := range l.streams {
		refused += len(s.refusals())
	}
	t.Logf("%d messages were refused while their topics moved", refused)
}

// messages is how many a broker has in a topic.
func messages(t *testing.T, c *rocketmqtest.Cluster, i int, topic string) (sum int64) {
	t.Helper()
	rmq, err := remoting.New(remoting.Options{Namesrv: []string{c.Namesrv()}})
	must(t, err)
	defer rmq.Close()
	for queue := range int32(8) {
		n, err := rmq.MaxOffset(t.Context(), c.Broker(i).Addr, topic, queue)
		must(t, err)
		sum += n
	}
	return sum
}

// standsOn is a client id whose session stands on a broker: of two, each has eight queues of the sessions' changelog, the first one's come first.
func standsOn(broker int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("brokers-away-", i); changelog.QueueOf(id, 16)/8 == broker {
			return id
		}
	}
}
