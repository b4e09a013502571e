package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// Codes of requests.
const (
	askCreate  = 17
	askRoute   = 105
	askCluster = 106
	askSend    = 310
)

// routing makes a store of which only brokers, routes and topics run, and opens it. It ends with the test.
func routing(t testing.TB, namesrv string, o Options) *Store {
	t.Helper()
	s := closedRouting(t, namesrv, o)
	if err := s.topics.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func closedRouting(t testing.TB, namesrv string, o Options) *Store {
	t.Helper()
	c, err := remoting.New(remoting.Options{Namesrv: []string{namesrv}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := message.NewIDs(netip.MustParseAddr("127.0.0.1"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if o.MaxFirstTopics == 0 {
		o.MaxFirstTopics = 10_000 // the tests of this package share a registry
	}
	o = o.withDefaults()
	s := &Store{
		opts: o, client: c, ids: ids,
		log: throttle.New(slog.New(slog.NewTextHandler(io.Discard, nil)), time.Second, time.Now),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tail.init()
	s.routes.init(s)
	s.topics.init(s)
	t.Cleanup(func() {
		s.cancel()
		s.tasks.Wait()
		c.Close()
	})
	return s
}

// peer is a name server and broker whose requests are counted, and may be answered by the test.
type peer struct {
	remotingtest.Broker
	server *remotingtest.Server
	asked  [1024]atomic.Int64 // by code
	hook   atomic.Pointer[func(*remotingtest.Request) bool]
}

func fakePeer(t testing.TB) *peer {
	t.Helper()
	p := &peer{}
	p.Hook = func(r *remotingtest.Request) bool {
		p.asked[r.Code].Add(1)
		h := p.hook.Load()
		return h != nil && (*h)(r)
	}
	p.server = remotingtest.Start(t, p.Handle)
	p.At(p.server.Addr())
	return p
}

func (p *peer) on(hook func(*remotingtest.Request) bool) { p.hook.Store(&hook) }

// deny refuses requests with this code about the topic as access control does; "": about any.
func (p *peer) deny(code int32, topic string) {
	p.on(func(r *remotingtest.Request) bool {
		if r.Code != code || topic != "" && r.Fields["topic"] != topic {
			return false
		}
		r.Reply(16, "no right", nil, nil)
		return true
	})
}

// placed is the RocketMQ topic that place finds.
func placed(t testing.TB, s *Store, topic string) string {
	t.Helper()
	q, err := s.place(topic)
	if err != nil {
		t.Fatalf("place of %q: %v", topic, err)
	}
	return q.name.topic
}

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
	// Once it is allowed, it is made up for.
	p.deny(0, "")
	s.topics.registry.silent.Store(0)
	s.topics.renewOld(t.Context(), time.Now().UnixMilli())
	if got := p.Queue(registryTopic, 0); len(got) != 1 || string(got[0]) != "there" {
		t.Errorf("the registry has %q", got)
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

// A publish that cannot be placed waits for QueueFailover and is refused; what is known goes on without name servers.
func TestNameServerAway(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{DefaultTopic: "MQTT_DEFAULT", QueueFailover: 300 * time.Millisecond, RouteInterval: 50 * time.Millisecond})
	placed(t, s, "f/x")
	failed := s.stats.RouteErrors.Load()
	p.server.Stop()
	began := time.Now()
	_, err := s.place("g/x")
	if !errors.Is(err, store.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	if d := time.Since(began); d < 250*time.Millisecond || d > 20*time.Second {
		t.Errorf("it waited %v", d)
	}
	eventually(t, "a round of refresh fails", func() bool { return s.stats.RouteErrors.Load() > failed+2 })
	if got := placed(t, s, "f/y"); got != "f" {
		t.Errorf("f/y is in %s", got)
	}
	p.server.Restart()
	eventually(t, "the name server is used again", func() bool {
		_, err := s.place("g/x")
		return err == nil
	})
}

// A name server that says nothing is as bad as none.
func TestNameServerIsSilent(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{QueueFailover: 200 * time.Millisecond})
	p.on(func(*remotingtest.Request) bool { return true })
	if _, err := s.place("f/x"); !errors.Is(err, store.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	s.cancel()
	if _, err := s.place("f/x"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// Callers that wait while the name server is asked share the next fetch, which begins after they came.
func TestFetchesAreShared(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{RouteInterval: time.Hour})
	r := s.routes.enter("f", false)
	defer s.routes.leave(r)
	r.turn <- struct{}{} // a fetch is under way
	before := p.asked[askRoute].Load()
	const callers = 50
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			if got, err := s.route(t.Context(), "f"); err != nil || got != r {
				t.Error(got, err)
			}
		})
	}
	eventually(t, "all wait", func() bool {
		s.routes.mu.RLock()
		defer s.routes.mu.RUnlock()
		return r.users == callers+1
	})
	<-r.turn
	wg.Wait()
	if n := p.asked[askRoute].Load() - before; n < 1 || n > callers/2 { // one, but for callers who were late by a hair
		t.Errorf("%d callers asked %d times", callers, n)
	}
}

// The time of one caller says nothing about the others'.
func TestFetchOfAnImpatientCaller(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("f", 2)
	s := routing(t, p.server.Addr(), Options{RouteInterval: time.Hour})
	var first atomic.Bool
	held := make(chan struct{})
	p.on(func(r *remotingtest.Request) bool {
		if r.Code == askRoute && r.Fields["topic"] == "f" && !first.Swap(true) {
			close(held)
			return true // never answered
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.route(ctx, "f"); err == nil {
			t.Error("no answer, and no error")
		}
	})
	<-held
	wg.Go(func() {
		if _, err := s.route(t.Context(), "f"); err != nil {
			t.Errorf("the patient one: %v", err)
		}
	})
	cancel()
	wg.Wait()
}

// Filters name topics that do not exist. They are looked for, as many as there may be, until they do or nobody waits.
func TestTopicsThatDoNotExist(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{RouteInterval: 20 * time.Millisecond})
	if _, err := s.route(t.Context(), "later"); !errors.Is(err, remoting.ErrTopicNotExist) {
		t.Fatal(err)
	}
	if s.known("later") != nil {
		t.Error("it is known though it does not exist")
	}
	p.AddTopic("later", 2)
	eventually(t, "it is found", func() bool { return s.known("later") != nil })

	absent := func() int {
		s.routes.mu.RLock()
		defer s.routes.mu.RUnlock()
		return len(s.routes.absent)
	}
	before := absent()
	if _, err := s.route(t.Context(), "never"); !errors.Is(err, remoting.ErrTopicNotExist) {
		t.Fatal(err)
	}
	if absent() != before+1 {
		t.Errorf("%d are looked for, want one more than %d", absent(), before)
	}
	s.release("never")
	eventually(t, "nobody waits any more", func() bool { return absent() == before })
	for i := range maxAbsent + 100 {
		s.routes.leave(s.routes.enter(fmt.Sprintf("n%d", i), true))
	}
	if absent() > maxAbsent {
		t.Errorf("%d are looked for", absent())
	}
}

func TestFailedBrokerIsProbed(t *testing.T) {
	p := fakePeer(t)
	s := routing(t, p.server.Addr(), Options{})
	q, err := s.place("f/x")
	if err != nil {
		t.Fatal(err)
	}
	p.server.Stop()
	s.brokerFailed(q.broker)
	s.brokerFailed(q.broker)
	if !q.broker.failed() || s.stats.BrokersFailed.Load() != 1 {
		t.Errorf("failed %t, %d times", q.broker.failed(), s.stats.BrokersFailed.Load())
	}
	if got, err := s.place("f/x"); err != nil || got != q {
		t.Errorf("there is no other broker, and place has %v, %v", got, err)
	}
	p.server.Restart()
	eventually(t, "the broker is back", func() bool { return !q.broker.failed() })
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
