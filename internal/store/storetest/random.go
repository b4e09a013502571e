package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Script makes random changes of few clients, groups and packet ids, so that they meet.
type Script struct {
	Rng        *rand.Rand
	Now        func() time.Time
	NoRetained bool // no message has RETAIN
	Changelog  bool // with the changes of stores whose messages are not where their changelog is
	Shared     bool // without checkpoints; see Backend
}

// farQueue is, beside queue 0, the one that positions are in.
const farQueue store.Queue = 1<<63 + 5

// Step is one thing to do to a store: a change, or a message when Change is nil.
type Step struct {
	Change  *store.Change
	Message *store.Message
}

// Next returns a random step.
func (s *Script) Next() Step {
	client := fmt.Sprint("client-", s.Rng.IntN(6))
	if s.Rng.IntN(4) == 0 {
		m := &store.Message{Topic: randomTopic(s.Rng), QoS: 1, Payload: make([]byte, s.Rng.IntN(300)), Retain: s.Rng.IntN(3) == 0 && !s.NoRetained}
		switch s.Rng.IntN(4) {
		case 0, 1:
			m.QoS, m.Client, m.PacketID = 2, client, s.id()
		case 2:
			m.Client, m.Will = client, true
			m.Retain = m.Retain && !s.Shared // there it is published if it is owed, which the model does not know
		}
		return Step{Message: m}
	}
	last := store.WillDone
	if s.Changelog {
		last = store.Note
	}
	c := &store.Change{Kind: store.ChangeKind(1 + s.Rng.IntN(int(last))), Client: client}
	if c.Kind == store.Checkpoint && s.Shared {
		c.Kind = store.Progress
	}
	s.fill(c)
	return Step{Change: c}
}

// fill makes up what the kind of c uses.
func (s *Script) fill(c *store.Change) {
	switch c.Kind {
	case store.Connect:
		c.Principal, c.Expiry, c.Clean = fmt.Sprint("p", s.Rng.IntN(2)), s.expiry(), s.Rng.IntN(3) == 0
		if s.Rng.IntN(2) == 0 {
			c.Will = s.will()
		}
	case store.Detach:
		if c.Expiry = s.expiry(); c.Expiry != 0xFFFFFFFF {
			c.ExpiresAt = s.Now().UnixMilli() + int64(c.Expiry)*1000
		}
		c.Cursor, c.Inflight, c.SentUpTo = s.positions(), s.list(1), s.positions()
		if s.Rng.IntN(2) == 0 {
			c.WillAt = s.Now().UnixMilli() + s.Rng.Int64N(10_000)
		}
	case store.Remove:
		if s.Rng.IntN(3) != 0 { // most sessions live longer
			c.Kind = store.Connect
		}
	case store.Subscribe, store.Unsubscribe:
		c.Subscription = store.Subscription{
			Filter: s.filter(), QoS: byte(s.Rng.IntN(3)), ID: s.Rng.Uint32N(5), Start: s.start(), Since: s.Rng.Int64N(3),
		}
	case store.Release, store.Receipted, store.Refused:
		c.PacketID = s.id()
	case store.Send2, store.Pubrec, store.Done2:
		c.Inflight = s.list(2)[:1]
	case store.Progress:
		c.Follows, c.Cursor, c.Inflight = s.Rng.IntN(2) == 0, s.positions(), s.list(1)
	case store.GroupProgress:
		c.Client, c.Subscription.Filter, c.Subscription.Start = "", s.group(), s.start()
		c.Cursor, c.Outstanding = s.positions(), s.positions()
	case store.Checkpoint:
		c.Client, c.Cursor = "", s.positions()
	case store.Receive:
		c.Receipt = store.Receipt{PacketID: s.id(), Key: fmt.Sprint(s.Rng.IntN(100)), Sum: s.Rng.Uint64(), At: s.position(), Since: s.Now().UnixMilli()}
	case store.Note:
		c.Client, c.Cursor, c.Value = "", []store.Position{s.position()}, make([]byte, s.Rng.IntN(3))
	}
}

func (s *Script) will() *store.Will {
	return &store.Will{
		Topic: randomTopic(s.Rng), Payload: []byte("gone"), QoS: byte(s.Rng.IntN(3)), Retain: s.Rng.IntN(2) == 0,
		Delay: s.Rng.Uint32N(20), HasExpiry: true, Expiry: s.Rng.Uint32N(2), Forward: []byte{1, 1},
	}
}

func (s *Script) id() uint16 { return uint16(1 + s.Rng.IntN(4)) }

func (s *Script) expiry() uint32 { return []uint32{0, 5, 60, 0xFFFFFFFF}[s.Rng.IntN(4)] }

func (s *Script) group() string { return fmt.Sprintf("$share/g%d/a/#", s.Rng.IntN(3)) }

// start is one of two, so that groups are founded again at another place, and progress is told of the one that is there.
func (s *Script) start() []store.Position { return []store.Position{{Offset: int64(s.Rng.IntN(2))}} }

func (s *Script) filter() string {
	if s.Rng.IntN(2) == 0 {
		return s.group()
	}
	return randomTopic(s.Rng)
}

func (s *Script) position() store.Position {
	return store.Position{Queue: farQueue * store.Queue(s.Rng.IntN(2)), Offset: s.Rng.Int64N(20)}
}

// positions are of one queue each, or none.
func (s *Script) positions() []store.Position {
	var out []store.Position
	for _, q := range []store.Queue{0, farQueue} {
		if s.Rng.IntN(4) != 0 {
			out = append(out, store.Position{Queue: q, Offset: s.Rng.Int64N(20)})
		}
	}
	return out
}

// list are one to three messages, of different ids.
func (s *Script) list(qos byte) []store.Inflight {
	var out []store.Inflight
	for _, id := range s.Rng.Perm(4)[:1+s.Rng.IntN(3)] {
		in := store.Inflight{PacketID: uint16(id + 1), QoS: qos, At: s.position()}
		if s.Rng.IntN(3) == 0 {
			in.Group = s.group()
		} else {
			in.Retained = s.Rng.IntN(4) == 0
		}
		out = append(out, in)
	}
	return out
}

// do does a step to the store and the model.
func (f *fixture) do(m *Model, s Step) {
	f.Helper()
	if s.Change != nil {
		f.change(*s.Change)
	} else {
		f.append(*s.Message)
	}
	m.Do(s, f.clock.Now())
}

// compare is Compare, as far as the store is to be asked.
func (f *fixture) compare(m *Model) error {
	s := f.raw
	if f.backend.Shared {
		s = undated{s}
	}
	if err := compareChangelog(s, m, f.clock.Now()); err != nil || f.backend.NoRetained {
		return err
	}
	return compareRetained(f.store, m)
}

// undated is a store whose sessions began when the model's did.
type undated struct{ store.Store }

func (u undated) Load(client string) (*store.Session, error) {
	s, err := u.Store.Load(client)
	if s != nil {
		s.Created = 0
	}
	return s, err
}

// Compare says in what the store differs from the model at now; nil: in nothing.
func Compare(s store.Store, m *Model, now time.Time) error {
	if err := compareChangelog(s, m, now); err != nil {
		return err
	}
	return compareRetained(s, m)
}

func compareChangelog(s store.Store, m *Model, now time.Time) error {
	for i := range 6 {
		if err := compareSession(s, m, fmt.Sprint("client-", i)); err != nil {
			return err
		}
	}
	for _, q := range []store.Queue{0, farQueue} {
		if err := sameNote(s, q, m.notes[q]); err != nil {
			return err
		}
	}
	groups, err := s.Groups()
	if err != nil {
		return err
	}
	if got, want := NormalGroups(groups), m.Groups(); !reflect.DeepEqual(got, want) {
		return fmt.Errorf("groups:\n got %+v\nwant %+v", got, want)
	}
	if got, want := s.Sessions(), int64(len(m.Clients())); got != want {
		return fmt.Errorf("%d sessions are counted, want %d", got, want)
	}
	for _, d := range []time.Duration{0, 5 * time.Second, time.Minute, time.Hour} {
		got, err := s.Expired(now.Add(d), 100)
		if err != nil {
			return err
		}
		slices.Sort(got)
		if want := m.Expired(now.Add(d).UnixMilli()); !slices.Equal(got, want) {
			return fmt.Errorf("expired in %v: %v, want %v", d, got, want)
		}
		if got, err = s.WillsDue(now.Add(d), 100); err != nil {
			return err
		}
		slices.Sort(got)
		if want := m.WillsDue(now.Add(d).UnixMilli()); !slices.Equal(got, want) {
			return fmt.Errorf("wills due in %v: %v, want %v", d, got, want)
		}
	}
	return nil
}

func compareSession(s store.Store, m *Model, client string) error {
	got, err := s.Load(client)
	if err != nil {
		return err
	}
	got = Normal(got)
	if got != nil && got.Connected && m.opened == nil {
		got.SentUpTo = nil
	}
	want := m.Session(client)
	if _, is := s.(undated); is && want != nil {
		want.Created = 0
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("session %s:\n got %+v\nwant %+v", client, got, want)
	}
	return nil
}

func compareRetained(s store.Store, m *Model) error {
	got := map[string]string{}
	for after := ""; ; {
		recs, next, err := s.Retained("#", after, nil, 300)
		if err != nil {
			return err
		}
		for i := range recs {
			got[recs[i].Topic] = string(recs[i].Payload)
		}
		if after = next; next == "" {
			break
		}
	}
	if !maps.Equal(got, m.retained) {
		return fmt.Errorf("retained messages of %q, want %q, or other payloads", slices.Sorted(maps.Keys(got)), m.RetainedTopics())
	}
	if len(got) > 0 && !s.MayRetain() {
		return errors.New("MayRetain is false")
	}
	return nil
}

// Do does the step to the model as well, once the store has answered without error.
func (m *Model) Do(s Step, now time.Time) {
	if s.Change != nil {
		m.Apply(s.Change, now.UnixMilli())
	} else {
		m.Message(s.Message)
	}
}

func testRandom(f *fixture) {
	_, changelog := f.raw.(noteKeeper)
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 7))
		script := Script{Rng: rng, Now: f.clock.Now, NoRetained: f.backend.NoRetained, Changelog: changelog, Shared: f.backend.Shared}
		m := NewModel()
		m.Open(f.opened(), f.millis())
		for i := range 400 {
			f.do(m, script.Next())
			f.clock.Advance(time.Duration(rng.IntN(1000)) * time.Millisecond)
			switch rng.IntN(40) {
			case 0:
				if f.backend.Shared {
					f.detachAll(m)
				}
				f.reopen()
				m.Open(f.opened(), f.millis())
			case 1:
				if f.crash() {
					m.Open(f.opened(), f.millis())
				}
			}
			if i%4 != 0 {
				continue
			}
			f.agree(fmt.Sprintf("seed %d, after step %d", seed, i), func() error { return f.compare(m) })
		}
		f.removeAll(m)
		if s, g := f.store.Sessions(), f.groups(); s != 0 || g != nil {
			f.Fatalf("seed %d: %d sessions and groups %+v are left", seed, s, g)
		}
	}
}

// detachAll ends the connections of the model's sessions.
func (f *fixture) detachAll(m *Model) {
	f.Helper()
	for _, client := range m.Clients() {
		if s := m.Session(client); s.Connected {
			ch := store.Change{Kind: store.Detach, Client: client, Expiry: s.Expiry, Cursor: s.Cursor}
			f.do(m, Step{Change: &ch})
		}
	}
}

// removeAll ends what the model has.
func (f *fixture) removeAll(m *Model) {
	f.Helper()
	for _, client := range m.Clients() {
		f.change(store.Change{Kind: store.Remove, Client: client})
	}
	for _, q := range m.Notes() {
		f.change(store.Change{Kind: store.Note, Cursor: []store.Position{{Queue: q}}})
	}
	if f.backend.NoRetained {
		return
	}
	for _, name := range m.RetainedTopics() {
		f.append(store.Message{Topic: name, QoS: 1, Retain: true})
	}
	if recs := f.retained("#"); len(recs) > 0 {
		f.Fatalf("%d retained messages are left", len(recs))
	}
}

func testCrash(f *fixture) {
	if f.backend.Crash == nil {
		return
	}
	rng := rand.New(rand.NewPCG(11, 12))
	var kept []store.Message
	for round := range 8 {
		for i := range rng.IntN(300) {
			m := store.Message{Topic: randomTopic(rng), QoS: 1 + byte(rng.IntN(2)), Payload: fmt.Appendf(nil, "%d/%d %0*d", round, i, rng.IntN(200), 0)}
			f.append(m)
			kept = append(kept, m)
		}
		f.crash()
		f.same(fmt.Sprint("round ", round), f.readAll(everything(), 100_000, len(kept)), kept)
	}
}
