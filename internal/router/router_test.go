package router

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// target notes what it is handed.
type target struct{ got []string }

func (t *target) Deliver(rec *store.Record, subs []*Subscription) {
	s := rec.Topic
	for _, sub := range subs {
		s += " " + sub.Filter
	}
	t.got = append(t.got, s)
}

func (t *target) want(tt *testing.T, want ...string) {
	tt.Helper()
	for i := range t.got {
		t.got[i] = sortWords(t.got[i])
	}
	for i := range want {
		want[i] = sortWords(want[i])
	}
	if !slices.Equal(t.got, want) {
		tt.Errorf("got %q, want %q", t.got, want)
	}
	t.got = nil
}

// sortWords makes the order of subscriptions, which is nobody's promise, the same everywhere.
func sortWords(s string) string {
	words := strings.Fields(s)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func at(offset int64, topic string) store.Record {
	return store.Record{Position: store.Position{Offset: offset}, Topic: topic}
}

// A target with one subscription is handed each message that matches; one with many is handed it once, with all that match.
func TestDeliver(t *testing.T) {
	r := New()
	one, many := &target{}, &target{}
	add := func(t *target, filter string, isMany bool) *Subscription {
		s := &Subscription{Target: t, Filter: filter}
		s.SetMany(isMany)
		r.Add(s)
		return s
	}
	add(one, "a/+", false)
	hash := add(many, "#", true)
	add(many, "a/b", true)
	add(many, "b", true)
	r.Deliver([]store.Record{at(0, "a/b"), at(1, "b"), at(2, "$SYS/x")})
	one.want(t, "a/b a/+")
	many.want(t, "a/b # a/b", "b # b")
	r.Remove(hash)
	r.Remove(hash) // it is gone already
	r.Deliver([]store.Record{at(3, "a/b"), at(4, "c")})
	one.want(t, "a/b a/+")
	many.want(t, "a/b a/b")
	if n := r.Filters(); n != 3 {
		t.Errorf("%d filters, want 3", n)
	}
}

// Done follows what was handed over in the log; QoS 0 that is not in it does not move it.
func TestDone(t *testing.T) {
	r := New()
	r.Deliver([]store.Record{at(-1, "a")})
	if d := r.Done(0); d != 0 {
		t.Errorf("Done is %d", d)
	}
	r.Deliver([]store.Record{at(6, "a"), at(7, "b")})
	if d := r.Done(0); d != 8 {
		t.Errorf("Done is %d, want 8", d)
	}
	if d := r.Done(1); d != 0 {
		t.Errorf("Done of another queue is %d", d)
	}
}

// counting is a target for many goroutines.
type counting struct{ n atomic.Int64 }

func (c *counting) Deliver(*store.Record, []*Subscription) { c.n.Add(1) }

// While subscriptions to one filter come and go, those that stay are handed every message once.
func TestDeliverBesideChanges(t *testing.T) {
	const stay, messages, changers = 20, 2000, 4
	r := New()
	var staying [stay]counting
	for i := range staying {
		r.Add(&Subscription{Target: &staying[i], Filter: "t"})
	}
	var changes sync.WaitGroup
	stop := make(chan struct{})
	for seed := range uint64(changers) {
		changes.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mine []*Subscription
			for {
				select {
				case <-stop:
					for _, s := range mine {
						r.Remove(s)
					}
					return
				default:
				}
				if len(mine) < 50 && rng.IntN(2) == 0 {
					mine = append(mine, &Subscription{Target: &counting{}, Filter: "t"})
					r.Add(mine[len(mine)-1])
				} else if len(mine) > 0 {
					i := rng.IntN(len(mine))
					r.Remove(mine[i])
					mine = slices.Delete(mine, i, i+1)
				}
			}
		})
	}
	for i := range int64(messages) {
		r.Deliver([]store.Record{at(i, "t")})
	}
	close(stop)
	changes.Wait()
	for i := range staying {
		if n := staying[i].n.Load(); n != messages {
			t.Errorf("subscription %d was handed %d messages, want %d", i, n, messages)
		}
	}
	r.Deliver([]store.Record{at(messages, "t")})
	if n := staying[0].n.Load(); n != messages+1 {
		t.Errorf("%d messages", n)
	}
}

// What belongs to RocketMQ, to this server, or to nobody in particular is out of reach.
func TestReserved(t *testing.T) {
	for first, may := range map[string][2]bool{ // publish, subscribe
		"a": {true, true}, "": {true, true}, "MQTT": {true, true}, "TBW1022": {true, true}, "日本": {true, true}, "+": {true, true},
		"$SYS": {false, true}, "$SYSTEM": {false, false}, "$x": {false, false}, "$share": {false, false},
		"%RETRY%g": {false, false}, "%DLQ%g": {false, false}, "%LMQ%a": {false, false}, "%": {false, false},
		"MQTT_SYS_SESSION": {false, false}, "MQTT_SYS_": {false, false},
		"RMQ_SYS_TRACE_TOPIC": {false, false}, "rmq_sys_wheel_timer": {false, false}, "RMQ_SYS_": {false, false},
		"TBW102": {false, false}, "SCHEDULE_TOPIC_XXXX": {false, false}, "SELF_TEST_TOPIC": {false, false}, "OFFSET_MOVED_EVENT": {false, false},
		"BenchmarkTest": {false, false}, "DefaultCluster_REPLY_TOPIC": {false, false}, "TRANS_CHECK_MAX_TIME_TOPIC": {false, false},
	} {
		if got := [2]bool{MayPublish(first), MaySubscribe(first)}; got != may {
			t.Errorf("%q: publish, subscribe %v, want %v", first, got, may)
		}
	}
}
