package rocketmq

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/throttle"
)

// lines is what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), what)
}

// watched lists the first levels that are followed.
func (s *Store) watched() []string {
	s.tail.mu.Lock()
	defer s.tail.mu.Unlock()
	var all []string
	for f := range s.tail.first {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}

// First topics that the name servers list are followed while they are listed; names that cannot be followed are left out, with one warning; and without a list, or
// without an answer, nothing changes.
func TestListedFirstTopics(t *testing.T) {
	p := fakePeer(t)
	out := &lines{}
	s := routing(t, p.server.Addr(), Options{RouteInterval: time.Millisecond, MaxFirstTopics: 3, Listed: func(f string) bool { return f != "MQTT_SYS_X" }})
	s.log = throttle.New(slog.New(slog.NewTextHandler(out, nil)), time.Second, time.Now)
	s.tasks.Go(newListing(s).keep)
	const askKV = 101
	read := func() {
		t.Helper()
		from := p.asked[askKV].Load()
		eventually(t, "the list is read", func() bool { return p.asked[askKV].Load() > from+2 })
	}
	list := func(value string) {
		t.Helper()
		if err := s.client.PutKV(t.Context(), "LMQ", "ALL_FIRST_TOPICS", value); err != nil {
			t.Fatal(err)
		}
		read()
	}
	want := func(step string, names ...string) {
		t.Helper()
		eventually(t, step, func() bool { return slices.Equal(s.watched(), names) })
	}
	read()
	want("there is no list")
	list("a,b")
	want("it is there", "a", "b")
	if all := s.topicsOf("#"); !slices.Contains(all, "a") || !slices.Contains(all, "b") {
		t.Errorf("# covers %v", all)
	}
	list("b, c,%bad,broker-a,MQTT_SYS_X,d/e,,b,x,y")
	want("it is another one", "b", "c", "x")
	read()
	if n := out.count("are left out"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	p.on(func(r *remotingtest.Request) bool {
		if r.Code != askKV {
			return false
		}
		r.Reply(1, "name server not ready", nil, nil)
		return true
	})
	read()
	want("it cannot be read", "b", "c", "x")
	if n := out.count("was not read"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	p.on(func(*remotingtest.Request) bool { return false })
	if err := s.client.DeleteKV(t.Context(), "LMQ", "ALL_FIRST_TOPICS"); err != nil {
		t.Fatal(err)
	}
	want("it is gone")
}
