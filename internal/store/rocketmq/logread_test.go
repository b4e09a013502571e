package rocketmq

import (
	"sync/atomic"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// askPull is the code of a request.
const askPull = 11

// noView is a logView that is made of nothing.
type noView struct{}

func (noView) Next(int) (int64, []byte)                    { return 0, nil }
func (noView) Read(int, []view.Entry, int64, []byte) error { return nil }
func (noView) Begin(int) error                             { return nil }
func (noView) Rebuild(int, int64, int64) error             { return nil }

// A broker that answers again is known to, though nothing is written that it could tell: else who asks what is retained would not wait for it.
func TestDeafReaderHearsAgain(t *testing.T) {
	p := fakePeer(t)
	p.AddTopic("log", 1)
	var pulls atomic.Int64
	p.on(func(r *remotingtest.Request) bool {
		if r.Code != askPull || r.Fields["topic"] != "log" {
			return false
		}
		if pulls.Add(1) == 1 {
			r.Reply(1, "once", nil, nil)
		}
		return true // nothing comes
	})
	s := routing(t, p.server.Addr(), Options{})
	route, err := s.route(t.Context(), "log")
	if err != nil {
		t.Fatal(err)
	}
	l := &systemLog{s: s, view: noView{}, fail: func(err error) { t.Error(err) }}
	r := l.newReader(route.queues()[0].name, 0)
	s.tasks.Go(r.follow)
	eventually(t, "it reads again, and knows that it can", func() bool { return pulls.Load() > 1 && !r.isDeaf() })
}
