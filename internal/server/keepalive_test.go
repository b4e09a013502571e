package server

import (
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// A silent client's KeepAliveExpired is called, what it sends arrives, and the connection ends.
func TestKeepAliveExpires(t *testing.T) {
	bothWays(t, func(t *testing.T, o Options) {
		h := start(t, o, func(r *recorder) { r.keepAlive = 100 * time.Millisecond })
		c, r := h.connect()
		if got := expectEnd(t, c); string(got) != "late" {
			t.Errorf("read %q", got)
		}
		if reason := r.waitClosed(); reason != "keep-alive expired" {
			t.Errorf("reason is %q", reason)
		}
		if n := r.expired.Load(); n != 1 {
			t.Errorf("KeepAliveExpired was called %d times", n)
		}
	})
}

// While packets come, or large pieces of one, it does not.
func TestKeepAliveIsKept(t *testing.T) {
	const keepAlive = time.Second
	for _, c := range []struct {
		name        string
		begin, more []byte
	}{
		{"pings", nil, pingreq},
		{"a large packet", []byte{0x30, 0xFF, 0xFF, 0x7F}, make([]byte, aliveBytes)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, Options{}, func(r *recorder) { r.keepAlive, r.maxPacket = keepAlive, 10<<20 })
			nc, r := h.connect()
			send(t, nc, c.begin)
			began := h.clock.Load()
			for h.clock.Load()-began < 2*h.ticks(keepAlive) {
				send(t, nc, c.more)
				tick := h.clock.Load()
				eventually(t, "time passes", func() bool { return h.clock.Load() > tick })
			}
			if r.expired.Load() != 0 {
				t.Error("KeepAliveExpired was called")
			}
		})
	}
}

// Bytes that are too few to be a packet do not keep a connection.
func TestKeepAliveNeedsPackets(t *testing.T) {
	h := start(t, Options{}, func(r *recorder) { r.keepAlive = 100 * time.Millisecond })
	c, r := h.connect()
	send(t, c, []byte{0x30, 0xFF, 0x7F})
	eventually(t, "KeepAliveExpired", func() bool {
		_, _ = c.Write([]byte{0})
		return r.expired.Load() == 1
	})
	r.waitClosed()
}

// While Packet blocks, the client may have sent what was not read yet: the keep-alive does not run.
func TestKeepAliveWaitsForPacket(t *testing.T) {
	const keepAlive = 50 * time.Millisecond
	release := make(chan struct{})
	h := start(t, Options{}, func(r *recorder) {
		r.keepAlive = keepAlive
		r.packet = func(r *recorder, hd mqtt.Header, _ []byte) bool {
			if hd.Type == mqtt.PUBLISH {
				<-release
			}
			return r.answer(hd)
		}
	})
	c, r := h.connect()
	send(t, c, append(frame(mqtt.PUBLISH, 0, []byte("x")), pingreq...))
	eventually(t, "PUBLISH is handled", func() bool { return len(r.got()) >= 2 })
	began := h.clock.Load()
	eventually(t, "time passes", func() bool { return h.clock.Load()-began > 4*h.ticks(keepAlive) })
	if r.expired.Load() != 0 {
		t.Error("KeepAliveExpired was called while Packet blocked")
	}
	close(release)
	expect(t, c, pingresp)
	r.waitClosed() // and now it is silent
}
