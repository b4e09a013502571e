package conformance

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// leave ends the connection in order, and returns when the broker has closed it.
func (c *client) leave() {
	c.r.Helper()
	c.send(&mqtt.Disconnect{})
	c.ended()
}

// ended reads until the broker has closed, and returns what came.
func (c *client) ended() []any {
	c.r.Helper()
	got := c.passed
	for {
		p, err := c.Read(patience)
		if err == nil {
			got = append(got, p)
			continue
		}
		if !closed(err) {
			c.r.Fatalf("the connection was not closed: %v; read %v", err, got)
		}
		return got
	}
}

func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

// thrownOut says that the broker ended the accepted connection, with DISCONNECT and one of the codes in MQTT 5 and without a
// word below, and sent nothing else.
func (c *client) thrownOut(codes ...mqtt.ReasonCode) {
	c.r.Helper()
	got := c.ended()
	if !c.r.isV5() {
		if len(got) != 0 {
			c.r.Errorf("read %T before the end: %+v", got[0], got[0])
		}
		return
	}
	if len(got) != 1 {
		c.r.Fatalf("read %d packets before the end: %+v", len(got), got)
	}
	d, ok := got[0].(*mqtt.Disconnect)
	if !ok {
		c.r.Fatalf("read %T, want DISCONNECT: %+v", got[0], got[0])
	}
	if !slices.Contains(codes, d.Code) {
		c.r.Errorf("DISCONNECT has %s, want one of %v", d.Code, codes)
	}
}

// throwsOut sends each packet over an accepted connection of its own, which must end.
func (r *run) throwsOut(code mqtt.ReasonCode, packets ...[]byte) {
	r.Helper()
	for i, b := range packets {
		c := r.connect(fmt.Sprint("bad", i))
		c.bytes(b)
		c.thrownOut(code)
	}
}

// turnsAway sends each CONNECT over a connection of its own, which must end: with a CONNACK that refuses in MQTT 5, if any, and
// without a byte below.
func (r *run) turnsAway(packets ...[]byte) {
	r.Helper()
	for _, b := range packets {
		c := r.dial()
		c.bytes(b)
		for _, p := range c.ended() {
			if a, ok := p.(*mqtt.Connack); !ok || !r.isV5() || a.Code < mqtt.UnspecifiedError || a.SessionPresent {
				r.Errorf("% x was answered with %T: %+v", b, p, p)
			}
		}
	}
}
