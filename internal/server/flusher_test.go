package server

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

func (f *flusher) state() (workers, length int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.workers, f.length
}

// Who promises to write is left to do it, as long as it is little.
func TestPromise(t *testing.T) {
	h := start(t, Options{}, nil)
	f := &h.flusher
	packet := frame(mqtt.PUBLISH, 0, make([]byte, 100))
	a, ra := h.connect()
	more := make([]net.Conn, atOnce)
	recorders := make([]*recorder, atOnce)
	for i := range more {
		more[i], recorders[i] = h.connect()
	}
	eventually(t, "the workers have ended", func() bool { w, _ := f.state(); return w == 0 })

	f.promise()
	ra.conn.SendPublish(packet, nil)
	if w, n := f.state(); w != 0 || n != 1 {
		t.Errorf("%d workers, %d connections wait; want none and one", w, n)
	}
	f.promise() // another one, who will write
	f.keep()
	if w, n := f.state(); w != 0 || n != 1 {
		t.Errorf("%d workers, %d connections wait; want none and one", w, n)
	}
	f.keep()
	if w, n := f.state(); w != 0 || n != 0 {
		t.Errorf("%d workers, %d connections wait after keep", w, n)
	}
	expect(t, a, packet)

	// If it is more, nobody waits for the promise to be kept.
	f.promise()
	ra.conn.SendPublish(packet, nil)
	for _, r := range recorders {
		r.conn.SendPublish(packet, nil)
	}
	for _, c := range append(more, a) {
		expect(t, c, packet)
	}
	f.keep()
}

// Whoever promises, keeps and sends at the same time: all is written.
func TestPromisesOfMany(t *testing.T) {
	const senders, each, clients = 8, 500, atOnce
	h := start(t, Options{HighWater: 1 << 20, HardCap: 1 << 24}, nil)
	packet := frame(mqtt.PUBLISH, 0, make([]byte, 50))
	var readers, writers sync.WaitGroup
	var rs []*recorder
	for range clients {
		c, r := h.connect()
		rs = append(rs, r)
		readers.Go(func() {
			b := make([]byte, senders*each*len(packet))
			if _, err := io.ReadFull(c, b); err != nil {
				t.Error(err)
			}
		})
	}
	for s := range senders {
		writers.Go(func() {
			for i := range each {
				promised := (i+s)%3 > 0
				if promised {
					h.flusher.promise()
				}
				for _, r := range rs {
					r.conn.SendPublish(packet, nil)
				}
				if promised {
					h.flusher.keep()
				}
			}
		})
	}
	writers.Wait()
	readers.Wait()
	eventually(t, "nothing is left to do", func() bool { w, n := h.flusher.state(); return w == 0 && n == 0 })
}

// A worker is started for each message that comes alone: it costs no garbage.
func TestWorkerAllocatesNothing(t *testing.T) {
	f := &start(t, Options{}, nil).flusher
	n := testing.AllocsPerRun(100, func() {
		f.mu.Lock()
		f.workers++
		f.mu.Unlock()
		f.start()
		f.running.Wait()
	})
	if n != 0 {
		t.Errorf("%v allocations to start a worker, want none", n)
	}
}
