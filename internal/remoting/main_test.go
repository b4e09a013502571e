package remoting

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; nothing is asserted about how soon it does.
const patience = 20 * time.Second

// client makes a client that ends with the test. Deadlines are long, unless a test is about them.
func client(t testing.TB, o Options) *Client {
	t.Helper()
	if o.RequestTimeout == 0 {
		o.RequestTimeout = patience
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// fake starts a broker that is its own name server, and a client of it.
func fake(t testing.TB, b *remotingtest.Broker) (*Client, string) {
	t.Helper()
	s := remotingtest.Start(t, b.Handle)
	b.At(s.Addr())
	return client(t, Options{Namesrv: []string{s.Addr()}}), s.Addr()
}

// eventually polls until ok or patience ends.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("did not happen: %s", what)
		case <-tick.C:
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case v := <-ch:
		return v
	case <-ctx.Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// sent is what a callback of Send was called with.
type sent struct {
	n      int // of the send
	result SendResult
	err    error
}

// okSend answers a send.
func okSend(r *remotingtest.Request) {
	r.Reply(0, "", map[string]string{"msgId": "M", "queueId": r.Fields["e"], "queueOffset": "7"}, nil)
}
