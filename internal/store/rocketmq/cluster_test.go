package rocketmq

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// fresh is a first level that this run of the tests has not used yet.
func fresh(t testing.TB, name string) string {
	t.Helper()
	return fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
}

// knows says whether a filter that begins with a wildcard finds a first level.
func knows(s *Store, first string) bool { return slices.Contains(s.topicsOf("#"), first) }

// What one node publishes to, filters on others find: those that were there, and those that start later.
func TestOtherNodesFindNewTopics(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	one := routing(t, c.Namesrv(), Options{RouteInterval: 200 * time.Millisecond})
	two := routing(t, c.Namesrv(), Options{RouteInterval: 200 * time.Millisecond})
	found, foundToo := fresh(t, "found"), fresh(t, "found-too")
	if got := placed(t, one, found+"/a"); got != found {
		t.Fatalf("it is in %s", got)
	}
	eventually(t, "the other node finds it", func() bool { return knows(two, found) && two.known(found) != nil })
	three := routing(t, c.Namesrv(), Options{})
	if !knows(three, found) {
		t.Errorf("a node that starts later knows %v", three.topicsOf("#"))
	}
	// By a long poll now, not by the look for the registry itself.
	placed(t, two, foundToo+"/a")
	eventually(t, "the first node finds it", func() bool { return knows(one, foundToo) && one.known(foundToo) != nil })
}

// node is a whole store, which ends with the test.
func node(t *testing.T, namesrv string) *Store {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	client, err := remoting.New(remoting.Options{Namesrv: []string{namesrv}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s, err := Open(Options{
		Client: client, Dir: t.TempDir(), Logger: log, DefaultTopic: "MQTT_DEFAULT", MaxFirstTopics: 10_000, RouteInterval: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A subscription to all topics, on a node that was there before the topic was, gets its first message too, whether
// it is in a topic of its own or in the default one.
func TestFirstMessageOfANewTopicArrives(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	here, there := node(t, c.Namesrv()), node(t, c.Namesrv())
	got := make(chan string, 100)
	there.Follow(func(batch []store.Record) {
		for i := range batch {
			got <- batch[i].Topic
		}
	})
	here.Follow(func([]store.Record) {})
	arrives, later := fresh(t, "arrives"), fresh(t, "arrives-later")
	for _, filter := range []string{"#", later + "/+"} {
		if _, err := there.Watch(filter); err != nil {
			t.Fatal(err)
		}
	}
	topics := []string{arrives + "/a", "Größe/a", "/" + fresh(t, "arrives") + "/a", later + "/a"}
	for _, topic := range topics {
		here.Append(&store.Message{Topic: topic, Payload: []byte("x"), QoS: 1}, nil, 0)
	}
	want := map[string]bool{}
	for _, topic := range topics {
		want[topic] = true
	}
	eventually(t, "all arrive", func() bool {
		for {
			select {
			case topic := <-got:
				delete(want, topic)
			default:
				return len(want) == 0
			}
		}
	})
}

// Others may write to the registry what they like.
func TestForeignEntriesOfTheRegistry(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	s := routing(t, c.Namesrv(), Options{RouteInterval: 200 * time.Millisecond})
	placed(t, s, "first-level/a")
	q := s.known(registryTopic).writable()[0]
	tagged := func(tag string) string {
		props, err := message.AppendProperty(nil, "TAGS", tag)
		if err != nil {
			t.Fatal(err)
		}
		return string(props)
	}
	send := func(body, props string) {
		_, err := s.client.SendSync(t.Context(), q.broker.addr(), &remoting.SendRequest{
			Topic: registryTopic, QueueID: q.name.id, Born: time.Now(), Properties: props, Body: []byte(body),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := s.stats.NotRegistered.Load()
	send("not/a/topic", tagged(registryTag))
	send("%RETRY%group", tagged(registryTag))
	send("no-tag", "")
	send("other-tag", tagged("x"))
	send("good-one", tagged(registryTag))
	eventually(t, "the good one is found", func() bool { return knows(s, "good-one") })
	if n := s.stats.NotRegistered.Load() - before; n != 4 {
		t.Errorf("%d were left out, want 4", n)
	}
	if got := s.topicsOf("#"); slices.Contains(got, "no-tag") || slices.Contains(got, "%RETRY%group") {
		t.Errorf("they are taken for first levels: %v", got)
	}
}

// The queues of a topic that exists are never changed, whoever made it.
func TestQueuesAreNeverChanged(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	s := routing(t, c.Namesrv(), Options{TopicQueues: 2})
	addr := s.masters()[0].addr()
	if err := s.client.CreateTopic(t.Context(), addr, remoting.TopicConfig{Topic: "theirs", ReadQueues: 5, WriteQueues: 5}); err != nil {
		t.Fatal(err)
	}
	// At once, so that the name server may not know of it yet.
	if got := placed(t, s, "theirs/a"); got != "theirs" {
		t.Fatalf("theirs/a is in %s", got)
	}
	conf, err := s.client.TopicConfig(t.Context(), addr, "theirs")
	if err != nil || conf.ReadQueues != 5 || conf.WriteQueues != 5 {
		t.Errorf("it has %+v, %v", conf, err)
	}
	eventually(t, "its queues are known", func() bool {
		r, err := s.route(t.Context(), "theirs")
		return err == nil && len(r.writable()) == 5
	})
}

// Nodes that create a topic at once make one topic, with one number of queues.
func TestNodesCreateAtOnce(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	var wg sync.WaitGroup
	nodes := []*Store{routing(t, c.Namesrv(), Options{}), routing(t, c.Namesrv(), Options{}), routing(t, c.Namesrv(), Options{})}
	chosen := make([]queueName, len(nodes))
	for i, s := range nodes {
		wg.Go(func() {
			q, err := s.place("at-once/topic")
			if err != nil {
				t.Error(err)
				return
			}
			chosen[i] = q.name
		})
	}
	wg.Wait()
	if chosen[0] != chosen[1] || chosen[0] != chosen[2] || chosen[0].topic != "at-once" {
		t.Errorf("the nodes chose %v", chosen)
	}
	if n := len(nodes[0].known("at-once").writable()); n != 8 {
		t.Errorf("%d queues", n)
	}
}

// Somebody deletes a topic that is in use: a publish makes it again.
func TestDeletedTopicIsMadeAgain(t *testing.T) {
	c := shared.Cluster(t)
	if c == nil {
		return
	}
	s := routing(t, c.Namesrv(), Options{QueueFailover: 2 * time.Second, RouteInterval: 100 * time.Millisecond})
	placed(t, s, "deleted/a")
	r := s.known("deleted")
	if err := s.client.DeleteTopic(t.Context(), s.masters()[0].addr(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if err := s.client.DeleteTopicRoute(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its queues are left", func() bool { return len(r.writable()) == 0 })
	eventually(t, "it is made again", func() bool {
		_, err := s.place("deleted/a")
		return err == nil && r.isPresent()
	})
}

// The name server forgets all when it starts again, until brokers tell it: publishes go on, and nothing is created anew.
func TestNameServerRestart(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{})
	s := routing(t, c.Namesrv(), Options{QueueFailover: time.Second, RouteInterval: 100 * time.Millisecond})
	q := placeOf(t, s, "f/a")
	created := s.stats.TopicsCreated.Load()
	for _, do := range []func() error{c.Broker(0).Pause, c.NameServer().Kill, c.NameServer().Start} { // the broker tells nothing until it goes on
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the name server has said that there is no such topic", func() bool { return !s.known("f").isPresent() })
	eventually(t, "QueueFailover is over twice", func() bool {
		if got, err := s.place("f/a"); err != nil || got != q {
			t.Fatalf("place has %v, %v", got, err)
		}
		return s.known("f").hosts[0].sinceDropped(s) > 2*time.Second
	})
	if err := c.Broker(0).Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker has told the name server", s.known("f").isPresent)
	if got, err := s.place("f/a"); err != nil || got != q || s.stats.TopicsCreated.Load() != created {
		t.Errorf("place has %v, %v; %d topics were created", got, err, s.stats.TopicsCreated.Load()-created)
	}
}

// Two brokers: one is away, then back.
func TestTwoBrokers(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V540) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Brokers: 2})
	s := routing(t, c.Namesrv(), Options{QueueFailover: 3 * time.Second, RouteInterval: 100 * time.Millisecond, TopicQueues: 2})
	placed(t, s, "f/a")
	r := s.known("f")
	eventually(t, "both brokers have it", func() bool { return len(r.writable()) == 4 })

	t.Run("killed", func(t *testing.T) { brokerKilled(t, c, s, r) })
	t.Run("paused", func(t *testing.T) { brokerPaused(t, c, s) })
}

// brokerKilled: the topics of a broker that is killed wait for it, then they go elsewhere, then they come back.
func brokerKilled(t *testing.T, c *rocketmqtest.Cluster, s *Store, r *topicRoute) {
	if err := c.Broker(1).Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the route drops it", func() bool { return r.hosts[1].sinceDropped(s) > 0 })
	if n := len(r.writable()); n != 4 {
		t.Errorf("%d queues are written at once, want all 4 for QueueFailover", n)
	}
	eventually(t, "its topics go elsewhere", func() bool { return len(r.writable()) == 2 })
	if d := r.hosts[1].sinceDropped(s); d < 3*time.Second {
		t.Errorf("after %v, want QueueFailover", d)
	}
	if n := len(r.queues()); n != 4 {
		t.Errorf("%d queues are known, want 4", n)
	}
	if got := placed(t, s, "made-meanwhile/a"); got != "made-meanwhile" {
		t.Errorf("a new topic is in %s", got)
	}
	if err := c.Broker(1).Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its topics are back", func() bool { return len(r.writable()) == 4 })
	eventually(t, "what was made meanwhile is made there too", func() bool { return len(s.known("made-meanwhile").writable()) == 4 })
}

// brokerPaused: a broker that hangs gets a topic later, and takes no part until it answers.
func brokerPaused(t *testing.T, c *rocketmqtest.Cluster, s *Store) {
	slow := routing(t, c.Namesrv(), Options{RouteInterval: 100 * time.Millisecond, TopicQueues: 2})
	if err := c.Broker(1).Pause(); err != nil {
		t.Fatal(err)
	}
	if got := placed(t, slow, "made-half/a"); got != "made-half" {
		t.Errorf("a new topic is in %s", got)
	}
	if n := len(slow.known("made-half").writable()); n != 2 {
		t.Errorf("it has %d queues, want the 2 of the broker that answers", n)
	}
	b := s.routes.broker(c.Broker(1).Name)
	s.brokerFailed(b)
	if n := len(s.known("f").writable()); n != 2 {
		t.Errorf("%d queues are written, want those of the other broker", n)
	}
	if err := c.Broker(1).Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has answered", func() bool { return !b.failed() && len(s.known("f").writable()) == 4 })
	eventually(t, "the topic is made there too", func() bool { return len(slow.known("made-half").writable()) == 4 })
	// Entries are on both brokers, by chance. They are read on after the connections to one were lost, and after it hung.
	for _, first := range []string{"after-1", "after-2", "after-3", "after-4", "after-5"} {
		placed(t, slow, first+"/a")
		eventually(t, first+" is found by the other node", func() bool { return knows(s, first) })
	}
}

// sinceDropped is for how long routes have lacked the host's broker.
func (h *host) sinceDropped(s *Store) time.Duration {
	r := s.known(h.queues[0].name.topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.dropped.IsZero() {
		return 0
	}
	return time.Since(h.dropped)
}

// Brokers of 4.9 cannot be asked for one topic, and tell name servers of a new one in their own time.
func TestOldBroker(t *testing.T) {
	t.Parallel()
	if !rocketmqtest.Have(t, rocketmqtest.V497) {
		return
	}
	c := rocketmqtest.Start(t, rocketmqtest.Options{Version: rocketmqtest.V497})
	s := routing(t, c.Namesrv(), Options{TopicQueues: 3, RouteInterval: 200 * time.Millisecond})
	if got := placed(t, s, "f/a"); got != "f" {
		t.Fatalf("f/a is in %s", got)
	}
	if n := len(s.known("f").writable()); n != 3 {
		t.Errorf("it has %d queues", n)
	}
	late := routing(t, c.Namesrv(), Options{})
	if !knows(late, "f") {
		t.Errorf("a node that starts later knows %v", late.topicsOf("#"))
	}
}

// Whoever may do nothing gets clear errors, and does not ask for ever.
func TestAccessDenied(t *testing.T) {
	t.Parallel()
	for _, version := range []string{rocketmqtest.V497, rocketmqtest.V540} {
		if !rocketmqtest.Have(t, version) {
			continue
		}
		t.Run(version, func(t *testing.T) {
			c := rocketmqtest.Start(t, rocketmqtest.Options{
				Version: version, ACL: &rocketmqtest.ACL{AccessKey: "somebody", SecretKey: "12345678"},
			})
			s := routing(t, c.Namesrv(), Options{DefaultTopic: "MQTT_DEFAULT"})
			_, err := s.place("f/a")
			if !errors.Is(err, store.ErrTopic) {
				t.Errorf("%v, want ErrTopic", err)
			}
			if err := s.createOn(t.Context(), s.masters()[0], "g", 1); !forbidden(err) {
				t.Errorf("%v, which is not taken for access control", err)
			}
			if n := s.stats.TopicsRefused.Load(); n != 2 {
				t.Errorf("%d topics were refused, want f and the default", n)
			}
		})
	}
}
