package remoting

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

func TestTooManyPending(t *testing.T) {
	s := remotingtest.Start(t, func(*remotingtest.Request) {})
	c := client(t, Options{MaxPending: 4})
	ch := sends(c, s.Addr(), 5, patience, nil)
	if got := receive(t, ch); got.n != 4 || !errors.Is(got.err, ErrFull) || !errors.Is(got.err, ErrNotSent) || errors.Is(got.err, ErrUnknown) {
		t.Errorf("%+v", got)
	}
	if n := c.Stats().Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
	c.Close()
	for range 4 {
		if got := receive(t, ch); !errors.Is(got.err, ErrClosed) {
			t.Errorf("%+v", got)
		}
	}
	onlyThese(t, c, ch)
}

// sink takes connections and reads nothing, so that a client's writes stop.
func sink(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, nc)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
		for _, nc := range conns {
			_ = nc.Close()
		}
	})
	return l.Addr().String()
}

func TestTooManyBytes(t *testing.T) {
	const limit = 1 << 20
	addr := sink(t)
	c := client(t, Options{MaxFrame: limit, MaxQueued: limit, MaxPending: 1 << 20})
	body := make([]byte, limit/4)
	ch := make(chan sent, 1<<10)
	n := 0
	eventually(t, "a full queue", func() bool {
		i := n
		n++
		c.Send(addr, &SendRequest{Topic: "T", Body: body}, time.Now().Add(time.Hour), func(r SendResult, err error) { ch <- sent{i, r, err} })
		return len(ch) > 0
	})
	if got := receive(t, ch); got.n != n-1 || !errors.Is(got.err, ErrFull) || !errors.Is(got.err, ErrNotSent) {
		t.Errorf("%+v", got)
	}
	c.mu.Lock()
	cn := c.peers[peerKey{addr, LinkSend}].conn
	c.mu.Unlock()
	cn.mu.Lock()
	queued := len(cn.out) + cn.writing
	cn.mu.Unlock()
	if queued > limit {
		t.Errorf("%d bytes are queued, the limit is %d", queued, limit)
	}
	// Close: what was handed to the socket is unknown, what was not is certain, and that is what came last.
	c.Close()
	states := make([]error, n-1)
	for range states {
		got := receive(t, ch)
		states[got.n] = got.err
	}
	certain := false
	for i, err := range states {
		if !errors.Is(err, ErrClosed) || errors.Is(err, ErrNotSent) == errors.Is(err, ErrUnknown) || (certain && errors.Is(err, ErrUnknown)) {
			t.Errorf("send %d: %v", i, err)
		}
		certain = errors.Is(err, ErrNotSent)
	}
	onlyThese(t, c, ch)
}

func TestWriteTimeout(t *testing.T) {
	addr := sink(t)
	c := client(t, Options{WriteTimeout: 50 * time.Millisecond, MaxQueued: 1 << 30, BackoffMin: time.Hour, BackoffMax: time.Hour})
	ch := sends(c, addr, 64, time.Hour, make([]byte, 1<<20))
	var states [64]error
	for range states {
		got := receive(t, ch)
		states[got.n] = got.err
	}
	// Those that the socket took and the one in the middle of which it stopped are unknown; none behind it is.
	unknowns := 0
	for unknowns < 64 && errors.Is(states[unknowns], ErrUnknown) {
		unknowns++
	}
	for i, err := range states[unknowns:] {
		if !errors.Is(err, ErrNotSent) || errors.Is(err, ErrUnknown) {
			t.Errorf("send %d: %v", unknowns+i, err)
		}
	}
	if unknowns == 0 || unknowns == 64 {
		t.Errorf("%d unknown of 64", unknowns)
	}
	onlyThese(t, c, ch)
}

func TestTooLarge(t *testing.T) {
	s := remotingtest.Start(t, okSend)
	c := client(t, Options{MaxFrame: 1000, MaxQueued: 2000})
	ch := sends(c, s.Addr(), 1, patience, make([]byte, 1000))
	if got := receive(t, ch); !errors.Is(got.err, ErrNotSent) || !errors.Is(got.err, errTooLarge) {
		t.Errorf("%v", got.err)
	}
}
