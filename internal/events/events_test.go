package events

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/session"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a store that takes messages while it is open, and refuses them with err.
type gate struct {
	open chan struct{} // closed: it is
	err  error

	mu    sync.Mutex
	taken []store.Message
}

// Append implements Appender.
func (g *gate) Append(m *store.Message, done store.Completion, token uint64) {
	<-g.open
	g.mu.Lock()
	g.taken = append(g.taken, *m)
	g.mu.Unlock()
	done.Appended(token, store.Position{}, g.err)
}

func shut() *gate { return &gate{open: make(chan struct{})} }

func open() *gate {
	g := shut()
	close(g.open)
	return g
}

func newLog(g *gate, most int) *Log {
	return New(Options{Store: g, Topic: "events", Node: "n", Log: slog.New(slog.DiscardHandler), MaxWaiting: most})
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	l.Wait()
}

// What consumers read: every field, by its name.
func TestBody(t *testing.T) {
	peer := session.Peer{Addr: netip.MustParseAddrPort("[::ffff:10.0.0.9]:1"), Listener: "wss"}
	g := open()
	l := newLog(g, 0)
	l.Tell(&session.Event{
		Kind: session.Connected, Client: "c 1", Principal: "fleet", Peer: peer, Version: mqtt.V5, At: 5, Connected: 5, Expiry: 60, Present: true,
	})
	l.Tell(&session.Event{
		Kind: session.Disconnected, Client: "c 1", Peer: peer, Version: mqtt.V311, At: 9, Connected: 5,
		Ending: session.Ending{By: session.ByServer, Code: mqtt.SessionTakenOver, Reason: strings.Repeat("\u2605", 100)},
	})
	l.Tell(&session.Event{Kind: session.Disconnected, Client: "c 1", Peer: peer, Version: mqtt.V31, Ending: session.Ending{Reason: "gone"}})
	l.Tell(&session.Event{Kind: session.Disconnected, Client: "c 1", Peer: peer, Version: mqtt.V5, Ending: session.Ending{By: session.ByClient}})
	closed(t, l)
	common := `"node":"n","remoteIp":"10.0.0.9","listener":"wss",`
	for i, want := range []string{
		`{"event":"connect","clientId":"c 1","username":"fleet",` + common + `"protocol":5,"timestamp":5,"connectedAt":5,` +
			`"cleanStart":false,"sessionPresent":true,"sessionExpiry":60}`,
		`{"event":"disconnect","clientId":"c 1",` + common + `"protocol":4,"timestamp":9,"connectedAt":5,"sessionExpiry":0,` +
			`"by":"server","reasonCode":142,"reason":"` + strings.Repeat("\u2605", 85) + `"}`,
		`{"event":"disconnect","clientId":"c 1",` + common + `"protocol":3,"timestamp":0,"connectedAt":0,"sessionExpiry":0,"by":"network","reason":"gone"}`,
		`{"event":"disconnect","clientId":"c 1",` + common + `"protocol":5,"timestamp":0,"connectedAt":0,"sessionExpiry":0,"by":"client","reasonCode":0}`,
	} {
		m := g.taken[i]
		if string(m.Payload) != want {
			t.Errorf("got  %s\nwant %s", m.Payload, want)
		}
		if m.Topic != "events/c%201" || m.Key != "c%201" || m.Tag != "CLIENT_EVENT" || m.QoS != 1 || m.Retain || m.Client != "" {
			t.Errorf("%+v", m)
		}
	}
}

// Whatever the client id, its level is one level of a topic and one key, and no other client's.
func TestLevel(t *testing.T) {
	for id, want := range map[string]string{
		"sensor-7": "sensor-7", "a/b": "a%2Fb", "a+#": "a%2B%23", "100%": "100%25", "a \tb\x7f": "a%20%09b%7F", "gerät": "gerät", "a%2Fb": "a%252Fb",
		strings.Repeat("x", maxLevel):   strings.Repeat("x", maxLevel),
		strings.Repeat("x", maxLevel+1): "%long-",
	} {
		got := level(id)
		if got != want && (want != "%long-" || !strings.HasPrefix(got, want) || len(got) > maxLevel) {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	if level(strings.Repeat("x", 1000)) == level(strings.Repeat("x", 1001)) {
		t.Error("two long ids have one level")
	}
}

func FuzzLevel(f *testing.F) {
	f.Add("a/b", "a%2Fb")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		l := level(a)
		if a != b && l == level(b) {
			t.Errorf("%q and %q are %q", a, b, l)
		}
		if len(l) > maxLevel || !topic.ValidName("t/"+l) || strings.ContainsAny(l, "/ \x01\x02\t\n") {
			t.Errorf("%q is %q", a, l)
		}
	})
}

func clients(g *gate) []string {
	ids := make([]string, 0, len(g.taken))
	for _, m := range g.taken {
		var b Body
		if json.Unmarshal(m.Payload, &b) != nil {
			b.ClientID = "no JSON"
		}
		ids = append(ids, b.ClientID)
	}
	return ids
}

// While the store takes nothing, nobody who tells waits; what fits is kept in order, the rest is counted.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shut()
		one := (&event{level: "0", body: body(&session.Event{Client: "0"}, "n")}).size()
		l := newLog(g, 3*one)
		l.Tell(&session.Event{Client: "0"})
		synctest.Wait() // the store has it in its hands
		for i := range 5 {
			l.Tell(&session.Event{Client: fmt.Sprint(i + 1)})
		}
		if n := l.Stats().Full.Load(); n != 2 {
			t.Errorf("%d dropped, want 2", n)
		}
		close(g.open)
		closed(t, l)
		if got := clients(g); !slices.Equal(got, []string{"0", "1", "2", "3"}) || l.Stats().Stored.Load() != 4 {
			t.Errorf("stored %v; %d counted", got, l.Stats().Stored.Load())
		}
		l.Tell(&session.Event{Client: "late"})
		if l.Stats().Refused.Load() != 1 {
			t.Error("what came after Close was not counted")
		}
	})
}

// What the store refuses is counted, and what comes later goes on.
func TestRefused(t *testing.T) {
	g := open()
	g.err = store.ErrFull
	l := newLog(g, 0)
	for range 3 {
		l.Tell(&session.Event{Client: "c"})
	}
	closed(t, l)
	if l.Stats().Refused.Load() != 3 || l.Stats().Stored.Load() != 0 {
		t.Errorf("%d refused, %d stored", l.Stats().Refused.Load(), l.Stats().Stored.Load())
	}
}

// A stop does not wait longer than it may for a store that takes nothing; what waited is counted, and nothing runs on once the store is closed.
func TestCloseInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := shut()
		l := newLog(g, 0)
		for range 3 {
			l.Tell(&session.Event{Client: "c"})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); err == nil || !strings.Contains(err.Error(), "2 client events were not stored") {
			t.Errorf("closed with %v", err)
		}
		g.err = store.ErrClosed
		close(g.open)
		l.Wait()
		if l.Stats().Refused.Load() != 3 {
			t.Errorf("%d refused, want 3", l.Stats().Refused.Load())
		}
	})
}

// Many tell at once; each client's events keep their order.
func TestOrder(t *testing.T) {
	g := open()
	l := newLog(g, 0)
	var all sync.WaitGroup
	for c := range 8 {
		all.Go(func() {
			for i := range 200 {
				l.Tell(&session.Event{Client: fmt.Sprint(c), At: int64(i)})
			}
		})
	}
	all.Wait()
	closed(t, l)
	next := map[string]int64{}
	for _, m := range g.taken {
		var b Body
		if err := json.Unmarshal(m.Payload, &b); err != nil {
			t.Fatal(err)
		}
		if b.Timestamp != next[b.ClientID] {
			t.Fatalf("client %s: event %d, want %d", b.ClientID, b.Timestamp, next[b.ClientID])
		}
		next[b.ClientID]++
	}
	if len(g.taken) != 1600 {
		t.Errorf("%d stored", len(g.taken))
	}
}
