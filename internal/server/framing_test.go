package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// stream is several packets of many sizes in a row, and what they are.
func stream() (b []byte, want []string) {
	add := func(t mqtt.Type, flags byte, body []byte) {
		b = append(b, frame(t, flags, body)...)
		want = append(want, fmt.Sprintf("%s%x:%s", t, flags, body))
	}
	add(mqtt.CONNECT, 0, connect[2:])
	add(mqtt.PINGREQ, 0, nil)
	add(mqtt.PUBLISH, 2, []byte("one"))
	add(mqtt.PUBLISH, 0, bytes.Repeat([]byte("x"), 127))
	add(mqtt.PUBLISH, 0, bytes.Repeat([]byte("y"), 128))
	add(mqtt.PINGREQ, 0, nil)
	add(mqtt.PUBREL, 2, []byte{0, 7})
	return b, want
}

// Both ways of reading: the one that waits without a buffer, and the portable one.
func bothWays(t *testing.T, f func(t *testing.T, o Options)) {
	for _, blocking := range []bool{false, true} {
		t.Run(fmt.Sprintf("blocking=%v", blocking), func(t *testing.T) { f(t, Options{blocking: blocking}) })
	}
}

// Wherever the bytes are cut, the packets are the same.
func TestPacketsSplitAtEveryByte(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		b, want := stream()
		for cut := range len(b) {
			c := h.dial()
			send(t, c, b[:cut])
			r := h.next()
			if cut > 0 {
				whole := len(wholePackets(b[:cut]))
				eventually(t, "the packets before the cut", func() bool { return len(r.got()) == whole })
			}
			send(t, c, b[cut:])
			eventually(t, "all packets", func() bool { return len(r.got()) == len(want) })
			if got := r.got(); !slices.Equal(got, want) {
				t.Fatalf("cut at %d: got %q, want %q", cut, got, want)
			}
			_ = c.Close()
			r.waitClosed()
		}
	})
}

// wholePackets counts the packets that b holds from its start, each below 16 KiB.
func wholePackets(b []byte) (sizes []int) {
	for len(b) > 0 {
		h, n, err := mqtt.ParseHeader(b)
		if err != nil || n == 0 || len(b) < n+h.Length {
			return sizes
		}
		sizes = append(sizes, n+h.Length)
		b = b[n+h.Length:]
	}
	return sizes
}

// One byte at a time, and everything at once.
func TestPacketsInOtherPieces(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		b, want := stream()
		t.Run("bytes", func(t *testing.T) {
			c := h.dial()
			for i := range b {
				send(t, c, b[i:i+1])
			}
			r := h.next()
			eventually(t, "all packets", func() bool { return slices.Equal(r.got(), want) })
		})
		t.Run("a flood", func(t *testing.T) {
			const times = 2000
			c := h.dial()
			go func() { _, _ = c.Write(bytes.Repeat(b, times)) }()
			go func() { _, _ = bytes.NewBuffer(nil).ReadFrom(c) }() // the answers
			r := h.next()
			eventually(t, "all packets", func() bool { return len(r.got()) == times*len(want) })
			for i, got := range r.got() {
				if got != want[i%len(want)] {
					t.Fatalf("packet %d is %q, want %q", i, got, want[i%len(want)])
				}
			}
		})
	})
}

// Packets larger than every pooled buffer arrive whole, and the packets behind them too.
func TestLargePackets(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		c, r := h.connect()
		var want []string
		for _, size := range []int{smallRead - 3, smallRead, largeRead - 3, largeRead + 1, maxChunk - 4, maxChunk, maxChunk + 1, 1<<20 - 5, 1} {
			body := bytes.Repeat([]byte{byte('a' + len(want))}, size)
			want = append(want, "PUBLISH0:"+string(body))
			send(t, c, append(frame(mqtt.PUBLISH, 0, body), pingreq...))
			expect(t, c, pingresp)
		}
		var got []string
		for _, p := range r.got() {
			if strings.HasPrefix(p, "PUBLISH") {
				got = append(got, p)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %d PUBLISH packets, or other ones than were sent", len(got))
		}
	})
}

// What is no packet goes to Bad, whose answer arrives although the client had sent more than was read.
func TestNoPacket(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		code mqtt.ReasonCode
	}{
		{"reserved type", []byte{0x00, 0x00}, mqtt.MalformedPacket},
		{"five bytes of length", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, mqtt.MalformedPacket},
		{"too large by a byte", frame(mqtt.PUBLISH, 0, make([]byte, 1<<20-3)), mqtt.PacketTooLarge},
		{"256 MB", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, mqtt.PacketTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, Options{}, nil)
			nc, r := h.connect()
			go func() { _, _ = nc.Write(append(slices.Clone(c.sent), make([]byte, 100_000)...)) }()
			if got := expectEnd(t, nc); string(got) != "bad!" {
				t.Errorf("read %q", got)
			}
			r.waitClosed()
			bad := r.failures()
			if e := (*mqtt.Error)(nil); len(bad) != 1 || !errors.As(bad[0], &e) || e.Code != c.code {
				t.Errorf("Bad was called with %v", bad)
			}
		})
	}
}

// Before CONNECT was accepted 16 KiB are the limit, whatever holds later.
func TestFirstPacketLimit(t *testing.T) {
	h := start(t, Options{}, func(r *recorder) { r.maxPacket = 300 << 20 })
	for _, body := range []int{16<<10 - 3, 16<<10 - 2} { // and three bytes of header
		c := h.dial()
		send(t, c, frame(mqtt.CONNECT, 0, make([]byte, body)))
		r := h.next()
		if body+3 > 16<<10 {
			r.waitClosed()
			if len(r.failures()) != 1 {
				t.Errorf("a first packet of %d bytes was not refused", body+3)
			}
		} else {
			expect(t, c, connack)
		}
	}
}

// After Packet returned false nothing more is handled, and what was sent before arrives.
func TestStopReading(t *testing.T) {
	h := start(t, Options{}, nil)
	c, r := h.connect()
	send(t, c, slices.Concat(pingreq, disconnect, pingreq, pingreq))
	if got := expectEnd(t, c); !bytes.Equal(got, pingresp) {
		t.Errorf("read %x, want one PINGRESP", got)
	}
	r.waitClosed()
	if got := r.got(); len(got) != 3 {
		t.Errorf("handled %q", got)
	}
}

func TestClosedByClient(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, nil)
		c, r := h.connect()
		send(t, c, pingreq)
		_ = c.(*net.TCPConn).CloseWrite()
		if reason := r.waitClosed(); reason != "closed by the client" {
			t.Errorf("reason is %q", reason)
		}
		if got := r.got(); len(got) != 2 {
			t.Errorf("handled %q", got)
		}
	})
}
