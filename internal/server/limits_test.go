package server

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// heap is the memory in use after a collection, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// 500 sockets that dribble a CONNECT claiming 256 MB: the claim is refused when the header is there, and a CONNECT of an
// allowed size that never ends costs what was sent of it and is closed in time.
func TestDribblingConnect(t *testing.T) {
	const sockets = 500
	for _, c := range []struct {
		name   string
		header []byte
	}{
		{"claims 256 MB", []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F}},
		{"claims 16 KiB", []byte{0x10, 0xF0, 0x7F}},
		{"never says", []byte{0x10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, Options{ConnectTimeout: 2 * time.Second}, nil)
			before := heap()
			var conns []net.Conn
			for range sockets {
				conns = append(conns, h.dial())
			}
			for i := range c.header {
				for _, nc := range conns {
					_, _ = nc.Write(c.header[i : i+1]) // the server may have closed
				}
			}
			for range 20 { // a few bytes of the body
				for _, nc := range conns {
					_, _ = nc.Write([]byte{0})
				}
			}
			if cost := (heap() - before) / sockets; cost > 32<<10 {
				t.Errorf("a connection costs %d bytes", cost)
			}
			if held := h.Stats().Partial / sockets; held > smallRead {
				t.Errorf("a connection holds %d bytes of buffers", held)
			}
			for range sockets {
				h.next().waitClosed()
			}
			for _, nc := range conns {
				_ = nc.Close()
			}
		})
	}
}

// The memory for a body grows with what came of it.
func TestBodyGrowsAsItComes(t *testing.T) {
	h := start(t, Options{}, func(r *recorder) { r.maxPacket = 300 << 20 })
	c, r := h.connect()
	_ = r
	send(t, c, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}) // 256 MB
	sent := 0
	for _, size := range []int{1, 100, 5000, 70_000, 1_000_000} {
		send(t, c, make([]byte, size))
		sent += size
		eventually(t, "the bytes were read", func() bool { return int(h.Stats().BytesIn) >= sent+len(connect)+5 })
		eventually(t, "the memory is bounded by what came", func() bool { return h.Stats().Partial <= int64(2*sent+64<<10) })
	}
}

// With Options.MaxPartial used up a packet may not grow beyond 64 KiB; smaller ones may come.
func TestMaxPartial(t *testing.T) {
	h := start(t, Options{MaxPartial: 100 << 10}, func(r *recorder) { r.maxPacket = 10 << 20 })
	c, r := h.connect()
	send(t, c, frame(mqtt.PUBLISH, 0, make([]byte, 60<<10)))
	send(t, c, pingreq)
	expect(t, c, pingresp)
	go func() { _, _ = c.Write(frame(mqtt.PUBLISH, 0, make([]byte, 4<<20))) }()
	r.waitClosed()
	bad := r.failures()
	if len(bad) != 1 || !strings.Contains(bad[0].Error(), "too much memory") {
		t.Errorf("Bad was called with %v", bad)
	}
}

// A packet that stays incomplete is closed, with a keep-alive or without.
func TestPacketTimeout(t *testing.T) {
	h := start(t, Options{PacketTimeout: 100 * time.Millisecond}, nil)
	c, r := h.connect()
	send(t, c, []byte{0x30, 5, 'x'})
	if reason := r.waitClosed(); !strings.Contains(reason, "whole") {
		t.Errorf("reason is %q", reason)
	}
	expectEnd(t, c)
}

// A connection on which nothing comes, or no CONNECT that is accepted, is closed.
func TestConnectTimeout(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		o.ConnectTimeout = 100 * time.Millisecond
		h := start(t, o, func(r *recorder) {
			r.packet = func(*recorder, mqtt.Header, []byte) bool { return true } // never accepts
		})
		for _, sent := range [][]byte{nil, {0x10}, connect} {
			c := h.dial()
			send(t, c, sent)
			expectEnd(t, c)
			if reason := h.next().waitClosed(); !strings.Contains(reason, "no CONNECT") {
				t.Errorf("sent %x: reason is %q", sent, reason)
			}
		}
		if n := h.Stats().Timeouts; n != 3 {
			t.Errorf("%d timeouts were counted", n)
		}
	})
}

// Once connected a client without keep-alive stays, and one whose CONNECT is accepted after Packet returned too.
func TestConnectedStays(t *testing.T) {
	const timeout = 100 * time.Millisecond
	later := make(chan *recorder, 1)
	h := start(t, Options{ConnectTimeout: timeout}, func(r *recorder) {
		r.packet = func(r *recorder, hd mqtt.Header, _ []byte) bool {
			if hd.Type == mqtt.CONNECT {
				later <- r
				return true
			}
			return r.answer(hd)
		}
	})
	c := h.dial()
	send(t, c, connect)
	(<-later).connected.Store(true)
	ticks := h.clock.Load()
	eventually(t, "several timeouts pass", func() bool { return h.clock.Load()-ticks > 5*h.ticks(timeout) })
	send(t, c, pingreq)
	expect(t, c, pingresp)
}

// Beyond MaxConn a CONNECT is answered as its version has it, and beyond Courtesy the socket is closed. Room that
// becomes free is used.
func TestMaxConn(t *testing.T) {
	h := start(t, Options{MaxConn: 2, Courtesy: 1}, nil)
	first, r := h.connect()
	h.connect()
	for _, c := range []struct {
		name string
		sent []byte
		want []byte
	}{
		{"3.1", connectV31, []byte{0x20, 2, 0, 3}},
		{"3.1.1", connect, []byte{0x20, 2, 0, 3}},
		{"5", connectV5, []byte{0x20, 3, 0, 0x89, 0}},
		{"no CONNECT", pingreq, nil},
		{"too large", frame(mqtt.CONNECT, 0, make([]byte, 20_000)), nil},
		{"cut short", frame(mqtt.CONNECT, 0, []byte{0, 4}), []byte{0x20, 2, 0, 3}},
	} {
		nc := h.dial()
		send(t, nc, c.sent)
		if got := expectEnd(t, nc); !bytes.Equal(got, c.want) {
			t.Errorf("%s: answered %x, want %x", c.name, got, c.want)
		}
		_ = nc.Close()
		eventually(t, "the refused connection is gone", func() bool { return h.Stats().Open == 2 })
	}
	polite := h.dial()
	eventually(t, "a connection is waited for", func() bool { return h.Stats().Open == 3 })
	if got := expectEnd(t, h.dial()); len(got) != 0 { // closed without a CONNECT
		t.Errorf("read %x", got)
	}
	_ = polite.Close()
	eventually(t, "the refused connection is gone", func() bool { return h.Stats().Open == 2 })
	if n := h.Stats().Refused; n != 8 {
		t.Errorf("%d connections were counted as refused", n)
	}
	_ = first.Close()
	r.waitClosed()
	eventually(t, "there is room", func() bool { return h.Stats().Open == 1 })
	h.connect()
}

// An idle connection holds no buffer, and goes on working on its new goroutine.
func TestIdleHoldsNothing(t *testing.T) {
	h := start(t, Options{}, nil)
	var conns []net.Conn
	for range 20 {
		c, _ := h.connect()
		conns = append(conns, c)
	}
	for range 3 {
		eventually(t, "the buffers are given back", func() bool { s := h.Stats(); return s.Partial == 0 && s.Queued == 0 })
		eventually(t, "every connection is parked", func() bool { return parked(h) == len(conns) })
		for _, c := range conns {
			send(t, c, pingreq)
			expect(t, c, pingresp)
		}
	}
}

func parked(h *harness) (n int) {
	h.Server.mu.Lock()
	defer h.Server.mu.Unlock()
	for _, c := range h.conns {
		if c.parked.Load() != 0 {
			n++
		}
	}
	return n
}

// flaky is a listener whose Accept fails at first.
type flaky struct {
	net.Listener
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, fmt.Errorf("accept: too many open files")
	}
	return f.Listener.Accept()
}

// Errors of accept pass: the listener waits and goes on.
func TestAcceptErrors(t *testing.T) {
	h := start(t, Options{}, nil)
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.add(h.listener(&flaky{nl, 4}, Listener{Kind: TCP})); err != nil {
		t.Fatal(err)
	}
	h.addr[TCP] = nl.Addr().String()
	h.connect()
	if n := h.Stats().AcceptErrs; n != 4 {
		t.Errorf("%d errors were counted", n)
	}
}
