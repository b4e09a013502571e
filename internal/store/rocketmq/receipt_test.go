package rocketmq

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// publish2 appends message id of a persistent session.
func (s *sender) publish2(id uint16, payload string, done store.Completion, token uint64) {
	s.Append(&store.Message{Topic: "t/a", Payload: []byte(payload), QoS: 2, Client: "c", PacketID: id}, done, token)
}

// receipts is the receipts of the client that are pending, as this process knows them.
func (s *sender) receipts() []*receipt {
	p := &s.sending.publishers
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*receipt
	for _, r := range p.clients["c"] {
		list = append(list, r)
	}
	return list
}

func TestQoS2IsInTheChangelogBeforeItIsSent(t *testing.T) {
	f := newFarm(t, 1, "t")
	var s *sender
	ready := make(chan struct{})
	var at []store.ChangeKind
	f.brokers[0].plan = func(int, []sent) reply {
		<-ready
		at = s.changelog.kinds()
		return reply{append: true}
	}
	s = f.start(t, Options{})
	begin(t, s)
	close(ready)
	a := newAnswers(t)
	s.publish2(7, "x", a, 0)
	a.good(1)
	if want := []store.ChangeKind{store.Connect, store.Receive}; !slices.Equal(at, want) {
		t.Errorf("when it was sent the changelog had %v, want %v", at, want)
	}
	if want := []store.ChangeKind{store.Connect, store.Receive, store.Receipted}; !slices.Equal(s.changelog.kinds(), want) {
		t.Errorf("when it was answered the changelog had %v, want %v", s.changelog.kinds(), want)
	}
	eventually(t, "no receipt is left", func() bool { return len(s.receipts()) == 0 })
	c := s.changelog.changes[1]
	if sentOne := f.brokers[0].appended()[0]; c.Receipt.PacketID != 7 || c.Receipt.Key != sentOne.key || c.Receipt.At.Queue != a.all()[0].at.Queue {
		t.Errorf("receipt %+v of a message with key %s at %v", c.Receipt, sentOne.key, a.all()[0].at)
	}
}

// begin has the changelog know the session.
func begin(t *testing.T, s *sender) {
	t.Helper()
	a := newAnswers(t)
	s.Change(&store.Change{Kind: store.Connect, Client: "c", Expiry: 1000}, a, 0)
	a.good(1)
}

func TestQoS2KeepsOrder(t *testing.T) {
	const n = 300
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{})
	a := newAnswers(t)
	for i := range n {
		s.publish2(uint16(i+1), string(rune('a'+i%26)), a, uint64(i))
	}
	inOrder(t, a.good(n))
	for i, m := range f.brokers[0].appended() {
		if m.payload != string(rune('a'+i%26)) {
			t.Fatalf("message %d is %q", i, m.payload)
		}
	}
}

func TestQoS2OnItsWayIsNotSentTwice(t *testing.T) {
	f := newFarm(t, 1, "t")
	asked, free := make(chan struct{}), make(chan struct{})
	f.brokers[0].plan = func(int, []sent) reply { close(asked); <-free; return reply{append: true} }
	s := f.start(t, Options{})
	a := newAnswers(t)
	s.publish2(1, "x", a, 0)
	<-asked
	s.publish2(1, "x", a, 1) // another connection
	close(free)
	a.good(2)
	if got := f.brokers[0].appended(); len(got) != 1 {
		t.Errorf("appended %d times", len(got))
	}
}

func TestQoS2RefusedForCertainIsRefusedInTheChangelog(t *testing.T) {
	f := newFarm(t, 1, "t")
	f.brokers[0].plan = func(int, []sent) reply { return reply{code: 13, remark: "illegal"} }
	s := f.start(t, Options{})
	a := newAnswers(t)
	s.publish2(1, "x", a, 0)
	if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrTooLarge) {
		t.Errorf("told %v", one.err)
	}
	if want := []store.ChangeKind{store.Receive, store.Refused}; !slices.Equal(s.changelog.kinds(), want) {
		t.Errorf("the changelog has %v, want %v", s.changelog.kinds(), want)
	}
	eventually(t, "no receipt is left", func() bool { return len(s.receipts()) == 0 })
}

func TestQoS2OfUnknownOutcomeIsLookedForWhenItComesAgain(t *testing.T) {
	for _, stored := range []bool{true, false} {
		name := map[bool]string{true: "stored", false: "not stored"}[stored]
		t.Run(name, func(t *testing.T) {
			f := newFarm(t, 1, "t")
			var lost atomic.Bool
			lost.Store(true)
			f.brokers[0].plan = func(n int, _ []sent) reply {
				if lost.Load() {
					return reply{lost: true, append: stored && n == 0}
				}
				return reply{append: true}
			}
			s := f.start(t, Options{QueueFailover: 300 * time.Millisecond})
			begin(t, s)
			a := newAnswers(t)
			s.publish2(1, "x", a, 0)
			if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrAway) {
				t.Fatalf("told %v", one.err)
			}
			lost.Store(false)
			key := f.brokers[0].asked()[0][0].key
			// As another process would know of it.
			s.sending.forget("c")
			if _, err := s.Load("c"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the broker answers", func() bool { return !s.box(t, "t/a").q.broker.failed() })
			again := newAnswers(t)
			s.publish2(1, "x", again, 0)
			if one := again.good(1)[0]; one.at.Offset != 0 {
				t.Errorf("told that it is at %v", one.at)
			}
			got := f.brokers[0].appended()
			if len(got) != 1 || got[0].key != key {
				t.Fatalf("appended %d times, the first with key %s, want once with %s", len(got), got[0].key, key)
			}
			if !stored && got[0].after == "" {
				t.Error("a message that was sent before does not say so")
			}
			if k := s.changelog.kinds(); k[len(k)-1] != store.Receipted {
				t.Errorf("the changelog has %v", k)
			}
			eventually(t, "no receipt is left", func() bool { return len(s.receipts()) == 0 })
		})
	}
}

func TestQoS2OfASessionThatIsOverTellsTheNextOnesNothing(t *testing.T) {
	f := newFarm(t, 1, "t")
	asked, free := make(chan struct{}), make(chan struct{})
	f.brokers[0].plan = func(n int, _ []sent) reply {
		if n == 0 {
			close(asked)
			<-free
		}
		return reply{append: true}
	}
	s := f.start(t, Options{})
	a := newAnswers(t)
	s.publish2(1, "old", a, 0)
	<-asked
	s.sending.forget("c")
	s.publish2(1, "new", a, 1)
	close(free)
	a.good(2)
	if got := payloads(f.brokers[0].appended()); got != "old new" {
		t.Errorf("appended %q", got)
	}
	if want := []store.ChangeKind{store.Receive, store.Receive, store.Receipted}; !slices.Equal(s.changelog.kinds(), want) {
		t.Errorf("the changelog has %v, want %v", s.changelog.kinds(), want)
	}
}

func TestQoS2WaitsForItsQueueWhenThatIsAway(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{QueueFailover: 300 * time.Millisecond})
	q := s.box(t, "t/a").q
	s.lose(t, f.brokers[0])
	s.sending.pending("c", []store.Receipt{{PacketID: 1, Key: "K", Sum: sumOf(&store.Message{Topic: "t/a", Payload: []byte("x")}), At: store.Position{Queue: q.key}, Since: s.now()}})
	a := newAnswers(t)
	s.publish2(1, "x", a, 0)
	if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrAway) {
		t.Errorf("told %v", one.err)
	}
	if left := s.receipts(); len(left) != 1 || left[0].underway {
		t.Errorf("%d receipts are left, want one that is pending", len(left))
	}
}

// A client that was refused may use its packet id again (MQTT 5): what comes then is another message, whatever became of the first.
func TestQoS2OfUnknownOutcomeIsNotTakenForAnother(t *testing.T) {
	f := newFarm(t, 1, "t")
	var lost atomic.Bool
	lost.Store(true)
	f.brokers[0].plan = func(n int, _ []sent) reply { return reply{lost: lost.Load(), append: n == 0 || !lost.Load()} }
	s := f.start(t, Options{QueueFailover: 300 * time.Millisecond})
	begin(t, s)
	a := newAnswers(t)
	s.publish2(1, "refused, but stored", a, 0)
	if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrAway) {
		t.Fatalf("told %v", one.err)
	}
	lost.Store(false)
	s.publish2(1, "another", a, 1)
	if two := a.wait(2)[1]; two.err != nil {
		t.Fatalf("told %v", two.err)
	}
	got := f.brokers[0].appended()
	if last := got[len(got)-1]; last.payload != "another" {
		t.Errorf("the last message in the log is %q", last.payload)
	}
}

// A connection that began while the message of the one before was on its way sends it again when that has ended: its session was loaded
// without the packet id.
func TestQoS2ThatEndsAfterTheSessionWasLoadedIsNotSentTwice(t *testing.T) {
	f := newFarm(t, 1, "t")
	asked, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.brokers[0].plan = func(int, []sent) reply {
		once.Do(func() { close(asked); <-free })
		return reply{append: true}
	}
	s := f.start(t, Options{})
	begin(t, s)
	a := newAnswers(t)
	s.publish2(1, "x", a, 0)
	<-asked
	if sess, err := s.Load("c"); err != nil || len(sess.Received) != 0 || len(sess.Pending) != 0 {
		t.Fatalf("%+v, %v", sess, err)
	}
	close(free)
	a.good(1)
	s.publish2(1, "x", a, 1)
	both := a.good(2)
	if both[0].at != both[1].at {
		t.Errorf("stored at %v, then told that it is at %v", both[0].at, both[1].at)
	}
	if got := f.brokers[0].appended(); len(got) != 1 {
		t.Errorf("appended %d times", len(got))
	}
	released := newAnswers(t)
	s.Change(&store.Change{Kind: store.Release, Client: "c", PacketID: 1}, released, 0)
	released.good(1)
	s.publish2(1, "x", a, 2) // the same again, as another message
	a.good(3)
	if got := f.brokers[0].appended(); len(got) != 2 {
		t.Errorf("appended %d times", len(got))
	}
	eventually(t, "nothing is kept", func() bool { return len(s.receipts()) == 0 })
}
