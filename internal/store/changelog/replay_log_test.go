package changelog

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/view"
)

// fileLog is a changelog in files, one for each queue, as large as that of very many sessions: it takes none of the memory that is measured. A message is its offset, its
// time, the length of its body and its body, which has records as store/rocketmq writes them.
type fileLog struct {
	tb     testing.TB
	queues []fileQueue
}

type fileQueue struct {
	path  string
	first int64
	w     *bufio.Writer
	file  *os.File
	next  int64
	time  int64
	body  []byte // of the message that collects
	n     int    // its records
	bytes int64
}

const (
	replayQueues  = 8
	replayRecords = 4                 // in one message, on average: many clients write at once where there are so many
	replayBegin   = 1_800_000_000_000 // Unix milliseconds
)

func newFileLog(tb testing.TB, first int64) *fileLog {
	tb.Helper()
	dir := tb.TempDir()
	l := &fileLog{tb: tb, queues: make([]fileQueue, replayQueues)}
	for q := range l.queues {
		qu := &l.queues[q]
		qu.path, qu.first, qu.next, qu.time = filepath.Join(dir, fmt.Sprint(q)), first, first, replayBegin
		f, err := os.Create(qu.path)
		if err != nil {
			tb.Fatal(err)
		}
		qu.file, qu.w = f, bufio.NewWriterSize(f, 1<<18)
	}
	return l
}

// add appends a record, and returns where it came to stand.
func (l *fileLog) add(q int, record []byte) (offset, time int64) {
	qu := &l.queues[q]
	qu.body = view.AppendBytes(qu.body, record)
	offset, time = qu.next, qu.time
	if qu.n++; qu.n == replayRecords {
		l.end(q)
	}
	return offset, time
}

// end ends the message that collects.
func (l *fileLog) end(q int) {
	qu := &l.queues[q]
	if qu.n == 0 {
		return
	}
	var head [20]byte
	binary.BigEndian.PutUint64(head[:], uint64(qu.next))
	binary.BigEndian.PutUint64(head[8:], uint64(qu.time))
	binary.BigEndian.PutUint32(head[16:], uint32(len(qu.body)))
	_, _ = qu.w.Write(head[:])
	if _, err := qu.w.Write(qu.body); err != nil {
		l.tb.Error(err)
	}
	qu.bytes += int64(len(qu.body) + len(head))
	qu.next++
	qu.time++
	qu.n, qu.body = 0, qu.body[:0]
}

// Append implements Log.
func (l *fileLog) Append(q int, record []byte) { l.add(q, record) }

// Away implements Log.
func (l *fileLog) Away(int) error { return nil }

// close has all be in the files.
func (l *fileLog) close() (bytes int64) {
	for q := range l.queues {
		l.end(q)
		if err := l.queues[q].w.Flush(); err != nil {
			l.tb.Fatal(err)
		}
		if err := l.queues[q].file.Close(); err != nil {
			l.tb.Fatal(err)
		}
		bytes += l.queues[q].bytes
	}
	return bytes
}

// fill writes so many sessions as a node has them written in its life. Each begins with its connection, subscribes to two filters of two topics of 8 queues each, and four
// of five have ended their connection by the end, after 10,000 others came.
func (l *fileLog) fill(sessions int) {
	const node, away = 77, 10_000
	type place struct{ at, time int64 }
	var (
		seq   uint64
		where = make([]place, away)
		beats [replayQueues]place
	)
	for q := range beats {
		beats[q].at = none
	}
	write := func(k kind, name string, base place, body []byte) place {
		seq++
		r := record{kind: k, node: node, seq: seq, base: base.at, at: base.time, name: name, body: body}
		q := QueueOf(name, replayQueues)
		at, time := l.add(q, r.append(nil))
		l.end(q) // a client has one record in a message, and this one goes on at once
		return place{at, time}
	}
	for i := range sessions + away {
		if old := i - away; old >= 0 && old%5 != 0 {
			name := replayClient(old)
			write(kindChanges, name, where[i%away], view.AppendBytes(nil, view.AppendChange(nil, &store.Change{
				Kind: store.Detach, Client: name, Expiry: 7 * 86400, ExpiresAt: replayBegin + 7*86400_000 + int64(old), Cursor: replayPlaces(i), SentUpTo: replayPlaces(i),
			})))
		}
		if i < sessions {
			name := replayClient(i)
			at := write(kindConnect, name, place{none, 0}, view.AppendChange(nil, &store.Change{Kind: store.Connect, Client: name, Principal: "fleet", Expiry: 7 * 86400}))
			where[i%away] = write(kindChanges, name, at, view.AppendBytes(view.AppendBytes(nil, replaySubscribe(name, "devices/"+name+"/#", i)), replaySubscribe(name, "fleet/news/+", i)))
		}
		if i%1000 == 0 {
			for q := range beats {
				seq++
				r := record{kind: kindBeat, node: node, seq: seq, base: beats[q].at, body: view.AppendPositions(nil, replayPlaces(i))}
				at, time := l.add(q, r.append(nil))
				l.end(q)
				beats[q] = place{at, time}
			}
		}
	}
}

// beats writes so many beats of each of some nodes to each queue, each a message of its own: what is there when nothing happens. Nobody's places change.
func (l *fileLog) beats(nodes, beats int) {
	for q := range l.queues {
		l.queues[q].time = replayBegin
		last := make([]int64, nodes)
		for i := range beats {
			for n := range last {
				r := record{kind: kindBeat, node: uint64(q*nodes + n + 1), seq: uint64(i + 1), base: last[n]}
				if i == 0 {
					r.base = none
				}
				last[n], _ = l.add(q, r.append(nil))
				l.end(q)
			}
		}
	}
}

func replayClient(i int) string { return fmt.Sprintf("vehicle-%08x", uint32(i)*2654435761) } // they come in no order

func replaySubscribe(client, filter string, i int) []byte {
	return view.AppendChange(nil, &store.Change{Kind: store.Subscribe, Client: client, Subscription: store.Subscription{
		Filter: filter, QoS: 1, Start: replayPlaces(i)[:8], Since: replayBegin + int64(i),
	}})
}

// replayPlaces is a place in each of the queues of two topics.
func replayPlaces(i int) []store.Position {
	v := make([]store.Position, 16)
	for k := range v {
		v[k] = store.Position{Queue: store.Queue(uint64(k+1) * 0x9E3779B97F4A7C15), Offset: int64(i)*40 + int64(k*977)}
	}
	return v
}

// read has c read a queue to its end, with so many messages at once.
func (l *fileLog) read(c *Changelog, q, messages int) {
	qu := &l.queues[q]
	f, err := os.Open(qu.path)
	if err != nil {
		l.tb.Error(err)
		return
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<18)
	next, _ := c.Next(q)
	if next == qu.next {
		return
	}
	var entries []Entry
	n := 0
	for {
		var head [20]byte
		_, err := io.ReadFull(in, head[:])
		if err == io.EOF {
			break
		}
		offset := int64(binary.BigEndian.Uint64(head[:]))
		body := make([]byte, binary.BigEndian.Uint32(head[16:]))
		if _, err := io.ReadFull(in, body); err != nil {
			l.tb.Error(err)
			return
		}
		if offset < next {
			continue
		}
		for len(body) > 0 {
			size, k := binary.Uvarint(body)
			entries = append(entries, Entry{Offset: offset, Time: int64(binary.BigEndian.Uint64(head[8:])), Data: body[k:][:size:size]})
			body = body[k:][size:]
		}
		if n++; n%messages == 0 {
			if err := c.Read(q, entries, offset+1, []byte("{}")); err != nil {
				l.tb.Error(err)
				return
			}
			entries = nil
		}
	}
	if err := c.Read(q, entries, qu.next, []byte("{}")); err != nil {
		l.tb.Error(err)
	}
}
