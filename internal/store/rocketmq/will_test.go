package rocketmq

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/changelog"
)

// will appends the will of c with this id.
func (s *sender) will(id uint64, qos byte, done store.Completion, token uint64) {
	s.Append(&store.Message{Topic: "t/a", Payload: []byte("gone"), QoS: qos, Client: "c", Will: true, WillID: id}, done, token)
}

func TestWillIsClaimedBeforeItIsSent(t *testing.T) {
	for qos := range byte(3) {
		f := newFarm(t, 1, "t")
		var s *sender
		var o *owing
		var when []string
		f.brokers[0].plan = func(int, []sent) reply {
			when = s.changelog.said(o)
			return reply{append: true}
		}
		s = f.start(t, Options{})
		o = s.changelog.owe(7, changelog.Claim{})
		a := newAnswers(t)
		s.will(7, qos, a, 0)
		one := a.good(1)[0]
		if want := []string{"claimed"}; !slices.Equal(when, want) {
			t.Errorf("when it was sent it was %v, want %v", when, want)
		}
		if want := []string{"claimed", "sent"}; !slices.Equal(s.changelog.said(o), want) {
			t.Errorf("when it was answered it was %v, want %v", s.changelog.said(o), want)
		}
		if m := f.brokers[0].appended()[0]; m.key != willKey("c", 7) || m.after != "" || one.at.Queue != o.claim.At.Queue {
			t.Errorf("sent as %+v, at %v; the claim is %+v", m, one.at, o.claim)
		}
	}
}

// A will that is not owed, or that another node has claimed, is not sent, and that is no error.
func TestWillOfAnotherNode(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{})
	a := newAnswers(t)
	s.will(1, 1, a, 0)
	o := s.changelog.owe(2, changelog.Claim{})
	o.then = func() { o.mine = false }
	s.will(2, 1, a, 1)
	p := s.changelog.owe(3, changelog.Claim{})
	p.then = func() { p.claim.Since++ }
	s.will(3, 1, a, 2)
	a.good(3)
	if got := f.brokers[0].appended(); len(got) != 0 {
		t.Errorf("appended %v", got)
	}
	eventually(t, "no room is taken", func() bool { return s.sending.room.used.Load() == 0 })
}

// What another node has claimed before it died is looked for in its place, and else sent there, as what may come twice.
func TestWillOfADeadNode(t *testing.T) {
	for _, stored := range []bool{true, false} {
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
		o := s.changelog.owe(7, changelog.Claim{})
		a := newAnswers(t)
		s.will(7, 1, a, 0)
		if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrAway) {
			t.Fatalf("told %v", one.err)
		}
		if want := []string{"claimed"}; !slices.Equal(s.changelog.said(o), want) {
			t.Errorf("when it is not known what became of it, it was %v, want %v", s.changelog.said(o), want)
		}
		lost.Store(false)
		eventually(t, "the broker answers", func() bool { return !s.box(t, "t/a").q.broker.failed() })
		again := f.start(t, Options{}) // another node
		p := again.changelog.owe(7, o.claim)
		b := newAnswers(t)
		again.will(7, 1, b, 0)
		if one := b.good(1)[0]; one.at.Queue != o.claim.At.Queue {
			t.Errorf("told that it is at %v", one.at)
		}
		got := f.brokers[0].appended()
		if len(got) != 1 || got[0].key != willKey("c", 7) || stored == (len(got[0].after) > 0 && len(again.changelog.said(p)) == 2) {
			t.Errorf("stored %v: appended %+v, and it was %v", stored, got, again.changelog.said(p))
		}
	}
}

// What was refused for certain may go to another place; what can never be sent is owed no more.
func TestWillThatIsRefused(t *testing.T) {
	for code, want := range map[int32][]string{1: {"claimed", "released"}, 13: {"claimed", "released", "sent"}} {
		f := newFarm(t, 1, "t")
		f.brokers[0].plan = func(int, []sent) reply {
			if code == 1 {
				return reply{code: 16, remark: "no permission"}
			}
			return reply{code: code, remark: "illegal"}
		}
		s := f.start(t, Options{QueueFailover: 300 * time.Millisecond})
		o := s.changelog.owe(7, changelog.Claim{})
		a := newAnswers(t)
		s.will(7, 1, a, 0)
		if one := a.wait(1)[0]; one.err == nil {
			t.Error("it was taken")
		}
		if got := s.changelog.said(o); !slices.Equal(got, want) {
			t.Errorf("it was %v, want %v", got, want)
		}
		eventually(t, "no room is taken", func() bool { return s.sending.room.used.Load() == 0 })
	}
}

// A process that was stopped after its claim sends nothing: another one may have since.
func TestWillClaimedTooLongAgo(t *testing.T) {
	f := newFarm(t, 1, "t")
	s := f.start(t, Options{QueueFailover: 50 * time.Millisecond})
	o := s.changelog.owe(7, changelog.Claim{})
	o.then = func() {
		began := time.Now()
		eventually(t, "it is too late", func() bool { return time.Since(began) > 60*time.Millisecond })
	}
	a := newAnswers(t)
	s.will(7, 1, a, 0)
	if one := a.wait(1)[0]; !errors.Is(one.err, store.ErrAway) {
		t.Errorf("told %v", one.err)
	}
	if got := f.brokers[0].asked(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
	if want := []string{"claimed"}; !slices.Equal(s.changelog.said(o), want) {
		t.Errorf("it was %v, want %v", s.changelog.said(o), want)
	}
}

// A process that was stopped for longer between its claim and its sending may be taken for dead, and another one have sent the will: so its copy says that it may be a second one.
func TestWillClaimedBeforeAStop(t *testing.T) {
	f := newFarm(t, 1, "t")
	clock := &jumping{}
	s := f.start(t, Options{QueueFailover: patience, monotonic: clock.now})
	s.pulse = pulse.New(pauseLimit, clock.now)
	o := s.changelog.owe(7, changelog.Claim{})
	o.then = func() { clock.jump(time.Hour) }
	a := newAnswers(t)
	s.will(7, 1, a, 0)
	eventually(t, "the stop is noticed", func() bool { return s.pulse.Tick() > 0 })
	s.pulse.Open()
	a.good(1)
	got := f.brokers[0].appended()
	if len(got) != 1 || len(got[0].after) == 0 {
		t.Errorf("appended %+v", got)
	}
}
