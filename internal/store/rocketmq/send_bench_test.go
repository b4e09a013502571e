package rocketmq

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/remoting"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/message"
	"github.com/rocketmqtt/rocketmqtt/internal/remoting/remotingtest"
	"github.com/rocketmqtt/rocketmqtt/internal/store"
	"github.com/rocketmqtt/rocketmqtt/internal/store/storetest"
)

// quick answers every SEND_BATCH_MESSAGE at once with SEND_OK, and refuses all else. It allocates next to nothing, so that what a benchmark
// counts is the sender's.
func quick(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	in := bufio.NewReaderSize(nc, 1<<20)
	ok := remotingtest.Encode(&remotingtest.Request{Flag: 1, Fields: map[string]string{"msgId": "x", "queueId": "0", "queueOffset": "7"}})
	no := remotingtest.Encode(&remotingtest.Request{Code: 16, Flag: 1})
	const opaque = 8 + 5 // in a binary header, behind code, language and version
	var head [opaque + 4]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		answer := no
		if binary.BigEndian.Uint16(head[8:]) == 320 {
			answer = ok
		}
		copy(answer[opaque:], head[opaque:])
		if _, err := in.Discard(int(binary.BigEndian.Uint32(head[:])) + 4 - len(head)); err != nil {
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

// counted counts answers, and errors.
type counted struct {
	n, bad atomic.Int64
	room   chan struct{} // one for each message under way
}

func (c *counted) Appended(_ uint64, _ store.Position, err error) {
	if err != nil {
		c.bad.Add(1)
	}
	c.n.Add(1)
	<-c.room
}

// The cost of an append when the broker costs nothing: 64 publishers, each with up to 16 messages under way.
func BenchmarkAppend(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	b.Cleanup(wg.Wait) // after the client is closed
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { quick(nc) })
		}
	})
	f := newFarm(b, 1, "t")
	f.brokers[0].server.Stop()
	f.at = l.Addr().String()
	s := f.start(b, Options{})
	b.Cleanup(func() { _ = l.Close() })
	perRequest(b, s.Store, func() { appendAll(b, s.Store, 64) })
}

// appendAll appends b.N messages of 256 bytes by so many publishers, and waits for the answers.
func appendAll(b *testing.B, s *Store, publishers int) {
	b.Helper()
	payload := make([]byte, 256)
	topics := make([]string, publishers)
	for p := range topics {
		topics[p] = "t/" + strconv.Itoa(p)
		if _, err := s.place(topics[p]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	done := make([]counted, publishers)
	var wg sync.WaitGroup
	for p := range publishers {
		done[p].room = make(chan struct{}, 16)
		wg.Go(func() {
			m := store.Message{Topic: topics[p], Payload: payload, QoS: 1, Origin: 1}
			for range b.N/publishers + 1 {
				done[p].room <- struct{}{}
				s.Append(&m, &done[p], 0)
			}
			for range cap(done[p].room) {
				done[p].room <- struct{}{}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	var bad int64
	for p := range done {
		bad += done[p].bad.Load()
	}
	if bad > 0 {
		b.Fatalf("%d messages were refused", bad)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// What a real broker makes of it, in one run: the store with 64 publishers who each wait for the answer, and with 16 messages each; and the client alone,
// with single messages, 64 under way, and with batches of 32, 16 under way.
func BenchmarkRocketMQ(b *testing.B) {
	c := shared.Cluster(b)
	if c == nil {
		return
	}
	p := &place{namesrv: c.Namesrv(), dir: b.TempDir(), clock: storetest.NewClock()}
	s, err := p.open()
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	for _, run := range []string{"cold", "warm"} {
		b.Run(run+"/store, one each", func(b *testing.B) { perRequest(b, s.Store, func() { appendSync(b, s.Store, 64) }) })
		b.Run(run+"/store, 16 each", func(b *testing.B) { perRequest(b, s.Store, func() { appendAll(b, s.Store, 64) }) })
		b.Run(run+"/single sends", func(b *testing.B) { bare(b, s, 64, 1) })
		b.Run(run+"/bare batches of 32", func(b *testing.B) { bare(b, s, 16, 32) })
	}
}

// perRequest reports how many messages a request had.
func perRequest(b *testing.B, s *Store, run func()) {
	appended, sends := s.stats.Appended.Load(), s.stats.Sends.Load()
	run()
	b.ReportMetric(float64(s.stats.Appended.Load()-appended)/float64(s.stats.Sends.Load()-sends), "messages/request")
}

// waited is told of one append.
type waited chan error

func (w waited) Appended(_ uint64, _ store.Position, err error) { w <- err }

// appendSync is appendAll with publishers that wait for each answer.
func appendSync(b *testing.B, s *Store, publishers int) {
	b.Helper()
	payload := make([]byte, 256)
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range publishers {
		wg.Go(func() {
			m := store.Message{Topic: fmt.Sprint("t/", p), Payload: payload, QoS: 1}
			w := make(waited, 1)
			for range b.N/publishers + 1 {
				s.Append(&m, w, 0)
				if err := <-w; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// bare sends b.N messages with the client alone, so many requests under way and messages in each, over all queues of topic t.
func bare(b *testing.B, s *openedStore, under, size int) {
	b.Helper()
	queues := s.known("t").writable()
	var enc encoder
	out, err := enc.encode(&store.Message{Topic: "t/a", Payload: make([]byte, 256), QoS: 1}, "node", []byte("key"))
	if err != nil {
		b.Fatal(err)
	}
	req := remoting.SendRequest{Topic: "t", Properties: string(out.props), Body: out.body}
	if size > 1 {
		req.Batch, req.Properties, req.Body = true, "", nil
		for range size {
			if req.Body, err = message.AppendBatchEntry(req.Body, 0, out.body, out.props); err != nil {
				b.Fatal(err)
			}
		}
	}
	room := make(chan struct{}, under)
	var bad atomic.Int64
	b.ResetTimer()
	for i := range b.N/size + 1 {
		q := queues[i%len(queues)]
		room <- struct{}{}
		r := req
		r.QueueID = q.name.id
		s.client.Send(q.broker.addr(), &r, time.Now().Add(10*time.Second), func(_ remoting.SendResult, err error) {
			if err != nil {
				bad.Add(1)
			}
			<-room
		})
	}
	for range under {
		room <- struct{}{}
	}
	b.ReportMetric(float64(bad.Load()), "refused") // by a broker that is busy; the store would send them again
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
