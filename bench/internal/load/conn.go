package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rocketmqtt/rocketmqtt/bench/internal/wire"
)

const (
	setupTimeout = 20 * time.Second
	maxOut       = 64 << 10 // bytes made before they are written
	perSubscribe = 200      // filters in one SUBSCRIBE
)

// Conn is one MQTT connection on a socket of the kernel, without the runtime's poller between: the loop polls all of them at once.
type Conn struct {
	fd      int
	out     []byte // to be written, from off
	off     int
	blocked bool   // the kernel takes no more: the loop waits for room
	rest    []byte // the beginning of a packet whose end has not come
	pub     *publisher
	sub     *subscriber

	// Of Connects:
	dialed  int64 // when the connection began; 0: CONNACK has come
	refused bool  // by it
}

// Dial connects and waits for CONNACK. session: the broker had a session for the client.
func Dial(addr netip.AddrPort, clientID string, clean bool) (c *Conn, session bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, false, fmt.Errorf("make a socket: %w", err)
	}
	c = &Conn{fd: fd, rest: make([]byte, 0, 512)}
	if session, err = c.connect(addr, clientID, clean); err != nil {
		c.Close()
		return nil, false, fmt.Errorf("connect %s to %s: %w", clientID, addr, err)
	}
	return c, session, nil
}

func (c *Conn) connect(addr netip.AddrPort, clientID string, clean bool) (session bool, err error) {
	limit := unix.NsecToTimeval(int64(setupTimeout))
	err = errors.Join(
		unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Connect(c.fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}),
	)
	if err != nil {
		return false, err
	}
	if err := c.send(wire.AppendConnect(nil, clientID, clean)); err != nil {
		return false, err
	}
	var p wire.Packet
	if err := c.receive(&p, 4); err != nil {
		return false, err
	}
	if p.Kind != wire.CONNACK || p.Code != 0 {
		return false, fmt.Errorf("answered with a packet of type %d, code %d", p.Kind, p.Code)
	}
	return p.Session, nil
}

// Subscribe subscribes to all filters and waits until the broker has granted them.
func (c *Conn) Subscribe(qos byte, filters []string) error {
	for id := uint16(1); len(filters) > 0; id++ {
		n := min(len(filters), perSubscribe)
		if err := c.send(wire.AppendSubscribe(nil, id, qos, filters[:n]...)); err != nil {
			return err
		}
		var p wire.Packet
		if err := c.receive(&p, 1); err != nil {
			return fmt.Errorf("wait for SUBACK: %w", err)
		}
		if p.Kind != wire.SUBACK || p.Code >= 0x80 {
			return fmt.Errorf("SUBSCRIBE answered with a packet of type %d, code %#x", p.Kind, p.Code)
		}
		filters = filters[n:]
	}
	return nil
}

// send writes all of b; the socket still blocks.
func (c *Conn) send(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(c.fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("write: %w", err)
		}
		b = b[max(n, 0):]
	}
	return nil
}

// receive reads one packet, with at most step bytes a read so that nothing behind it is taken; the socket still blocks.
func (c *Conn) receive(p *wire.Packet, step int) error {
	var b []byte
	for {
		piece := make([]byte, step)
		n, err := unix.Read(c.fd, piece)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return errClosed
		}
		b = append(b, piece[:n]...)
		if n, err = p.Parse(b); n > 0 || err != nil {
			return err
		}
	}
}

// Disconnect says goodbye and closes.
func (c *Conn) Disconnect() {
	_ = c.send(wire.AppendDisconnect(nil))
	c.Close()
}

// Close closes without a word. A second time it does nothing.
func (c *Conn) Close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
	c.fd = -1
}

// flush writes what the kernel takes of c.out.
func (c *Conn) flush() error {
	for !c.blocked && c.off < len(c.out) {
		n, err := unix.Write(c.fd, c.out[c.off:])
		switch {
		case err == nil:
			c.off += n
		case err == unix.EAGAIN:
			c.blocked = true
		case err != unix.EINTR:
			return fmt.Errorf("write: %w", err)
		}
	}
	if c.off == len(c.out) {
		c.out, c.off = c.out[:0], 0
	}
	return nil
}

// room reports whether more should be made for c.
func (c *Conn) room() bool { return !c.blocked && len(c.out) < maxOut }

// read reads once into buf, behind what was left of the last read, and calls packet for every whole packet, as p.
func (c *Conn) read(buf []byte, p *wire.Packet, packet func(*Conn, *wire.Packet) error) error {
	kept := copy(buf, c.rest)
	n, err := unix.Read(c.fd, buf[kept:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errClosed
	}
	buf = buf[:kept+n]
	for {
		n, err := p.Parse(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := packet(c, p); err != nil {
			return err
		}
		buf = buf[n:]
	}
	c.rest = append(c.rest[:0], buf...)
	return nil
}

var errClosed = errors.New("the broker closed the connection")
