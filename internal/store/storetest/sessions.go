package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// at is a place in queue 0.
func at(offset int64) store.Position { return store.Position{Offset: offset} }

func atAll(offset int64) []store.Position { return []store.Position{at(offset)} }

func inflight(id uint16, qos byte, offset int64) store.Inflight {
	return store.Inflight{PacketID: id, QoS: qos, At: at(offset)}
}

// expect compares the stored session with want.
func (f *fixture) expect(step string, want store.Session) {
	f.Helper()
	got := f.load(want.Client)
	if got == nil {
		f.Errorf("%s: there is no session %q", step, want.Client)
		return
	}
	if f.backend.Shared {
		want.Created = 0
	}
	if !reflect.DeepEqual(got, Normal(&want)) {
		f.Errorf("%s:\n got %+v\nwant %+v", step, *got, *Normal(&want))
	}
}

func (f *fixture) expectNone(step, client string) {
	f.Helper()
	if got := f.load(client); got != nil {
		f.Errorf("%s: there is a session %+v", step, *got)
	}
}

// millis is the clock's time, in Unix milliseconds.
func (f *fixture) millis() int64 { return f.clock.Now().UnixMilli() }

func testChanges(f *fixture) {
	want := store.Session{Client: "c", Principal: "owner", Expiry: 60, Connected: true, Created: f.millis(), SentUpTo: f.opened()}
	f.change(store.Change{Kind: store.Connect, Client: "c", Principal: "owner", Expiry: 60})
	f.expect("connect", want)
	if n := f.store.Sessions(); n != 1 {
		f.Errorf("Sessions is %d, want 1", n)
	}

	sub := store.Subscription{Filter: "a/+", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, ID: 268435455, Start: atAll(17), Since: f.millis(), Replay: true}
	f.change(store.Change{Kind: store.Subscribe, Client: "c", Subscription: sub})
	f.change(store.Change{Kind: store.Subscribe, Client: "c", Subscription: store.Subscription{Filter: "b"}})
	want.Subscriptions = []store.Subscription{sub, {Filter: "b"}}
	f.expect("subscribe", want)
	sub.QoS, sub.Start, sub.Since, sub.ID, sub.NoLocal, sub.Replay = 1, atAll(30), 1<<50, 0, false, false
	f.change(store.Change{Kind: store.Subscribe, Client: "c", Subscription: sub})
	want.Subscriptions[0] = sub
	f.expect("subscribe again", want)
	f.change(store.Change{Kind: store.Unsubscribe, Client: "c", Subscription: store.Subscription{Filter: "b"}})
	want.Subscriptions = want.Subscriptions[:1]
	f.expect("unsubscribe", want)

	f.change(store.Change{
		Kind: store.Progress, Client: "c", Follows: true, Cursor: []store.Position{{Queue: 1, Offset: 9}, at(40)},
		Inflight: []store.Inflight{inflight(9, 1, 38), inflight(4, 1, 39)},
	})
	want.Cursor, want.Follows = []store.Position{{Queue: 1, Offset: 9}, at(40)}, true
	want.Inflight = []store.Inflight{inflight(9, 1, 38), inflight(4, 1, 39)}
	f.expect("progress", want)
	f.change(store.Change{Kind: store.Progress, Client: "c", Cursor: atAll(41), Inflight: []store.Inflight{inflight(5, 1, 40)}})
	want.Cursor, want.Follows, want.Inflight = atAll(41), false, []store.Inflight{inflight(5, 1, 40)}
	f.expect("progress again", want)

	f.exactlyOnce(&want)

	f.change(store.Change{
		Kind: store.Detach, Client: "c", Expiry: 90, ExpiresAt: f.millis() + 90_000,
		Cursor: atAll(50), Inflight: []store.Inflight{inflight(6, 1, 48)},
	})
	want.Connected, want.SentUpTo = false, nil
	want.Expiry, want.ExpiresAt, want.Cursor = 90, f.millis()+90_000, atAll(50)
	want.Inflight[1] = inflight(6, 1, 48)
	f.expect("detach", want)
	f.reopen()
	f.expect("detach, and open again", want)

	f.clock.Advance(time.Second)
	f.change(store.Change{Kind: store.Connect, Client: "c", Principal: "other", Expiry: 0xFFFFFFFF})
	want.Connected, want.SentUpTo, want.Principal = true, f.opened(), "other"
	want.Expiry, want.ExpiresAt = 0xFFFFFFFF, 0
	f.expect("connect again", want)
	f.change(store.Change{Kind: store.Connect, Client: "c", Clean: true})
	want = store.Session{Client: "c", Connected: true, SentUpTo: f.opened(), Created: f.millis()}
	f.expect("clean connect", want)
	f.change(store.Change{Kind: store.Remove, Client: "c"})
	f.expectNone("remove", "c")
	if n := f.store.Sessions(); n != 0 {
		f.Errorf("Sessions is %d, want 0", n)
	}
}

// exactlyOnce walks through outgoing QoS 2; it leaves want with the released id 7 and the sent id 3 beside what it had.
func (f *fixture) exactlyOnce(want *store.Session) {
	f.Helper()
	lazy := want.Inflight
	for _, in := range []store.Inflight{inflight(8, 2, 45), inflight(7, 2, 44), inflight(3, 2, 46)} {
		f.change(store.Change{Kind: store.Send2, Client: "c", Inflight: []store.Inflight{in}})
	}
	want.Inflight = slices.Concat(lazy, []store.Inflight{inflight(8, 2, 45), inflight(7, 2, 44), inflight(3, 2, 46)})
	want.Sent2 = atAll(46)
	f.expect("send2", *want)
	f.change(store.Change{Kind: store.Pubrec, Client: "c", Inflight: []store.Inflight{{PacketID: 7}}})
	f.change(store.Change{Kind: store.Pubrec, Client: "c", Inflight: []store.Inflight{{PacketID: 8}}})
	released := []store.Inflight{inflight(7, 2, 44), inflight(8, 2, 45)}
	released[0].Released, released[1].Released = true, true
	want.Inflight = slices.Concat(released, lazy, []store.Inflight{inflight(3, 2, 46)})
	f.expect("pubrec", *want)
	f.change(store.Change{Kind: store.Pubrec, Client: "c", Inflight: []store.Inflight{{PacketID: 99}}})
	f.expect("pubrec of what was not sent", *want)
	f.change(store.Change{Kind: store.Done2, Client: "c", Inflight: []store.Inflight{{PacketID: 8}}})
	want.Inflight = slices.Concat(released[:1], lazy, []store.Inflight{inflight(3, 2, 46)})
	f.expect("done2", *want)
}

// opened is the place that the first thing written after the last open has or exceeds, as Load reports it; nil when that
// is the store's own business.
func (f *fixture) opened() []store.Position {
	f.Helper()
	if f.backend.ManyQueues {
		return nil
	}
	const probe = "storetest/probe"
	f.change(store.Change{Kind: store.Connect, Client: probe})
	s := f.load(probe)
	f.change(store.Change{Kind: store.Remove, Client: probe})
	for _, p := range s.SentUpTo {
		for _, e := range f.end() {
			if e.Queue == p.Queue && p.Offset > e.Offset {
				f.Fatalf("SentUpTo %v is above the log's end %v", p, e)
			}
		}
	}
	return s.SentUpTo
}

func testGone(f *fixture) {
	for _, kind := range []store.ChangeKind{
		store.Detach, store.Remove, store.Subscribe, store.Unsubscribe, store.Release, store.Send2, store.Pubrec,
		store.Done2, store.Progress, store.GroupProgress, store.Receive, store.Receipted, store.Refused,
	} {
		f.change(store.Change{
			Kind: kind, Client: "nobody", Expiry: 1, ExpiresAt: 1, Cursor: atAll(3), PacketID: 1,
			Subscription: store.Subscription{Filter: "$share/g/a"}, Inflight: []store.Inflight{inflight(1, 2, 2)},
			Receipt: store.Receipt{PacketID: 1, Key: "key"},
		})
		f.expectNone("a change of a session that does not exist", "nobody")
	}
	f.append(store.Message{Topic: "t", QoS: 2, Client: "nobody", PacketID: 3})
	f.expectNone("a message of a session that does not exist", "nobody")
	if g := f.groups(); g != nil {
		f.Errorf("there are groups %+v", g)
	}
	if ids, err := f.store.Expired(f.clock.Now().Add(time.Hour), 10); err != nil || len(ids) != 0 {
		f.Errorf("expired: %v, %v", ids, err)
	}
	if f.store.Sessions() != 0 {
		f.Errorf("Sessions is %d, want 0", f.store.Sessions())
	}
	f.change(store.Change{Kind: store.Connect, Client: "nobody"})
	f.expect("connect after all that", store.Session{Client: "nobody", Connected: true, Created: f.millis(), SentUpTo: f.opened()})
}

func testReceived(f *fixture) {
	f.change(store.Change{Kind: store.Connect, Client: "c", Expiry: 10})
	want := store.Session{Client: "c", Expiry: 10, Connected: true, Created: f.millis(), SentUpTo: f.opened()}
	for _, id := range []uint16{1, 65535, 1, 300} {
		f.append(store.Message{Topic: "t", QoS: 2, Client: "c", PacketID: id})
		f.agree("the packet id of a message that was answered", func() error {
			if s := f.load("c"); !slices.Contains(s.Received, id) {
				return fmt.Errorf("id %d is not in %v", id, s.Received)
			}
			return nil
		})
	}
	want.Received = []uint16{1, 300, 65535}
	f.expect("received", want)
	f.change(store.Change{Kind: store.Release, Client: "c", PacketID: 300})
	f.change(store.Change{Kind: store.Release, Client: "c", PacketID: 301})
	want.Received = []uint16{1, 65535}
	f.expect("released", want)
	if f.crash() {
		got := f.load("c")
		if got == nil || !slices.Equal(got.Received, want.Received) {
			f.Errorf("after a crash: %+v, want ids %v", got, want.Received)
		}
	}
}

func testCheckpoint(f *fixture) {
	connect := func(ids ...string) { f.connect(1000, ids...) }
	progress := func(id string, follows bool, cursor int64) {
		f.change(store.Change{Kind: store.Progress, Client: id, Follows: follows, Cursor: atAll(cursor), Inflight: []store.Inflight{inflight(1, 1, 5)}})
	}
	cursor := func(step, id string, want int64, follows bool) {
		f.Helper()
		s := f.load(id)
		if s == nil || !slices.Equal(s.Cursor, atAll(want)) || s.Follows != follows {
			f.Errorf("%s: session %s is %+v; want cursor %d, follows %v", step, id, s, want, follows)
		}
	}
	reaches := func(step, id string, want int64, follows bool) {
		f.Helper()
		if f.backend.Shared {
			poll(f.T, step, func() error {
				if s := f.load(id); s == nil || !slices.Equal(s.Cursor, atAll(want)) {
					return fmt.Errorf("session %s is %+v, want cursor %d", id, s, want)
				}
				return nil
			})
		}
		cursor(step, id, want, follows)
	}
	connect("follows", "stays", "left", "ahead")
	progress("follows", true, 10)
	progress("stays", false, 10)
	progress("left", true, 10)
	progress("ahead", true, 90)
	f.change(store.Change{Kind: store.Detach, Client: "left", Cursor: atAll(12), Expiry: 1000, ExpiresAt: f.millis() + 1_000_000})
	f.change(store.Change{Kind: store.Checkpoint, Cursor: atAll(50)})
	reaches("checkpoint", "follows", 50, true)
	connect("late")
	progress("late", true, 20)
	follow := true
	check := func(step string) {
		f.Helper()
		reaches(step, "follows", 50, follow)
		cursor(step, "stays", 10, false)
		cursor(step, "left", 12, false)
		cursor(step, "ahead", 90, follow)
		cursor(step, "late", 20, follow) // the checkpoint came before it followed
		if s := f.load("follows"); len(s.Inflight) != 1 {
			f.Errorf("%s: a checkpoint changed what is in flight: %+v", step, s.Inflight)
		}
	}
	check("checkpoint")
	if !f.crash() {
		f.reopen()
	}
	follow = !f.backend.Shared // there the others settle at once what a node leaves
	check("the process died")
	// Another process's checkpoints say nothing about sessions that have not connected to it, nor about what one that
	// has connected did before.
	f.change(store.Change{Kind: store.Checkpoint, Cursor: atAll(200)})
	check("a later checkpoint of another process")
	connect("follows", "ahead")
	cursor("connect", "follows", 50, false)
	f.change(store.Change{Kind: store.Checkpoint, Cursor: atAll(300)})
	cursor("a checkpoint before it follows again", "follows", 50, false)
	cursor("a checkpoint before it follows again", "ahead", 90, false)
	progress("follows", true, 60)
	f.change(store.Change{Kind: store.Checkpoint, Cursor: atAll(400)})
	reaches("it follows again", "follows", 400, true)
	connect("follows")
	cursor("taken over without detach", "follows", 400, false)
}

// connect has this process own clients.
func (f *fixture) connect(expiry uint32, ids ...string) {
	f.Helper()
	for _, id := range ids {
		if _, err := f.store.Connect(&store.Change{Kind: store.Connect, Client: id, Expiry: expiry}); err != nil {
			f.Fatalf("connect %q: %v", id, err)
		}
	}
}

func testLeftConnected(f *fixture) {
	if f.backend.Crash == nil {
		return
	}
	before := f.opened()
	for id, expiry := range map[string]uint32{"ten": 10, "zero": 0, "never": 0xFFFFFFFF, "back": 10, "detached": 10} {
		f.change(store.Change{Kind: store.Connect, Client: id, Expiry: expiry})
	}
	f.change(store.Change{Kind: store.Detach, Client: "detached", Expiry: 10, ExpiresAt: f.millis() + 10_000})
	last := f.append(store.Message{Topic: "t", QoS: 1})
	f.clock.Advance(time.Hour)
	f.crash()
	restart := f.millis()
	for id, due := range map[string]int64{"ten": restart + 10_000, "zero": restart, "never": 0, "back": restart + 10_000} {
		s := f.load(id)
		if !s.Connected || s.ExpiresAt != due {
			f.Errorf("%s: connected %v, due %d, want true and %d", id, s.Connected, s.ExpiresAt, due)
		}
		if f.backend.ManyQueues {
			continue
		}
		if slices.Equal(s.SentUpTo, before) || !slices.ContainsFunc(s.SentUpTo, func(p store.Position) bool { return p.Queue == last.Queue && p.Offset > last.Offset }) {
			f.Errorf("%s: SentUpTo %v does not cover %v, which was written before the crash", id, s.SentUpTo, last)
		}
	}
	if s := f.load("detached"); s.Connected || s.SentUpTo != nil {
		f.Errorf("a detached session is connected, or has SentUpTo: %+v", s)
	}
	f.change(store.Change{Kind: store.Connect, Client: "back", Expiry: 10})
	if s := f.load("back"); s.ExpiresAt != 0 {
		f.Errorf("a session that is back is due at %d", s.ExpiresAt)
	}
	f.expired(restart, "detached", "zero")
	f.expired(restart+9_999, "detached", "zero")
	f.expired(restart+10_000, "detached", "ten", "zero")
}

// expired compares what is due at now (Unix milliseconds) with want, in any order.
func (f *fixture) expired(now int64, want ...string) {
	f.Helper()
	got, err := f.store.Expired(time.UnixMilli(now), 1000)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		f.Errorf("expired at %d: %v, %v; want %v", now, got, err, want)
	}
}

func testExpired(f *fixture) {
	now := f.millis()
	for id, due := range map[string]int64{"b": now + 2000, "a": now + 1000, "c": now + 3000, "never": 0} {
		f.change(store.Change{Kind: store.Connect, Client: id, Expiry: 100})
		f.change(store.Change{Kind: store.Detach, Client: id, Expiry: 100, ExpiresAt: due})
	}
	f.change(store.Change{Kind: store.Connect, Client: "connected", Expiry: 0xFFFFFFFF})
	f.expired(now + 999)
	f.expired(now+1000, "a")
	f.expired(now+100_000, "a", "b", "c")
	if got, err := f.store.Expired(time.UnixMilli(now+100_000), 2); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		f.Errorf("two of three: %v, %v; want those longest due", got, err)
	}
	f.change(store.Change{Kind: store.Connect, Client: "a", Expiry: 100})
	f.change(store.Change{Kind: store.Remove, Client: "b"})
	f.change(store.Change{Kind: store.Detach, Client: "c", Expiry: 100, ExpiresAt: now + 5000})
	f.expired(now + 4999)
	f.reopen()
	f.expired(now+5000, "c")
}

func testNames(f *fixture) {
	names := []string{
		"a", "a\x00", "a\x00b", "ab", "\xff", "client/with/slashes", "日本", strings.Repeat("x", 65535), strings.Repeat("x", 65534), "\x00\x00",
	}
	for i, name := range names {
		f.change(store.Change{Kind: store.Connect, Client: name, Principal: name, Expiry: uint32(i)})
		f.change(store.Change{Kind: store.Subscribe, Client: name, Subscription: store.Subscription{Filter: "f" + name[:min(len(name), 65534)], ID: uint32(i)}})
		f.append(store.Message{Topic: "t", QoS: 2, Client: name, PacketID: uint16(i + 1)})
	}
	f.reopen()
	for i, name := range names {
		s := f.load(name)
		if s == nil || s.Client != name || s.Principal != name || s.Expiry != uint32(i) || len(s.Subscriptions) != 1 ||
			s.Subscriptions[0].Filter != "f"+name[:min(len(name), 65534)] || !slices.Equal(s.Received, []uint16{uint16(i + 1)}) {
			f.Errorf("session %d of %d bytes differs", i, len(name))
		}
	}
	for i, name := range names {
		f.change(store.Change{Kind: store.Remove, Client: name})
		if n := f.store.Sessions(); n != int64(len(names)-i-1) {
			f.Errorf("%d sessions are left after %d removals", n, i+1)
		}
	}
	w := newWaiter()
	f.store.Change(&store.Change{Kind: store.Connect, Client: strings.Repeat("x", 65536)}, w, 0)
	if _, err := w.wait(f.T); !errors.Is(err, store.ErrTooLarge) {
		f.Errorf("a client id of 65,536 bytes: %v, want ErrTooLarge", err)
	}
}

// visible loads a session on the goroutine that tells it that its change is done.
type visible struct {
	f    *fixture
	done chan bool
	ids  []string
}

// Appended implements store.Completion.
func (v *visible) Appended(token uint64, _ store.Position, err error) {
	s, loadErr := v.f.store.Load(v.ids[token])
	v.done <- err == nil && loadErr == nil && s != nil
}

func testVisible(f *fixture) {
	v := &visible{f: f, done: make(chan bool, 100), ids: make([]string, 100)}
	for i := range v.ids {
		v.ids[i] = strings.Repeat("c", i+1)
		f.store.Change(&store.Change{Kind: store.Connect, Client: v.ids[i]}, v, uint64(i))
	}
	for range v.ids {
		select {
		case ok := <-v.done:
			if !ok {
				f.Fatal("a session was not there when its Connect was answered")
			}
		case <-time.After(patience):
			f.Fatal("a change was never answered")
		}
	}
}
