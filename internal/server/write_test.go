package server

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// numbered is a packet that says who sent it as which, and whose body can be checked.
func numbered(sender, seq, size int) (header, payload []byte) {
	payload = bytes.Repeat([]byte{byte(sender)}, size)
	header = frame(mqtt.PUBLISH, 0, make([]byte, 12+size))[:0]
	whole := frame(mqtt.PUBLISH, 0, append(numbers(sender, seq, size), payload...))
	header = append(header, whole[:len(whole)-size]...)
	return header, payload
}

func numbers(sender, seq, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(sender))
	b = binary.BigEndian.AppendUint32(b, uint32(seq))
	return binary.BigEndian.AppendUint32(b, uint32(size))
}

// readNumbered reads one such packet.
func readNumbered(t *testing.T, r io.Reader) (sender, seq int) {
	t.Helper()
	var one [1]byte
	var head []byte
	for n := 0; n == 0; {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			t.Fatal(err)
		}
		head = append(head, one[0])
		var err error
		var hd mqtt.Header
		if hd, n, err = mqtt.ParseHeader(head); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			head = make([]byte, hd.Length)
		}
	}
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	sender, seq = int(binary.BigEndian.Uint32(head)), int(binary.BigEndian.Uint32(head[4:]))
	size := int(binary.BigEndian.Uint32(head[8:]))
	if !bytes.Equal(head[12:], bytes.Repeat([]byte{byte(sender)}, size)) {
		t.Fatalf("packet %d of sender %d is damaged", seq, sender)
	}
	return sender, seq
}

// Packets of several senders, copied and referenced ones, arrive whole, and those of one sender in order.
func TestOrderUnderConcurrency(t *testing.T) {
	const senders, each = 8, 400
	sizes := []int{0, 1, 100, copyMost - 1, copyMost, copyMost + 1, 10_000, 70_000}
	bothWays(t, func(t *testing.T, o Options) {
		o.HardCap = 1 << 30
		h := start(t, o, nil)
		c, r := h.connect()
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					header, payload := numbered(s, i, sizes[(i+s)%len(sizes)])
					if i%3 == 0 {
						r.conn.Send(append(bytes.Clone(header), payload...))
						continue
					}
					r.conn.SendPublish(header, payload)
					clear(header) // it was copied
				}
			})
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		var next [senders]int
		for range senders * each {
			s, seq := readNumbered(t, c)
			if seq != next[s] {
				t.Fatalf("packet %d of sender %d came when %d was due", seq, s, next[s])
			}
			next[s]++
		}
		wg.Wait()
		eventually(t, "nothing is queued", func() bool { return h.Stats().Queued == 0 })
	})
}

// fill sends to r until it reports to be full, and returns how many bytes that took.
func fill(r *recorder) (sent int) {
	b := frame(mqtt.PUBLISH, 0, make([]byte, 1000))
	for !r.conn.Full() {
		r.conn.Send(b)
		sent += len(b)
	}
	return sent
}

// stuff fills r's queue until the kernel takes no more either, whose buffers grow as they are used.
func stuff(t *testing.T, h *harness, r *recorder) (sent int) {
	t.Helper()
	c := r.conn.(*conn)
	eventually(t, "nothing more is taken", func() bool {
		sent += fill(r)
		return since(h.clock.Load(), c.sock.wrote.Load()) > 5
	})
	return sent
}

// A client that does not read: the queue ends at the high-water mark; when it reads again, Drained is called once for
// each time that Full said yes, and nothing is lost.
func TestSlowReaderDrains(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		c, r := h.connect()
		for round := range int64(3) {
			sent := fill(r)
			if !r.conn.Full() || r.drained.Load() != round {
				t.Fatalf("round %d: drained %d times before anything was read", round, r.drained.Load())
			}
			if q := h.Stats().Queued; q > int64(h.opts.HighWater)*2 {
				t.Errorf("%d bytes are queued", q)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.CopyN(io.Discard, c, int64(sent)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "Drained", func() bool { return r.drained.Load() == round+1 })
			if r.conn.Full() {
				t.Fatal("still full")
			}
		}
	})
}

// A client that never reads is closed when writing makes no progress, its memory given back.
func TestSlowReaderIsClosed(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		o.WriteTimeout = 200 * time.Millisecond
		h := start(t, o, nil)
		_, r := h.connect()
		stuff(t, h, r)
		if reason := r.waitClosed(); !strings.Contains(reason, "does not read") {
			t.Errorf("reason is %q", reason)
		}
		if s := h.Stats(); s.Queued != 0 || s.Slow != 1 {
			t.Errorf("after it was closed: %+v", s)
		}
		r.conn.Send(pingresp) // of no use, and does no harm
		if h.Stats().Dropped == 0 {
			t.Error("what was sent to a closed connection was not counted")
		}
	})
}

// A client that reads slowly, but does read, is not closed.
func TestSlowProgressIsProgress(t *testing.T) {
	h := start(t, Options{WriteTimeout: time.Second}, nil)
	c, r := h.connect()
	sent := fill(r)
	began := h.clock.Load()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for h.clock.Load()-began < 2*h.ticks(h.opts.WriteTimeout) {
		n, err := io.CopyN(io.Discard, c, 8<<10)
		sent -= int(n)
		if err != nil {
			t.Fatalf("closed although it was read from: %v", err)
		}
		r.conn.Send(make([]byte, 8<<10))
		sent += 8 << 10
		tick := h.clock.Load()
		eventually(t, "time passes", func() bool { return h.clock.Load() > tick })
	}
	if _, err := io.CopyN(io.Discard, c, int64(sent)); err != nil {
		t.Fatal(err)
	}
}

// What is sent although Full says yes has a bound too.
func TestHardCap(t *testing.T) {
	h := start(t, Options{HighWater: 64 << 10, HardCap: 256 << 10}, nil)
	_, r := h.connect()
	stuff(t, h, r)
	b := make([]byte, 1000)
	for range 300 {
		r.conn.Send(b)
		if q := h.Stats().Queued; q > (64+256+64)<<10 {
			t.Fatalf("%d bytes are queued", q)
		}
	}
	if reason := r.waitClosed(); !strings.Contains(reason, "too much") {
		t.Errorf("reason is %q", reason)
	}
}

// A client that asks and asks and does not read the answers is not listened to any more: it cannot fill the queue.
func TestAnswersThatAreNotRead(t *testing.T) {
	h := start(t, Options{WriteTimeout: 500 * time.Millisecond}, func(r *recorder) {
		r.packet = func(r *recorder, hd mqtt.Header, _ []byte) bool {
			if hd.Type == mqtt.PINGREQ {
				r.conn.Send(make([]byte, 1000))
			}
			return r.answer(hd)
		}
	})
	c, r := h.connect()
	go func() {
		flood := bytes.Repeat(pingreq, 1000)
		for {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
	}()
	eventually(t, "the client is closed", func() bool {
		if q := h.Stats().Queued; q > int64(h.opts.HighWater+h.opts.HardCap) {
			t.Fatalf("%d bytes are queued", q)
		}
		return r.over.Load()
	})
	if reason := r.waitClosed(); !strings.Contains(reason, "does not read") {
		t.Errorf("reason is %q", reason)
	}
}

// Above MaxQueued for all together, little may be queued for each.
func TestMaxQueued(t *testing.T) {
	h := start(t, Options{MaxQueued: 300 << 10}, nil)
	const clients = 5
	readers := map[net.Conn]int{}
	for range clients {
		c, r := h.connect()
		readers[c] = fill(r)
	}
	if q := h.Stats().Queued; q > int64(300<<10+h.opts.HighWater+clients*2*pressed) {
		t.Errorf("%d bytes are queued", q)
	}
	for c, sent := range readers {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.CopyN(io.Discard, c, int64(sent)); err != nil {
			t.Fatal(err)
		}
	}
}

// Close writes what is queued, however much, and then ends.
func TestCloseFlushes(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		o.CloseTimeout = patience
		h := start(t, o, nil)
		c, r := h.connect()
		sent := stuff(t, h, r)
		r.conn.Close()
		r.conn.Close()
		r.conn.Send([]byte("after Close"))
		if got := expectEnd(t, c); len(got) != sent {
			t.Errorf("read %d bytes, %d were sent before Close", len(got), sent)
		}
		if reason := r.waitClosed(); reason != "closed by the session" {
			t.Errorf("reason is %q", reason)
		}
	})
}

// A client that reads nothing cannot put off the end.
func TestCloseIsBounded(t *testing.T) {
	h := start(t, Options{CloseTimeout: 100 * time.Millisecond}, nil)
	_, r := h.connect()
	stuff(t, h, r)
	r.conn.Close()
	r.waitClosed()
	eventually(t, "the connection is gone", func() bool { return h.Stats().Open == 0 })
}

// Close ends a connection whose client is silent.
func TestCloseOfIdle(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		c, r := h.connect()
		r.conn.Close()
		if got := expectEnd(t, c); len(got) != 0 {
			t.Errorf("read %x", got)
		}
		r.waitClosed()
	})
}
