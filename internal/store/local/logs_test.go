package local_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/local"
)

// appendLog is a log that makes a group of messages durable by one sync.
type appendLog interface {
	appendGroup(tb testing.TB, group []store.Message)
	close(tb testing.TB)
}

// Why a log of our own. Three logs take messages as QoS 1 publishes make them, 64 bytes to a topic of 32, singly and in
// groups of 64. Ours is measured as a whole, with what the others would need beside them: the encoding, the view, the
// memory for readers, an answer to each publisher. It makes its groups itself, of what comes during a sync, so it is
// given one group while the one before is under way.
//
// CPU time is what to compare: the time of a sync belongs to the disk. raft-wal is the cheapest as a log
// alone, and allocates its files in advance, which makes a sync cheaper still. It was not taken because its state is a
// bbolt database beside the segments, outside of the vfs in which we crash everything else, and because Raft, bbolt and
// parts of etcd come with it. Pebble costs what ours does, without what ours does beside it, and ends the process when
// a write of its log fails.
func BenchmarkLogs(b *testing.B) {
	for _, log := range []struct {
		name string
		open func(tb testing.TB, dir string) appendLog
	}{
		{"segments", openSegments},
		{"pebble", openPebbleLog},
		{"raft-wal", openRaftWAL},
	} {
		for _, size := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/group=%d", log.name, size), func(b *testing.B) {
				l := log.open(b, filepath.Join(b.TempDir(), "log"))
				defer l.close(b)
				group := make([]store.Message, size)
				for i := range group {
					group[i] = store.Message{Topic: fmt.Sprintf("house/%02d/room/%02d/temperature/now", i%20, i%7), QoS: 1, Payload: make([]byte, 64)}
				}
				before := cpuTime(b)
				for b.Loop() {
					l.appendGroup(b, group)
				}
				messages := float64(b.N * size)
				b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/messages, "cpu-ns/message")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/messages, "ns/message")
			})
		}
	}
}

// cpuTime is what the process has used.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// segmentsLog is the embedded store.
type segmentsLog struct {
	s     *local.Store
	done  waiting
	under int // way, messages
}

func openSegments(tb testing.TB, dir string) appendLog {
	s, err := local.Open(local.Options{Dir: dir, DiskReserve: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return &segmentsLog{s: s, done: make(waiting, 128)}
}

func (l *segmentsLog) appendGroup(tb testing.TB, group []store.Message) {
	for i := range group {
		l.s.Append(&group[i], l.done, 0)
	}
	l.wait(tb)
	if l.under = len(group); l.under == 1 {
		l.wait(tb)
	}
}

func (l *segmentsLog) wait(tb testing.TB) {
	for ; l.under > 0; l.under-- {
		if a := <-l.done; a.err != nil {
			tb.Fatal(a.err)
		}
	}
}

func (l *segmentsLog) close(tb testing.TB) {
	l.wait(tb)
	if err := l.s.Close(); err != nil {
		tb.Error(err)
	}
}

// encoded is a message for the logs that take bytes.
func encoded(m *store.Message) []byte {
	b := make([]byte, 0, 16+len(m.Topic)+len(m.Payload))
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMilli()))
	b = append(append(b, byte(len(m.Topic))), m.Topic...)
	return append(b, m.Payload...)
}

// pebbleLog keeps messages by offset in Pebble, whose own log is synced.
type pebbleLog struct {
	db   *pebble.DB
	next uint64
}

func openPebbleLog(tb testing.TB, dir string) appendLog {
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: 64 << 20, Logger: quiet{}})
	if err != nil {
		tb.Fatal(err)
	}
	return &pebbleLog{db: db}
}

// quiet is a Pebble that says nothing.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (l *pebbleLog) appendGroup(tb testing.TB, group []store.Message) {
	batch := l.db.NewBatch()
	for i := range group {
		l.next++
		if err := batch.Set(binary.BigEndian.AppendUint64(nil, l.next), encoded(&group[i]), nil); err != nil {
			tb.Fatal(err)
		}
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		tb.Fatal(err)
	}
}

func (l *pebbleLog) close(tb testing.TB) {
	if err := l.db.Close(); err != nil {
		tb.Error(err)
	}
}

// raftLog keeps messages in the log that Consul and Vault use for Raft.
type raftLog struct {
	wal  *raftwal.WAL
	next uint64
	logs []*raft.Log
}

func openRaftWAL(tb testing.TB, dir string) appendLog {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	wal, err := raftwal.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return &raftLog{wal: wal}
}

func (l *raftLog) appendGroup(tb testing.TB, group []store.Message) {
	l.logs = l.logs[:0]
	for i := range group {
		l.next++
		l.logs = append(l.logs, &raft.Log{Index: l.next, Term: 1, Data: encoded(&group[i])})
	}
	if err := l.wal.StoreLogs(l.logs); err != nil {
		tb.Fatal(err)
	}
}

func (l *raftLog) close(tb testing.TB) {
	if err := l.wal.Close(); err != nil {
		tb.Error(err)
	}
}

// The logs that are compared do take what they are given. (A benchmark that nobody runs may measure nothing.)
func TestLogs(t *testing.T) {
	group := make([]store.Message, 3)
	for i := range group {
		group[i] = *message(i)
	}
	pebbleLog := openPebbleLog(t, t.TempDir()).(*pebbleLog)
	pebbleLog.appendGroup(t, group)
	if value, done, err := pebbleLog.db.Get([]byte{0, 0, 0, 0, 0, 0, 0, 3}); err != nil || string(value[9:9+len(group[2].Topic)]) != group[2].Topic {
		t.Errorf("pebble: %q, %v", value, err)
	} else {
		done.Close() //nolint:errcheck,gosec // cannot fail
	}
	pebbleLog.close(t)
	wal := openRaftWAL(t, t.TempDir()).(*raftLog)
	wal.appendGroup(t, group)
	if last, err := wal.wal.LastIndex(); err != nil || last != 3 {
		t.Errorf("raft-wal: last index %d, %v", last, err)
	}
	wal.close(t)
}
