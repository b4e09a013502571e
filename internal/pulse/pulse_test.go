package pulse

import (
	"testing"
	"testing/synctest"
	"time"
)

const (
	limit = 3 * time.Second
	step  = 100 * time.Millisecond
)

// beat ticks for d, and fails when a stop is seen.
func beat(t *testing.T, p *Pulse, d time.Duration) {
	t.Helper()
	for range d / step {
		time.Sleep(step) // of the bubble's time
		if gap := p.Tick(); gap != 0 {
			t.Fatalf("a stop of %v was seen", gap)
		}
	}
}

// waiter is a goroutine in Wait; it reports whether that has returned.
func waiter(p *Pulse) (through func() bool) {
	done := make(chan struct{})
	go func() { p.Wait(); close(done) }()
	return func() bool {
		synctest.Wait()
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

func TestOpenAsLongAsItTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		for range 100 {
			beat(t, p, step)
			if !p.Alive() || !p.Woke().IsZero() {
				t.Fatal("it is shut")
			}
		}
		time.Sleep(limit)
		if !p.Alive() {
			t.Error("it is shut after the limit")
		}
		if gap := p.Tick(); gap != 0 || !p.Alive() {
			t.Errorf("a stop of %v was seen", gap)
		}
		p.Wait()
	})
}

// Who runs first after a stop is held back, whether it is the ticker or another.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		beat(t, p, time.Second)
		time.Sleep(limit + 1) // nobody ticks
		if p.Alive() {
			t.Fatal("it is open before the first tick")
		}
		early := waiter(p)
		if early() {
			t.Fatal("somebody passed before the first tick")
		}
		if gap := p.Tick(); gap != limit+1 || !p.Woke().Equal(time.Now()) {
			t.Errorf("a stop of %v until %v was seen", gap, p.Woke())
		}
		late := waiter(p)
		beat(t, p, 10*limit)
		if p.Alive() || early() || late() {
			t.Fatal("it opened by itself")
		}
		p.Open()
		if !p.Alive() || !early() || !late() || !p.Woke().IsZero() {
			t.Fatal("it does not open")
		}
		beat(t, p, limit)
	})
}

// A stop while the gate is shut counts anew: what is known then was read before.
func TestStoppedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		time.Sleep(2 * limit)
		p.Tick()
		first := p.Woke()
		beat(t, p, limit)
		if p.Woke() != first {
			t.Error("it woke at another time")
		}
		time.Sleep(2 * limit)
		if gap := p.Tick(); gap != 2*limit || !p.Woke().After(first) {
			t.Errorf("a stop of %v until %v was seen, the first one was until %v", gap, p.Woke(), first)
		}
	})
}

// A stop between a tick and Open is not opened over.
func TestStoppedBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		time.Sleep(2 * limit)
		p.Tick()
		through := waiter(p)
		time.Sleep(2 * limit)
		p.Open()
		if p.Alive() || through() {
			t.Fatal("it is open")
		}
		if gap := p.Tick(); gap != 2*limit || p.Woke().IsZero() {
			t.Errorf("a stop of %v was seen", gap)
		}
		p.Open()
		if !through() {
			t.Error("it does not open")
		}
	})
}

// Who was only late to look, while the ticker ran, goes on with its next look.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		time.Sleep(limit + 1)
		through := waiter(p)
		if through() {
			t.Fatal("it is open")
		}
		p.Tick()
		p.Open()
		if !through() {
			t.Error("it waits though the gate is open")
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		time.Sleep(2 * limit)
		through := waiter(p)
		p.Close()
		time.Sleep(time.Hour)
		if !p.Alive() || !through() {
			t.Error("somebody waits for ever")
		}
	})
}

func TestNone(t *testing.T) {
	var p *Pulse
	if !p.Alive() {
		t.Error("it is shut")
	}
	p.Wait()
}

func BenchmarkWait(b *testing.B) {
	p := New(time.Hour, time.Now)
	b.ReportAllocs()
	for b.Loop() {
		p.Wait()
	}
}

// The time of stops is the same for whoever asks first, before the tick or after it.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		beat(t, p, time.Second)
		time.Sleep(limit)
		if d := p.Stopped(); d != 0 {
			t.Errorf("stopped for %v within the limit", d)
		}
		p.Tick()
		const stop = time.Hour
		time.Sleep(stop)
		if d := p.Stopped(); d != stop {
			t.Errorf("stopped for %v before the tick", d)
		}
		woke := time.Now()
		time.Sleep(step)
		if d := p.Stopped(); d != stop {
			t.Errorf("stopped for %v a little later", d)
		}
		if gap := p.Tick(); gap != stop || !p.Woke().Equal(woke) || p.Alive() {
			t.Errorf("the tick tells of %v until %v", gap, p.Woke())
		}
		beat(t, p, time.Second)
		if d := p.Stopped(); d != stop {
			t.Errorf("stopped for %v while the gate is shut", d)
		}
		p.Open()
		time.Sleep(stop)
		if gap := p.Tick(); gap != stop || p.Stopped() != 2*stop {
			t.Errorf("the tick tells of %v, %v in all", gap, p.Stopped())
		}
		var none *Pulse
		if none.Stopped() != 0 {
			t.Error("none was stopped")
		}
	})
}

// Open is about the stop that Tick told of: not about one that came since, whoever has noticed that.
func TestOpenAfterAnotherStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(limit, time.Now)
		time.Sleep(2 * limit)
		p.Tick()
		time.Sleep(2 * limit)
		p.Stopped()
		p.Open()
		if p.Alive() {
			t.Error("it is open after a stop that Tick has not told of")
		}
		p.Tick()
		p.Open()
		if !p.Alive() {
			t.Error("it is shut")
		}
	})
}
