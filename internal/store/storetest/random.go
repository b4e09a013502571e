package storetest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Script makes random changes of few clients, groups and packet ids, so that they meet.
type Script struct {
	Rng *rand.Rand
	Now func() time.Time
}

// Step is one thing to do to a store: a change, or a message when Change is nil.
type Step struct {
	Change  *store.Change
	Message *store.Message
}

// Next returns a random step.
func (s *Script) Next() Step {
	client := fmt.Sprint("client-", s.Rng.IntN(6))
	if s.Rng.IntN(4) == 0 {
		m := &store.Message{Topic: randomTopic(s.Rng), QoS: 1, Payload: make([]byte, s.Rng.IntN(300))}
		if s.Rng.IntN(2) == 0 {
			m.QoS, m.Client, m.PacketID = 2, client, s.id()
		}
		return Step{Message: m}
	}
	c := &store.Change{Kind: store.ChangeKind(1 + s.Rng.IntN(int(store.Checkpoint))), Client: client}
	switch c.Kind {
	case store.Connect:
		c.Principal, c.Expiry, c.Clean = fmt.Sprint("p", s.Rng.IntN(2)), s.expiry(), s.Rng.IntN(3) == 0
	case store.Detach:
		if c.Expiry = s.expiry(); c.Expiry != 0xFFFFFFFF {
			c.ExpiresAt = s.Now().UnixMilli() + int64(c.Expiry)*1000
		}
		c.Cursor, c.Inflight = s.positions(), s.list(1)
	case store.Remove:
		if s.Rng.IntN(3) != 0 { // most sessions live longer
			c.Kind = store.Connect
		}
	case store.Subscribe, store.Unsubscribe:
		c.Subscription = store.Subscription{Filter: s.filter(), QoS: byte(s.Rng.IntN(3)), ID: s.Rng.Uint32N(5), Start: s.positions()}
	case store.Release:
		c.PacketID = s.id()
	case store.Send2, store.Pubrec, store.Done2:
		c.Inflight = s.list(2)[:1]
	case store.Progress:
		c.Follows, c.Cursor, c.Inflight = s.Rng.IntN(2) == 0, s.positions(), s.list(1)
	case store.GroupProgress:
		c.Client, c.Subscription.Filter = "", s.group()
		c.Cursor, c.Outstanding = s.positions(), s.positions()
	case store.Checkpoint:
		c.Client, c.Cursor = "", s.positions()
	}
	return Step{Change: c}
}

func (s *Script) id() uint16 { return uint16(1 + s.Rng.IntN(4)) }

func (s *Script) expiry() uint32 { return []uint32{0, 5, 60, 0xFFFFFFFF}[s.Rng.IntN(4)] }

func (s *Script) group() string { return fmt.Sprintf("$share/g%d/a/#", s.Rng.IntN(3)) }

func (s *Script) filter() string {
	if s.Rng.IntN(2) == 0 {
		return s.group()
	}
	return randomTopic(s.Rng)
}

func (s *Script) position() store.Position {
	return store.Position{Queue: store.Queue(s.Rng.IntN(2)), Offset: s.Rng.Int64N(20)}
}

// positions are of one queue each, or none.
func (s *Script) positions() []store.Position {
	var out []store.Position
	for q := range store.Queue(2) {
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
		}
		out = append(out, in)
	}
	return out
}

// Compare says in what the store differs from the model at now; nil: in nothing.
func Compare(s store.Store, m *Model, now time.Time) error {
	for i := range 6 {
		client := fmt.Sprint("client-", i)
		got, err := s.Load(client)
		if err != nil {
			return err
		}
		if got, want := Normal(got), m.Session(client); !reflect.DeepEqual(got, want) {
			return fmt.Errorf("session %s:\n got %+v\nwant %+v", client, got, want)
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
	}
	return nil
}

// Do does the step to the model as well, once the store has answered without error.
func (m *Model) Do(s Step, now time.Time) {
	switch {
	case s.Change != nil:
		m.Apply(s.Change, now.UnixMilli())
	case s.Message.QoS == 2 && s.Message.Client != "":
		m.Received(s.Message.Client, s.Message.PacketID)
	}
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

func testRandom(f *fixture) {
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 7))
		script := Script{Rng: rng, Now: f.clock.Now}
		m := NewModel()
		m.Open(f.opened(), f.millis())
		for i := range 400 {
			f.do(m, script.Next())
			f.clock.Advance(time.Duration(rng.IntN(1000)) * time.Millisecond)
			switch rng.IntN(40) {
			case 0:
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
			if err := Compare(f.store, m, f.clock.Now()); err != nil {
				f.Fatalf("seed %d, after step %d: %v", seed, i, err)
			}
		}
		for _, client := range m.Clients() {
			f.change(store.Change{Kind: store.Remove, Client: client})
		}
		if s, g := f.store.Sessions(), f.groups(); s != 0 || g != nil {
			f.Fatalf("seed %d: %d sessions and groups %+v are left", seed, s, g)
		}
	}
}

func testCrash(f *fixture) {
	if f.backend.Crash == nil {
		return
	}
	rng := rand.New(rand.NewPCG(11, 12))
	var kept []string
	for round := range 8 {
		for i := range rng.IntN(300) {
			m := store.Message{Topic: randomTopic(rng), QoS: 1 + byte(rng.IntN(2)), Payload: fmt.Appendf(nil, "%d/%d %0*d", round, i, rng.IntN(200), 0)}
			f.append(m)
			kept = append(kept, string(m.Payload))
		}
		f.crash()
		got := f.readAll(everything(), 100_000)
		if len(got) != len(kept) {
			f.Fatalf("round %d: %d records, want the %d acknowledged ones", round, len(got), len(kept))
		}
		for i := range got {
			if string(got[i].Payload) != kept[i] {
				f.Fatalf("round %d: record %d is %q, want %q", round, i, got[i].Payload, kept[i])
			}
		}
	}
}
