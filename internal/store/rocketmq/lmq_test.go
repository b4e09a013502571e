package rocketmq

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// property is one of a message that was sent.
func (m *sent) property(name string) string {
	v, _ := message.Property(m.raw.Properties, name)
	return string(v)
}

// properties is all of them.
func (m *sent) properties() map[string]string {
	all := map[string]string{}
	for name, value, rest, ok := message.Next(m.raw.Properties); ok; name, value, rest, ok = message.Next(rest) {
		all[string(name)] = string(value)
	}
	return all
}

// What a message has in RocketMQ, byte for byte, is what the Java proxy would have written, and ours beside it (section 2 of its contract).
func TestGoldenRecordForJavaProxies(t *testing.T) {
	f := newFarm(t, 1, "t1")
	f.kv = map[string]string{"ALL_FIRST_TOPICS": "t1", "LMQ_CONNECT_NODES": "10.0.0.1", "t1": "t1/+,t1/#,t1/x/+"}
	s := f.start(t, Options{LMQDispatch: LMQAlways})
	a := newAnswers(t)
	for i, m := range []store.Message{
		{Topic: "t1/a", Payload: []byte("hello"), QoS: 0},
		{Topic: "t1/a", Payload: []byte("hello"), QoS: 1, Origin: 0xAB},
		{Topic: "t1/a", QoS: 2, Retain: true},
		{Topic: "t1/p2p/c1/x", Payload: []byte("hello"), QoS: 1},
	} {
		s.Append(&m, a, uint64(i))
		a.wait(i + 1)
		eventually(t, "it is appended", func() bool { return len(f.brokers[0].appended()) == i+1 })
	}
	ours := []string{"mqttNode", "mqttFrom", "mqttRetain"}
	for i, want := range []struct {
		body  string
		props map[string]string
	}{
		{"hello", map[string]string{"originMqttTopic": "t1/a", "qosLevel": "0", "IS_EMPTY_MSG": "false", "extData": `{"qosLevel":"0"}`, "INNER_MULTI_DISPATCH": "%LMQ%t1%a%,%LMQ%t1%+%,%LMQ%t1%#%"}},
		{"hello", map[string]string{"originMqttTopic": "t1/a", "qosLevel": "1", "IS_EMPTY_MSG": "false", "extData": `{"qosLevel":"1"}`, "INNER_MULTI_DISPATCH": "%LMQ%t1%a%,%LMQ%t1%+%,%LMQ%t1%#%"}},
		{"\u2605\r\n\t\u2600", map[string]string{"originMqttTopic": "t1/a", "qosLevel": "2", "IS_EMPTY_MSG": "true", "extData": `{"qosLevel":"2"}`, "INNER_MULTI_DISPATCH": "%LMQ%t1%a%,%LMQ%t1%+%,%LMQ%t1%#%"}},
		{"hello", map[string]string{"originMqttTopic": "t1/p2p/c1/x", "qosLevel": "1", "IS_EMPTY_MSG": "false", "extData": `{"qosLevel":"1"}`, "INNER_MULTI_DISPATCH": "%LMQ%%p2p%c1%"}},
	} {
		want.props["TAGS"], want.props["retryTimes"] = "MQTT_COMMON", "0"
		got := f.brokers[0].appended()[i]
		props := got.properties()
		if len(props["UNIQ_KEY"]) != 32 {
			t.Errorf("message %d: UNIQ_KEY %q", i, props["UNIQ_KEY"])
		}
		maps.DeleteFunc(props, func(name, _ string) bool { return name == "UNIQ_KEY" || slices.Contains(ours, name) })
		if got.payload != want.body || !maps.Equal(props, want.props) {
			t.Errorf("message %d: %q %q\nwant %q %q", i, got.payload, props, want.body, want.props)
		}
	}
}

// A message goes to light queues as soon as a Java proxy is seen, and in batches while none is.
func TestJavaProxiesAreNoticed(t *testing.T) {
	f := newFarm(t, 1, "t1")
	f.version, f.kv = "V5_4_0", map[string]string{"t1": "t1/+"}
	s := f.start(t, Options{})
	a := newAnswers(t)
	s.publish("t1/a", "before", a, 0)
	a.good(1)
	f.mu.Lock()
	f.proxies = []string{"10.0.0.1@1#1"}
	f.mu.Unlock()
	eventually(t, "the Java proxy is noticed", func() bool { return s.lmq.table.Load() != nil })
	s.publish("t1/a", "after", a, 1)
	a.good(2)
	f.mu.Lock()
	f.kv["t1"] = "t1/+,t1/#"
	f.mu.Unlock()
	eventually(t, "the new filter is known", func() bool { return len((*s.lmq.table.Load())["t1"]) == 2 })
	s.publish("t1/a", "later", a, 2)
	a.good(3)
	want := map[string]string{"before": "", "after": "%LMQ%t1%a%,%LMQ%t1%+%", "later": "%LMQ%t1%a%,%LMQ%t1%+%,%LMQ%t1%#%"}
	for _, m := range f.brokers[0].appended() {
		if got := m.property(propDispatch); got != want[m.payload] {
			t.Errorf("%s: %q, want %q", m.payload, got, want[m.payload])
		}
	}
}

// Light queues are written for some time after the last Java proxy was seen: its clients have sessions.
func TestJavaProxiesAreWaitedFor(t *testing.T) {
	f := newFarm(t, 1, "t1")
	s := f.start(t, Options{LMQDispatch: LMQNever}) // nobody looks but this test
	l := &s.lmq
	if l.wanted(nil) {
		t.Error("light queues are written without Java proxies")
	}
	if !l.wanted([]string{"10.0.0.1@1#1"}) {
		t.Error("no light queues with a Java proxy")
	}
	l.table.Store(&map[string][]wildcard{})
	if !l.wanted(nil) {
		t.Error("light queues end as soon as the last Java proxy does")
	}
	l.watching.seen = l.watching.seen.Add(-lmqLinger)
	if l.wanted(nil) || l.table.Load() != nil {
		t.Error("light queues do not end")
	}
}

// With never nothing is asked for and nothing written, whoever is there.
func TestNeverIsNever(t *testing.T) {
	f := newFarm(t, 1, "t1")
	f.kv, f.proxies = map[string]string{"t1": "t1/+"}, []string{"10.0.0.1@1#1"}
	s := f.start(t, Options{LMQDispatch: LMQNever})
	a := newAnswers(t)
	s.publish("t1/a", "x", a, 0)
	a.good(1)
	if m := f.brokers[0].appended()[0]; m.property(propDispatch) != "" || s.lmq.table.Load() != nil {
		t.Errorf("light queues %q", m.property(propDispatch))
	}
}

// One by one, and of each topic one at a time: none overtakes. All are in one queue, since the broker does not say that it keeps its entries.
func TestOneByOneInOrder(t *testing.T) {
	const publishers, each = 16, 100
	f := newFarm(t, 1, "t")
	var mu sync.Mutex
	under := map[string]int{}
	f.brokers[0].plan = func(_ int, batch []sent) reply {
		mu.Lock()
		if len(batch) != 1 {
			t.Errorf("%d messages in one request", len(batch))
		}
		under[batch[0].topic]++
		if under[batch[0].topic] > 1 {
			t.Errorf("two messages of %s are under way", batch[0].topic)
		}
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		defer mu.Unlock()
		under[batch[0].topic]--
		return reply{append: true}
	}
	s := f.start(t, Options{LMQDispatch: LMQAlways})
	a := newAnswers(t)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				s.publish(fmt.Sprint("t/", p), fmt.Sprint(i), a, uint64(p*each+i))
			}
		})
	}
	wg.Wait()
	a.good(publishers * each)
	checkLog(t, f.brokers[0])
	if keys := slices.Collect(maps.Keys(f.brokers[0].log)); len(keys) != 1 {
		t.Errorf("a broker that may lose entries of light queues has messages in %v", keys)
	}
}

// One by one too, a message that a broker refuses for good is refused alone, and those of its topic behind it go on.
func TestOneByOneABadMessageIsRefusedAlone(t *testing.T) {
	f := newFarm(t, 1, "t")
	f.brokers[0].plan = func(_ int, batch []sent) reply {
		if batch[0].payload == "bad" {
			return reply{code: 13, remark: "illegal"}
		}
		return reply{append: true}
	}
	s := f.start(t, Options{LMQDispatch: LMQAlways})
	a := newAnswers(t)
	for i, payload := range []string{"0", "bad", "2", "bad", "4"} {
		s.publish("t/a", payload, a, uint64(i))
	}
	for i, one := range a.wait(5) {
		if one.token != uint64(i) || (one.err != nil) != (i%2 == 1) || one.err != nil && !errors.Is(one.err, store.ErrTooLarge) {
			t.Errorf("answer %d: append %d, %v", i, one.token, one.err)
		}
	}
	if got := payloads(f.brokers[0].appended()); got != "0 2 4" {
		t.Errorf("appended %s", got)
	}
}

// One by one too, what a queue does not take goes to another broker, in order.
func TestOneByOneToAnotherBroker(t *testing.T) {
	f := newFarm(t, 2, "t")
	s := f.start(t, Options{LMQDispatch: LMQAlways})
	q := s.box(t, "t/a").q
	from, to := f.brokers[0], f.brokers[1]
	if q.name.broker == to.name {
		from, to = to, from
	}
	from.plan = func(int, []sent) reply {
		from.mu.Lock()
		defer from.mu.Unlock()
		from.readOnly = true
		return reply{code: 16, remark: "the broker has no permission to write"}
	}
	a := newAnswers(t)
	for i := range 5 {
		s.publish("t/a", fmt.Sprint(i), a, uint64(i))
	}
	inOrder(t, a.good(5))
	if got := payloads(to.appended()); got != "0 1 2 3 4" || len(from.appended()) != 0 {
		t.Errorf("appended %s, and %s", got, payloads(from.appended()))
	}
}

// Brokers of 5.0 and 5.1 get one queue of each topic, others all.
func TestOneQueueOnBrokersThatLoseEntries(t *testing.T) {
	for version, want := range map[string]int{"V5_1_4": 1, "V5_0_0": 1, "": 1, "V5_2_0": 4, "V5_4_0": 4, "V4_9_7": 4} {
		f := newFarm(t, 1, "t")
		f.version = version
		s := f.start(t, Options{LMQDispatch: LMQAlways})
		seen := map[int32]bool{}
		for i := range 100 {
			seen[s.box(t, fmt.Sprint("t/", i)).q.name.id] = true
		}
		if len(seen) != want || !seen[0] {
			t.Errorf("%s: %d queues, want %d", version, len(seen), want)
		}
	}
}

// The names that clients may have made are bounded, and so are those that did not fit.
func TestLightQueuesAreBounded(t *testing.T) {
	f := newFarm(t, 1, "t")
	f.kv = map[string]string{"t": "t/#"}
	s := f.start(t, Options{LMQDispatch: LMQAlways, MaxLMQs: 3})
	a := newAnswers(t)
	for i := range 8 {
		s.publish(fmt.Sprint("t/", i%4), "x", a, uint64(i))
		a.good(i + 1)
	}
	names := map[string]bool{}
	for _, m := range f.brokers[0].appended() {
		for _, name := range strings.Split(m.property(propDispatch), ",") {
			names[name] = true
		}
	}
	if len(names) != 4 || !names["%LMQ%t%#%"] || s.stats.LMQLeftOut.Load() != 2 {
		t.Errorf("light queues %v, %d left out", names, s.stats.LMQLeftOut.Load())
	}
	set := lmqSet{most: 2}
	now := time.Unix(1_000_000_000, 0)
	for _, step := range []struct {
		name  uint64
		after time.Duration
		want  bool
	}{{1, 0, true}, {2, 0, true}, {3, 0, false}, {1, 80 * time.Hour, true}, {3, 0, false}, {3, 80 * time.Hour, true}, {2, 0, false}, {1, 0, true}} {
		now = now.Add(step.after)
		if got := set.add(step.name, now); got != step.want {
			t.Errorf("%+v: %t", step, got)
		}
	}
}

// MQTT 5 properties up to the limit leave no room for light queues: the message is taken nevertheless.
func TestNoRoomForLightQueues(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{LMQDispatch: LMQAlways})
	a := newAnswers(t)
	user := mqtt.Properties{User: []mqtt.UserProperty{{Key: []byte("k"), Value: []byte(strings.Repeat("x", 31_750))}}}
	s.Append(&store.Message{Topic: "t/a", Payload: []byte("x"), QoS: 1, Forward: user.Append(nil)}, a, 0)
	a.good(1)
	m := f.brokers[0].appended()[0]
	if n := len(m.raw.Properties); n > maxProperties || m.property(propDispatch) != "" {
		t.Errorf("%d bytes of properties, light queues %q", n, m.property(propDispatch))
	}
}

func TestRegisteredFilters(t *testing.T) {
	wild, left := readWildcards(map[string]string{
		"ALL_FIRST_TOPICS": "t1,t2", "LMQ_CONNECT_NODES": "10.0.0.1",
		"t1": "t1/+,t1/+/,t1/a,,t1/a#,t1/#/x,t1/a+,t1/\x01/+", "t2": "", "t3": "t3/#",
	})
	if len(wild) != 2 || len(wild["t1"]) != 1 || wild["t1"][0].name != "%LMQ%t1%+%" || len(wild["t3"]) != 1 || left != 4 {
		t.Errorf("%+v, %d left out", wild, left)
	}
	var many []string
	for i := range maxWildcards + 5 {
		many = append(many, fmt.Sprint("t/", i, "/+"))
	}
	if list, left := readFilters(strings.Join(many, ",")); len(list) != maxWildcards || left != 5 {
		t.Errorf("%d filters, %d left out", len(list), left)
	}
}
