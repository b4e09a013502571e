package retained

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
)

// Some nodes publish retained messages and read the log of their records, in virtual time, as a seed says: records come late, in any order, twice or never; the log is
// trimmed, and goes back; processes die, some with their disk. sim_log_test.go has the log and the oracle.

const (
	simQueues = 2
	simTopics = 10

	simLate      = 8 * time.Minute // how late a record comes at most: below graveTime
	simRetention = 40 * time.Minute
)

// sim is one simulation. It runs on one goroutine; all that it chooses comes from rng.
type sim struct {
	t     *testing.T
	rng   *rand.Rand
	lossy bool // the log may go back
	now   time.Time
	seq   int64
	log   [simQueues]simLog
	nodes []*simNode
	last  [simTopics]int64     // offset of the last message of each topic, in a queue of the log of messages that is the topic's own
	known [simTopics]simRecord // the last one that a record in the log has told of, and that cannot be lost
	seen  [simTopics]int64     // the last one that any record has told of
	ended [simTopics]int64     // and the last such one that was empty
	steps []string             // the latest ones

	count struct{ published, stored, doubled, back, trims, gaps, crashes, healed int }
}

// simRecord is a message that a record tells of.
type simRecord struct {
	offset  int64
	payload string
}

// simNode is one process after the other on one disk.
type simNode struct {
	s        *sim
	slot     int
	v        *View
	fs       *vfs.MemFS
	up       bool
	compared [simQueues]bool // what it has read is known to be there still
	begun    [simQueues]bool
	goal     [simQueues]int64 // where the queue ended when it began to read it
	net      []simPacket      // what it has written, and the log has not
}

// simPacket is a record on its way to the log.
type simPacket struct {
	rec   []byte
	since time.Time
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 3)), lossy: seed%2 == 0, now: time.UnixMilli(1_700_000_000_000)}
	for i := range 2 + s.rng.IntN(3) {
		n := &simNode{s: s, slot: i, fs: vfs.NewCrashableMem()}
		s.nodes = append(s.nodes, n)
		n.start()
	}
	return s
}

func (s *sim) note(format string, args ...any) {
	const most = 60
	if s.steps = append(s.steps, fmt.Sprintf("%8.1fs ", s.now.Sub(time.UnixMilli(1_700_000_000_000)).Seconds())+fmt.Sprintf(format, args...)); len(s.steps) > most {
		s.steps = s.steps[1:]
	}
}

func (s *sim) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(s.steps, "\n"))
}

func (s *sim) check(err error) {
	s.t.Helper()
	if err != nil {
		s.failf("%v", err)
	}
}

func (n *simNode) start() {
	n.up, n.compared, n.begun = true, [simQueues]bool{}, [simQueues]bool{}
	v, err := Open(Options{
		Dir: "view", FS: n.fs, Queues: simQueues, Now: func() int64 { return n.s.now.UnixMilli() }, Logger: slog.New(slog.DiscardHandler),
		Late: func(*store.Record) {}, Failed: func(err error) { n.s.t.Error(err) },
	})
	n.s.check(err)
	n.v = v
	n.s.note("node %d starts", n.slot)
}

// crash ends a process. What it has not synced is lost, or all that it has; of what it was about to write some comes still.
func (n *simNode) crash() {
	s := n.s
	s.count.crashes++
	fs := n.fs.CrashClone(vfs.CrashCloneCfg{})
	s.check(n.v.Close())
	n.up, n.fs = false, fs
	fresh := s.rng.IntN(4) == 0
	if fresh {
		n.fs = vfs.NewCrashableMem()
	}
	kept := n.net[:0]
	for _, p := range n.net {
		if s.rng.IntN(2) == 0 {
			kept = append(kept, p)
		}
	}
	n.net = kept
	s.note("node %d crashes, with its disk: %v", n.slot, fresh)
}

func simTopic(i int) string { return fmt.Sprintf("f%d/%d", i%3, i) }

// publish appends a message to its topic, and has a record of it be on its way.
func (s *sim) publish(n *simNode) {
	i := s.rng.IntN(simTopics)
	s.last[i]++
	payload := fmt.Sprint(s.last[i])
	if s.rng.IntN(4) == 0 {
		payload = ""
	}
	s.count.published++
	rec := AppendRecord(nil, &store.Message{Topic: simTopic(i), Payload: []byte(payload), QoS: 1}, s.now.UnixMilli())
	Place(rec, store.Position{Queue: store.Queue(i), Offset: s.last[i]})
	n.net = append(n.net, simPacket{rec, s.now})
}

// deliver has a record on its way from a node come to stand in the log: the first one, or any; now and then it stays on its way, and comes again.
func (s *sim) deliver(n *simNode) {
	if len(n.net) == 0 {
		return
	}
	i := 0
	if s.rng.IntN(3) == 0 {
		i = s.rng.IntN(len(n.net))
	}
	p := n.net[i]
	twice := s.rng.IntN(10) == 0
	if !twice || s.now.Sub(p.since) > simLate {
		n.net = append(n.net[:i:i], n.net[i+1:]...)
	} else {
		s.count.doubled++
	}
	if s.now.Sub(p.since) <= simLate {
		s.append(p.rec)
	}
}

// read has a node read some of a queue, and tells whether there was anything.
func (s *sim) read(n *simNode, q, most int) bool {
	if !n.up {
		return false
	}
	l := &s.log[q]
	if !n.compared[q] {
		s.compare(n, q)
	}
	next, _ := n.v.Next(q)
	if next < l.first {
		s.count.gaps++
		s.rebuild(n, q, l.first, l.first)
		next, _ = n.v.Next(q)
	}
	entries := l.entries[next-l.first:]
	if entries = entries[:min(most, len(entries))]; len(entries) > 0 {
		to := next + int64(len(entries))
		s.check(n.v.Read(q, entries, to, binary.BigEndian.AppendUint64(nil, uint64(l.seqs[to-1-l.first]))))
		next = to
	}
	if !n.begun[q] && next >= n.goal[q] {
		n.begun[q] = true
		s.check(n.v.Begin(q))
		s.renew(n, time.Time{})
	}
	return len(entries) > 0
}

// compare looks whether what a node has read is there still, as the reader of a real log does after a new connection.
func (s *sim) compare(n *simNode, q int) {
	next, note := n.v.Next(q)
	n.compared[q], n.goal[q] = true, s.log[q].end()
	if len(note) == 0 {
		return
	}
	if gone, lost := s.log[q].isGone(next, int64(binary.BigEndian.Uint64(note))); gone {
		s.rebuild(n, q, s.log[q].first, lost)
	}
}

func (s *sim) rebuild(n *simNode, q int, from, gone int64) {
	s.note("node %d builds queue %d again, which begins at %d, and lost %d", n.slot, q, from, gone)
	n.begun[q], n.goal[q] = false, s.log[q].end()
	s.check(n.v.Rebuild(q, from, gone))
}

// renew has a node write again what the log has lost, and what was stored before.
func (s *sim) renew(n *simNode, before time.Time) {
	due := &Due{Before: before.UnixMilli(), Below: make([]int64, simQueues), Chosen: func(topic string) bool { return s.chosen(topic) == n }}
	for after := ""; ; {
		recs, next, err := n.v.Renew(after, due)
		s.check(err)
		for _, rec := range recs {
			n.net = append(n.net, simPacket{rec, s.now})
		}
		if after = next; next == "" {
			return
		}
	}
}

// chosen is the node that is to write a topic's record again, of those that live.
func (s *sim) chosen(topic string) (best *simNode) {
	most := uint64(0)
	for _, n := range s.nodes {
		if w := xxhash.Sum64String(fmt.Sprint(topic, n.slot)); n.up && (best == nil || w > most) {
			best, most = n, w
		}
	}
	return best
}

// step is one step.
func (s *sim) step() {
	s.now = s.now.Add(time.Duration(s.rng.IntN(1000)) * time.Millisecond)
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch at := s.rng.IntN(1000); {
	case at < 250:
		if n.up {
			s.publish(n)
		}
	case at < 550:
		s.deliver(n)
	case at < 950:
		s.read(n, s.rng.IntN(simQueues), 1+s.rng.IntN(20))
	case at < 960:
		if n.up {
			n.crash()
		}
	case at < 980:
		if !n.up {
			n.start()
		}
	case at < 984:
		s.now = s.now.Add(time.Duration(s.rng.IntN(300)) * time.Second)
	case at < 987:
		s.trim()
	case at < 990:
		s.goBack()
	case at < 995:
		if n.up {
			s.check(n.v.Flush())
		}
	default:
		if n.up {
			s.renew(n, s.now.Add(-simRetention/2))
		}
	}
}

// TestSimulation runs some seeds, and one that is new each time: whatever happens, views that have read to the end have the same, and that is what the messages have
// last. In seeds that are even the log may lose what it has not synced. ROCKETMQTT_SIM_SEED runs that one alone.
func TestSimulation(t *testing.T) {
	seeds := []uint64{1, 2, rand.Uint64() >> 16}
	if v := os.Getenv("ROCKETMQTT_SIM_SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed)
			for range 2 {
				for range 1500 {
					s.step()
				}
				s.heal()
			}
			for _, n := range s.nodes {
				s.check(n.v.Close())
			}
			t.Logf("%+v", s.count)
		})
	}
}
