package server

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Connections that are parked all the time, and woken by packets, by Close, and by their clients' end: no wake-up is lost.
func TestNoWakeUpIsLost(t *testing.T) {
	const clients, rounds = 50, 40
	h := start(t, Options{tick: 2 * time.Millisecond, idle: time.Millisecond}, nil) // parks after two ticks
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", h.addr[TCP])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			_ = c.SetDeadline(time.Now().Add(4 * patience))
			if _, err := c.Write(connect); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(c, make([]byte, len(connack))); err != nil {
				t.Error(err)
			}
			for range rounds {
				<-time.After(time.Duration(rnd.IntN(8)) * time.Millisecond)
				n := 1 + rnd.IntN(3)
				if _, err := c.Write(slices.Repeat(pingreq, n)); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(c, make([]byte, n*len(pingresp))); err != nil {
					t.Errorf("a ping was not answered: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for range clients {
		h.next().waitClosed()
	}
}

// A parked connection ends when the session closes it, when it is killed, and when its client goes.
func TestParkedEnds(t *testing.T) {
	for name, end := range map[string]func(net.Conn, *recorder){
		"Close":         func(_ net.Conn, r *recorder) { r.conn.Close() },
		"client closes": func(c net.Conn, _ *recorder) { _ = c.Close() },
		"client resets": func(c net.Conn, _ *recorder) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() },
		"kill":          func(_ net.Conn, r *recorder) { r.conn.(*conn).kill("test", true) },
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Options{idle: time.Millisecond}, nil)
			c, r := h.connect()
			eventually(t, "the connection is parked", func() bool { return parked(h) == 1 })
			end(c, r)
			r.waitClosed()
			eventually(t, "the connection is gone", func() bool { return h.Stats().Open == 0 })
		})
	}
}
