package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

// sends sends n messages whose queue ids are their numbers, and gives what their callbacks were called with, in that order.
func sends(c *Client, addr string, n int, timeout time.Duration, body []byte) <-chan sent {
	ch := make(chan sent, 2*n) // room for a callback that is called twice
	deadline := time.Now().Add(timeout)
	for i := range n {
		c.Send(addr, &SendRequest{Topic: "T", QueueID: int32(i), Body: body}, deadline, func(r SendResult, err error) { ch <- sent{i, r, err} })
	}
	return ch
}

// onlyThese fails if a callback was called once more. All of the client's goroutines have ended by then.
func onlyThese(t *testing.T, c *Client, ch <-chan sent) {
	t.Helper()
	c.Close()
	if len(ch) > 0 {
		t.Errorf("a callback was called twice: %+v", <-ch)
	}
}

func TestPipelinedSendsAreInOrder(t *testing.T) {
	const n = 2000
	var arrived atomic.Int64
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		if want := fmt.Sprint(arrived.Add(1) - 1); r.Fields["e"] != want {
			t.Errorf("send %s came as number %s", r.Fields["e"], want)
		}
		okSend(r)
	})
	c := client(t, Options{})
	ch := sends(c, s.Addr(), n, patience, []byte("body"))
	for i := range n {
		got := receive(t, ch)
		if got.n != i || got.err != nil || got.result.QueueID != int32(i) || got.result.QueueOffset != 7 {
			t.Fatalf("callback %d: %+v", i, got)
		}
	}
	onlyThese(t, c, ch)
	if s.Accepted() != 1 {
		t.Errorf("%d connections", s.Accepted())
	}
}

func TestRepliesInAnyOrder(t *testing.T) {
	var held []*remotingtest.Request
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		if held = append(held, r); len(held) == 3 {
			for _, i := range []int{2, 0, 1} {
				okSend(held[i])
			}
		}
	})
	c := client(t, Options{})
	ch := sends(c, s.Addr(), 3, patience, nil)
	for _, want := range []int{2, 0, 1} {
		if got := receive(t, ch); got.n != want || got.err != nil {
			t.Errorf("%+v, want %d", got, want)
		}
	}
}

func TestDeadlineOfOneRequest(t *testing.T) {
	var first atomic.Pointer[remotingtest.Request]
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		if first.CompareAndSwap(nil, r) {
			return // never answered
		}
		okSend(r)
	})
	c := client(t, Options{})
	ch := sends(c, s.Addr(), 1, 30*time.Millisecond, nil)
	got := receive(t, ch)
	if !errors.Is(got.err, ErrUnknown) || !errors.Is(got.err, context.DeadlineExceeded) || errors.Is(got.err, ErrNotSent) {
		t.Errorf("%v", got.err)
	}
	// The connection lives on, and the late answer harms nobody.
	okSend(first.Load())
	if _, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"}); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.Expired != 1 || st.Stray != 1 || st.Lost != 0 || s.Accepted() != 1 {
		t.Errorf("%+v, %d connections", st, s.Accepted())
	}
	onlyThese(t, c, ch)
}

func TestDeadlineThatHasPassed(t *testing.T) {
	c := client(t, Options{})
	ch := sends(c, "127.0.0.1:1", 1, -time.Second, nil)
	if got := receive(t, ch); !errors.Is(got.err, ErrNotSent) || c.Generation("127.0.0.1:1", LinkSend) != 0 {
		t.Errorf("%v", got.err)
	}
}

// A peer that vanished without a word is found out by the first deadline.
func TestSilentPeerIsDropped(t *testing.T) {
	var quiet atomic.Bool
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		if !quiet.Load() {
			okSend(r)
		}
	})
	c := client(t, Options{})
	if _, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"}); err != nil {
		t.Fatal(err)
	}
	quiet.Store(true)
	other := sends(c, s.Addr(), 1, time.Hour, nil)
	for k := range 10 { // one that is noticed late, on a busy machine, does not count
		sends(c, s.Addr(), 1, time.Duration(k+1)*(silence+100*time.Millisecond), nil)
	}
	if got := receive(t, other); !errors.Is(got.err, ErrUnknown) || !errors.Is(got.err, errSilent) {
		t.Errorf("the request beside it: %v", got.err)
	}
	quiet.Store(false)
	if _, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"}); err != nil || c.Generation(s.Addr(), LinkSend) != 2 {
		t.Errorf("%v, generation %d", err, c.Generation(s.Addr(), LinkSend))
	}
}

func TestContextEnds(t *testing.T) {
	asked := make(chan struct{}, 1)
	s := remotingtest.Start(t, func(*remotingtest.Request) { asked <- struct{}{} })
	c := client(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan error, 1)
	go func() {
		_, err := c.PullSync(ctx, s.Addr(), &PullRequest{Topic: "T", Suspend: time.Hour})
		ch <- err
	}()
	receive(t, asked)
	cancel()
	if err := receive(t, ch); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := c.MaxOffset(ctx, s.Addr(), "T", 0); !errors.Is(err, ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended before: %v", err)
	}
}

func TestLostConnection(t *testing.T) {
	for name, lose := range map[string]func(r *remotingtest.Request){
		"closed":      func(r *remotingtest.Request) { r.Conn.Close() },
		"in a frame":  func(r *remotingtest.Request) { r.Conn.Write(r.Encode(0, "", nil, []byte("body"))[:20]); r.Conn.Close() },
		"garbage":     func(r *remotingtest.Request) { r.Conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"oversized":   func(r *remotingtest.Request) { r.Conn.Write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 0, 0, 21}) },
		"bad header":  func(r *remotingtest.Request) { r.Conn.Write([]byte{0, 0, 0, 8, 1, 0, 0, 4, 1, 2, 3, 4}) },
		"bad answer":  func(r *remotingtest.Request) { r.Conn.Write(make([]byte, 64)) },
		"after a lot": func(r *remotingtest.Request) { r.Conn.Write(make([]byte, 1<<20)); r.Conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var healthy atomic.Bool
			s := remotingtest.Start(t, func(r *remotingtest.Request) {
				switch {
				case healthy.Load():
					okSend(r)
				case r.Fields["e"] == "0":
					okSend(r)
				case r.Fields["e"] == "9":
					lose(r)
				}
			})
			c := client(t, Options{})
			ch := sends(c, s.Addr(), 10, patience, []byte("body"))
			if got := receive(t, ch); got.n != 0 || got.err != nil {
				t.Fatalf("%+v", got)
			}
			for i := 1; i < 10; i++ {
				if got := receive(t, ch); got.n != i || !errors.Is(got.err, ErrUnknown) || errors.Is(got.err, ErrNotSent) {
					t.Errorf("callback %d: %+v", i, got)
				}
			}
			healthy.Store(true)
			if _, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			if g := c.Generation(s.Addr(), LinkSend); g != 2 {
				t.Errorf("generation %d", g)
			}
			onlyThese(t, c, ch)
		})
	}
}

func TestWrongAndDoubleAnswers(t *testing.T) {
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		wrong := *r
		wrong.Opaque += 1000
		okSend(&wrong)
		okSend(r)
		okSend(r)
	})
	c := client(t, Options{})
	ch := sends(c, s.Addr(), 5, patience, nil)
	for i := range 5 {
		if got := receive(t, ch); got.n != i || got.err != nil {
			t.Errorf("%+v", got)
		}
	}
	eventually(t, "ten stray answers", func() bool { return c.Stats().Stray == 10 })
	onlyThese(t, c, ch)
}

func TestRequestsOfThePeer(t *testing.T) {
	answer := make(chan *remotingtest.Request, 1)
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		if r.Flag&1 != 0 {
			answer <- r
			return
		}
		r.Conn.Write(remotingtest.Encode(&remotingtest.Request{Code: 40, Opaque: 1, Flag: 2}))            // consumer ids changed, one way
		r.Conn.Write(remotingtest.Encode(&remotingtest.Request{JSON: true, Code: 307, Opaque: r.Opaque})) // consumer running info
		okSend(r)
	})
	c := client(t, Options{})
	got := receive(t, sends(c, s.Addr(), 1, patience, nil))
	if got.err != nil {
		t.Error(got.err)
	}
	if a := receive(t, answer); a.Code != CodeNotSupported {
		t.Errorf("%+v", a)
	}
	if n := c.Stats().Foreign; n != 2 {
		t.Errorf("%d", n)
	}
}

func TestDialFails(t *testing.T) {
	s := remotingtest.Start(t, okSend)
	s.Stop()
	c := client(t, Options{BackoffMin: time.Hour, BackoffMax: time.Hour})
	ch := sends(c, s.Addr(), 3, patience, nil)
	for range 3 {
		if got := receive(t, ch); !errors.Is(got.err, ErrNotSent) || errors.Is(got.err, ErrUnknown) {
			t.Errorf("%v", got.err)
		}
	}
	// In the backoff calls fail at once, with what the dial said.
	var op *net.OpError
	if _, err := c.MaxOffset(context.Background(), s.Addr(), "T", 0); !errors.Is(err, ErrNotSent) || !errors.As(err, &op) {
		t.Errorf("%v", err)
	}
	if g := c.Generation(s.Addr(), LinkSend); g != 1 {
		t.Errorf("generation %d: it was dialled in the backoff", g)
	}
}

func TestReconnectAfterBackoff(t *testing.T) {
	s := remotingtest.Start(t, okSend)
	s.Stop()
	c := client(t, Options{BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond})
	try := func() error {
		_, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"})
		return err
	}
	if err := try(); !errors.Is(err, ErrNotSent) {
		t.Errorf("%v", err)
	}
	s.Restart()
	eventually(t, "a send", func() bool { return try() == nil })
	s.CloseConns()
	eventually(t, "a send after the connection was lost", func() bool { return try() == nil })
}

func TestLinksAreApart(t *testing.T) {
	b := &remotingtest.Broker{}
	b.AddTopic("T", 1)
	s := remotingtest.Start(t, b.Handle)
	c := client(t, Options{})
	c.Pull(s.Addr(), &PullRequest{Topic: "T", Suspend: time.Hour}, time.Now().Add(2*time.Hour), func(PullResult, error) {})
	if _, err := c.SendSync(context.Background(), s.Addr(), &SendRequest{Topic: "T"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two connections", func() bool { return s.Accepted() == 2 })
	if c.Generation(s.Addr(), LinkSend) != 1 || c.Generation(s.Addr(), LinkPull) != 1 {
		t.Error("not one of each")
	}
}

func TestCallbackMaySendAgain(t *testing.T) {
	s := remotingtest.Start(t, okSend)
	c := client(t, Options{})
	done := make(chan error, 1)
	left := 100
	var again func(SendResult, error)
	again = func(_ SendResult, err error) {
		if left--; left == 0 || err != nil {
			done <- err
			return
		}
		c.Send(s.Addr(), &SendRequest{Topic: "T"}, time.Now().Add(patience), again)
	}
	c.Send(s.Addr(), &SendRequest{Topic: "T"}, time.Now().Add(patience), again)
	if err := receive(t, done); err != nil {
		t.Error(err)
	}
}

// The caller's memory is its own again when Send returns.
func TestRequestIsCopied(t *testing.T) {
	got := make(chan string, 1)
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		got <- string(r.Body)
		okSend(r)
	})
	c := client(t, Options{})
	body := []byte("before")
	done := make(chan error, 1)
	c.Send(s.Addr(), &SendRequest{Topic: "T", Body: body}, time.Now().Add(patience), func(_ SendResult, err error) { done <- err })
	copy(body, "behind")
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	if b := receive(t, got); b != "before" {
		t.Errorf("%q was sent", b)
	}
}

func TestClosedClient(t *testing.T) {
	s := remotingtest.Start(t, okSend)
	c := client(t, Options{})
	c.Close()
	c.Close()
	got := receive(t, sends(c, s.Addr(), 1, patience, nil))
	if !errors.Is(got.err, ErrClosed) || !errors.Is(got.err, ErrNotSent) {
		t.Errorf("%v", got.err)
	}
}

// Many goroutines send while connections are lost and the client is closed: each callback is called once.
func TestCallbacksOnceUnderRaces(t *testing.T) {
	var n atomic.Int64
	s := remotingtest.Start(t, func(r *remotingtest.Request) {
		switch n.Add(1) % 50 {
		case 7:
			r.Conn.Close()
		case 3, 4:
		default:
			okSend(r)
		}
	})
	c := client(t, Options{BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
	const senders, each = 8, 300
	var calls [senders * each]atomic.Int32
	var wg sync.WaitGroup
	for w := range senders {
		wg.Go(func() {
			for i := range each {
				deadline := time.Now().Add(time.Duration(i%5+1) * 10 * time.Millisecond)
				c.Send(s.Addr(), &SendRequest{Topic: "T"}, deadline, func(SendResult, error) { calls[w*each+i].Add(1) })
				if i%16 == 0 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%3)*time.Millisecond)
					_, _ = c.MaxOffset(ctx, s.Addr(), "T", 0)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	c.Close()
	for i := range calls {
		if k := calls[i].Load(); k != 1 {
			t.Fatalf("callback %d was called %d times", i, k)
		}
	}
}
