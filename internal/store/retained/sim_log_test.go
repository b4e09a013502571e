package retained

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// simLog is one queue of the modelled log. Offsets that were lost are given to other records, as RocketMQ does.
type simLog struct {
	first   int64 // offset of entries[0]
	entries []view.Entry
	seqs    []int64 // of all records that were ever appended
	synced  int64   // what stands below is not lost when the log goes back
	cuts    []simCut
}

// simCut is that a queue went back.
type simCut struct {
	seq int64 // of the last record ever appended before that
	to  int64
}

func (l *simLog) end() int64 { return l.first + int64(len(l.entries)) }

// isGone says whether a record that stood below next is not there any more, and where the queue went back to then.
func (l *simLog) isGone(next, seq int64) (gone bool, lost int64) {
	if next <= l.first || next <= l.end() && l.seqs[next-1-l.first] == seq {
		return false, 0
	}
	lost = next
	for _, c := range l.cuts {
		if c.seq >= seq {
			lost = min(lost, c.to)
		}
	}
	return true, lost
}

// append has a record stand in the log.
func (s *sim) append(rec []byte) {
	var r record
	s.check(r.decode(rec))
	q := QueueOf(r.Topic, simQueues)
	l := &s.log[q]
	s.seq++
	s.count.stored++
	s.note("stored in queue %d at %d: %s=%q, message %d, again %v", q, l.end(), r.Topic, r.Payload, r.Offset, r.again)
	l.entries = append(l.entries, view.Entry{Offset: l.end(), Time: s.now.UnixMilli(), Data: slices.Clone(rec)})
	l.seqs = append(l.seqs, s.seq)
	i := r.Queue
	s.seen[i] = max(s.seen[i], r.Offset)
	if len(r.Payload) == 0 {
		s.ended[i] = max(s.ended[i], r.Offset)
	}
	if !s.lossy {
		s.sync(q, l.end())
	}
}

// sync has what stands in a queue, up to an offset, not be lost any more.
func (s *sim) sync(q int, to int64) {
	l := &s.log[q]
	for ; l.synced < to; l.synced++ {
		if l.synced < l.first {
			continue
		}
		var r record
		s.check(r.decode(l.entries[l.synced-l.first].Data))
		if i := r.Queue; r.Offset > s.known[i].offset {
			s.known[i] = simRecord{r.Offset, string(r.Payload)}
		}
	}
}

// goBack has the log lose some of what was stored in the last seconds.
func (s *sim) goBack() {
	if !s.lossy {
		return
	}
	q := s.rng.IntN(simQueues)
	l := &s.log[q]
	to := l.synced
	for to < l.end() && (to < l.first || l.entries[to-l.first].Time < s.now.Add(-10*time.Second).UnixMilli()) {
		to++
	}
	if s.sync(q, to); l.synced >= l.end() {
		return
	}
	cut := l.synced + s.rng.Int64N(l.end()-l.synced)
	s.sync(q, cut)
	s.note("queue %d goes back from %d to %d", q, l.end(), cut)
	s.count.back++
	at := cut - l.first
	l.entries, l.seqs = l.entries[:at:at], l.seqs[:at:at]
	l.cuts = append(l.cuts, simCut{s.seq, cut})
	for _, n := range s.nodes {
		n.compared[q] = false
	}
	s.now = s.now.Add(time.Second) // a broker starts anew
}

// trim drops what is older than simRetention, once that was written again: where nobody lives nothing is old.
func (s *sim) trim() {
	if s.chosen("") == nil {
		return
	}
	s.drain()
	for _, n := range s.nodes {
		if n.up {
			s.renew(n, s.now.Add(-simRetention/2))
		}
	}
	s.drain()
	for q := range s.log {
		l := &s.log[q]
		at := 0
		for at < len(l.entries) && l.entries[at].Time < s.now.Add(-simRetention).UnixMilli() {
			at++
		}
		if at > 0 {
			s.count.trims++
			s.note("queue %d begins at %d now", q, l.first+int64(at))
		}
		s.sync(q, l.end()) // what was written instead is as old as that, where nobody hurries
		l.entries, l.seqs = l.entries[at:], l.seqs[at:]
		l.first += int64(at)
	}
}

// drain has all that is on its way stand in the log, and read by all that live, until there is nothing more to write again.
func (s *sim) drain() {
	for more := true; more; {
		more = false
		for _, n := range s.nodes {
			for n.up && len(n.net) > 0 {
				s.deliver(n)
			}
		}
		for _, n := range s.nodes {
			for q := range simQueues {
				more = s.read(n, q, 1<<20) || more
			}
			if n.up {
				s.renew(n, time.Time{})
				more = more || len(n.net) > 0
			}
		}
	}
}

// heal lets nothing more go wrong for a while, and looks whether all comes to a good end.
func (s *sim) heal() {
	s.note("all is well from now on")
	for _, n := range s.nodes {
		if !n.up {
			n.start()
		}
	}
	s.drain()
	for q := range s.log {
		s.sync(q, s.log[q].end())
	}
	fresh := &simNode{s: s, slot: len(s.nodes), fs: vfs.NewCrashableMem()}
	fresh.start()
	for q := range simQueues {
		s.read(fresh, q, 1<<20)
	}
	s.agree(append(slices.Clone(s.nodes), fresh))
	s.check(fresh.v.Close())
	s.count.healed++
}

// simOffset is the offset of a message, which is its payload.
func simOffset(payload string) (offset int64, is bool) {
	offset, err := strconv.ParseInt(payload, 10, 64)
	return offset, err == nil
}

// agree: all have the same, and it is what the messages have last.
func (s *sim) agree(nodes []*simNode) {
	want := has(s.t, s.nodes[0].v)
	for _, n := range nodes {
		if got := has(s.t, n.v); got != want {
			s.failf("node %d has\n%s\nnode 0\n%s", n.slot, got, want)
		}
	}
	is := map[string]string{}
	for _, kv := range strings.Fields(want) {
		topic, payload, _ := strings.Cut(kv, "=")
		is[topic] = payload
	}
	for i := range simTopics {
		known := &s.known[i]
		at, is := simOffset(is[simTopic(i)])
		ok := !is && (known.payload == "" || s.ended[i] > known.offset) || is && at >= known.offset && at <= s.seen[i] && (at > known.offset || known.payload != "")
		if !ok {
			s.failf("%s is message %d; the last one that the log has for certain is %+v, of those that it had %d, and %d ended it", simTopic(i), at, *known, s.seen[i], s.ended[i])
		}
	}
}
