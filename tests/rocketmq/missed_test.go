package rocketmq

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/check"
)

const (
	triesEnv  = "ROCKETMQTT_TRIES"
	triesMade = 1500 // by default
	workers   = 12   // clients side by side, on each node
	newTopics = 100  // tries at most that make a RocketMQ topic
)

// Whoever has been told that a subscription is there gets what is published from then on, at whatever node: to filters never seen before, in
// topics that exist, that do not yet, and in the one for all others. RocketMQ is as it is installed.
func TestNoneMissed(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	stock(t, c)
	tr := &tries{t: t, total: check.Number(t, triesEnv, triesMade), seed: rand.Uint64()}
	for range 3 {
		tr.nodes = append(tr.nodes, node(t, c))
	}
	began := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() { tr.work(w) })
	}
	wg.Wait()
	if t.Failed() {
		t.Logf("seed %d", tr.seed)
	}
	t.Logf("%d tries, %d with a new topic, in %v; longest from SUBACK to the message %v", tr.total, min(tr.made.Load(), tr.newMost()),
		time.Since(began).Round(time.Millisecond), time.Duration(tr.longest.Load()).Round(time.Millisecond))
}

// stock makes sure that the brokers know nothing of light queues.
func stock(t *testing.T, c *rocketmqtest.Cluster) {
	t.Helper()
	conf, err := admin(t, c).BrokerConfig(t.Context(), c.Broker(0).Addr)
	must(t, err)
	for _, key := range []string{"enableLmq", "enableMultiDispatch"} {
		if conf[key] != "false" {
			t.Fatalf("the broker has %s=%q, not false", key, conf[key])
		}
	}
}

type tries struct {
	t     *testing.T
	nodes []*broker.Broker
	total int
	seed  uint64

	taken   atomic.Int64 // tries that were begun
	made    atomic.Int64 // topics asked for
	longest atomic.Int64 // ns from SUBACK to delivery
}

// newMost is how many tries may make a topic.
func (tr *tries) newMost() int64 { return min(newTopics, int64(tr.total/25)) }

// work has one client on each node, and tries until all tries are done, or one has failed.
func (tr *tries) work(w int) {
	boxes := make([]*inbox, len(tr.nodes))
	clients := make([]*client, len(tr.nodes))
	for i, n := range tr.nodes {
		boxes[i] = &inbox{}
		var change []func(*mqtt.Connect)
		if w%2 == 1 {
			change = append(change, v3)
		}
		c, err := dial(n.TCP, fmt.Sprintf("missed-%d-%d", w, i), boxes[i], change...)
		if err != nil {
			tr.t.Error(err)
			return
		}
		defer c.close()
		clients[i] = c
	}
	for !tr.t.Failed() {
		i := int(tr.taken.Add(1) - 1)
		if i >= tr.total {
			break
		}
		if err := tr.try(i, clients); err != nil {
			tr.t.Error(err)
		}
	}
	for i, b := range boxes {
		if err := once(b); err != nil {
			tr.t.Errorf("client on node %d: %v", i, err)
		}
	}
}

// once finds what came twice at QoS 2.
func once(b *inbox) error {
	seen := map[string]bool{}
	for _, d := range b.deliveries() {
		if d.qos == 2 && seen[d.payload] {
			return fmt.Errorf("QoS 2 came twice: %s on %.200q", d.payload, d.topic)
		}
		seen[d.payload] = seen[d.payload] || d.qos == 2
	}
	return nil
}

// aim is a subscription and a topic that it matches.
type aim struct{ filter, topic string }

// try subscribes on one node or more, and publishes on another one.
func (tr *tries) try(i int, clients []*client) error {
	r := rand.New(rand.NewPCG(tr.seed, uint64(i)))
	a := tr.aim(i, r)
	nodes := r.Perm(len(clients))
	subscribers := nodes[:1]
	if r.IntN(4) == 0 && !strings.HasPrefix(a.filter, "$share/") { // of a group one gets it
		subscribers = nodes // the publisher's node, and the third one too
	}
	publisher := clients[nodes[1]]
	granted, qos := byte(r.IntN(3)), byte(r.IntN(3))
	what := fmt.Sprintf("try %d: subscribed at QoS %d to %q on %v, published at QoS %d to %q on %d", i, granted, a.filter, subscribers, qos, a.topic, nodes[1])

	for _, s := range subscribers {
		if err := clients[s].subscribe(granted, a.filter); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	began := time.Now()
	payload := fmt.Sprint("try-", i)
	put := publisher.send(&mqtt.Publish{QoS: qos, Topic: []byte(a.topic), Payload: []byte(payload)})
	for _, s := range subscribers {
		if err := tr.arrived(clients[s], a, payload, min(granted, qos)); err != nil {
			return fmt.Errorf("%s: node %d: %w", what, s, err)
		}
	}
	tr.took(time.Since(began))
	if err := within(put, "publish"); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, s := range subscribers {
		if err := clients[s].unsubscribe(a.filter); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (tr *tries) arrived(c *client, a aim, payload string, qos byte) error {
	d, err := c.box.await(payload)
	switch {
	case err != nil:
		return err
	case d.topic != a.topic || d.qos != qos:
		return fmt.Errorf("came as %.200q at QoS %d, not %d", d.topic, d.qos, qos)
	}
	return nil
}

func (tr *tries) took(d time.Duration) {
	for {
		old := tr.longest.Load()
		if int64(d) <= old || tr.longest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// first is a first level: one that exists, mostly, or one that does not, or one that can have no topic of its own.
func (tr *tries) first(i int, r *rand.Rand) string {
	switch n := r.IntN(20); {
	case n == 0 && tr.made.Add(1) <= tr.newMost():
		return fmt.Sprint("new-", i)
	case n < 6:
		return fmt.Sprintf("gerät.%d", i) // in MQTT_DEFAULT
	}
	return fmt.Sprint("pool-", r.IntN(6))
}

// aim makes up a filter that nobody has used, but for "#".
func (tr *tries) aim(i int, r *rand.Rand) aim {
	f := tr.first(i, r)
	switch r.IntN(10) {
	case 0:
		return aim{fmt.Sprintf("%s/+/p%d", f, i), fmt.Sprintf("%s/any/p%d", f, i)}
	case 1:
		return aim{fmt.Sprintf("%s/h%d/#", f, i), fmt.Sprintf("%s/h%d/a/b", f, i)}
	case 2:
		return aim{fmt.Sprintf("%s/l%d/#", f, i), fmt.Sprintf("%s/l%d", f, i)} // the level above, too
	case 3:
		return aim{fmt.Sprintf("+/w%d/#", i), fmt.Sprintf("%s/w%d/x", f, i)}
	case 4:
		return aim{fmt.Sprintf("$share/g%d/%s/s%d/+", i, f, i), fmt.Sprintf("%s/s%d/x", f, i)}
	case 5:
		return aim{fmt.Sprintf("/%s/%d", f, i), fmt.Sprintf("/%s/%d", f, i)}
	case 6:
		return aim{fmt.Sprintf("/+/%d", i), fmt.Sprintf("/%s/%d", f, i)}
	case 7:
		deep := strings.Repeat("/d", 60)
		return aim{fmt.Sprintf("%s%s/%d", f, deep, i), fmt.Sprintf("%s%s/%d", f, deep, i)}
	case 8:
		if r.IntN(5) == 0 {
			return aim{"#", fmt.Sprintf("%s/n%d", f, i)}
		}
	}
	return aim{fmt.Sprintf("%s/e/%d", f, i), fmt.Sprintf("%s/e/%d", f, i)}
}
