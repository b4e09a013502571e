// Package crash kills the broker with SIGKILL while clients work with it, starts it again on what it left, and holds it to what it had
// acknowledged: with messages in the embedded log, and with messages in RocketMQ, which goes on meanwhile.
//
// A trial has publishers, subscribers and wanderers (clients that begin and end sessions and subscriptions). Each is a client of raw packets that
// keeps the state MQTT demands of it over every outage, so that QoS 2 is exactly once from end to end, and a model of what the broker owes it.
// What comes otherwise than the model says ends the trial at once, with the last packets of the client that saw it.
//
// ROCKETMQTT_CRASH_KILLS and ROCKETMQTT_CRASH_SEED change how often it is killed, and how the dice fall.
package crash

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/tests/internal/broker"
)

// trial is one run: a broker that goes down and comes back, and what the clients around it share.
type trial struct {
	b       *broker.Broker
	ctx     context.Context // ends with the first failure
	fail    context.CancelCauseFunc
	clients sync.WaitGroup
	began   time.Time
	level   string // first level of its topics, and the begin of its client ids: trials share a RocketMQ
	moments moments
	streams []*stream // in the order of their index

	epoch atomic.Int64 // odd: the broker is going down, or is down
	mu    sync.Mutex
	up    chan struct{} // closed when it is up again; then there is a new one
}

// newTrial starts a broker with messages in the RocketMQ of that name server, or, with "", in the embedded log.
func newTrial(t *testing.T, namesrv string, set ...string) *trial {
	tr := &trial{began: time.Now(), up: make(chan struct{}), level: "crash-" + strconv.FormatUint(rand.Uint64(), 36)}
	tr.b = broker.Start(t, broker.Options{Kind: broker.Rocketmqtt, Namesrv: namesrv, Set: set, Dir: t.ArtifactDir()}) // go test -artifacts keeps it
	tr.ctx, tr.fail = context.WithCancelCause(context.Background())
	t.Cleanup(func() {
		tr.fail(nil)
		tr.clients.Wait()
	})
	return tr
}

// run starts a client; when it fails, the trial does.
func (tr *trial) run(client func() error) {
	tr.clients.Go(func() {
		if err := client(); err != nil {
			tr.fail(err)
		}
	})
}

// failed is the first failure.
func (tr *trial) failed() error { return context.Cause(tr.ctx) }

// kill and stop take the broker down and start it again on the same data.
func (tr *trial) kill() { tr.outage(tr.b.Kill) }
func (tr *trial) stop() { tr.outage(tr.b.Stop) }

func (tr *trial) outage(down func()) {
	tr.epoch.Add(1)
	down()
	tr.b.Start()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.epoch.Add(1)
	close(tr.up)
	tr.up = make(chan struct{})
}

// steady reports whether the broker was up all the time since epoch was read: then nothing may have gone wrong meanwhile.
func (tr *trial) steady(epoch int64) bool { return epoch%2 == 0 && tr.epoch.Load() == epoch }

// nextUp is closed when the broker is back from its next outage, or from the present one.
func (tr *trial) nextUp() <-chan struct{} {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.up
}

// awaitUp waits until the broker is up and returns the epoch.
func (tr *trial) awaitUp() (int64, error) {
	for {
		up := tr.nextUp()
		if e := tr.epoch.Load(); e%2 == 0 {
			return e, tr.failed()
		}
		select {
		case <-up:
		case <-tr.ctx.Done():
			return 0, tr.failed()
		}
	}
}
