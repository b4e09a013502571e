package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/rocketmqtest"
)

const (
	killsEnv  = "ROCKETMQTT_CRASH_KILLS"
	seedEnv   = "ROCKETMQTT_CRASH_SEED"
	stopEvery = 5 // after so many kills there is a stop in order as well

	// Unless killsEnv says. With RocketMQ a start takes longer.
	killsEmbedded = 6
	killsRocketMQ = 5

	momentTimeout = 60 * time.Second // for a moment to come under load

	// Small, so that all windows are full at times.
	receiveMaximum = 40
	sendWindow     = 100
)

// Under load, killed again and again at random steps of the protocol: what was acknowledged is there, in order, QoS 2 once, and a session is
// present exactly when there is one. The RocketMQ is its own: every start in front of it reads what a load leaves there.
func TestKillsUnderLoad(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { testKillsUnderLoad(t, "") })
	t.Run("rocketmq", func(t *testing.T) {
		if rocketmqtest.Have(t, shared.Options.Version) {
			testKillsUnderLoad(t, rocketmqtest.Start(t, shared.Options).Namesrv())
		}
	})
}

func testKillsUnderLoad(t *testing.T, namesrv string) {
	kills := killsEmbedded
	if namesrv != "" {
		kills = killsRocketMQ
	}
	kills = fromEnv(t, killsEnv, kills)
	seed := uint64(fromEnv(t, seedEnv, int(rand.Uint32())))
	t.Logf("%s=%d %s=%d", killsEnv, kills, seedEnv, seed)
	tr := newTrial(t, namesrv, "serverReceiveMaximum="+strconv.Itoa(receiveMaximum), "maxInflight="+strconv.Itoa(sendWindow), "segmentSize=1MB", "maxPacketSizeInByte=65536")
	c := newCast(tr, seed)
	tr.check(t, c.subscribe())

	finished, stop := make(chan struct{}), make(chan struct{})
	received := c.receive(finished)
	sent := c.publish(stop, 1<<40)
	tr.killAtMoments(t, kills, rand.New(rand.NewPCG(seed, 0)))
	close(stop)
	tr.await(t, sent)
	close(finished)
	tr.await(t, received)

	// Once more, without an outage: what the sessions still owe would come before what is new.
	finished, stop = make(chan struct{}), make(chan struct{})
	received = c.receive(finished)
	tr.await(t, c.publish(stop, 1))
	close(finished)
	tr.await(t, received)
	tr.check(t, c.end())
	c.report(t)
}

func fromEnv(t *testing.T, key string, otherwise int) int {
	t.Helper()
	value := os.Getenv(key)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		t.Fatalf("%s=%s is no count", key, value)
	}
	return n
}

// killAtMoments kills the broker, each time right after some step that is drawn.
func (tr *trial) killAtMoments(t *testing.T, kills int, dice *rand.Rand) {
	t.Helper()
	for i := range kills {
		tr.downAt(t, dice, tr.kill, "kill", i)
		if i%stopEvery == stopEvery-1 {
			tr.downAt(t, dice, tr.stop, "stop after", i)
		}
	}
}

func (tr *trial) downAt(t *testing.T, dice *rand.Rand, down func(), what string, i int) {
	t.Helper()
	at, n := draw(dice)
	select {
	case <-tr.moments.await(at, n):
	case <-tr.ctx.Done():
		t.Fatal(tr.failed())
	case <-time.After(momentTimeout):
		t.Fatalf("%s %d: within %s there was not %d times a %s", what, i, momentTimeout, n, at)
	}
	began := time.Now()
	down()
	t.Logf("%8.3f %s %d at %s, time %d; back after %s", began.Sub(tr.began).Seconds(), what, i, at, n, time.Since(began).Round(time.Millisecond))
}

// draw is a moment and how often it must have come: soon after the start as well as in the midst of work.
func draw(dice *rand.Rand) (moment, int) {
	if dice.IntN(4) == 0 {
		return rare()[dice.IntN(len(rare()))], 1 + dice.IntN(10)
	}
	at := often()[dice.IntN(len(often()))]
	if dice.IntN(2) == 0 {
		return at, 1 + dice.IntN(20)
	}
	return at, 1 + dice.IntN(600)
}

func (tr *trial) check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits for clients that end by themselves.
func (tr *trial) await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
		tr.check(t, tr.failed())
	case <-tr.ctx.Done():
		t.Fatal(tr.failed())
	}
}

// cast are the clients of a trial.
type cast struct {
	tr          *trial
	seed        uint64
	publishers  []*publisher
	subscribers []*subscriber
	wanderers   []*wanderer
	group       *share
}

func newCast(tr *trial, seed uint64) *cast {
	c := &cast{tr: tr, seed: seed}
	v311, v5 := mqtt.V311, mqtt.V5

	c.publisher("p1", v311, publisher{})
	c.publisher("p2", v5, publisher{lowestID: true, lazy: 8})
	c.publisher("p3", v311, publisher{lowestID: true, lazy: 3, restless: 300})
	c.publisher("p4", v5, publisher{restless: 150})

	load := tr.level
	exact := []filter{{load + "/p1/a", 1}, {load + "/p2/b", 2}, {load + "/p3/a", 2}, {load + "/p4/b", 1}}
	all2, all1 := []filter{{load + "/#", 2}}, []filter{{load + "/+/+", 1}}
	overlapping := []filter{{load + "/#", 1}, {load + "/+/a", 2}, {load + "/p1/+", 0}, {load + "/p2/b", 2}}
	c.subscriber("s-exact", v311, exact, subscriber{})
	c.subscriber("s-all-2", v311, all2, subscriber{restless: 2000})
	c.subscriber("s-all-1", v5, all1, subscriber{late: 30, restless: 1000})
	c.subscriber("s-overlapping", v5, overlapping, subscriber{peer: peer{window: 25}, restless: 1500})
	c.subscriber("s-overlapping-3", v311, overlapping, subscriber{late: 20})
	c.subscriber("s-old", mqtt.V31, all2, subscriber{late: 5, restless: 3000})
	c.subscriber("s-away", v5, all2, subscriber{away: 3})

	c.group = newShare(tr.streams)
	for i, v := range []mqtt.Version{v311, v5, v5} {
		m := c.subscriber(fmt.Sprintf("g%d", i), v, []filter{{"$share/group/" + load + "/#", 2}}, subscriber{late: 10 * i, restless: 400})
		m.ledger = c.group
	}
	for i, v := range []mqtt.Version{mqtt.V31, v311, v5, v5} {
		c.wanderers = append(c.wanderers, &wanderer{peer: c.peer(fmt.Sprintf("w%d", i), v, 0)})
	}
	return c
}

func (c *cast) peer(id string, v mqtt.Version, window uint16) peer {
	n := uint64(len(c.publishers) + len(c.subscribers) + len(c.wanderers))
	return peer{tr: c.tr, id: id, version: v, window: window, rand: rand.New(rand.NewPCG(c.seed, 1+n))}
}

func (c *cast) publisher(id string, v mqtt.Version, like publisher) {
	p := like
	p.peer = c.peer(id, v, receiveMaximum)
	for _, topic := range []string{"a", "b"} {
		for qos := byte(1); qos <= 2; qos++ {
			s := &stream{index: len(c.tr.streams), publisher: id, topic: c.tr.level + "/" + id + "/" + topic, qos: qos}
			c.tr.streams = append(c.tr.streams, s)
			p.streams = append(p.streams, s)
		}
	}
	c.publishers = append(c.publishers, &p)
}

func (c *cast) subscriber(id string, v mqtt.Version, filters []filter, like subscriber) *subscriber {
	s := like
	s.peer = c.peer(id, v, like.window)
	s.filters = filters
	s.ledger = newAccount(wanted(c.tr.streams, func(st *stream) bool { _, ids := s.granted(st); return len(ids) > 0 }))
	c.subscribers = append(c.subscribers, &s)
	return &s
}

// subscribe begins all sessions; nothing is published before.
func (c *cast) subscribe() error {
	for _, s := range c.subscribers {
		if err := s.subscribe(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cast) publish(stop <-chan struct{}, most int64) <-chan struct{} {
	var all []func() error
	for _, p := range c.publishers {
		all = append(all, func() error { return p.publish(stop, most) })
	}
	return c.tr.runAll(all)
}

func (c *cast) receive(finished <-chan struct{}) <-chan struct{} {
	var all []func() error
	for _, s := range c.subscribers {
		all = append(all, func() error { return s.receive(finished) })
	}
	for _, w := range c.wanderers {
		all = append(all, func() error { return w.wander(finished) })
	}
	return c.tr.runAll(all)
}

// runAll starts some clients; the channel is closed when all have ended.
func (tr *trial) runAll(clients []func() error) <-chan struct{} {
	done := make(chan struct{})
	var left sync.WaitGroup
	for _, client := range clients {
		left.Add(1)
		tr.run(func() error { defer left.Done(); return client() })
	}
	tr.clients.Go(func() { left.Wait(); close(done) })
	return done
}

// end ends every session, and looks whether it has.
func (c *cast) end() error {
	var peers []*peer
	for _, p := range c.publishers {
		peers = append(peers, &p.peer)
	}
	for _, s := range c.subscribers {
		peers = append(peers, &s.peer)
	}
	for _, p := range peers {
		for _, h := range []how{keep(), {clean: true}, keep()} { // there, ended, not there
			l, _, err := p.connect(h)
			if err != nil {
				return err
			}
			p.leave(l)
		}
	}
	return nil
}

func (c *cast) report(t *testing.T) {
	t.Helper()
	var messages, got, dups int64
	for _, s := range c.tr.streams {
		messages += s.total()
	}
	for _, s := range c.subscribers {
		got += int64(s.got)
		if a, ok := s.ledger.(*account); ok {
			dups += int64(a.dups)
		}
	}
	t.Logf("%d messages acknowledged and delivered, in %d deliveries; again: %d of QoS 1, and %d within the group", messages, got, dups, c.group.dups)
}
