package rocketmq

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// Java proxies and nodes on one RocketMQ, on each version that has light queues.
func TestJavaProxies(t *testing.T) {
	t.Parallel()
	versions := []string{rocketmqtest.V540, rocketmqtest.V514, rocketmqtest.V497}
	if !rocketmqtest.Have(t, versions...) {
		return
	}
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			c := rocketmqtest.Start(t, rocketmqtest.Options{Version: v, BrokerConf: map[string]string{"enableLmq": "true", "enableMultiDispatch": "true"}})
			s := &lmqSite{t: t, c: c, rmq: admin(t, c), addr: c.Broker(0).Addr}
			s.never()
			s.poison()
			s.read()
			s.golden()
			s.mixed(s.readers())
		})
	}
}

// lmqSite is a cluster with light queues.
type lmqSite struct {
	t    *testing.T
	c    *rocketmqtest.Cluster
	rmq  *remoting.Client
	addr string
}

// max is the end of a light queue; 0 also when there is none.
func (s *lmqSite) max(lmq string) int64 {
	s.t.Helper()
	n, err := s.rmq.MaxOffset(s.t.Context(), s.addr, lmq, 0)
	must(s.t, err)
	return n
}

// never has nothing in light queues.
func (s *lmqSite) never() {
	t := s.t
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "never", "never/+"))
	n := node(t, s.c, "lmqDispatch=never")
	var box inbox
	client := connect(t, n.TCP, "never", &box)
	must(t, client.subscribe(1, "never/#"))
	for i := range 20 {
		must(t, client.publish(fmt.Sprint("never/", i%3), fmt.Sprint("never ", i), 1))
	}
	_, err := box.await("never 19")
	must(t, err)
	for _, lmq := range []string{"%LMQ%never%0%", "%LMQ%never%+%"} {
		if n := s.max(lmq); n != 0 {
			t.Errorf("lmqDispatch=never: %s has %d entries", lmq, n)
		}
	}
	if s.c.Version() == rocketmqtest.V540 {
		s.manyNames(n)
	}
	n.Stop()
}

// poison publishes all that could stop the broker's dispatch, always with light queues, and kills it: whatever came, what is published later comes.
func (s *lmqSite) poison() {
	t := s.t
	filters := manyFilters()
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "poison", "poison/ok/+,poison/ok/+/,poison/a,b/#,poison/#,"+strings.Join(filters, ",")))
	n := node(t, s.c, "lmqDispatch=always", "queueFailover=60s")
	var box inbox
	client := connect(t, n.TCP, "poison", &box)
	must(t, client.subscribe(1, "poison/#"))
	at, rounds := int64(0), 0
	alive := func(after string) {
		t.Helper()
		rounds++
		payload := fmt.Sprint("alive ", rounds)
		must(t, client.publish("poison/ok/x", payload, 1))
		_, err := box.await(payload)
		must(t, err)
		for _, lmq := range []string{"%LMQ%poison%ok%x%", "%LMQ%poison%ok%+%"} {
			eventually(t, lmq+" has what was published after "+after, func() bool { return s.max(lmq) > at })
		}
		at = s.max("%LMQ%poison%ok%x%")
	}
	alive("the start")
	long := strings.Repeat("x", 300)
	for _, topic := range []string{
		"poison/a,b", "poison/a,b,%LMQ%poison%ok%x%", "poison/,", "poison/" + long, "poison/" + strings.Repeat("é", 150), "poison/a\x01b\x02c", "poison/\x0a\x1b\x7f\u0085",
		"poison/p2p/a,b", "poison/p2p/" + long, "/p2p/x", "/retry/x", "poison/p2p//", "poison/p2p", "/poison//", "poison/ok/x/", "poison/.", "poison/..", "poison/%",
		"poison/größe/\u4e2d\u6587/\U0001F680", "poison/中", "poison/文",
		"poison" + strings.Repeat("/a", 10), // in the light queues of 600 filters
	} {
		must(t, client.publish(topic, "poison", 1))
		alive(fmt.Sprintf("%.40q", topic))
	}
	s.large(client)
	alive("32 KB of user properties")
	b := s.c.Broker(0)
	must(t, b.Kill())
	must(t, b.Start())
	eventually(t, "publishes are taken again", func() bool { return client.publish("poison/ok/y", "again", 1) == nil })
	alive("kill -9")
	if n := s.max("%LMQ%poison%#%"); n == 0 {
		t.Error("nothing is in the light queue of poison/#")
	}
	n.Stop()
}

// large publishes user properties up to what is taken, many at once.
func (s *lmqSite) large(client *client) {
	s.t.Helper()
	var waits []<-chan answer
	for i := range 40 {
		p := &mqtt.Publish{QoS: 1, Topic: []byte(fmt.Sprint("poison/large/", i%2)), Payload: []byte("large")}
		p.User = []mqtt.UserProperty{{Key: []byte("k"), Value: bytes.Repeat([]byte("x"), 31_700-i)}}
		waits = append(waits, client.send(p))
	}
	for _, wait := range waits {
		must(s.t, within(wait, "publish 32 KB of user properties"))
	}
}

// manyFilters is 600 filters that match poison/a/a/a/a/a/a/a/a/a/a.
func manyFilters() []string {
	var filters []string
	for i := 1; len(filters) < 600; i++ {
		f := "poison"
		for bit := range 10 {
			f += []string{"/a", "/+"}[i>>bit&1]
		}
		filters = append(filters, f)
	}
	return filters
}

// read has clients of ours get what a RocketMQ application wrote for clients of Java proxies, and what these proxies wrote.
func (s *lmqSite) read() {
	t := s.t
	n := node(t, s.c)
	must(t, s.rmq.CreateTopic(t.Context(), s.addr, remoting.TopicConfig{Topic: "rmq", ReadQueues: 4, WriteQueues: 4, Perm: remoting.PermRead | remoting.PermWrite}))
	eventually(t, "the topic has a route", func() bool { _, err := s.rmq.Route(t.Context(), "rmq"); return err == nil })
	var box inbox
	client := connect(t, n.TCP, "rmq", &box)
	must(t, client.subscribe(2, "rmq/#"))
	const java = "TAGS\x01MQTT_COMMON\x02UNIQ_KEY\x017F00000100002A139A1674F6C9E20001\x02retryTimes\x010\x02"
	for i, p := range []produced{
		{body: "light queue alone", props: "INNER_MULTI_DISPATCH\x01%LMQ%rmq%r1%\x02", want: "rmq/r1"},
		{body: "light queues", props: "INNER_MULTI_DISPATCH\x01%LMQ%rmq%+%,%LMQ%rmq%r1%,%LMQ%rmq%#%\x02", want: "rmq/r1"},
		{body: "and a topic", props: "INNER_MULTI_DISPATCH\x01%LMQ%rmq%r1%\x02originMqttTopic\x01rmq/r2\x02", want: "rmq/r2"},
		{body: "of a Java proxy", props: java + "INNER_MULTI_DISPATCH\x01%LMQ%rmq%r1%\x02originMqttTopic\x01rmq/r1\x02IS_EMPTY_MSG\x01false\x02qosLevel\x010\x02extData\x01{\"qosLevel\":\"0\"}\x02", want: "rmq/r1"},
	} {
		p.send(t, s.rmq, s.addr, "rmq", int32(i%4))
		d, err := box.await(p.body)
		must(t, err)
		if d.topic != p.want {
			t.Errorf("what was produced as %q came on %q, not %q", p.body, d.topic, p.want)
		}
		if want := byte(1); p.body == "of a Java proxy" && d.qos != 0 || p.body != "of a Java proxy" && d.qos != want {
			t.Errorf("%q came at QoS %d", p.body, d.qos)
		}
	}
	n.Stop()
}

// golden looks at what a message is like in RocketMQ, byte for byte: what a Java proxy would have stored (section 2 of its contract), and ours beside it; and
// at what Java proxies make of it: its place in each light queue, and the topic that they notify each other of (sections 3 and 7).
func (s *lmqSite) golden() {
	t := s.t
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "golden", "golden/+,golden/#"))
	n := node(t, s.c, "lmqDispatch=always")
	client := connect(t, n.TCP, "golden", &inbox{}, v3)
	const lmqs = "%LMQ%golden%a%,%LMQ%golden%+%,%LMQ%golden%#%"
	for i, want := range []struct{ topic, payload, body, empty, lmqs, offsets string }{
		{"golden/a", "hello", "hello", "false", lmqs, "0,0,0"},
		{"golden/a", "hello", "hello", "false", lmqs, "1,1,1"},
		{"golden/a", "", "\u2605\r\n\t\u2600", "true", lmqs, "2,2,2"},
		{"golden/p2p/c1", "hello", "hello", "false", "%LMQ%%p2p%c1%", "0"},
	} {
		qos := min(i, 2)
		must(t, client.publish(want.topic, want.payload, byte(qos)))
		for j, lmq := range strings.Split(want.lmqs, ",") {
			at, err := strconv.ParseInt(strings.Split(want.offsets, ",")[j], 10, 64)
			must(t, err)
			m := s.message(lmq, at)
			props := properties(m)
			id := props["UNIQ_KEY"]
			for _, name := range []string{"UNIQ_KEY", "mqttNode", "mqttFrom", "CLUSTER", "MSG_REGION", "TRACE_ON", "WAIT"} { // the ids, ours, and the broker's
				delete(props, name)
			}
			golden := map[string]string{
				"TAGS": "MQTT_COMMON", "INNER_MULTI_DISPATCH": want.lmqs, "INNER_MULTI_QUEUE_OFFSET": want.offsets, "originMqttTopic": want.topic, "qosLevel": strconv.Itoa(qos),
				"IS_EMPTY_MSG": want.empty, "retryTimes": "0", "extData": fmt.Sprintf(`{"qosLevel":"%d"}`, qos),
			}
			if string(m.Topic) != "golden" || string(m.Body) != want.body || len(id) != 32 || m.Flag != 0 || m.SysFlag&^message.BornHostV6&^message.StoreHostV6 != 0 || !maps.Equal(props, golden) {
				t.Errorf("%s of %s: topic %s, flags %d %d, id %s, body %q, %q\nwant %q", want.topic, lmq, m.Topic, m.Flag, m.SysFlag, id, m.Body, props, golden)
			}
		}
	}
	n.Stop()
}

// message waits for the one at an offset of a light queue.
func (s *lmqSite) message(lmq string, at int64) *message.Message {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(lmq, " has ", at+1), func() bool { return s.max(lmq) > at })
	res, err := s.rmq.PullSync(s.t.Context(), s.addr, &remoting.PullRequest{Topic: lmq, Offset: at, MaxMsgs: 1})
	must(s.t, err)
	m, _, err := message.Decode(res.Body)
	must(s.t, err)
	return &m
}

func properties(m *message.Message) map[string]string {
	all := map[string]string{}
	for name, value, rest, ok := message.Next(m.Properties); ok; name, value, rest, ok = message.Next(rest) {
		all[string(name)] = string(value)
	}
	return all
}

// readers has RocketMQ's own client in Java read light queues of what many publish here: it must have everything, in order. The node begins with
// light queues when that client comes, as a Java proxy would.
func (s *lmqSite) readers() *javaNode {
	const publishers, messages = 64, 64 * 313
	t := s.t
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "ALL_FIRST_TOPICS", "java"))
	must(t, s.rmq.PutKV(t.Context(), "LMQ", "java", "java/+,java/#"))
	nodes := []*broker.Broker{node(t, s.c), node(t, s.c)}
	must(t, connect(t, nodes[0].TCP, "before", &inbox{}).publish("java/before", "before", 1))
	reader := startJava(t, s.c, "java")
	for _, lmq := range []string{"%LMQ%java%+%", "%LMQ%java%#%", "%LMQ%java%p0%", "%LMQ%%p2p%device%"} {
		reader.do("read", lmq)
	}
	for _, n := range nodes {
		eventually(t, "the node notices the Java proxy", func() bool { return strings.Contains(n.Log(), "Java proxies share this RocketMQ") },
			func() string { return n.Log() })
	}
	began := time.Now()
	must(t, publishAll(nodes, publishers, messages))
	t.Logf("%s: %d messages of %d publishers, one by one, in %v", s.c.Version(), messages, publishers, time.Since(began).Round(time.Millisecond))
	must(t, connect(t, nodes[1].TCP, "to-device", &inbox{}).publish("java/p2p/device", "p2p", 1))
	first := make([]string, messages/publishers)
	for i := range first {
		first[i] = "p0 " + strconv.Itoa(i)
	}
	reader.await("%LMQ%%p2p%device%", []string{"p2p"})
	reader.await("%LMQ%java%p0%", first)
	for _, lmq := range []string{"%LMQ%java%+%", "%LMQ%java%#%"} {
		reader.awaitAll(lmq, publishers, messages/publishers)
	}
	for _, n := range nodes {
		n.Stop()
	}
	return reader
}

// publishAll has as many publishers, each with a topic of its own, publish so many messages in all, without waiting for answers in between. They are clients
// of different nodes.
func publishAll(nodes []*broker.Broker, publishers, messages int) error {
	var wg sync.WaitGroup
	errs := make([]error, publishers)
	for p := range publishers {
		wg.Go(func() {
			c, err := dial(nodes[p%len(nodes)].TCP, fmt.Sprint("java-", p), &inbox{})
			if err != nil {
				errs[p] = err
				return
			}
			defer c.close()
			var waits []<-chan answer
			for i := range messages / publishers {
				waits = append(waits, c.send(&mqtt.Publish{QoS: 1, Topic: []byte(fmt.Sprint("java/p", p)), Payload: []byte(fmt.Sprintf("p%d %d", p, i))}))
			}
			for _, wait := range waits {
				errs[p] = errors.Join(errs[p], within(wait, "publish"))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
