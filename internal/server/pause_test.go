package server

import (
	"bytes"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
	"github.com/rocketmqtt/rocketmqtt/internal/pulse"
)

// stopped is a pulse whose clock can be moved on, as it is by a stop of the process. Nobody ticks but the test.
type stopped struct {
	*pulse.Pulse
	by atomic.Int64 // nanoseconds
}

func newStopped() *stopped {
	s := &stopped{}
	s.Pulse = pulse.New(time.Hour, func() time.Time { return time.Now().Add(time.Duration(s.by.Load())) })
	return s
}

func (s *stopped) stop() { s.by.Add(int64(2 * time.Hour)) }

// goOn is what the store does when it knows what happened during the stop.
func (s *stopped) goOn() {
	s.Tick()
	s.Open()
}

// After the process was stopped, nothing that comes is handled and nothing is written until the pulse says so; then all of it is, once.
func TestStoppedProcess(t *testing.T) {
	for _, blocking := range []bool{false, true} {
		p := newStopped()
		h := start(t, Options{Pulse: p.Pulse, blocking: blocking}, nil)
		client, r := h.connect()
		came := frame(mqtt.PUBLISH, 0, []byte("\x00\x01tcame"))
		queued := frame(mqtt.PUBLISH, 0, []byte("\x00\x01tqueued"))
		handled := len(r.got())
		in, out := h.Stats().BytesIn, h.Stats().BytesOut

		p.stop()
		send(t, client, came)
		send(t, client, pingreq)
		r.conn.Send(queued)
		eventually(t, "what came was read", func() bool { return h.Stats().BytesIn > in })
		if got := r.got(); len(got) != handled {
			t.Errorf("handled: %q", got[handled:])
		}
		if s := h.Stats(); s.BytesOut != out || s.Queued == 0 {
			t.Errorf("%d bytes were written, %d wait", s.BytesOut-out, s.Queued)
		}
		if n := p.Tick(); n == 0 {
			t.Error("the ticker saw no stop")
		}
		p.goOn()
		expect(t, client, append(slices.Clone(queued), pingresp...))
		if got := r.got()[handled:]; len(got) != 2 {
			t.Errorf("handled: %q", got)
		}
	}
}

// What a client sent meanwhile that has been taken over by another node is not handled: the session ends its connection before the gate opens. It is
// told why.
func TestStoppedAndTakenOver(t *testing.T) {
	p := newStopped()
	h := start(t, Options{Pulse: p.Pulse}, nil)
	client, r := h.connect()
	in := h.Stats().BytesIn
	p.stop()
	send(t, client, frame(mqtt.PUBLISH, 0, []byte("\x00\x01tlate")))
	eventually(t, "it was read", func() bool { return h.Stats().BytesIn > in })
	bye := frame(mqtt.DISCONNECT, 0, []byte{0x8E})
	r.conn.Send(bye)
	r.conn.Close()
	p.goOn()
	rest, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(rest, bye) {
		t.Errorf("the client read % x, %v", rest, err)
	}
	r.waitClosed()
	if got := r.got(); len(got) != 1 {
		t.Errorf("handled: %q", got)
	}
}

// The server can be shut down while the gate is shut, if its owner closes the pulse in the end.
func TestShutdownWhileStopped(t *testing.T) {
	p := newStopped()
	h := start(t, Options{Pulse: p.Pulse, FlushTimeout: 10 * time.Millisecond}, nil)
	client, r := h.connect()
	in := h.Stats().BytesIn
	p.stop()
	send(t, client, pingreq)
	eventually(t, "it was read", func() bool { return h.Stats().BytesIn > in })
	go func() {
		eventually(t, "everything is killed", func() bool { return r.conn.(*conn).stop.Load() })
		p.Close()
	}()
	h.stop()
	if got := r.got(); len(got) != 1 {
		t.Errorf("handled: %q", got)
	}
}
