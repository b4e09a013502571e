package changelog

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	simQueues  = 2
	simClients = 24
)

var simEpoch = time.UnixMilli(1_700_000_000_000)

// sim is one simulation: nodes that share a log in which everything happens that may, in virtual time, as a seed says. It runs on one goroutine; all that it
// chooses comes from rng.
type sim struct {
	rng     *mathrand.Rand
	odds    simOdds
	now     time.Time
	steps   int
	log     [simQueues]simQueue
	seq     int64
	late    []simLate
	nodes   []*simNode
	clients []*simClient
	byName  map[string]*simClient
	trace   simTrace
	calmed  bool // nothing goes wrong, and everything was read

	ids             uint64
	writes, numbers int64
	pos             int64           // of the last message at QoS 1
	stored          map[int64]int64 // by message of QoS 2 that a device published: its key
	wills           map[int64]*simWill
	connects        map[simSent]int         // how often each connect stands in the log, or did
	messages        [simTopics][]simMessage // of wills
	lateSends       []simLateSend
	count           simCount
}

// simCount says what a simulation has seen.
type simCount struct {
	connects, joined, changes, steps2, delivered, taken, fenced, rebuilt, crashes, trimmed, healed, reads int64
	wills, owed, canceled, copies, released                                                               int64 // published, those owed for certain, those not owed for certain; second copies; given back
}

// simOdds are drawn from the seed: one in so many; 0: never.
type simOdds struct {
	reorder, lost, unsure, twice, late, thief, clean, announce int
	stopped                                                    int   // a process about to send a will
	weights                                                    []int // of simActions
	sum                                                        int
}

// simAction is something that may happen.
type simAction struct {
	weight int
	how    simHow
	do     func(s *sim)
}

type simHow byte

const (
	simOften  simHow = iota
	simSeldom        // not in every simulation
	simLossy         // not in every simulation, and not where nothing may be lost
)

var simActions = [...]simAction{
	{300, simOften, (*sim).deliver},
	{300, simOften, func(s *sim) { s.read(s.node(), s.rng.IntN(simQueues), 1+s.rng.IntN(16)) }},
	{250, simOften, (*sim).work},
	{60, simOften, func(s *sim) {
		if n := s.node(); n.awake() {
			n.c.Tick()
		}
	}},
	{40, simOften, func(s *sim) { s.connect(s.anyClient(), s.node()) }},
	{20, simOften, func(s *sim) { s.finishSome(false) }},
	{3, simOften, func(s *sim) { s.finishSome(true) }},
	{10, simOften, func(s *sim) {
		for q := range s.log {
			s.log[q].synced = s.log[q].first + s.rng.Int64N(s.log[q].end()-s.log[q].first+1)
		}
	}},
	{10, simOften, func(s *sim) {
		if n := s.node(); n.awake() {
			n.checkpoint()
		}
	}},
	{10, simOften, func(s *sim) {
		if n := s.node(); n.awake() {
			s.lookAt(n, s.anyClient())
		}
	}},
	{5, simOften, func(s *sim) {
		if n := s.node(); n.awake() {
			n.expire()
		}
	}},
	{4, simOften, (*sim).deliverLate},
	{2, simSeldom, func(s *sim) { s.now = s.now.Add(time.Duration(s.rng.IntN(4000)) * time.Millisecond) }},
	{2, simSeldom, (*sim).crashSome},
	{8, simOften, (*sim).startSome},
	{2, simSeldom, func(s *sim) { // a pause
		n, d := s.node(), time.Duration(s.rng.IntN(10000))*time.Millisecond
		if s.rng.IntN(4) == 0 {
			d *= 12
		}
		s.note(stepPause, n.slot, 0, "", d.Milliseconds())
		n.pause(d)
	}},
	{2, simSeldom, func(s *sim) {
		n, q := s.node(), s.rng.IntN(simQueues)
		s.note(stepCut, n.slot, q, "")
		n.cut[q] = true
	}},
	{3, simOften, func(s *sim) {
		n, q := s.node(), s.rng.IntN(simQueues)
		s.note(stepMend, n.slot, q, "")
		n.cut[q] = false
	}},
	{1, simLossy, (*sim).goBack},
	{1, simSeldom, func(s *sim) {
		if n := s.node(); n.awake() {
			s.note(stepRenew, n.slot, 0, "")
			n.renew(simRetention / 3 * time.Duration(s.rng.IntN(2))) // with 0 also what is new, so that it comes between other records
		}
	}},
	{1, simSeldom, (*sim).trim},
	{1, simSeldom, func(s *sim) {
		if n := s.node(); n.awake() {
			if err := n.c.Flush(); err != nil {
				s.failf("node %d: %v", n.slot, err)
			}
		}
	}},
	{1, simSeldom, func(s *sim) { s.agree() }},
	{20, simOften, (*sim).share},
	{15, simOften, func(s *sim) {
		if n := s.node(); n.awake() {
			n.sweep()
		}
	}},
	{30, simOften, func(s *sim) { s.node().sendWill(false) }},
	{4, simOften, (*sim).deliverLateSend},
}

// newSim makes the world of a seed.
func newSim(seed uint64) *sim {
	s := &sim{rng: mathrand.New(mathrand.NewPCG(seed, seed^0x9E3779B97F4A7C15)), now: simEpoch, byName: map[string]*simClient{}, stored: map[int64]int64{}, wills: map[int64]*simWill{}, connects: map[simSent]int{}}
	s.odds = s.drawOdds(seed%2 == 0)
	for i := range simClients {
		c := &simClient{s: s, i: i, name: fmt.Sprintf("c%02d", i), principal: 1}
		c.q = QueueOf(c.name, simQueues)
		s.clients, s.byName[c.name] = append(s.clients, c), c
	}
	for i := range 2 + s.rng.IntN(3) {
		n := &simNode{s: s, slot: i}
		s.nodes = append(s.nodes, n)
		s.start(n, vfs.NewCrashableMem(), 0)
	}
	return s
}

// drawOdds draws what happens how often; lossy: the log may go back.
func (s *sim) drawOdds(lossy bool) (o simOdds) {
	for _, p := range []*int{&o.reorder, &o.lost, &o.unsure, &o.twice, &o.late} {
		*p = []int{0, 5, 20, 100}[s.rng.IntN(4)]
	}
	o.thief, o.clean, o.announce, o.stopped = 20, 8, 12, []int{0, 5, 20, 100}[s.rng.IntN(4)]
	for i := range simActions {
		w := simActions[i].weight * 4
		if simActions[i].how != simOften {
			w = w * []int{0, 1, 2, 4}[s.rng.IntN(4)] / 4
		} else {
			w = w * []int{1, 2, 4, 8}[s.rng.IntN(4)] / 4
		}
		if simActions[i].how == simLossy && !lossy {
			w = 0
		}
		o.weights = append(o.weights, w)
		o.sum += w
	}
	return o
}

func (s *sim) oneIn(n int) bool      { return n > 0 && s.rng.IntN(n) == 0 }
func (s *sim) node() *simNode        { return s.nodes[s.rng.IntN(len(s.nodes))] }
func (s *sim) anyClient() *simClient { return s.clients[s.rng.IntN(len(s.clients))] }

func (s *sim) client(name string) *simClient {
	c := s.byName[name]
	if c == nil {
		s.failf("nobody has client id %q", name)
	}
	return c
}

// step is one step.
func (s *sim) step() {
	s.steps++
	s.now = s.now.Add(time.Duration(s.rng.IntN(12)) * time.Millisecond)
	at := s.rng.IntN(s.odds.sum)
	for i := range s.odds.weights {
		if at -= s.odds.weights[i]; at < 0 {
			simActions[i].do(s)
			return
		}
	}
}

// someConn finds a connection somewhere; nil: not at once.
func (s *sim) someConn() *simConn {
	for range 8 {
		if n := s.node(); n.awake() {
			if conn := n.conns[s.rng.IntN(len(s.clients))]; conn != nil {
				return conn
			}
		}
	}
	return nil
}

func (s *sim) work() {
	if conn := s.someConn(); conn != nil {
		conn.work()
	}
}

// finishSome has a node notice that a connection is at its end, or with any a device disconnect.
func (s *sim) finishSome(any bool) {
	conn := s.someConn()
	if conn != nil && conn.state == simLive && (any || conn.taken || conn.client.conn != conn) {
		s.finish(conn, s.oneIn(2))
	}
}

func (s *sim) crashSome() {
	n := s.node()
	if !n.up {
		return
	}
	s.count.crashes++
	if s.rng.IntN(4) == 0 && n.awake() {
		s.stop(n)
	} else {
		s.crash(n)
	}
}

func (s *sim) startSome() {
	if n := s.node(); !n.up {
		s.start(n, n.fs, 1)
	}
}

// close ends all processes.
func (s *sim) close() {
	for _, n := range s.nodes {
		if n.up {
			s.end(n)
		}
	}
}

// runSim runs a seed and tells how it failed; "": it did not.
func runSim(seed uint64, rounds, steps int) (s *sim, failure string) {
	s = newSim(seed)
	defer func() {
		switch p := recover().(type) {
		case nil:
			s.close()
		case simFailure:
			failure = p.what
		default:
			failure = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	for range rounds {
		for range steps {
			s.step()
		}
		s.heal()
	}
	return s, ""
}

// Rounds of a seed, and steps of a round.
const (
	simRounds = 4
	simSteps  = 4000
)

// TestSimulation runs some seeds, and one that is new each time. In those that are even the log may lose what it has not synced. ROCKETMQTT_SIM_SEED runs that one alone; ROCKETMQTT_SIM_MINUTES new
// ones for so long.
func TestSimulation(t *testing.T) {
	total := new(simTotal)
	defer func() { t.Log(total) }()
	if v := os.Getenv("ROCKETMQTT_SIM_SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		simulate(t, seed, simRounds, total)
		return
	}
	if v := os.Getenv("ROCKETMQTT_SIM_MINUTES"); v != "" {
		minutes, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
		for seed := newSeed(); time.Now().Before(end) && !t.Failed(); seed++ {
			simulate(t, seed, simRounds, total)
		}
		return
	}
	for _, seed := range []uint64{1, 2, 3, 4, newSeed()} {
		t.Logf("seed %d", seed)
		simulate(t, seed, simRounds/2, total)
	}
}

func newSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) >> 16
}

func simulate(t *testing.T, seed uint64, rounds int, total *simTotal) {
	t.Helper()
	began := time.Now()
	s, failure := runSim(seed, rounds, simSteps)
	total.add(s, time.Since(began))
	if failure != "" {
		t.Errorf("seed %d, step %d: %s\n%s\nagain: ROCKETMQTT_SIM_SEED=%d go test ./internal/store/changelog -run TestSimulation", seed, s.steps, failure, s.trace.tell(failure), seed)
	}
}

// simTotal is what several simulations have seen.
type simTotal struct {
	seeds, steps int
	took         time.Duration
	count        simCount
}

func (t *simTotal) add(s *sim, took time.Duration) {
	t.seeds++
	t.steps += s.steps
	t.took += took
	t.count.add(&s.count)
}

func (t *simTotal) String() string {
	return fmt.Sprintf("%d seeds, %d steps in %v, %.0f a minute: %+v", t.seeds, t.steps, t.took.Round(time.Millisecond), float64(t.steps)/t.took.Minutes(), t.count)
}

func (c *simCount) add(o *simCount) {
	c.connects += o.connects
	c.joined += o.joined
	c.changes += o.changes
	c.steps2 += o.steps2
	c.delivered += o.delivered
	c.taken += o.taken
	c.fenced += o.fenced
	c.rebuilt += o.rebuilt
	c.crashes += o.crashes
	c.healed += o.healed
	c.trimmed += o.trimmed
	c.reads += o.reads
	c.wills += o.wills
	c.owed += o.owed
	c.canceled += o.canceled
	c.copies += o.copies
	c.released += o.released
}
