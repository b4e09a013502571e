package rocketmq

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

func TestNewFirstLevelBecomesATopic(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", TopicQueues: 3})
	if got := placed(t, s, "f/a"); got != "f" {
		t.Errorf("f/a is in %s", got)
	}
	if n := len(s.known("f").queues()); n != 3 {
		t.Errorf("it has %d queues, want 3", n)
	}
	if got := p.Queue(registryTopic, 0); len(got) != 1 || string(got[0]) != "f" {
		t.Errorf("the registry has %q", got)
	}
	if s.known("MQTT_DEFAULT") != nil {
		t.Error("the default topic was made though nobody needs it")
	}
	before := p.asked[askRoute].Load() + p.asked[askCreate].Load()
	if placed(t, s, "/f/b") != "f" {
		t.Error("a leading slash counts")
	}
	if now := p.asked[askRoute].Load() + p.asked[askCreate].Load(); now != before {
		t.Errorf("%d more requests for what is known", now-before)
	}
}

// A topic that exists is taken as it is.
func TestTopicThatExists(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 5)
	s := routing(t, p.server.Addr(), Options{TopicQueues: 3})
	placed(t, s, "f/a")
	if n := len(s.known("f").writable()); n != 5 {
		t.Errorf("%d queues, want the 5 that it had", n)
	}
	if n := p.asked[askCreate].Load(); n != 1 {
		t.Errorf("%d topics were created, want the registry alone", n)
	}
}

func TestDefaultTopic(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", MaxFirstTopics: 2})
	for _, topic := range []string{
		"Größe/x", "", "/", "//x", "a b", "%RETRY%g/x", "MQTT_SYS_TOPIC/x", "TBW102", "MQTT_DEFAULT/x",
		"broker-a/x", "DefaultCluster/x", // RocketMQ has topics of these names, for itself
	} {
		if got := placed(t, s, topic); got != "MQTT_DEFAULT" {
			t.Errorf("%q is in %s", topic, got)
		}
	}
	for _, first := range []string{"one", "two"} {
		if got := placed(t, s, first+"/x"); got != first {
			t.Errorf("%s/x is in %s", first, got)
		}
	}
	asked := p.asked[askRoute].Load()
	for i := range 100 {
		if got := placed(t, s, fmt.Sprintf("device-%d/x", i)); got != "MQTT_DEFAULT" {
			t.Fatalf("beyond the limit: it is in %s", got)
		}
	}
	if n := p.asked[askRoute].Load() - asked; n > 20 { // refresh may ask meanwhile
		t.Errorf("%d routes were asked for", n)
	}
}

func TestNoDefaultTopic(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	if _, err := s.place("Größe/x"); !errors.Is(err, store.ErrTopic) {
		t.Errorf("%v, want ErrTopic", err)
	}
	p.deny(askCreate, "f")
	if _, err := s.place("f/x"); !errors.Is(err, store.ErrTopic) {
		t.Errorf("may not be created: %v, want ErrTopic", err)
	}
}

// What RocketMQ refuses is not asked for with each publish.
func TestCreationDenied(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("MQTT_DEFAULT", 2)
	p.AddTopic("there", 2)
	p.deny(askCreate, "")
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT"})
	for range 10 {
		if got := placed(t, s, "f/x"); got != "MQTT_DEFAULT" {
			t.Errorf("f/x is in %s", got)
		}
	}
	if n := p.asked[askCreate].Load(); n != 1 {
		t.Errorf("it was tried to create it %d times", n)
	}
	// The registry may not be created either: this node alone knows of the topic.
	if got := placed(t, s, "there/x"); got != "there" {
		t.Errorf("there/x is in %s", got)
	}
	if got := s.topicsOf("#"); !slices.Contains(got, "there") {
		t.Errorf("# is in %v", got)
	}
	if !s.topics.isSilent() || s.stats.TopicsRefused.Load() != 1 {
		t.Errorf("refused %d", s.stats.TopicsRefused.Load())
	}
	// When it is allowed, it is made up for.
	p.deny(0, "")
	s.topics.registry.silent.Store(0)
	s.topics.renewOld(t.Context(), time.Now().UnixMilli())
	if got := p.Queue(registryTopic, 0); len(got) != 1 || string(got[0]) != "there" {
		t.Errorf("the registry has %q", got)
	}
}

// An account may see routes and no more: it uses what exists.
func TestListOfBrokersDenied(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("MQTT_DEFAULT", 2)
	p.AddTopic("there", 2)
	p.deny(askCluster, "")
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT"})
	for topic, want := range map[string]string{"there/x": "there", "f/x": "MQTT_DEFAULT", "broker-a/x": "MQTT_DEFAULT"} {
		if got := placed(t, s, topic); got != want {
			t.Errorf("%s is in %s", topic, got)
		}
	}
}

func TestDefaultTopicDenied(t *testing.T) {
	p := fakePeer(t)
	p.deny(askCreate, "")
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT"})
	for range 5 {
		if _, err := s.place("Größe/x"); !errors.Is(err, store.ErrTopic) {
			t.Errorf("%v, want ErrTopic", err)
		}
	}
	if n := p.asked[askCreate].Load(); n != 1 {
		t.Errorf("it was tried to create it %d times", n)
	}
}

// Clients choose first levels; what is remembered of refusals has a limit, beyond which RocketMQ is not asked.
func TestRefusalsAreBounded(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	for i := range 3 * refusedParts * refusedMost {
		s.topics.refuse(fmt.Sprintf("f%d", i), errRefused)
	}
	total := 0
	for i := range s.topics.refused {
		total += len(*s.topics.refused[i].Load())
	}
	if total > refusedParts*refusedMost {
		t.Errorf("%d are remembered", total)
	}
	if !s.topics.isRefused("never-asked") {
		t.Error("RocketMQ is asked for each though it has refused very many")
	}
	if s.topics.part("x").Load() == nil {
		t.Error("not all parts are used")
	}
}

func TestConcurrentPublishersCreateOnce(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if q, err := s.place(fmt.Sprintf("f/%d", i)); err != nil || q.name.topic != "f" {
				t.Error(q, err)
			}
		})
	}
	wg.Wait()
	if n := p.asked[askCreate].Load(); n != 2 {
		t.Errorf("%d topics were created, want f and the registry", n)
	}
	if got := p.Queue(registryTopic, 0); len(got) != 1 {
		t.Errorf("it was registered %d times", len(got))
	}
}

func TestStaticFirstTopics(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", StaticFirstTopics: []string{"st"}, MaxFirstTopics: 1})
	if n := p.asked[askCreate].Load(); n != 0 {
		t.Errorf("%d topics were created at the start", n)
	}
	for filter, want := range map[string][]string{
		"st/#": {"MQTT_DEFAULT", "st"}, "#": {"MQTT_DEFAULT", "st"}, "+/x": {"MQTT_DEFAULT", "st"}, "/+/x": {"MQTT_DEFAULT", "st"},
		"f/#": {"MQTT_DEFAULT", "f"}, "/f/#": {"MQTT_DEFAULT", "f"}, "Größe/+": {"MQTT_DEFAULT"}, "broker-a/#": {"MQTT_DEFAULT"},
		"MQTT_DEFAULT": {"MQTT_DEFAULT"},
	} {
		got := s.topicsOf(filter)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s is in %v, want %v", filter, got, want)
		}
	}
	placed(t, s, "f/x")
	if got := placed(t, s, "st/x"); got != "st" {
		t.Errorf("a static one is in %s though it does not count", got)
	}
	for _, bad := range []Options{
		{StaticFirstTopics: []string{"a/b"}}, {StaticFirstTopics: []string{"broker-a"}}, {DefaultTopic: "MQTT_SYS_X"}, {DefaultTopic: "ä"},
	} {
		if err := closedRouting(t, p.server.Addr(), bad).topics.open(t.Context()); !errors.Is(err, store.ErrTopic) {
			t.Errorf("%+v: %v, want ErrTopic", bad, err)
		}
	}
}

// An entry is written again before the log drops it, and when the log has dropped it.
func TestRegistryIsRenewed(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	placed(t, s, "f/x")
	now := time.Now().UnixMilli()
	s.topics.renewOld(t.Context(), now)
	if n := len(p.Queue(registryTopic, 0)); n != 1 {
		t.Errorf("%d entries, want 1: it is young", n)
	}
	later := now + renewAfter.Milliseconds() + 60_000
	s.topics.renewOld(t.Context(), later)
	if n := len(p.Queue(registryTopic, 0)); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	p.on(func(r *remotingtest.Request) bool {
		if r.Code != 31 {
			return false
		}
		r.Reply(0, "", map[string]string{"offset": "7"}, nil)
		return true
	})
	s.topics.renewOld(t.Context(), now)
	if n := len(p.Queue(registryTopic, 0)); n != 3 {
		t.Errorf("%d entries, want 3: the log begins behind it", n)
	}
}

// A publish to what is known takes no memory.
func TestPlaceAllocatesNothing(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", MaxFirstTopics: 1})
	for _, topic := range []string{"f/some/topic", "Größe/x", "beyond-the-limit/x"} {
		placed(t, s, topic)
		if n := testing.AllocsPerRun(1000, func() { _, _ = s.place(topic) }); n != 0 {
			t.Errorf("%q: %v allocations", topic, n)
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	p := fakePeer(b)
	s := routing(b, p.server.Addr(), Options{RouteInterval: time.Hour})
	placed(b, s, "f/some/topic")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = s.place("f/some/topic")
		}
	})
}
