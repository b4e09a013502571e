package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/topic"
)

// retained returns all retained messages that filter matches, read in small steps.
func (f *fixture) retained(filter string) []store.Record {
	f.Helper()
	var all []store.Record
	for after := ""; ; {
		recs, next, err := f.store.Retained(filter, after, f.end(), 200)
		if err != nil {
			f.Fatalf("retained messages of %q: %v", filter, err)
		}
		all = append(all, recs...)
		if after = next; next == "" {
			return all
		}
	}
}

func (f *fixture) expectRetained(step string, want ...string) {
	f.Helper()
	var got []string
	for _, rec := range f.retained("#") {
		got = append(got, fmt.Sprintf("%s=%s", rec.Topic, rec.Payload))
		if !rec.Retain {
			f.Errorf("%s: %s does not say that it is retained", step, rec.Topic)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		f.Errorf("%s: retained are %q, want %q", step, got, want)
	}
}

func testRetained(f *fixture) {
	if f.backend.NoRetained {
		return
	}
	if f.store.MayRetain() {
		f.Error("MayRetain is true in an empty store")
	}
	message := func(name, payload string) store.Message {
		return store.Message{Topic: name, Payload: []byte(payload), QoS: 1, Retain: true, Origin: 7, Forward: []byte{1, 1}}
	}
	at := f.append(message("a/b", "1"))
	f.append(message("a", "2"))
	f.append(store.Message{Topic: "a/b", Payload: []byte("not retained"), QoS: 1})
	f.expectRetained("two", "a/b=1", "a=2")
	want := store.Record{Position: at, Topic: "a/b", Payload: []byte("1"), QoS: 1, Retain: true, Origin: 7, Forward: []byte{1, 1}}
	if got := f.retained("a/b"); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		f.Errorf("got %+v, want %+v", got, want)
	}
	if got, err := f.store.Get(at); err != nil || !reflect.DeepEqual(got, want) {
		f.Errorf("Get: %+v, %v, want %+v", got, err, want)
	}
	f.append(message("a/b", "3"))
	f.expectRetained("another", "a/b=3", "a=2")
	f.reopen()
	f.expectRetained("another, and open again", "a/b=3", "a=2")
	f.append(message("a", ""))
	f.append(message("nothing", ""))
	f.expectRetained("an empty one", "a/b=3")
	if f.crash() {
		f.expectRetained("an empty one, and a crash", "a/b=3")
	}
	if !f.store.MayRetain() {
		f.Error("MayRetain is false")
	}
	f.append(store.Message{Topic: "short", Payload: []byte("x"), QoS: 2, Retain: true, Expires: f.millis() + 1000})
	f.expectRetained("one that expires", "a/b=3", "short=x")
	f.clock.Advance(2 * time.Second)
	f.expectRetained("it has expired", "a/b=3")
}

// testRetainedFilters compares every answer with what a walk through all topics finds.
func testRetainedFilters(f *fixture) {
	if f.backend.NoRetained {
		return
	}
	rng := rand.New(rand.NewPCG(21, 22))
	levels := []string{"", "a", "b", "ab", "a\x01", "é", "$x", "zz"}
	names := map[string]bool{}
	answers := &recorder{}
	for len(names) < 300 {
		name := pickLevels(rng, levels)
		if !names[name] && name != "" {
			names[name] = true
			f.store.Append(&store.Message{Topic: name, Payload: []byte("x"), QoS: 1, Retain: true}, answers, 0)
		}
	}
	answers.wait(f.T, len(names))
	wild := append(slices.Clone(levels), "+", "+", "+")
	for range 500 {
		filter := pickLevels(rng, wild)
		if rng.IntN(3) == 0 {
			filter += "/#"
		}
		if filter == "" {
			filter = "#"
		}
		var want, got []string
		for name := range names {
			if topic.Match(f.path(filter), f.path(name)) {
				want = append(want, name)
			}
		}
		for _, rec := range f.retained(filter) {
			got = append(got, rec.Topic)
		}
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			f.Fatalf("filter %q finds %q, want %q", filter, got, want)
		}
	}
}

func pickLevels(rng *rand.Rand, levels []string) string {
	name := levels[rng.IntN(len(levels))]
	for range rng.IntN(4) {
		name += "/" + levels[rng.IntN(len(levels))]
	}
	return name
}

func testRetainedQoS0(f *fixture) {
	if f.backend.NoRetained {
		return
	}
	for i := range 50 {
		payload := fmt.Appendf(nil, "%d", i)
		f.store.Append(&store.Message{Topic: "t", Payload: payload, Retain: true}, nil, 0)
		at := f.sink.records(f.T, i+1)[i].Position
		if got := f.retained("t"); len(got) != 1 || string(got[0].Payload) != string(payload) || got[0].QoS != 0 || got[0].Position != at {
			f.Fatalf("after %d was handed over at %v %v is retained", i, at, got)
		}
	}
	if !f.backend.Later {
		f.readAll(everything(), 1000, 0)
	}
	f.store.Append(&store.Message{Topic: "t", Retain: true}, nil, 0)
	if got := f.retained("t"); len(got) != 0 {
		f.Errorf("%v is retained after an empty message", got)
	}
}

func testWills(f *fixture) {
	will := &store.Will{Topic: "w", Payload: []byte("gone"), QoS: 1, Retain: true, Delay: 10, HasExpiry: true, Expiry: 5, Forward: []byte{1, 0}}
	due := func(step string, after time.Duration, want ...string) {
		f.Helper()
		got, err := f.store.WillsDue(f.clock.Now().Add(after), 10)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			f.Errorf("%s: wills due in %v are %q (%v), want %q", step, after, got, err, want)
		}
	}
	has := func(step, client string, want *store.Will) {
		f.Helper()
		if s := f.load(client); s == nil || !reflect.DeepEqual(s.Will, want) {
			f.Errorf("%s: the session is %+v, want will %+v", step, s, want)
		}
	}
	connect := func(client string, w *store.Will) {
		f.Helper()
		f.change(store.Change{Kind: store.Connect, Client: client, Expiry: 60, Will: w})
	}
	connect("a", will)
	connect("b", will)
	connect("c", will)
	has("connected", "a", will)
	due("connected", time.Hour)
	connect("b", nil)
	has("connected without one", "b", nil)

	f.change(store.Change{Kind: store.Detach, Client: "a", Expiry: 60, ExpiresAt: f.millis() + 60_000, WillAt: f.millis() + 10_000})
	due("detached", 9*time.Second)
	due("detached", 10*time.Second, "a")
	f.append(store.Message{Topic: "w", Payload: []byte("gone"), QoS: 1, Client: "a", Will: true, Retain: !f.backend.NoRetained})
	if !f.backend.NoRetained {
		f.expectRetained("published", "w=gone")
	}
	f.agree("published", func() error {
		if s := f.load("a"); s == nil || s.Will != nil {
			return fmt.Errorf("the session is %+v, want no will", s)
		}
		return nil
	})
	due("published", time.Hour)
	f.change(store.Change{Kind: store.Detach, Client: "c", Expiry: 60, ExpiresAt: f.millis() + 60_000})
	has("detached with DISCONNECT", "c", nil)
	due("detached with DISCONNECT", time.Hour)

	if f.backend.Shared {
		return // when the others find out is the log's time
	}
	connect("a", will)
	connect("b", &store.Will{Topic: "w", Delay: 1000})
	connect("c", &store.Will{Topic: "w"})
	f.change(store.Change{Kind: store.WillDone, Client: "c"})
	f.reopen() // as after a crash: nobody said how the connections ended
	due("left connected", 9*time.Second)
	due("left connected", 10*time.Second, "a")
	due("left connected", 60*time.Second, "a", "b") // with the session at the latest
	f.change(store.Change{Kind: store.Remove, Client: "a"})
	connect("b", will)
	due("removed and connected", time.Hour)
}
