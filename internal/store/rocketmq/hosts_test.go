package rocketmq

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
)

// Hosts are written as words: a name, and what it is. "a" is a good one; "a-failed", "a-dropped:5s", "a-readonly", "a-gone:20s" (dropped, and
// the cluster does not list the broker), and what is joined by more dashes.
func hostsOf(now time.Time, words string) []*host {
	var hosts []*host
	for word := range strings.FieldsSeq(words) {
		parts := strings.Split(word, "-")
		b := &broker{name: parts[0]}
		b.listed.Store(true)
		h := &host{broker: b, writes: true, open: 2}
		for id := range int32(3) { // one of which is not written
			h.queues = append(h.queues, &queue{name: queueName{topic: "t", broker: b.name, id: id}, broker: b})
		}
		for _, is := range parts[1:] {
			what, ago, _ := strings.Cut(is, ":")
			d, _ := time.ParseDuration(ago)
			switch what {
			case "failed":
				b.away.Store(true)
			case "readonly":
				h.writes = false
			case "dropped":
				h.dropped = now.Add(-d)
			case "gone":
				h.dropped = now.Add(-d)
				b.listed.Store(false)
			default:
				panic(what)
			}
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func TestWritable(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ hosts, want string }{
		{"", ""},
		{"a", "a"},
		{"a b", "a b"},
		{"a b-readonly", "a"},
		{"a-readonly", ""},
		// Dropped by the route: publishes wait for it as long as QueueFailover, then go elsewhere.
		{"a b-dropped:5s", "a b"},
		{"a b-gone:5s", "a b"},
		{"a b-gone:10s", "a"},
		{"a b-dropped:10s", "a"},
		// Nothing else is there: they go on waiting, unless the broker is there and does not have the topic.
		{"a-gone:10m", "a"},
		{"a-gone:10m b-gone:20m", "a b"},
		{"a-dropped:10s", ""},
		{"a-dropped:5s", "a"},
		{"a-gone:10m b-dropped:10m", "a"},
		{"a-gone:10m-readonly", ""},
		// Failed: others are better, if there are any.
		{"a-failed b", "b"},
		{"a-failed", "a"},
		{"a-failed b-failed", "a b"},
		{"a-failed b-readonly", "a"},
		{"a-failed b-gone:20s", "a"},
		{"a-failed b-gone:5s", "b"},
		{"a-gone:5s-failed b", "b"},
	} {
		var want []string
		for name := range strings.FieldsSeq(c.want) {
			want = append(want, "t/"+name+"/0", "t/"+name+"/1")
		}
		var got []string
		for _, q := range writable(hostsOf(now, c.hosts), now, 10*time.Second) {
			got = append(got, q.name.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("writable of %q: %v, want %v", c.hosts, got, want)
		}
	}
}

func routeOf(queues ...remoting.QueueData) remoting.Route {
	r := remoting.Route{Queues: queues}
	for _, q := range queues {
		r.Brokers = append(r.Brokers, remoting.Broker{Cluster: "c", Name: q.Broker, Addrs: map[int64]string{0: q.Broker + ":1"}})
	}
	return r
}

const readWrite = remoting.PermRead | remoting.PermWrite

// What was seen once stays; what is new is told; the order is that of the names, whatever the route's.
func TestApplyRoutes(t *testing.T) {
	s := &Store{opts: Options{}.withDefaults()}
	s.routes.init(s)
	r := s.routes.enter("t", false)
	defer s.routes.leave(r)
	steps := []struct {
		name     string
		route    remoting.Route
		changed  bool
		all      int
		writable int
	}{
		{"two brokers", routeOf(remoting.QueueData{Broker: "b", ReadQueues: 2, WriteQueues: 2, Perm: readWrite}, remoting.QueueData{Broker: "a", ReadQueues: 2, WriteQueues: 2, Perm: readWrite}), true, 4, 4},
		{"the same", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 2, WriteQueues: 2, Perm: readWrite}, remoting.QueueData{Broker: "b", ReadQueues: 2, WriteQueues: 2, Perm: readWrite}), false, 4, 4},
		{"b is dropped", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 2, WriteQueues: 2, Perm: readWrite}), false, 4, 4},
		{"more queues on a", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 4, WriteQueues: 3, Perm: readWrite}), true, 6, 5},
		{"fewer are written", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 4, WriteQueues: 1, Perm: readWrite}), false, 6, 3},
		{"none is", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 4, WriteQueues: 4, Perm: remoting.PermRead}), false, 6, 2},
		{"all are dropped", remoting.Route{}, false, 6, 2},
		{"a is back", routeOf(remoting.QueueData{Broker: "a", ReadQueues: 4, WriteQueues: 4, Perm: readWrite}), true, 6, 6},
	}
	for _, c := range steps {
		changed, err := s.apply(r, c.route)
		if err != nil || changed != c.changed || len(r.queues()) != c.all || len(r.writable()) != c.writable {
			t.Errorf("%s: changed %t, %d queues, %d writable, %v; want %t, %d, %d", c.name, changed, len(r.queues()), len(r.writable()), err, c.changed, c.all, c.writable)
		}
		if !slices.IsSortedFunc(r.queues(), func(a, b *queue) int {
			if a.name.before(b.name) {
				return -1
			}
			return 1
		}) {
			t.Errorf("%s: queues are not in order", c.name)
		}
	}
	if s.known("t") != r {
		t.Error("the topic is not known")
	}
	for _, q := range r.queues() {
		if s.queueOf(q.key) != q {
			t.Errorf("%v is not found by its name", q.name)
		}
	}
	if addr := s.routes.broker("b").addr(); addr != "b:1" {
		t.Errorf("the broker that was dropped has the address %q", addr)
	}
}

// A master that is away takes its name out of the writable set as a broker that is away does; its slave has no say in it.
func TestRouteWithoutMaster(t *testing.T) {
	s := &Store{opts: Options{}.withDefaults()}
	s.routes.init(s)
	r := s.routes.enter("t", false)
	defer s.routes.leave(r)
	route := routeOf(remoting.QueueData{Broker: "a", ReadQueues: 1, WriteQueues: 1, Perm: readWrite})
	route.Brokers[0].Addrs = map[int64]string{1: "slave:1"}
	if _, err := s.apply(r, route); err != nil {
		t.Fatal(err)
	}
	if r.hosts[0].dropped.IsZero() || r.hosts[0].broker.addr() != "" {
		t.Errorf("a broker without a master: %+v, address %q", r.hosts[0], r.hosts[0].broker.addr())
	}
}

// A broker that fails again soon after it was back is left alone for longer each time, up to a limit.
func TestBrokerThatFailsAgain(t *testing.T) {
	b := &broker{name: "a"}
	now := time.Now()
	for _, want := range []time.Duration{1, 4, 16, 60, 60} {
		b.fail(now, 10*time.Second)
		if got := b.due.Sub(now); got != want*time.Second {
			t.Errorf("is asked after %v, want %v s", got, int(want))
		}
		now = b.due
		b.answered(now)
		now = now.Add(10 * time.Second)
	}
	now = now.Add(time.Hour)
	if b.fail(now, 10*time.Second); b.due.Sub(now) != time.Second {
		t.Errorf("after an hour it is asked after %v", b.due.Sub(now))
	}
}
