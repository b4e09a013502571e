package load

import (
	"fmt"
	"net"
	"testing"
	"time"
)

func clients(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("client-%d", i))
	}
	return ids
}

func connect(t *testing.T, s Connects) *Connected {
	t.Helper()
	s.Patience = patience
	r, err := Connect(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// All connect at once, come back to their sessions, and are counted.
func TestConnects(t *testing.T) {
	b := broker(t)
	const n = 200
	edges := 0
	s := Connects{Addr: b.Addr, Clients: clients(n), Under: n, Edge: func(bool) { edges++ }}
	for _, present := range []bool{false, true} {
		s.Present = present
		r := connect(t, s)
		if r.Done != n || r.Time.N() != n || !r.None() || r.Elapsed <= 0 || r.Time.Max() > r.Elapsed {
			t.Errorf("present %v: %d connected in %s, the last after %s, %+v", present, r.Done, r.Elapsed, r.Time.Max(), r.Faults)
		}
		r.Disconnect()
	}
	if edges != 4 {
		t.Errorf("%d edges", edges)
	}
	s.Clean, s.Present = true, false
	r := connect(t, s)
	if r.Done != n || !r.None() {
		t.Errorf("clean: %d, %+v", r.Done, r.Faults)
	}
	r.Close()
}

// One after the other, until the time is over.
func TestConnectsForATime(t *testing.T) {
	b := broker(t)
	const n = 1_000_000
	r := connect(t, Connects{
		Addr: b.Addr, Clients: clients(n), Clean: true, Under: 1, Warmup: 20 * time.Millisecond, Measure: 50 * time.Millisecond,
	})
	defer r.Close()
	all := uint64(len(r.conns))
	if r.Done == 0 || r.Done >= all || all == n || r.Time.N() != r.Done || !r.None() {
		t.Errorf("%d of %d counted, %+v", r.Done, all, r.Faults)
	}
}

// What a broker says wrong of sessions is counted, and so are those whom it does not let in, or does not answer.
func TestConnectFaults(t *testing.T) {
	b := broker(t)
	s := Connects{Addr: b.Addr, Clients: clients(10), Present: true, Under: 10}
	r := connect(t, s)
	r.Close()
	if r.Faults != (Faults{Damaged: 10}) {
		t.Errorf("no session is there: %+v", r.Faults)
	}
	s.Clients = []string{"", "a"} // [MQTT-3.1.3-8]: refused with code 2
	s.Present = false
	r = connect(t, s)
	r.Close()
	if r.Faults != (Faults{Unanswered: 1}) || r.Done != 1 {
		t.Errorf("one is refused: %d, %+v", r.Done, r.Faults)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().(*net.TCPAddr).AddrPort()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r = connect(t, s)
	if r.Faults != (Faults{Unanswered: 2}) || r.Done != 0 {
		t.Errorf("nobody listens: %d, %+v", r.Done, r.Faults)
	}
}
