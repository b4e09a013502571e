// Package wire is a raw MQTT client for tests: it sends and receives single packets and keeps no state of the
// protocol, so that a test decides each packet and sees each one.
package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rocketmqtt/rocketmqtt/internal/mqtt"
)

// Conn is one connection. Send may be called on any goroutine, Read on one at a time.
type Conn struct {
	nc      net.Conn
	in      *bufio.Reader
	version mqtt.Version

	mu  sync.Mutex // guards out and orders writes
	out []byte
}

// Packet can be sent; the packets of package mqtt can.
type Packet interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// Ping is PINGREQ when sent, and PINGRESP when received.
type Ping struct{}

// Append appends a PINGREQ.
func (Ping) Append(dst []byte, _ mqtt.Version) []byte { return mqtt.AppendPingreq(dst) }

const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	bufferSize   = 2048 // bytes; larger packets are read around it
)

// Dial connects to addr, host:port. Nothing is sent.
func Dial(addr string, v mqtt.Version) (*Conn, error) {
	nc, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil, err
	}
	return New(nc, v), nil
}

// New takes over nc.
func New(nc net.Conn, v mqtt.Version) *Conn {
	return &Conn{nc: nc, in: bufio.NewReaderSize(nc, bufferSize), version: v}
}

// Send writes the packets at once.
func (c *Conn) Send(packets ...Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	for _, p := range packets {
		c.out = p.Append(c.out, c.version)
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.nc.Write(c.out)
	return err
}

// Read returns the next packet: *mqtt.Connack, *mqtt.Publish, *mqtt.Ack, *mqtt.Suback, *mqtt.Disconnect, *mqtt.Auth
// or Ping. It is the caller's for good. After an error, a timeout included, the connection is of no more use.
func (c *Conn) Read(timeout time.Duration) (any, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	h, err := c.header()
	if err != nil {
		return nil, err
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, fmt.Errorf("read body of %s: %w", h.Type, err)
	}
	p, err := decode(h, c.version, body)
	if err != nil {
		return nil, fmt.Errorf("decode %s % x: %w", h.Type, body[:min(len(body), 64)], err)
	}
	return p, nil
}

func (c *Conn) header() (mqtt.Header, error) {
	for n := 2; ; n++ {
		b, err := c.in.Peek(n)
		if err != nil {
			return mqtt.Header{}, err
		}
		h, size, err := mqtt.ParseHeader(b)
		if err != nil {
			return h, err
		}
		if size == 0 {
			continue
		}
		if _, err := c.in.Discard(size); err != nil {
			return h, err
		}
		return h, h.Check(c.version)
	}
}

func decode(h mqtt.Header, v mqtt.Version, body []byte) (any, error) {
	var p interface {
		Decode(v mqtt.Version, flags byte, body []byte) error
	}
	switch h.Type {
	case mqtt.CONNACK:
		p = new(mqtt.Connack)
	case mqtt.PUBLISH:
		p = new(mqtt.Publish)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		p = &mqtt.Ack{Type: h.Type}
	case mqtt.SUBACK, mqtt.UNSUBACK:
		p = &mqtt.Suback{Type: h.Type}
	case mqtt.DISCONNECT:
		p = new(mqtt.Disconnect)
	case mqtt.AUTH:
		p = new(mqtt.Auth)
	case mqtt.PINGRESP:
		return Ping{}, nil
	default:
		return nil, fmt.Errorf("a server does not send %s", h.Type)
	}
	return p, p.Decode(v, h.Flags, body)
}

// Net is the connection below, for a test that writes bytes of its own or sets socket options.
func (c *Conn) Net() net.Conn { return c.nc }

// Close ends the connection without a DISCONNECT.
func (c *Conn) Close() error { return c.nc.Close() }
